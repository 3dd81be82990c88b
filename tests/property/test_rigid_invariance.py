"""Turning and moving patient, masks and target together changes no decision and no clearance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import planner
from planner.geometry import Grid, Mask, Volume
from planner.model import StructureSet
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

CLEARANCE_TOL_MM = 0.011
"""Reported clearances are rounded down to 0.01 mm: rounding may fall on either side."""
OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 5.0, "top": 3}


def _moved(volume: Volume, structures: StructureSet, move: np.ndarray):
    grid = Grid(
        shape_kji=volume.grid.shape_kji,
        lps_from_kji=move @ volume.grid.lps_from_kji,
        frame=volume.grid.frame,
    )
    turned = tuple(
        replace(s, mask=Mask(grid=grid, inside=s.mask.inside), source=replace(s.source, grid=grid))
        for s in structures.structures
    )
    return (
        Volume(grid=grid, values=volume.values, source=volume.source),
        StructureSet(grid=grid, structures=turned),
    )


def _by_place(result, back: np.ndarray) -> dict[tuple[float, ...], bool]:
    """Whether each entry, moved back, is feasible; a rounding error may change their order."""
    points = result.candidates.entry_lps_mm @ back[:3, :3].T + back[:3, 3]
    places = map(tuple, np.round(points, 2) + 0.0)
    return dict(zip(places, result.candidates.feasible.tolist(), strict=True))


_SCENE = trunk("thick")
_STILL = planner.plan(_SCENE[0], TARGET_LPS_MM, simple_protocol(), _SCENE[1], **OPTIONS)


TILT_DEG = st.floats(-25, 25)
"""About the patient's L and P axes: which image axis runs along the body must not change,
as the ends of the image on it are no skin."""
SPIN_DEG = st.floats(-180, 180)


@given(
    angles=st.tuples(st.one_of(TILT_DEG, TILT_DEG.map(lambda a: a + 180)), TILT_DEG, SPIN_DEG),
    shift=st.tuples(*[st.floats(-500, 500)] * 3),
)
@settings(max_examples=12, deadline=None)
def test_a_rigid_move_changes_nothing(angles, shift):
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    move[:3, 3] = shift
    volume, structures = _moved(*_SCENE, move)
    target = move[:3, :3] @ TARGET_LPS_MM + move[:3, 3]
    turned = planner.plan(volume, target, simple_protocol(), structures, **OPTIONS)
    before, after = _by_place(_STILL, np.eye(4)), _by_place(turned, np.linalg.inv(move))
    assert before.keys() == after.keys()
    same = np.mean([before[place] == after[place] for place in before])
    assert same > 0.999, "only candidates a rounding error from a limit may differ"
    for one, two in zip(turned.trajectories, _STILL.trajectories, strict=True):
        assert np.allclose(
            one.entry_lps_mm, move[:3, :3] @ two.entry_lps_mm + move[:3, 3], atol=1e-6
        )
        for name, clearance in two.clearance_mm.items():
            assert abs(one.clearance_mm[name] - clearance) <= CLEARANCE_TOL_MM


@given(grow=st.integers(1, 4))
@settings(max_examples=4, deadline=None)
def test_a_grown_mask_never_opens_a_path(grow):
    from scipy import ndimage

    volume, structures = _SCENE
    grown = tuple(
        s
        if s.name != "nerve"
        else replace(
            s,
            mask=Mask(
                grid=s.mask.grid, inside=ndimage.binary_dilation(s.mask.inside, iterations=grow)
            ),
        )
        for s in structures.structures
    )
    result = planner.plan(
        volume,
        TARGET_LPS_MM,
        simple_protocol(),
        StructureSet(grid=structures.grid, structures=grown),
        **OPTIONS,
    )
    assert not np.any(result.candidates.feasible & ~_STILL.candidates.feasible)
