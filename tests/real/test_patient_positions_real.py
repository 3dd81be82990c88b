"""Real images in every patient position: letters, down and needle paths follow the patient.

The real data hold patients on the back only, head first and feet first. The other positions
are the same images in the voxel order of a scan in that position (``tests.patient_positions``),
written to DICOM and read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import KDTree

import planner
from planner.geometry import FrameId, Grid, PatientPosition, Volume
from planner.geometry.frames import orientation_letters
from planner.io import inspect_path
from planner.model import PlanResult, StructureRole, StructureSet
from planner.skin import find_body
from tests.dicom_writer import write_series
from tests.patient_positions import reacquired
from tests.trunk import structure

PROSTATEX = "prostatex_0000_pelvis_mr"
LESION_LPS_MM = (25.7457, 31.8707, -38.511)
"""Row fid 1 of targets.csv."""

SERIES_4_AXES = {
    # the nearest letters of slices, rows down and columns across; worked out by hand from how
    # the patient lies: the scanner keeps its prescription and the patient turns
    "FFS": ("H", "P", "L"),
    "HFS": ("F", "P", "R"),
    "HFP": ("F", "A", "L"),
    "FFP": ("H", "A", "R"),
    "HFDR": ("F", "R", "A"),
    "HFDL": ("F", "L", "P"),
    "FFDR": ("H", "R", "P"),
    "FFDL": ("H", "L", "A"),
}

DOWN = {"S": "P", "P": "A", "DR": "R", "DL": "L"}
POINT_TOL_MM = 1e-4
"""Positions in the file carry 16 characters, far more than this."""


def as_dicom(folder: Path, volume: Volume, before: str, after: str) -> Volume:
    """The volume as a scan in another position gives it, through files."""
    turned = reacquired(volume, before, after)
    write_series(
        folder,
        turned.grid,
        turned.values,
        edit=lambda ds, k: setattr(ds, "PatientPosition", after),
    )
    return planner.load_volume(folder)


@pytest.fixture(scope="module")
def oblique(shared_data: Path) -> Volume:
    """T2 of the pelvis, feet first, tilted 18.5 degrees."""
    (folder,) = (shared_data / PROSTATEX).glob("4.*")
    volume = planner.load_volume(folder)
    assert volume.source.patient_position == "FFS"
    return volume


@pytest.fixture(scope="module", params=SERIES_4_AXES)
def turned(
    request: pytest.FixtureRequest, oblique: Volume, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Volume]:
    """The position, and the pelvis scanned in it."""
    code = request.param
    return code, as_dicom(tmp_path_factory.mktemp(code), oblique, "FFS", code)


def test_letters_and_down_follow_the_patient(turned: tuple[str, Volume]) -> None:
    code, volume = turned
    letters = [orientation_letters(axis)[0] for axis in volume.grid.axes_lps_from_kji.T]
    assert tuple(letters) == SERIES_4_AXES[code]
    position = volume.source.patient_position
    assert position == code
    assert orientation_letters(position.down_lps) == DOWN[code[2:]]
    # rows ran down to the table in the real scan, so they do in every other position
    _, column, _ = volume.grid.axes_lps_from_kji.T
    assert column @ position.down_lps > 0.9


def test_the_lesion_keeps_its_place_and_its_side(
    turned: tuple[str, Volume], oblique: Volume
) -> None:
    """Its voxel and those around; and it lies to the same side of the image's middle."""
    _, volume = turned
    before = np.rint(oblique.grid.to_kji(LESION_LPS_MM)).astype(int)
    around = before + np.stack(np.meshgrid(*[[-3, 0, 3]] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = oblique.grid.to_lps(around)
    kji = volume.grid.to_kji(points)
    assert np.abs(kji - np.rint(kji)).max() * 3.0 < POINT_TOL_MM
    found = volume.values[tuple(np.rint(kji).astype(int).T)]
    assert np.array_equal(found, oblique.values[tuple(around.T)])
    middle = volume.grid.to_lps((np.array(volume.grid.shape_kji) - 1) / 2)
    assert LESION_LPS_MM[0] < middle[0] - 10


def _first_slices(volume: Volume, n: int) -> Volume:
    grid = volume.grid
    cut = Grid(shape_kji=(n, *grid.shape_kji[1:]), lps_from_kji=grid.lps_from_kji, frame=grid.frame)
    return Volume(grid=cut, values=volume.values[:n], source=volume.source)


@pytest.mark.parametrize(
    ("folder", "code"),
    [("totalseg_ct_dicom_j2k/dicom", "HFS"), ("dcmqi_ct_seg_nrrd/ct-3slice", "FFS")],
)
def test_down_is_where_a_real_table_is(shared_data: Path, folder: str, code: str) -> None:
    """A CT shows its table: head first and feet first, it lies in the direction called down."""
    volume = _first_slices(planner.load_volume(shared_data / folder), 3)
    assert volume.source.patient_position == code
    down = volume.source.patient_position.down_lps
    body = find_body(volume).mask.inside
    table = (volume.values > -600) & ~body
    depth_mm = [volume.grid.to_lps(np.argwhere(inside)) @ down for inside in (table, body)]
    assert np.median(depth_mm[0]) > np.percentile(depth_mm[1], 97)


def test_no_real_series_lies_otherwise(shared_data: Path) -> None:
    """Should one join the data, it belongs into the test above."""
    found = {v.patient_position for v in inspect_path(shared_data).volumes}
    assert found == {PatientPosition.HFS, PatientPosition.FFS, PatientPosition.UNKNOWN}


NEEDLE, PROCEDURE = "18G-100", "soft_tissue_biopsy"


@dataclass(frozen=True)
class Planned:
    """A plan in one position: with no side excluded, and with the side on the table.

    Both with the body that was found in the supine image; ``body`` is the one that is found
    in this position.
    """

    volume: Volume
    free: PlanResult
    on_table: PlanResult
    body: np.ndarray
    body_supine: np.ndarray


@pytest.fixture(scope="module")
def lumbar(shared_data: Path) -> tuple[Volume, np.ndarray]:
    """Every second row and column of the lumbar fat image, and a point in a back muscle."""
    folder = shared_data / "lpm_tum01_lumbar_dixon"
    whole = planner.load_volume(folder / "TUM01_fat.nii.gz")
    labels = planner.load_volume(folder / "TUM01_fat_labels.nii.gz")
    grid = whole.grid
    values = np.rint(whole.values[8:20, ::2, ::2]).astype(np.uint16)
    thinned = Grid.from_axes(
        values.shape,
        grid.spacing_kji_mm * (1, 2, 2),
        grid.to_lps([8, 0, 0]),
        grid.axes_lps_from_kji,
        FrameId("1.2.3", "lumbar"),
    )
    left_muscle = grid.to_lps(np.argwhere(labels.values == 4))
    near_middle = np.abs(left_muscle[:, 2] - thinned.to_lps([6, 0, 0])[2]) < 3
    return Volume(grid=thinned, values=values), left_muscle[near_middle].mean(axis=0)


@pytest.fixture(scope="module")
def planned(
    lumbar: tuple[Volume, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Planned]:
    supine, target = lumbar
    body = Volume(grid=supine.grid, values=find_body(supine).mask.inside.astype(np.uint8))
    return {
        code: _planned(
            as_dicom(tmp_path_factory.mktemp(code), supine, "HFS", code),
            reacquired(body, "HFS", code).values > 0,
            target,
        )
        for code in ("HFS", "HFP", "HFDL", "FFDR")
    }


def _planned(volume: Volume, body_supine: np.ndarray, target: np.ndarray) -> Planned:
    body = structure("trunk", body_supine, volume.grid, StructureRole.BODY, "skin_body")
    structures = StructureSet(grid=volume.grid, structures=(body,))
    free, on_table = (
        planner.plan(volume, target, PROCEDURE, structures, NEEDLE, table_side=side, top=3)
        for side in ("none", "auto")
    )
    return Planned(volume, free, on_table, find_body(volume).mask.inside, body_supine)


TURNED = ("HFP", "HFDL", "FFDR")


@pytest.mark.parametrize("code", TURNED)
def test_the_same_paths_are_found_in_every_position(planned: dict[str, Planned], code: str) -> None:
    """All candidates, feasible or not, and the ranked paths: the world is the patient's."""
    before, after = planned["HFS"].free, planned[code].free
    entries, others = (r.candidates.entry_lps_mm for r in (before, after))
    assert len(entries) == len(others) > 1000
    apart_mm, at = KDTree(others).query(entries)
    # where the skin runs at 45 degrees to two faces of a voxel, the order of the axes decides
    # on which of them the needle enters
    assert apart_mm.max() < planned[code].volume.grid.spacing_kji_mm.min()
    same = apart_mm < POINT_TOL_MM
    assert same.mean() > 0.99
    assert np.array_equal(before.candidates.feasible[same], after.candidates.feasible[at[same]])
    assert np.array_equal(
        before.candidates.rejected_by[same], after.candidates.rejected_by[at[same]]
    )
    assert len(before.trajectories) == 3
    for one, other in zip(before.trajectories, after.trajectories, strict=True):
        assert np.allclose(one.entry_lps_mm, other.entry_lps_mm, atol=POINT_TOL_MM)
        assert one.length_mm == pytest.approx(other.length_mm, abs=POINT_TOL_MM)
        for name in ("axial_deg", "craniocaudal_deg", "skin_normal_deg"):
            angle = getattr(one.angles, name)
            assert getattr(other.angles, name) == pytest.approx(angle, abs=1e-3)
        assert one.verdict is other.verdict


@pytest.mark.parametrize("code", TURNED)
def test_the_same_body_is_found_in_every_position(planned: dict[str, Planned], code: str) -> None:
    """Ties in its smoothing fall with the order of the voxels: a few at the surface may differ."""
    differ = planned[code].body ^ planned[code].body_supine
    assert differ.sum() <= 1e-4 * planned[code].body.sum()
    inner = ndimage.binary_erosion(planned[code].body_supine, iterations=2)
    assert not (differ & inner).any()


def test_the_skin_on_the_table_follows_the_patient(planned: dict[str, Planned]) -> None:
    """Supine the back is taken away, prone it is free; on the side, that side."""
    for code, plans in planned.items():
        down = plans.volume.source.patient_position.down_lps
        candidates = plans.on_table.candidates
        facing = candidates.skin_normal_lps @ down
        assert not candidates.feasible[facing > 0.5].any(), code
        was_feasible = plans.free.candidates.feasible
        lost = was_feasible & (candidates.rejected_by == "table_side")
        assert np.array_equal(candidates.feasible, was_feasible & ~lost)
    n_feasible = {code: int(p.on_table.candidates.feasible.sum()) for code, p in planned.items()}
    assert n_feasible["HFP"] == planned["HFP"].free.candidates.feasible.sum() > 500
    assert n_feasible["HFS"] == 0  # all skin within reach is behind
    assert 0 < n_feasible["HFDL"] < n_feasible["FFDR"] < n_feasible["HFP"]  # a left muscle
