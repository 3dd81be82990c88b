"""A plan never enters where the image ends, says so, and does not know what lies beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.geometry import Mask, Volume
from planner.model import Needle, PlanResult, StructureRole, StructureSet, Verdict
from planner.safety import CutFaces
from planner.safety.checks import NeedleAxis, check_coverage
from planner.safety.obstacles import Obstacles
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk

NO_OBSTACLES = Obstacles(obstacles=(), crossable_bone=(), uses=(), missing=())
NEEDLE = Needle(name="test", outer_diameter_mm=1.2, length_mm=120.0)
LAX = simple_protocol(margins=())
CUT_COLUMN = 100
"""Padding begins here, some 40 mm left of the middle: the body goes on beneath it."""


def plan(volume: Volume, structures: StructureSet, **options: object) -> PlanResult:
    options = {"procedure": LAX, "table_side": "none", "entry_spacing_mm": 4.0} | options
    return planner.plan(volume, TARGET_LPS_MM, structures=structures, **options)  # type: ignore[arg-type]


def padded_trunk(kind: str = "axial") -> tuple[Volume, StructureSet]:
    """Zeros from a column on, and a body mask that stops there."""
    volume, structures = trunk(kind)
    values = np.array(volume.values)
    values[:, :, CUT_COLUMN:] = 0
    grid = volume.grid
    inside = np.array(structures["trunk"].mask.inside)
    inside[:, :, CUT_COLUMN:] = False
    body = structure("trunk", inside, grid, StructureRole.BODY, "skin_body")
    return replace(volume, values=values), StructureSet(grid=grid, structures=(body,))


@pytest.fixture(scope="module")
def planned() -> PlanResult:
    return plan(*padded_trunk())


def test_no_feasible_entry_at_padding_and_the_reason_is_kept(planned: PlanResult) -> None:
    grid, candidates = planned.volume.grid, planned.candidates
    column = grid.to_kji(candidates.entry_lps_mm)[:, 2]
    at_cut = column > CUT_COLUMN - 2
    assert at_cut.sum() > 50
    assert not candidates.feasible[at_cut].any()
    assert set(candidates.rejected_by[at_cut]) == {"image_end"}
    room_mm = (CUT_COLUMN - 0.5 - column[candidates.feasible]) * grid.spacing_kji_mm[2]
    assert candidates.feasible.sum() > 50
    assert room_mm.min() >= 5.0 - 0.5 * grid.spacing_kji_mm[2]


def test_a_body_found_in_the_image_ends_at_the_same_place() -> None:
    volume, structures = padded_trunk()
    found = plan(volume, StructureSet(grid=structures.grid))
    column = volume.grid.to_kji(found.candidates.entry_lps_mm)[:, 2]
    assert not found.candidates.feasible[column > CUT_COLUMN - 2].any()
    assert found.candidates.feasible.sum() > 50


@pytest.mark.parametrize("table_side", ["none", "left"])
def test_where_only_padding_is_in_reach_the_explanation_says_so(table_side: str) -> None:
    volume, structures = padded_trunk()
    target = volume.grid.to_lps([18.0, 55.0, CUT_COLUMN - 16.0])
    found = planner.plan(
        volume,
        target,
        structures=structures,
        procedure=LAX,
        table_side=table_side,
        needle=Needle(name="short", outer_diameter_mm=0.7, length_mm=24.0),
    )
    assert not found.trajectories
    assert found.rejected_counts == {"image_end": len(found.candidates)}
    codes = [e.code for e in found.explanation]
    assert codes[0] == "no_skin", "no other limit matters where no skin is"
    assert "nearest skin in view" in found.explanation[0].message
    if table_side == "left":
        assert codes == ["no_skin"]
        return
    assert codes == ["no_skin", "removed:image_end"]
    text = found.explanation[1].message
    assert "the image ends at the body's outline" in text
    assert "Use an image that shows the skin" in text


def test_verification_does_not_accept_an_entry_at_padding(planned: PlanResult) -> None:
    structures = planned.structures
    assert planner.verify_plan(planned, planned.volume, structures).ok
    candidates, best = planned.candidates, planned.trajectories[0]
    column = planned.volume.grid.to_kji(candidates.entry_lps_mm)[:, 2]
    at_cut = int(np.flatnonzero(column > CUT_COLUMN - 2)[0])
    moved = replace(best, entry_lps_mm=candidates.entry_lps_mm[at_cut], verdict=Verdict.PASS)
    report = planner.verify_plan(
        replace(planned, trajectories=(moved,)), planned.volume, structures
    )
    failed = [check.claim for check in report.checks if not check.ok]
    assert "image goes on beside the entry" in failed


# ---------------------------------------------------------------- what lies beyond


def coverage(body: Mask, start_kji, end_kji, imaged: Mask | None = None):
    start, end = (body.grid.to_lps(np.array(p, dtype=float)) for p in (start_kji, end_kji))
    axis = NeedleAxis(entry_lps_mm=start, tip_lps_mm=end, end_lps_mm=end)
    return check_coverage(axis, NO_OBSTACLES, NEEDLE, CutFaces.of(body, imaged))


@pytest.mark.parametrize("kind", ["axial", "thick", "oblique"])
def test_a_needle_whose_thickness_leaves_the_image_is_unknown_without_any_structure(
    kind: str,
) -> None:
    """The last voxel reaches half a voxel beyond its centre; the needle's radius counts."""
    volume, structures = trunk(kind)
    body = structures["trunk"].mask
    last = volume.grid.shape_kji[0] - 1
    half = NEEDLE.radius_mm / volume.grid.spacing_kji_mm[0]
    j, i = (n / 2 for n in volume.grid.shape_kji[1:])
    for face, inward in ((last + 0.5, -1.0), (-0.5, 1.0)):
        just_in, just_out = face + inward * half * 1.01, face + inward * half * 0.99
        assert coverage(body, (just_in, j - 5, i), (just_in, j, i)) == ()
        (found,) = coverage(body, (just_out, j - 5, i), (just_out, j, i))
        assert found.verdict is Verdict.UNKNOWN
        assert found.constraint == "coverage"
        assert found.measured == pytest.approx(0.99 * NEEDLE.radius_mm, abs=0.006)
        assert found.required == 0.0


