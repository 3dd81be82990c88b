"""Numbers that were meant in the other frame, or the other way round."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from planner.compare.mix_ups import mix_up_text

PLANNED = SimpleNamespace(entry_lps_mm=(45.0, 84.0, 47.0), tip_lps_mm=(27.0, 32.0, 46.0))
ENTRY, TIP = (46.0, 85.0, 47.0), (28.0, 33.0, 46.0)


def flipped(point):
    return (-point[0], -point[1], point[2])


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((ENTRY, TIP), None),
        ((flipped(ENTRY), flipped(TIP)), "Read in the other of LPS and RAS (--frame), the needle"),
        ((TIP, ENTRY), "Read with entry and tip exchanged"),
        ((flipped(TIP), flipped(ENTRY)), "and with entry and tip exchanged"),
        (((0.0, 0.0, 300.0), (0.0, 0.0, 250.0)), None),
    ],
)
def test_how_the_needle_may_have_been_meant(ends, told):
    found = mix_up_text(PLANNED, ends)
    assert (found is None) if told is None else (told in found)
