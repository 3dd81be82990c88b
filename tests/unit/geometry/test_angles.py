"""Angles of a needle: signs, ranges, batch, refusal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import DegenerateGeometryError
from planner.geometry.angles import needle_angles_deg

LEFT, POSTERIOR, CRANIAL = np.eye(3)
ENTRY = np.array([-12.0, 80.0, 40.0])


@pytest.mark.parametrize(
    ("direction", "axial", "craniocaudal"),
    [
        (-POSTERIOR, 0.0, 0.0),
        (POSTERIOR, 0.0, 0.0),
        (LEFT - POSTERIOR, 45.0, 0.0),
        (-LEFT - POSTERIOR, -45.0, 0.0),
        (LEFT + POSTERIOR, 45.0, 0.0),
        (LEFT, 90.0, 0.0),
        (-LEFT, -90.0, 0.0),
        (CRANIAL - POSTERIOR, 0.0, 45.0),
        (-CRANIAL - POSTERIOR, 0.0, -45.0),
        (CRANIAL, 0.0, 90.0),
        (-CRANIAL, 0.0, -90.0),
        (LEFT - POSTERIOR + np.sqrt(2) * CRANIAL, 45.0, 45.0),
    ],
)
def test_signs(direction: np.ndarray, axial: float, craniocaudal: float) -> None:
    angles = needle_angles_deg(ENTRY, ENTRY + 37.0 * direction)
    assert float(angles.axial_deg) == pytest.approx(axial, abs=1e-9)
    assert float(angles.craniocaudal_deg) == pytest.approx(craniocaudal, abs=1e-6)


coordinate = st.floats(-500, 500).map(lambda v: round(v, 3))
point = st.tuples(coordinate, coordinate, coordinate).map(np.array)


@given(entry=point, tip=point)
def test_mirror_flips_the_axial_angle_only(entry: np.ndarray, tip: np.ndarray) -> None:
    if np.linalg.norm(tip - entry) < 1.0:
        return
    mirror = np.array([-1.0, 1.0, 1.0])
    angles, mirrored = (
        needle_angles_deg(entry, tip),
        needle_angles_deg(entry * mirror, tip * mirror),
    )
    assert mirrored.axial_deg == pytest.approx(-angles.axial_deg)
    assert mirrored.craniocaudal_deg == pytest.approx(angles.craniocaudal_deg)
    turned = needle_angles_deg(tip, entry)
    assert turned.axial_deg == pytest.approx(-angles.axial_deg)
    assert turned.craniocaudal_deg == pytest.approx(-angles.craniocaudal_deg)
    assert abs(angles.axial_deg) <= 90
    assert abs(angles.craniocaudal_deg) <= 90


def test_batch_is_the_same_as_one_by_one(rng: np.random.Generator) -> None:
    entries, tip = rng.uniform(-200, 200, (4, 5, 3)), np.array([1.0, 2.0, 3.0])
    batch = needle_angles_deg(entries, tip)
    assert batch.axial_deg.shape == (4, 5)
    for index in np.ndindex(4, 5):
        one = needle_angles_deg(entries[index], tip)
        assert batch.axial_deg[index] == one.axial_deg
        assert batch.craniocaudal_deg[index] == one.craniocaudal_deg


def test_nan_stays_nan() -> None:
    angles = needle_angles_deg([[np.nan, 0, 0], [0, 0, 0]], [10.0, 0, 0])
    assert np.isnan(angles.axial_deg[0])
    assert angles.axial_deg[1] == pytest.approx(90.0)


def test_entry_on_the_tip_is_refused() -> None:
    with pytest.raises(DegenerateGeometryError, match="entry and tip coincide"):
        needle_angles_deg([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], [1.0, 2.0, 3.0])
