"""report and compare from the command line: files, exit codes, refusals."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import TARGET_LPS_MM, Scene, call_cli, run_cli


@pytest.fixture(scope="module")
def folder(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan without figures, in ``folder/out``."""
    top = tmp_path_factory.mktemp("reports")
    ran = call_cli(top, *scene.plan("--out", "out", "--no-figures", "--top", 2))
    assert ran.code == 0, ran.stderr
    return top


@pytest.fixture(scope="module")
def path(folder: Path) -> dict[str, object]:
    plan = json.loads((folder / "out" / "plan.json").read_text(encoding="utf-8"))
    return plan["trajectories"][0]


def masks(scene: Scene) -> list[object]:
    return [a for mask in scene.masks.values() for a in ("--structures", mask)]


def point(values: object, by: tuple[float, ...] = (0.0, 0.0, 0.0)) -> str:
    return ",".join(f"{v:.4f}" for v in np.add(values, by))


def test_plan_writes_the_report_and_report_writes_it_again(folder: Path) -> None:
    written = (folder / "out" / "report.html").read_text(encoding="utf-8")
    ran = run_cli(folder, "report", "out/plan.json", "--out", "again.html")
    assert ran.code == 0, ran.stderr
    assert "VERDICT: " in ran.stdout
    assert (folder / "again.html").read_text(encoding="utf-8") == written
    assert "<script" not in written
    assert str(folder) not in written


def test_missing_figures_are_drawn_from_the_image(folder: Path, scene: Scene) -> None:
    arguments = ["report", "out/plan.json", "--image", scene.image, *masks(scene)]
    ran = call_cli(folder, *arguments, "--out", "drawn.html")
    assert ran.code == 0, ran.stderr
    html = (folder / "drawn.html").read_text(encoding="utf-8")
    assert html.count('src="data:image/png;base64,') == 2
    assert "No picture of path 1" not in html


def test_another_image_or_mask_is_refused(folder: Path, scene: Scene, tmp_path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.ReadImage(str(scene.image))
    image[3, 3, 3] = image[3, 3, 3] + 50
    sitk.WriteImage(image, str(tmp_path / "other.mha"))
    ran = call_cli(folder, "report", "out/plan.json", "--image", tmp_path / "other.mha",
                  *masks(scene), "--out", "x.html")  # fmt: skip
    assert ran.code == 3
    assert "not the one that the plan was made on" in ran.errors[0]
    nerve = sitk.ReadImage(str(scene.masks["nerve"]))
    nerve[30, 30, 20] = 1
    shutil.copytree(scene.masks["nerve"].parent, tmp_path / "masks")
    changed = tmp_path / "masks" / scene.masks["nerve"].name
    sitk.WriteImage(nerve, str(changed))
    files = [changed if name == "nerve" else mask for name, mask in scene.masks.items()]
    ran = call_cli(folder, "report", "out/plan.json", "--image", scene.image,
                  *(a for f in files for a in ("--structures", f)), "--out", "x.html")  # fmt: skip
    assert ran.code == 3
    assert "mask of 'nerve'" in ran.errors[0]
    assert not (folder / "x.html").exists()


def test_masks_of_a_label_map_are_read_as_the_plan_read_them(scene: Scene, tmp_path: Path) -> None:
    """Numbers in a label map have no names: report, compare and export take them as plan does."""
    import SimpleITK as sitk

    nerve, vessel = (sitk.ReadImage(str(scene.masks[name])) for name in ("nerve", "vessel"))
    sitk.WriteImage(nerve + 2 * vessel, str(tmp_path / "labels.nrrd"))
    (tmp_path / "names.json").write_text(json.dumps({"1": "the nerve", "2": "the vessel"}))
    files = ["--structures", "labels.nrrd", "--label-names", "names.json"]
    target = ["--target", ",".join(map(str, TARGET_LPS_MM))]
    ran = call_cli(tmp_path, "plan", scene.image, "--procedure", "soft_tissue_biopsy", *files,
                  *("--role", "the nerve=avoid", "--role", "the vessel=avoid"), *target,
                  "--out", "out", "--no-figures", "--top", 1)  # fmt: skip
    assert (tmp_path / "out" / "plan.json").is_file(), ran.stderr
    plan = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    best = plan["trajectories"][0]
    needle = [f"--actual={point(best['entry_lps_mm'])}", point(best["tip_lps_mm"])]
    for command in (
        ["report", "out/plan.json", "--out", "r.html"],
        ["compare", "out/plan.json", *needle],
        ["export", "out/plan.json", "--to", "slicer", "--out", "s", "--even-if-unknown"],
    ):
        ran = call_cli(tmp_path, *command, "--image", scene.image, *files)
        assert ran.code == 0, ran.stderr
        bare = call_cli(tmp_path, *command, "--image", scene.image, *files[:2])
        assert bare.code == 3
    assert "the nerve" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_what_is_no_report_is_refused(folder: Path, tmp_path: Path) -> None:
    assert call_cli(folder, "report", "nothing.json").code == 3
    assert call_cli(folder, "report", "out/plan.json", "--out", "x.txt").code == 2
    assert call_cli(folder, "report", "out/plan.json", "--out", "no/such/x.html").code == 3
    shutil.copy(folder / "out" / "plan.json", tmp_path / "plan.json")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "path_01.png").write_text("<svg onload=alert(1)>")
    ran = call_cli(folder, "report", tmp_path / "plan.json")
    assert ran.code == 3
    assert "not one of ours" in ran.errors[0]
    assert not (tmp_path / "report.html").exists()