def test_a_face_that_does_not_cut_the_body_counts_too() -> None:
    volume, _ = trunk("axial")
    inside = np.zeros(volume.grid.shape_kji, dtype=bool)
    inside[5:30, 20:90, 20:110] = True
    body = Mask(grid=volume.grid, inside=inside)
    assert len(coverage(body, (35.4, 50, 60), (35.4, 60, 60))) == 1
    assert coverage(body, (34.0, 50, 60), (34.0, 60, 60)) == ()


@pytest.mark.parametrize("kind", ["axial", "oblique"])
def test_padding_in_the_body_is_unknown_like_the_end_of_the_image(kind: str) -> None:
    volume, structures = padded_trunk(kind)
    grid = volume.grid
    seen = np.ones(grid.shape_kji, dtype=bool)
    seen[:, :, CUT_COLUMN:] = False
    imaged, body = Mask(grid=grid, inside=seen), structures["trunk"].mask
    half = NEEDLE.radius_mm / grid.spacing_kji_mm[2]
    near, apart = CUT_COLUMN - 0.5 - 0.9 * half, CUT_COLUMN - 0.5 - 1.1 * half
    assert len(coverage(body, (18, 50, near), (18, 55, near), imaged)) == 1
    assert coverage(body, (18, 50, apart), (18, 55, apart), imaged) == ()
    assert coverage(body, (18, 50, near), (18, 55, near)) == (), "the mask alone does not know"


def test_a_margin_that_reaches_into_padding_is_unknown() -> None:
    """The nerve could go on beneath the padding, within its margin of the path."""
    volume, structures = padded_trunk()
    nerve = trunk("axial")[1]["nerve"]
    wide = replace(nerve, margin_mm=30.0)
    both = StructureSet(grid=volume.grid, structures=(*structures.structures, wide))
    target = volume.grid.to_lps([18.0, 20.0, CUT_COLUMN - 14.0])
    found = planner.plan(volume, target, structures=both, procedure=LAX, table_side="none", top=3)
    assert found.trajectories
    for path in found.trajectories:
        assert path.verdict is Verdict.UNKNOWN
        assert any(f.constraint == "coverage" and "nerve" in f.note for f in path.findings)
    assert planner.verify_plan(found, volume, both).ok


@pytest.mark.parametrize("kind", ["axial", "thick", "oblique"])
def test_a_path_along_the_last_slice_is_unknown_and_verification_knows(kind: str) -> None:
    """The axis lies in the image, part of the needle beside it: that part was never seen."""
    volume, structures = trunk(kind)
    grid = volume.grid
    body = StructureSet(grid=grid, structures=(structures["trunk"],))
    thick = Needle(name="thick", outer_diameter_mm=2.0, length_mm=120.0)
    for beyond_vox, verdict in ((0.8, Verdict.UNKNOWN), (1.2, Verdict.PASS)):
        index = grid.to_kji(np.array(TARGET_LPS_MM))
        index[0] = grid.shape_kji[0] - 0.5 - beyond_vox * thick.radius_mm / grid.spacing_kji_mm[0]
        found = planner.plan(
            volume,
            grid.to_lps(index),
            structures=body,
            procedure=LAX,
            needle=thick,
            table_side="none",
            entry_spacing_mm=6.0,
            top=2,
        )
        assert found.trajectories
        assert found.verdict is verdict
        assert planner.verify_plan(found, volume, body).ok
        if verdict is Verdict.PASS:
            continue
        best = found.trajectories[0]
        hidden = replace(
            best,
            verdict=Verdict.PASS,
            findings=tuple(f for f in best.findings if f.constraint != "coverage"),
        )
        forged = replace(found, trajectories=(hidden,), verdict=Verdict.PASS)
        failed = {c.claim for c in planner.verify_plan(forged, volume, body).checks if not c.ok}
        assert any("whole thickness lies in the image" in claim for claim in failed)
