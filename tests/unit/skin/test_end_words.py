"""Where the image cuts the body is said in the patient's terms, never in the array's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from planner.geometry import FrameId, Grid
from planner.skin import FACES, find_body
from planner.skin.end_words import cut_words, face_words
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import mr_signal, mr_volume, points_of, rician, trunk_grid

OPPOSITE = {"head": "feet", "left": "right", "front": "back"}


def grid_of(axes: np.ndarray) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * [4.0, 1.0, 1.5]
    return Grid(shape_kji=(5, 6, 7), lps_from_kji=matrix, frame=FrameId(None, "unknown"))


@pytest.mark.parametrize(
    ("name", "k1", "j1", "i1"),
    [
        ("axial", "head", "back", "left"),
        ("flipped", "feet", "back", "left"),
        ("sagittal", "left", "feet", "back"),
        ("coronal", "back", "feet", "left"),
        ("oblique", "head", "back", "left"),
        ("oblique_flipped", "back", "head", "left"),
    ],
)
def test_the_high_faces_by_orientation(name: str, k1: str, j1: str, i1: str) -> None:
    words = face_words(grid_of(ORIENTED_AXES[name]))
    assert (words["k1"], words["j1"], words["i1"]) == (k1, j1, i1)


@given(
    st.lists(st.floats(-180.0, 180.0), min_size=3, max_size=3),
    st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3),
)
def test_six_faces_have_six_words_whose_direction_is_right(
    angles_deg: list[float], signs: list[float]
) -> None:
    turn = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    grid = grid_of(turn @ np.diag(signs))
    words = face_words(grid)
    assert set(words) == set(FACES)
    assert len(set(words.values())) == 6
    towards = {"head": [0, 0, 1], "left": [1, 0, 0], "front": [0, -1, 0]}
    towards |= {OPPOSITE[word]: [-x for x in way] for word, way in towards.items()}
    for face, word in words.items():
        out = grid.axes_lps_from_kji[:, "kji".index(face[0])] * (1 if face[1] == "1" else -1)
        assert out @ towards[word] >= -1e-9
        cosine = float(np.max(np.abs(out)))
        # Nearer than 30 degrees to an axis of the patient there is no doubt.
        if cosine > np.cos(np.radians(30)):
            assert out @ towards[word] == pytest.approx(cosine)


def test_words_are_one_sentence_in_a_fixed_order() -> None:
    grid = grid_of(ORIENTED_AXES["axial"])
    assert cut_words(("k0",), grid) == "the feet end"
    assert cut_words(("k0", "k1"), grid) == "the head and feet ends"
    assert cut_words(("i0", "j0", "k1"), grid) == "the head, right and front ends"


@pytest.mark.parametrize("name", ["axial", "flipped", "oblique_flipped"])
def test_the_warning_names_the_patients_ends_and_no_array_face(name: str) -> None:
    extent = (60.0, 250.0, 300.0) if name != "oblique_flipped" else (300.0, 60.0, 300.0)
    grid = trunk_grid(ORIENTED_AXES[name], (4.0, 2.0, 2.0), extent_kji_mm=extent)
    found = find_body(mr_volume(grid, rician(mr_signal(points_of(grid)), 15.0)))
    (warning,) = [text for text in found.warnings if "cuts the body" in text]
    assert "head" in warning
    assert "feet" in warning
    assert not any(face in warning for face in FACES)
