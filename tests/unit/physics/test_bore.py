import numpy as np
import pytest

from planner.model.mr_results import Bore
from planner.physics.bore import bore_room_mm

BORE = Bore(radius_mm=350.0, centre_lp_mm=(0.0, 0.0))


def test_straight_from_above():
    # entry 110 mm before the axis, needle 90 + handle 60 outside: 110 + 150 = 260, of 330
    room = bore_room_mm(BORE, np.array([0, -110.0, 0]), np.array([0, -30.0, 0]), 90.0)
    assert room == pytest.approx(330.0 - 260.0)


def test_long_needle_does_not_fit_a_narrow_bore():
    narrow = Bore(radius_mm=300.0, centre_lp_mm=(0.0, 0.0))
    assert bore_room_mm(narrow, np.array([0, -120.0, 0]), np.array([0, 0.0, 0]), 200.0) < 0


def test_along_the_bore_costs_no_room():
    room = bore_room_mm(BORE, np.array([0, 0.0, 100.0]), np.array([0, 0, 20.0]), 150.0)
    assert room == pytest.approx(330.0)


def test_a_handle_that_crosses_the_axis_is_measured_on_the_other_side():
    inner = Bore(radius_mm=100.0, centre_lp_mm=(0.0, 0.0), clearance_mm=0.0, handle_mm=0.0)
    room = bore_room_mm(inner, np.array([0, -10.0, 0]), np.array([0, -60.0, 0]), 150.0)
    # out of the entry the needle points to +P: its end is at -10 + 150 = 140
    assert room == pytest.approx(100.0 - 140.0)
