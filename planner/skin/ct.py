"""The body in a CT image, table and blankets left out."""

from __future__ import annotations

import numpy as np

from planner.errors import MaskError
from planner.geometry import Grid
from planner.skin.image import Found, WorkingImage, whole
from planner.skin.kernels import ImageArray
from planner.skin.outline import trunk_outline
from planner.skin.padding import Imaged, circle_of_ct

CT_THRESHOLD_HU = -350.0
"""Finds the body: above blankets, foam and mattress covers (-950 to -500 HU), under fat (-100 HU).
Within the -400 to -300 HU that radiotherapy planning uses for the external contour."""

CT_EDGE_HU = -550.0
"""Places its edge: half-way between air and fat."""


def ct_body(values: ImageArray, imaged: Imaged, grid: Grid) -> Found:
    """The body in a CT image in HU.

    Raises
    ------
    MaskError
        If nothing thick is denser than ``CT_THRESHOLD_HU``.
    """
    region = circle_of_ct(values, imaged.region)
    image = WorkingImage.prepared(values, region, grid)
    dense = np.asarray((image.coarse >= CT_THRESHOLD_HU) & image.coarse_imaged, dtype=np.uint8)
    outline = trunk_outline(dense, image)
    if outline is None:
        raise MaskError(
            "no body was found in the CT image",
            seen=f"{float(dense.mean()):.4f} of the volume above {CT_THRESHOLD_HU:.0f} HU",
            fix="Check that the values are HU, or give a mask with the role body.",
        )
    outside = outline.padded == 0
    if not outside.any():
        return whole(image, ())
    level = np.full(image.coarse.shape, CT_EDGE_HU, dtype=np.float32)
    edge = outline.edge(image).astype(bool)
    air_level = float(np.median(image.coarse[outside]))
    body_level = float(np.median(image.coarse[edge])) if edge.any() else float("nan")
    return Found(
        inside=outline.refined(image, level, smooth=False),
        imaged=region,
        method="CT threshold",
        contrast=body_level - air_level,
        air_level=air_level,
        body_level=body_level,
    )
