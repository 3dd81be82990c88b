"""What colour a value has on the skin."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, to_rgb
from numpy.typing import NDArray

from planner.report.skin_values import FEASIBLE, IMAGE_ENDS, NOT_TRIED, OTHER, SkinValues

NOT_TRIED_COLOUR = "#ead9cc"
CUT_COLOUR = "#5b6b8c"
REJECTED_COLOUR = "#8a8a8a"
FEASIBLE_COLOUR = "#1fa04a"
OTHER_COLOUR = "#4d4d4d"
REASON_COLOURS = (
    "#d55e00",
    "#56b4e9",
    "#e69f00",
    "#cc79a7",
    "#0072b2",
    "#f0e442",
    "#882255",
    "#44aa99",
)
"""Told apart with the common colour-vision deficiencies (Okabe and Ito; Tol)."""

CLEARANCE_MAP = "viridis"


def clearance_norm(values: SkinValues) -> Normalize:
    """Colour range of the clearance picture: 0 to the largest clearance found."""
    known = values.clearance_mm[np.isfinite(values.clearance_mm)]
    return Normalize(0.0, float(max(known.max(), 1.0)) if known.size else 10.0)


def clearance_colours(values: SkinValues, norm: Normalize) -> NDArray[np.uint8]:
    """Colours of the vertices, shape (v, 3): clearance where feasible, else grey or skin.

    Feasible without a clearance (no structures were given) has the colour of feasible.
    """
    colours = np.tile(rgb(REJECTED_COLOUR), (len(values.candidate), 1))
    colours[values.candidate < 0] = rgb(NOT_TRIED_COLOUR)
    colours[values.is_cut] = rgb(CUT_COLOUR)
    colours[np.isposinf(values.clearance_mm)] = rgb(FEASIBLE_COLOUR)
    known = np.isfinite(values.clearance_mm)
    mapped = mpl.colormaps[CLEARANCE_MAP](norm(values.clearance_mm[known]))
    colours[known] = np.round(mapped[:, :3] * 255)
    return colours


def reason_colours(values: SkinValues) -> NDArray[np.uint8]:
    """Colours of the vertices, shape (v, 3), by rejection reason."""
    table = np.stack([rgb(colour) for colour in label_colours(values.labels)])
    return np.asarray(table[values.reason])


def label_colours(labels: Sequence[str]) -> list[str]:
    """The colour of each label."""
    fixed = {
        FEASIBLE: FEASIBLE_COLOUR,
        OTHER: OTHER_COLOUR,
        NOT_TRIED: NOT_TRIED_COLOUR,
        IMAGE_ENDS: CUT_COLOUR,
    }
    own = iter(REASON_COLOURS)
    return [fixed[label] if label in fixed else next(own) for label in labels]


def rgb(colour: str) -> NDArray[np.uint8]:
    """Three bytes of a colour name."""
    return np.round(np.array(to_rgb(colour)) * 255).astype(np.uint8)
