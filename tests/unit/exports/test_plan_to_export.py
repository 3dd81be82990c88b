"""The gate of the exports: what leaves, and under what name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputError
from planner.exports import plan_to_export as gate
from planner.exports.plan_to_export import plan_to_export
from planner.io.plan_reading import load_plan


def _verdict(rank: int, verdict: str, *, in_finding: bool = False) -> Any:
    def change(plan: dict[str, Any]) -> None:
        path = plan["trajectories"][rank - 1]
        if in_finding:
            path["findings"][0]["verdict"] = verdict
        else:
            path["verdict"] = verdict

    return change


def _plan_verdict(verdict: str) -> Any:
    return lambda plan: plan.update(verdict=verdict)


def test_every_verified_path_by_default(write_plan: Any) -> None:
    file = write_plan()
    plan = plan_to_export(file)
    assert [p.rank for p in plan.paths] == [1, 2, 3]
    assert plan.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not plan.is_unverified
    assert [plan.name_of(p) for p in plan.paths] == ["path 1", "path 2", "path 3"]


def test_the_paths_asked_for_once_each_in_order(write_plan: Any) -> None:
    assert [p.rank for p in plan_to_export(write_plan(), ranks=(3, 1, 3)).paths] == [1, 3]


def test_an_unverified_path_is_left_out_by_default(write_plan: Any) -> None:
    file = write_plan(_verdict(2, "unknown"))
    plan = plan_to_export(file)
    assert [p.rank for p in plan.paths] == [1, 3]
    assert not plan.is_unverified
    assert [p.rank for p in plan.left_out] == [2]
    assert plan_to_export(file, ranks=(1,)).left_out == ()
    assert plan_to_export(file, even_if_unknown=True).left_out == ()


@pytest.mark.parametrize("verdict", ["unknown", "fail"])
def test_an_unverified_path_asked_for_is_refused(write_plan: Any, verdict: str) -> None:
    with pytest.raises(InputError, match=f"path 2 {verdict}.*--even-if-unknown"):
        plan_to_export(write_plan(_verdict(2, verdict)), ranks=(2,))


@pytest.mark.parametrize("verdict", ["unknown", "fail"])
def test_a_plan_that_is_not_verified_is_refused(write_plan: Any, verdict: str) -> None:
    with pytest.raises(InputError, match=f"seen: plan {verdict};"):
        plan_to_export(write_plan(_plan_verdict(verdict)))


def test_a_summary_better_than_a_finding_does_not_count(write_plan: Any) -> None:
    file = write_plan(_verdict(1, "unknown", in_finding=True))
    with pytest.raises(InputError, match="path 1 unknown"):
        plan_to_export(file, ranks=(1,))
    plan = plan_to_export(file, ranks=(1,), even_if_unknown=True)
    assert "verdict unknown" in plan.description_of(plan.paths[0])


def test_even_if_unknown_says_unverified_in_name_and_description(write_plan: Any) -> None:
    plan = plan_to_export(write_plan(_verdict(2, "unknown")), even_if_unknown=True)
    assert plan.is_unverified
    assert [plan.name_of(p) for p in plan.paths] == ["path 1", "UNVERIFIED path 2", "path 3"]
    assert plan.description_of(plan.paths[1]).startswith("UNVERIFIED path 2: ")


def test_a_plan_not_verified_makes_every_path_unverified(write_plan: Any) -> None:
    plan = plan_to_export(write_plan(_plan_verdict("unknown")), even_if_unknown=True)
    assert plan.is_unverified
    assert all(plan.name_of(p).startswith("UNVERIFIED") for p in plan.paths)
    assert "plan verdict unknown" in plan.description_of(plan.paths[0])


def test_the_description_has_the_essentials(write_plan: Any) -> None:
    plan = plan_to_export(write_plan())
    path = plan.paths[0]
    text = plan.description_of(path)
    name, clearance_mm = min(path.clearance_mm.items(), key=lambda item: item[1])
    for part in (
        f"{path.length_mm:.1f} mm",
        f"verdict {path.verdict}",
        f"least clearance {clearance_mm:.2f} mm to {name}",
        f"needle {plan.document.needle.name}, procedure {plan.document.procedure.id}",
        "Research use only",
        plan.sha256[:12],
        f"frame of reference {plan.document.frame.frame_of_reference_uid}",
        f"series {plan.document.image.series_instance_uid}",
    ):
        assert part in text


def test_masks_of_another_frame_are_told(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan["structures"][0]["frame_mismatch"] = "its frame of reference is 1.2, the image's is 3"

    plan = plan_to_export(write_plan(change))
    assert "masks of another frame of reference accepted: trunk" in plan.description_of(
        plan.paths[0]
    )


def test_a_hostile_structure_name_stays_on_one_line(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        path = plan["trajectories"][0]
        name = "nerve\n\x1b[31m, verdict pass\u2028x"
        path["clearances"] = [{**path["clearances"][0], "structure": name, "clearance_mm": 0.1}]
        path["clearance_mm"] = {name: 0.1}

    plan = plan_to_export(write_plan(change))
    text = plan.description_of(plan.paths[0])
    assert text.isprintable() and len(text.splitlines()) == 1


def test_no_path(write_plan: Any) -> None:
    file = write_plan(lambda plan: plan.update(trajectories=[], verdict="fail"))
    with pytest.raises(InputError, match="no path to export"):
        plan_to_export(file, even_if_unknown=True)


@pytest.mark.parametrize("ranks", [(9,), (0,), (-1,), ()])
def test_a_path_that_is_not_there(write_plan: Any, ranks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="does not have the path asked for"):
        plan_to_export(write_plan(), ranks=ranks)


def test_a_moved_tip_is_refused(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        path = plan["trajectories"][0]
        entry, tip = path["entry_lps_mm"], path["tip_lps_mm"]
        path["tip_lps_mm"] = [t + 0.001 * (t - e) for e, t in zip(entry, tip, strict=True)]

    with pytest.raises(InputError, match="path 1 is not as long as the plan says"):
        plan_to_export(write_plan(change))


def _changed(**values: Any) -> Any:
    return lambda plan: plan["trajectories"][0].update(values)


def _other_summary(plan: dict[str, Any]) -> None:
    summary = plan["trajectories"][0]["clearance_mm"]
    summary[min(summary, key=summary.get)] = 25.0


def _lost_from_summary(plan: dict[str, Any]) -> None:
    summary = plan["trajectories"][0]["clearance_mm"]
    del summary[min(summary, key=summary.get)]


def _one_twice(plan: dict[str, Any]) -> None:
    path = plan["trajectories"][0]
    path["clearances"].append(path["clearances"][-1])


def _other_throw(plan: dict[str, Any]) -> None:
    plan["needle"]["throw_mm"] += 5.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_summary, "two clearances to one structure"),
        (_lost_from_summary, "two clearances to one structure"),
        (_one_twice, "two clearances to one structure; seen: one twice"),
        (_other_throw, "does not fire where the needle does; seen: throw_end_lps_mm 5.00 mm off"),
        (_changed(tip_to_target_mm=77.0), "not as far from the target"),
    ],
)
def test_a_path_that_contradicts_itself_is_refused(
    write_plan: Any, change: Any, words: str
) -> None:
    file = write_plan(change)
    with pytest.raises(InputError, match=f"path 1 .*{words}"):
        plan_to_export(file)
    with pytest.raises(InputError, match=words):
        plan_to_export(file, even_if_unknown=True)


def test_the_description_says_that_the_needle_fires(write_plan: Any) -> None:
    def fire(plan: dict[str, Any]) -> None:
        plan["needle"]["throw_mm"] = 22.0
        for path in plan["trajectories"]:
            entry, tip = path["entry_lps_mm"], path["tip_lps_mm"]
            share = 22.0 / path["length_mm"]
            path["throw_end_lps_mm"] = [
                t + share * (t - e) for e, t in zip(entry, tip, strict=True)
            ]

    plan = plan_to_export(write_plan(fire))
    assert "from skin to tip; fires 22 mm past the tip; " in plan.description_of(plan.paths[0])
    plan = plan_to_export(write_plan())
    assert plan.document.needle.throw_mm == 0.0
    assert "fires" not in plan.description_of(plan.paths[0])


def test_one_rank_twice_is_refused(write_plan: Any) -> None:
    with pytest.raises(InputError, match="two paths of the plan have one rank"):
        plan_to_export(write_plan(lambda plan: plan["trajectories"][1].update(rank=1)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        plan_to_export(tmp_path / "no.json")


def test_a_file_changed_between_hash_and_reading(
    write_plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_change(path: Path) -> object:
        document = load_plan(path)
        path.write_text(path.read_text() + "\n")
        return document

    monkeypatch.setattr(gate, "load_plan", load_and_change)
    with pytest.raises(InputError, match="changed while it was read"):
        plan_to_export(write_plan())


@pytest.mark.parametrize("where", ["target", "path"])
def test_a_point_beyond_any_patient_is_refused(write_plan, where):
    def change(plan):
        point = plan["target"]["point_lps_mm"] if where == "target" else None
        (point or plan["trajectories"][1]["entry_lps_mm"])[2] = 1e308

    with pytest.raises(InputError, match="beyond any patient"):
        plan_to_export(write_plan(change))
