"""Scan planes: the numbers a technologist types rebuild the same planes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from planner.physics.scan_planes import console_orientation, scan_planes

AXES = {"S": np.array([1.0, 0, 0]), "C": np.array([0, 1.0, 0]), "T": np.array([0, 0, 1.0])}


def normal_of_text(text):
    """The plane's normal by two turns from the main plane, independent of the formula."""
    parts = [p.strip() for p in text.split(">")]
    turns = [(p.split()[0], float(p.split()[1])) for p in parts[1:]]
    main = AXES[parts[0]]
    normal = main
    for letter, angle in turns:
        axis = np.cross(normal, AXES[letter])
        axis /= np.linalg.norm(axis)
        normal = Rotation.from_rotvec(-np.radians(angle) * axis).apply(normal)
    return normal


@pytest.mark.parametrize(
    ("normal", "text"),
    [
        # published pairs of normals and console texts of one vendor
        ((-0.1087323357, 0.06708937544, 0.9918045649), "T > S 6.3 > C -3.8"),
        ((-0.07818081918, 0.4036100151, 0.9115847274), "T > C -23.9 > S 4.5"),
        ((0, 0, 1), "T"),
        ((0, -1, 0), "C"),
        ((1, 0, 0), "S"),
        ((np.sin(np.radians(20)), 0, np.cos(np.radians(20))), "T > S -20.0"),
        ((0, np.cos(np.radians(20)), np.sin(np.radians(20))), "C > T -20.0"),
    ],
)
def test_console_text(normal, text):
    assert console_orientation(np.array(normal, float)) == text
    assert console_orientation(-np.array(normal, float)) == text


points = st.lists(st.floats(-150, 150), min_size=3, max_size=3).map(np.array)


@given(points, points)
def test_planes_hold_the_needle_and_the_text_rebuilds_them(entry, tip):
    if np.linalg.norm(tip - entry) < 5.0:
        return
    needle = (tip - entry) / np.linalg.norm(tip - entry)
    first, second, across = scan_planes(entry, tip)
    for plane in (first, second):
        for point in (entry, tip):
            assert abs((point - plane.centre_lps_mm) @ plane.normal_lps) < 1e-6
        half = plane.field_of_view_mm / 2
        for point in (entry, tip):
            offset = point - plane.centre_lps_mm
            assert abs(offset @ plane.row_direction_lps) <= half
            assert abs(offset @ plane.column_direction_lps) <= half
    assert abs(first.normal_lps @ second.normal_lps) < 1e-9
    assert abs(abs(across.normal_lps @ needle) - 1.0) < 1e-9
    np.testing.assert_allclose(across.centre_lps_mm, tip)
    for plane in (first, second, across):
        frame = np.stack([plane.row_direction_lps, plane.column_direction_lps, plane.normal_lps])
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
        rebuilt = normal_of_text(plane.orientation)
        # angles are shown to a tenth of a degree, two of them
        assert abs(rebuilt @ plane.normal_lps) >= np.cos(np.radians(0.2))


def test_readout_follows_what_matters():
    entry, tip = np.array([60.0, 80.0, 10.0]), np.array([20.0, 10.0, -5.0])
    needle = (tip - entry) / np.linalg.norm(tip - entry)
    depth, width, _ = scan_planes(entry, tip)
    assert abs(depth.readout_direction_lps @ needle) < 1e-9
    assert abs(abs(width.readout_direction_lps @ needle) - 1.0) < 1e-9
    for plane in (depth, width):
        assert abs(plane.readout_direction_lps @ plane.normal_lps) < 1e-9
        assert plane.readout_reason
        turn = np.radians(plane.readout_rotation_deg)
        turned = np.cos(turn) * plane.row_direction_lps + np.sin(turn) * plane.column_direction_lps
        assert abs(turned @ plane.readout_direction_lps) == pytest.approx(1.0, abs=1e-9)
        assert -90.0 <= plane.readout_rotation_deg <= 90.0


def test_rows_look_the_way_pictures_are_shown():
    axial = scan_planes(np.array([40.0, 90.0, 0.0]), np.array([0.0, 0.0, 0.0]))[0]
    assert axial.row_direction_lps[0] > 0.9 and axial.column_direction_lps[1] > 0.9
    assert re.match(r"T", axial.orientation)
