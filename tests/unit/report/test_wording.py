"""Numbers in words: a measured value can be compared with its limit as printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.report.wording import clearance_text, compared, counted, limit_text, listed


@pytest.mark.parametrize(
    ("measured", "required", "texts"),
    [
        (2.996, 3.0, ("2.996", "3.000")),
        (2.99999, 3.0, ("2.99999", "3.00000")),
        (1.76, 0.01, ("1.76", "0.01")),
        (3.0, 3.0, ("3.00", "3.00")),
        (0.5, 0.004, ("0.500", "0.004")),
        (-0.001, 0.0, ("-0.001", "0.000")),
        (float("nan"), 3.0, ("unknown", "3.00")),
        (None, 3.0, ("unknown", "3.00")),
        (1.0, None, ("1.00", "unknown")),
    ],
)
def test_a_value_and_its_limit(measured, required, texts):
    assert compared(measured, required) == texts


@given(
    st.floats(-500, 500).map(lambda x: round(x, 4)), st.floats(0.01, 100).map(lambda x: round(x, 4))
)
def test_what_is_printed_compares_like_the_numbers(measured, required):
    shown, limit = compared(measured, required)
    assert (float(shown) >= float(limit)) == (measured >= required)
    assert float(limit) > 0.0


@pytest.mark.parametrize(
    ("required", "text"),
    [(0.01, "0.01"), (0.5, "0.5"), (10.0, "10"), (2.999, "2.999"), (100.0, "100"), (1e-5, "1e-05")],
)
def test_a_limit_has_no_idle_zeros_and_is_not_rounded_away(required, text):
    assert limit_text(required) == text


def test_a_clearance_with_its_limit():
    assert clearance_text(1.76, 0.01) == "1.76 mm (needs 0.01)"
    assert clearance_text(2.996, 3.0) == "2.996 mm (needs 3)"
    assert clearance_text(float("nan"), 3.0) == "unknown mm (needs 3)"


def test_numbers_with_their_noun():
    assert counted(1, "path") == "1 path"
    assert counted(0, "path") == "0 paths"
    assert counted(12345, "candidate") == "12,345 candidates"
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(2, "entry", "entries") == "2 entries"


def test_names_in_a_sentence():
    assert listed([], 3) == ""
    assert listed(["a"], 3) == "a"
    assert listed(["a", "b", "a"], 3) == "a and b"
    assert listed("abc", 3) == "a, b and c"
    assert listed("abcdef", 3) == "a, b, c and 3 more"