def test_without_chromium_pdf_is_a_clear_error(folder: Path) -> None:
    ran = call_cli(folder, "report", "out/plan.json", "--out", "p.html", "--pdf",
                  env={"NEEDLE_PLANNER_CHROMIUM": "no-such-browser"})  # fmt: skip
    assert ran.code == 3
    assert "no Chromium was found" in ran.errors[0]
    assert not (folder / "p.html").exists()


@pytest.mark.parametrize("printed", [b"", b"%PDF-1.4 and then the disk was full"])
def test_a_chromium_that_prints_no_whole_pdf_is_a_clear_error(
    folder: Path, tmp_path: Path, printed: bytes
) -> None:
    """The PDF of an earlier report stays, and is called that."""
    fake = tmp_path / "chromium"
    (tmp_path / "printed").write_bytes(printed)
    fake.write_text(
        "#!/bin/sh\nfor word; do case $word in --print-to-pdf=*)\n"
        f"cp {tmp_path / 'printed'} ${{word#--print-to-pdf=}};; esac; done\n"
        "echo broken >&2\nexit 0\n"
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    old = b"%PDF-1.4 of an earlier report %%EOF"
    (folder / "q.pdf").write_bytes(old)
    ran = call_cli(folder, "report", "out/plan.json", "--out", "q.html", "--pdf",
                  env={"NEEDLE_PLANNER_CHROMIUM": str(fake)})  # fmt: skip
    assert ran.code == 3
    assert "PDF could not be printed" in ran.errors[0]
    assert "q.pdf is OF AN EARLIER REPORT" in ran.errors[0]
    assert (folder / "q.pdf").read_bytes() == old
    assert (folder / "q.html").is_file()
    assert not list(folder.glob(".*.tmp"))


def test_a_summary_better_than_its_path_is_not_shown(folder: Path, tmp_path: Path) -> None:
    plan = json.loads((folder / "out" / "plan.json").read_text(encoding="utf-8"))
    plan["verdict"] = plan["trajectories"][0]["verdict"] = "pass"
    plan["trajectories"][0]["findings"][0]["verdict"] = "unknown"
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    ran = call_cli(tmp_path, "report", "plan.json")
    assert ran.code == 0, ran.stderr
    assert "VERDICT: UNKNOWN" in ran.stdout
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<div class="verdict v-unknown">' in html
    assert 'Path 1 &nbsp; <span class="tag v-unknown">' in html


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")
def test_the_pdf_is_a_pdf(folder: Path) -> None:
    ran = run_cli(folder, "report", "out/plan.json", "--out", "p.html", "--pdf")
    assert ran.code == 0, ran.stderr
    content = (folder / "p.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert b"/MediaBox [0 0 594" in content or b"/MediaBox [0 0 595" in content  # A4


def test_compare_in_numbers(folder: Path, scene: Scene, path: dict[str, object]) -> None:
    entry, tip = point(path["entry_lps_mm"]), point(path["tip_lps_mm"], (0.0, 1.5, 2.0))
    ran = run_cli(folder, "compare", "out/plan.json", "--actual", entry, tip,
                  "--image", scene.image, *masks(scene), "--json", "--out", "cmp")  # fmt: skip
    assert ran.code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["errors"]["tip_mm"] == pytest.approx(2.5, abs=1e-3)
    assert np.hypot(
        found["errors"]["tip_along_mm"], found["errors"]["tip_off_axis_mm"]
    ) == pytest.approx(2.5, abs=1e-3)
    assert {c["structure"] for c in found["clearances"]} >= {"nerve", "vessel"}
    assert json.loads((folder / "cmp" / "compare.json").read_text()) == found
    assert (folder / "cmp" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_compare_in_ras_is_the_same_needle(folder: Path, path: dict[str, object]) -> None:
    mirrored = [point(np.multiply(path[k], (-1, -1, 1))) for k in ("entry_lps_mm", "tip_lps_mm")]
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", *mirrored, "--frame", "ras",
                  "--json")  # fmt: skip
    assert ran.code == 0, ran.stderr
    assert json.loads(ran.stdout)["errors"]["tip_mm"] == pytest.approx(0.0, abs=1e-3)
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", *mirrored, "--json")
    assert json.loads(ran.stdout)["errors"]["tip_mm"] > 1.0


def test_compare_with_a_line_of_slicer(folder: Path, path: dict[str, object]) -> None:
    def line(*points: object) -> str:
        controls = [
            {"id": str(n), "label": f"L-{n}", "position": list(p), "positionStatus": "defined"}
            for n, p in enumerate(points, start=1)
        ]
        markup = {"type": "Line", "coordinateSystem": "LPS", "controlPoints": controls}
        return json.dumps({"markups": [markup]})

    file = folder / "needle.mrk.json"
    file.write_text(line(path["tip_lps_mm"], path["entry_lps_mm"]))  # tip first, no label
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", file, "--json")
    assert ran.code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["errors"]["tip_mm"] == pytest.approx(0.0, abs=1e-6)
    assert "no label" in found["actual"]["ends"]


def test_a_needle_in_the_nerve_is_exit_1(
    folder: Path, scene: Scene, path: dict[str, object]
) -> None:
    entry = point(path["entry_lps_mm"])
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", entry, "-30,10,0",
                  "--image", scene.image, *masks(scene))  # fmt: skip
    assert ran.code == 1, ran.stderr
    assert "NEEDLE AS IT LIES: FAIL" in ran.stdout


def test_a_missed_target_is_exit_1(folder: Path, scene: Scene, path: dict[str, object]) -> None:
    """Drawn back, the needle keeps every margin and is not where it was to be."""
    entry = np.array(path["entry_lps_mm"])
    short = entry + 0.6 * (np.array(path["tip_lps_mm"]) - entry)
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", point(entry), point(short),
                   "--image", scene.image, *masks(scene))  # fmt: skip
    assert ran.code == 1, ran.stderr
    assert "TARGET MISSED" in ran.stdout and "FAIL (" not in ran.stdout


def test_without_masks_nothing_is_passed(folder: Path, path: dict[str, object]) -> None:
    ends = [point(path["entry_lps_mm"]), point(path["tip_lps_mm"])]
    ran = call_cli(folder, "compare", "out/plan.json", "--actual", *ends)
    assert ran.code == 0, ran.stderr
    assert "NEEDLE AS IT LIES: UNKNOWN" in ran.stdout
    assert "PASS" not in ran.stdout.replace("Never PASS", "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--actual", "1,2,3"], 2, "a needle has two"),
        (["--actual", "1,2,3", "4,5"], 2, "not a point"),
        (["--actual", "1,2,nan", "4,5,6"], 2, "not a point"),
        ([], 2, "L,P,S"),
        (["--actual", "no.mrk.json"], 3, "error"),
        (["--actual", "1,2,3", "1,2,3"], 3, "no length"),
        (["--actual", "1,2,1e308", "4,5,6"], 3, "beyond any patient"),
        (["--actual", "1,2,3", "4,-1e308,6"], 3, "beyond any patient"),
        (["--actual", "1,2,3", "4,5,6", "--path", "77"], 3, "no such path"),
        (["--actual", "1,2,3", "4,5,6", "--structures", "x.nrrd"], 2, "need the image"),
    ],
)
def test_what_is_no_needle_is_refused(
    folder: Path, arguments: list[str], code: int, told: str
) -> None:
    ran = call_cli(folder, "compare", "out/plan.json", *arguments)
    assert ran.code == code, ran.stderr
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_line_far_from_any_patient_is_refused(folder: Path, tmp_path: Path) -> None:
    ends = [{"id": "1", "label": "L", "position": [v, 2, 3], "positionStatus": "defined"}
            for v in (1e308, -1e308)]  # fmt: skip
    markup = {"type": "Line", "coordinateSystem": "LPS", "controlPoints": ends}
    (tmp_path / "far.mrk.json").write_text(json.dumps({"markups": [markup]}))
    plan = folder / "out" / "plan.json"
    ran = call_cli(tmp_path, "compare", plan, "--actual", "far.mrk.json")
    assert ran.code == 3
    assert "beyond any patient" in ran.errors[0] and len(ran.errors) == 1


def test_a_plan_that_contradicts_itself_is_not_compared_with(folder: Path, tmp_path: Path) -> None:
    plan = json.loads((folder / "out" / "plan.json").read_text(encoding="utf-8"))
    plan["trajectories"][0]["entry_lps_mm"][2] += 5.0
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    ran = call_cli(tmp_path, "compare", "plan.json", "--actual", "1,2,3", "4,5,6")
    assert ran.code == 3
    assert "is not as long as the plan says" in ran.stderr


def test_help_of_both_is_short_of_heavy_imports() -> None:
    for command in ("report", "compare"):
        ran = run_cli(Path.cwd(), command, "--help", env={"PATH": os.environ["PATH"]})
        assert ran.code == 0
        assert "--image" in ran.stdout
