"""plan.json: written, read again, checked against its schema, refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from planner.errors import InputError, OutputError
from planner.geometry.digest import mask_sha256, volume_sha256
from planner.io import plan_reading
from planner.io.plan_document import SCHEMA_FILE, PlanDocument, plan_json_schema, schema_text
from planner.io.plan_file import load_plan, plan_document, save_plan
from planner.model import PlanResult
from tests.unit.verify.phantom_plan import make_result

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


@pytest.fixture(scope="module")
def content(result: PlanResult) -> dict[str, Any]:
    return plan_document(result, created_utc=NOON).to_json_dict()


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


# --- content -----------------------------------------------------------------------------------


def test_has_the_fixed_keys(content: dict[str, Any]) -> None:
    """Section 6 of the design, key for key; more are welcome."""
    fixed = {
        "": "schema created_utc software frame image procedure needle target structures mr search "
        "verdict trajectories explanation warnings",
        "software": "name version",
        "frame": "coordinate_system unit frame_of_reference_uid",
        "image": "modality study_instance_uid series_instance_uid patient_position shape_kji "
        "spacing_kji_mm lps_from_kji sha256",
        "procedure": "id sha256",
        "needle": "name outer_diameter_mm length_mm throw_mm material",
        "target": "point_lps_mm tolerance_mm",
        "search": "candidates feasible rejected seconds",
    }
    for part, keys in fixed.items():
        assert set(keys.split()) <= set(content[part] if part else content), part
    of_structure = "name role margin_mm hard voxels volume_mm3 source sha256"
    assert set(of_structure.split()) <= set(content["structures"][0])
    of_path = (
        "rank entry_lps_mm tip_lps_mm length_mm verdict cost cost_terms angles clearance_mm "
        "findings susceptibility needle_artefact risk scan_planes"
    )
    path = content["trajectories"][0]
    assert set(of_path.split()) <= set(path)
    assert set(path["angles"]) == {"axial_deg", "craniocaudal_deg", "skin_normal_deg", "b0_deg"}
    of_finding = "constraint structure measured required unit verdict where_lps_mm"
    assert set(of_finding.split()) <= set(path["findings"][0])


def test_holds_what_the_result_holds(result: PlanResult, content: dict[str, Any]) -> None:
    assert content["schema"] == "needle-plan/1"
    assert content["created_utc"] == "2026-03-01T12:00:05Z"
    acquisition = result.acquisitions[0]
    assert content["mr"]["b0_direction_lps"] == list(acquisition.b0_direction_lps)
    assert content["mr"]["field_t"] is None and "field_t" in content["mr"]["problems"]
    assert content["image"]["sha256"] == volume_sha256(result.volume)
    assert content["body"]["sha256"] == mask_sha256(result.structures["trunk"].mask)
    assert content["search"]["rejected"] == {"clearance:L5 root": 1, "length": 1}
    path, found = content["trajectories"][0], result.trajectories[0]
    assert path["entry_lps_mm"] == found.entry_lps_mm.tolist()
    assert path["clearance_mm"] == found.clearance_mm
    assert path["angles"]["b0_deg"] == found.angles.b0_deg
    root = next(s for s in content["structures"] if s["name"] == "L5 root")
    assert (root["role"], root["margin_mm"], root["own_margin_mm"]) == ("avoid", 3.0, None)
    assert root["source"] == "L5 root.seg.nrrd"
    assert "Research use only" in content["research_use"]


def test_time_is_utc_wherever_the_planner_stands(result: PlanResult) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-9.5)))
    assert plan_document(result, created_utc=there).created_utc == "2026-03-01T12:00:05Z"
    now = datetime.fromisoformat(plan_document(result).created_utc)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=5)


def test_no_folder_and_no_name_of_a_person_gets_in(result: PlanResult) -> None:
    options = {
        "config": Path("/home/user/Doe_Jane/plan.toml"),
        "image": "/data/Doe_Jane/t1.nii",
        "other": r"C:\Doe_Jane\t1.nii",
        "nested": {"files": ["/data/Doe_Jane/a.nrrd", np.float64(2.5), np.array([1, 2])]},
        "rule": "1/2",
        "object": object(),
    }
    source = replace(result.structures["L5 root"].source, file="/data/Doe_Jane/root.nrrd")
    root = replace(result.structures["L5 root"], source=source)
    others = tuple(s for s in result.structures.structures if s.name != "L5 root")
    structures = replace(result.structures, structures=(*others, root))
    document = plan_document(replace(result, options=options, structures=structures))
    text = document.to_json()
    assert "Doe_Jane" not in text
    assert "Somebody" not in text  # series description and files of the image
    assert document.options == {
        "config": "plan.toml",
        "image": "t1.nii",
        "other": "t1.nii",
        "nested": {"files": ["a.nrrd", 2.5, [1, 2]]},
        "rule": "1/2",
        "object": "<object>",
    }


def test_plan_without_a_path_says_why(tmp_path: Path) -> None:
    plan = load_plan(save_plan(make_result(feasible=False), tmp_path / "plan.json"))
    assert plan.trajectories == ()
    assert plan.verdict == "fail"
    assert plan.explanation[0].opens_at == 2.1


def test_a_result_that_is_not_finite_is_not_written(result: PlanResult, tmp_path: Path) -> None:
    broken = replace(result.trajectories[0], cost=float("nan"))
    path = tmp_path / "plan.json"
    path.write_text("old")
    with pytest.raises(OutputError, match="cost: Input should be a finite number"):
        save_plan(replace(result, trajectories=(broken,)), path)
    assert path.read_text() == "old"


# --- round trip --------------------------------------------------------------------------------


def test_round_trip_keeps_every_digit(result: PlanResult, tmp_path: Path) -> None:
    document = plan_document(result)
    assert load_plan(save_plan(document, tmp_path / "plan.json")) == document
    assert load_plan(save_plan(result, tmp_path / "again.json")).image == document.image


def test_same_result_gives_the_same_text(result: PlanResult) -> None:
    texts = {plan_document(result, created_utc=NOON).to_json() for _ in range(2)}
    assert len(texts) == 1


def test_missing_folder_is_told(result: PlanResult, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"):
        save_plan(result, tmp_path / "none" / "plan.json")


# --- schema ------------------------------------------------------------------------------------


def test_schema_file_is_the_model_s() -> None:
    """Run ``python -m planner.io.plan_document`` after a change of the model."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_plan_is_valid_against_the_schema(content: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(content)
    empty = plan_document(make_result(feasible=False)).to_json_dict()
    validator.validate(empty)


