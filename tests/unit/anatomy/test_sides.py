"""Labels whose left and right are swapped: no region of a side is derived from them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.errors import AnatomyError
from planner.geometry import Mask
from planner.model import StructureSet
from tests import phantom_scenes as scenes


@lru_cache(maxsize=2)
def structures_of(view):
    make = {"lumbar": scenes.lumbar_scene, "pelvis": scenes.pelvis_scene}[view]
    return scenes.scene_structures(make(scenes.LUMBAR, scenes.SCAN))


def swapped(name):
    words = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return "_".join(words.get(word, word) for word in name.split("_"))


def mirrored(structures, only=None):
    return StructureSet(
        grid=structures.grid,
        structures=tuple(
            replace(s, name=swapped(s.name)) if only is None or only in s.name else s
            for s in structures.structures
        ),
    )


@pytest.mark.parametrize(
    ("view", "asked"),
    [
        ("lumbar", "pedicle:L4:left"),
        ("lumbar", "foramen:L4-L5:right"),
        ("lumbar", "sympathetic:L3:left"),
        ("pelvis", "s1_foramen:left"),
        ("pelvis", "sacral_ala:right"),
    ],
)
def test_mirrored_labels_are_refused(view, asked):
    structures = structures_of(view)
    assert find_region(asked, structures).mask.n_voxels
    with pytest.raises(AnatomyError, match="other side of the patient"):
        find_region(asked, mirrored(structures))


def test_what_has_no_side_is_derived_all_the_same():
    assert find_region("vertebra:L4", mirrored(structures_of("lumbar"))).level == "L4"


def test_one_swapped_pair_among_many_is_not_the_whole_set():
    structures = structures_of("lumbar")
    sided = [s.name for s in structures.structures if s.name.endswith(("_left", "_right"))]
    assert len(sided) >= 6
    assert find_region("pedicle:L4:left", mirrored(structures, only="nerve_root_L5"))


@pytest.mark.parametrize(("shift_mm", "is_refused"), [(-30.0, True), (30.0, False)])
def test_a_single_label_is_held_against_the_canal(shift_mm, is_refused):
    """Canal and vertebrae, and one label of the left side, on it or not."""
    structures = structures_of("lumbar")
    kept = tuple(
        s for s in structures.structures if s.name.startswith(("spinal_canal", "vertebrae_L"))
    )
    grid = structures.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    middle = find_region("vertebra:L4", structures).centre_lps_mm
    ball = np.linalg.norm(points - middle - [shift_mm, 0.0, 0.0], axis=-1) <= 6.0
    one = replace(kept[0], name="kidney_left", mask=Mask(grid=grid, inside=ball))
    given = StructureSet(grid=grid, structures=(*kept, one))
    if is_refused:
        with pytest.raises(AnatomyError, match="kidney_left"):
            find_region("pedicle:L4:left", given)
    else:
        assert find_region("pedicle:L4:left", given).side == "left"
