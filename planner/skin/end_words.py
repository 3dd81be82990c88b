"""Faces of an image in the patient's terms: head, feet, left, right, front, back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import numpy as np

from planner.geometry import Grid

FACES = ("k0", "k1", "j0", "j1", "i0", "i1")
"""Names of the volume's faces: first and last index of each axis."""

_PATIENT_AXES = (("right", "left"), ("front", "back"), ("feet", "head"))
"""The words towards minus and plus x, y, z of LPS."""

_ORDER = ("head", "feet", "left", "right", "front", "back")


def face_words(grid: Grid) -> dict[str, str]:
    """The side of the patient towards which each of ``FACES`` looks, by its nearest word.

    Of an oblique image, all three axes together are given the words that fit best,
    so that no two faces share one.
    """
    axes_lps = grid.axes_lps_from_kji
    best = max(
        permutations(range(3)),
        key=lambda order: sum(abs(axes_lps[axis, n]) for n, axis in enumerate(order)),
    )
    words = {}
    for number, axis in enumerate(best):
        low, high = _PATIENT_AXES[axis][:: int(np.sign(axes_lps[axis, number])) or 1]
        words[FACES[2 * number]], words[FACES[2 * number + 1]] = low, high
    return words


def cut_words(faces: Iterable[str], grid: Grid) -> str:
    """Some of ``FACES`` in a sentence: ``"the head, feet and front ends"``."""
    words = face_words(grid)
    named = sorted((words[face] for face in faces), key=_ORDER.index)
    if len(named) == 1:
        return f"the {named[0]} end"
    return f"the {', '.join(named[:-1])} and {named[-1]} ends"