def test_mr_has_its_keys(content: dict[str, Any]) -> None:
    keys = (
        "field_t b0_direction_lps bandwidth_hz_per_px readout_axis_lps readout_pixel_mm "
        "slice_thickness_mm acquisition sequence echo_time_ms"
    )
    mr = {**dict.fromkeys(keys.split()), "sources": {}}
    filled = {**content, "mr": mr}
    jsonschema.Draft202012Validator(plan_json_schema()).validate(filled)
    assert PlanDocument.model_validate_json(json.dumps(filled)).mr is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(surprise=1),
        lambda c: c.pop("verdict"),
        lambda c: c.update(verdict="fine"),
        lambda c: c["frame"].update(coordinate_system="RAS"),
        lambda c: c["image"].update(sha256="xyz"),
        lambda c: c["trajectories"][0].update(entry_lps_mm=[1.0, 2.0]),
        lambda c: c["trajectories"][0].update(length_mm="91"),
        lambda c: c["trajectories"][0].update(rank=0),
        lambda c: c["needle"].update(length_mm=-90.0),
        lambda c: c["search"]["rejected"].update(length=-1),
        lambda c: c.update(created_utc="yesterday"),
    ],
)
def test_schema_and_reader_refuse_the_same(
    content: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    broken = json.loads(json.dumps(content))
    change(broken)
    validator = jsonschema.Draft202012Validator(plan_json_schema())
    assert not validator.is_valid(broken)
    with pytest.raises(InputError, match="the plan file is not valid"):
        load_plan(write(tmp_path / "plan.json", broken))


# --- refusals ----------------------------------------------------------------------------------


def test_refusal_names_the_place_and_what_was_seen(content: dict[str, Any], tmp_path: Path) -> None:
    broken = json.loads(json.dumps(content))
    broken["trajectories"][1]["findings"][0]["measured"] = "much"
    with pytest.raises(InputError, match=r"trajectories\[1\]\.findings\[0\]\.measured.*'much'"):
        load_plan(write(tmp_path / "plan.json", broken))
    del broken["structures"][0]["sha256"]
    with pytest.raises(InputError, match=r"structures\[0\]\.sha256: Field required") as caught:
        load_plan(write(tmp_path / "plan.json", broken))
    assert caught.value.where == str(tmp_path / "plan.json")
    with pytest.raises(InputError, match="and 5 more"):
        load_plan(write(tmp_path / "plan.json", {**broken, **dict.fromkeys("abcdefgh", 0)}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(
    content: dict[str, Any], tmp_path: Path, number: str
) -> None:
    text = json.dumps(content).replace('"tolerance_mm": 2.0', f'"tolerance_mm": {number}')
    assert number in text
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(InputError, match="finite"):
        load_plan(path)


def test_key_that_stands_twice_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(content).replace('"verdict":', '"verdict": "pass", "verdict":', 1)
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(InputError, match="a key stands twice.*verdict"):
        load_plan(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON.*line 1 column 2"),
        (b"\xff\xfe\x00", "it is not a text file"),
        (b"[]", "it does not say"),
        (b"3", "it does not say"),
        (b"{}", "it does not say"),
        (b'{"schema": 1}', "it does not say"),
        (b'{"@schema": "markups"}', "it does not say"),
        (b"[" * 200_000, "its JSON is nested too deeply"),
    ],
)
def test_what_is_not_a_plan_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"the file is not a plan: {reason}"):
        load_plan(path)


def test_newer_and_unknown_schemas_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="newer planner.*needle-plan/2.*Update"):
        load_plan(write(tmp_path / "plan.json", {**content, "schema": "needle-plan/2"}))
    with pytest.raises(InputError, match="unknown schema"):
        load_plan(write(tmp_path / "plan.json", {**content, "schema": "needle-plan/0"}))


def test_missing_file_folder_and_huge_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_plan(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_plan(tmp_path)
    monkeypatch.setattr(plan_reading, "MAX_PLAN_BYTES", 10)
    with pytest.raises(InputError, match="too large to be a plan"):
        load_plan(write(tmp_path / "plan.json", {"schema": "needle-plan/1"}))


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_plan_cut_short_is_refused(content: dict[str, Any], tmp_path: Path, cut: float) -> None:
    text = json.dumps(content)
    path = tmp_path / "plan.json"
    path.write_text(text[: int(len(text) * cut)])
    with pytest.raises(InputError, match="the file is not a plan"):
        load_plan(path)
