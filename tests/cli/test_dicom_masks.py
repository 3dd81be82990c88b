"""DICOM SEG on the command line, on the sample data: the same plan, and what a mismatch does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import planner
from tests.cli.conftest import ROOT, call_cli
from tests.seg_writer import description, write_seg

PLAIN = ROOT / "sample_data" / "plain"
SOME = ("skin_body", "lesion", "nerve", "vessel")
"""Classes of masks without which the procedure passes nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seg")


def _set_frame(seg) -> None:
    seg.FrameOfReferenceUID = "1.2.3.99"


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The phantom's masks as DICOM SEG, and some with another frame of reference."""
    volume = planner.load_volume(PLAIN / "dicom")
    masks = planner.load_structures([PLAIN / "structures.seg.nrrd"], like=volume)
    slices = [Path(f) for f in volume.source.files]
    some = [n for n in masks if masks[n].structure_class in SOME]

    def write(file: str, names: list[str], edit=None) -> Path:
        stacked = np.stack([masks[name].mask.inside for name in names], axis=-1)
        segments = [description(n + 1, name) for n, name in enumerate(names)]
        return write_seg(folder / file, slices, volume.grid, stacked, segments, edit=edit)

    return {
        "seg": write("seg.dcm", list(masks)),
        "elsewhere": write("elsewhere.dcm", some, _set_frame),
    }


def _plan(folder: Path, masks: Path, out: str, *more: object):
    truth = json.loads((PLAIN / "truth.json").read_text())
    point = truth["targets_lps_mm"]["soft_tissue_lesion"]
    return call_cli(
        folder,
        "plan",
        PLAIN / "dicom",
        "--target=" + ",".join(f"{v:.3f}" for v in point),
        "--procedure",
        "soft_tissue_biopsy",
        "--structures",
        masks,
        "--out",
        out,
        "--no-figures",
        "--top",
        2,
        "--json",
        *more,
    )


def test_same_plan_as_from_the_slicer_file(folder, files):
    seg = _plan(folder, files["seg"], "a")
    nrrd = _plan(folder, PLAIN / "structures.seg.nrrd", "b")
    assert seg.code == nrrd.code == 0, seg.stderr + nrrd.stderr
    one, other = json.loads(seg.stdout), json.loads(nrrd.stdout)
    for key in ("entry_lps_mm", "clearance_mm", "verdict"):
        assert [t[key] for t in one["trajectories"]] == [t[key] for t in other["trajectories"]]
    done = call_cli(
        folder, "verify", "a/plan.json", "--image", PLAIN / "dicom", "--structures", files["seg"]
    )
    assert done.code == 0, done.stdout + done.stderr


def test_another_frame_is_refused_and_accepted_only_loudly(folder, files):
    refused = _plan(folder, files["elsewhere"], "c")
    assert refused.code == 3 and "--accept-frame-mismatch" in refused.stderr
    assert not (folder / "c").exists()
    accepted = _plan(folder, files["elsewhere"], "d", "--accept-frame-mismatch")
    assert accepted.code == 0, accepted.stderr
    plan = json.loads(accepted.stdout)
    assert all("1.2.3.99" in s["frame_mismatch"] for s in plan["structures"])
    assert plan["verdict"] != "pass"
    for path in plan["trajectories"]:
        assert any(f["constraint"] == "frame_mismatch" for f in path["findings"])
    assert "ACCEPTED" in (folder / "d" / "report.md").read_text()
    arguments = ("verify", "d/plan.json", "--image", PLAIN / "dicom")
    assert call_cli(folder, *arguments, "--structures", files["elsewhere"]).code == 0
    for path in plan["trajectories"]:
        path["findings"] = [f for f in path["findings"] if f["constraint"] != "frame_mismatch"]
        path["verdict"] = "pass"
    (folder / "d" / "plan.json").write_text(json.dumps(plan))
    assert call_cli(folder, *arguments, "--structures", files["elsewhere"]).code == 1


def test_verify_asks_for_the_masks_in_one_line(folder):
    done = call_cli(folder, "verify", "a/plan.json", "--image", PLAIN / "dicom")
    assert done.code == 3
    assert len(done.errors) == 1 and "seg.dcm" in done.stderr


@pytest.mark.parametrize("share", ["0", "1.5", "half"])
def test_a_wrong_threshold_is_refused(folder, files, share):
    done = _plan(folder, files["seg"], "e", "--seg-threshold", share)
    assert done.code in (2, 3) and "Traceback" not in done.stderr
