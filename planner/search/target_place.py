"""The target asked for, and whether it is where it was meant to be.

Mixed-up LPS and RAS are the usual mistake.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from planner.anatomy import KINDS
from planner.anatomy.registry import PREFIX
from planner.errors import FrameMismatchError, OutsideVolumeError, TargetError
from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray, lps_from_ras
from planner.model import Protocol, Structure, Target, TargetRegion


def chosen_target(
    point_lps_mm: ArrayLike | None, region: TargetRegion | None, grid: Grid, protocol: Protocol
) -> Target:
    """The target from a point or from a region on the image's grid, of a procedure.

    Raises
    ------
    TargetError
        If both or neither is given, or the anatomy is not what the procedure aims at.
    FrameMismatchError
        If the region is on another grid.
    """
    if (point_lps_mm is None) == (region is None):
        raise TargetError("a target is a point or a region, one of the two")
    if region is None:
        point = np.asarray(point_lps_mm, dtype=np.float64)
        return Target(point_lps_mm=point, tolerance_mm=protocol.tolerance.value)
    if not region.mask.grid.is_close(grid):
        raise FrameMismatchError(
            "the target region is not on the image's grid", seen=region.mask.grid.shape_kji
        )
    _check_kind(region, protocol)
    return Target(
        point_lps_mm=region.centre_lps_mm,
        tolerance_mm=protocol.tolerance.value,
        name=region.name,
        region=region,
    )


def _check_kind(region: TargetRegion, protocol: Protocol) -> None:
    """A region of the anatomy must be one that the procedure aims at; a drawn one is the user's."""
    kind = region.name.removeprefix(PREFIX).partition(":")[0]
    if kind in KINDS and protocol.targets and kind not in protocol.targets:
        raise TargetError(
            f"the procedure does not aim at this region ({protocol.id})",
            seen=region.name,
            needed=" or ".join(protocol.targets),
            fix="Choose the procedure for this anatomy ('needle-planner procedures'), or draw the "
            "target yourself and give it as region:NAME, structure:NAME or L,P,S.",
        )


def check_target(target: Target, body: Mask, body_source: str) -> None:
    """Whether the target lies in the image and in the body.

    Raises
    ------
    OutsideVolumeError, TargetError
    """
    point = target.point_lps_mm
    place = ", ".join(f"{x:.1f}" for x in point)
    if not bool(body.grid.contains(point)):
        corners = body.grid.corners_lps_mm()
        raise OutsideVolumeError(
            "the target lies outside the image",
            seen=f"LPS ({place}) mm",
            needed="L {:.0f}..{:.0f}, P {:.0f}..{:.0f}, S {:.0f}..{:.0f} mm".format(
                *np.stack([corners.min(0), corners.max(0)], axis=1).ravel()
            ),
            fix=f"{mixed_up_frames(point, body)}.",
        )
    if not bool(body.contains(point)):
        is_given = body_source != "automatic"
        how = f"given as {body_source}" if is_given else "found in the image"
        give = "" if is_given else " Or give the body as a structure (--role NAME=body)."
        raise TargetError(
            "the target lies in the air, outside the body",
            seen=f"LPS ({place}) mm",
            needed=f"a point inside the body ({how})",
            fix=f"{mixed_up_frames(point, body)}.{give}",
        )


def mixed_up_frames(
    point_lps_mm: FloatArray, body: Mask, structure: Structure | None = None
) -> str:
    """Where the point would be if LPS and RAS were mixed up, in one sentence.

    Says whether that is in the body, and whether it is outside ``structure``, so
    that a person can tell a wrong frame from a wrong point.
    """
    other_lps_mm = np.asarray(lps_from_ras(point_lps_mm))
    place = ", ".join(f"{x:.1f}" for x in other_lps_mm)
    if not bool(body.grid.contains(other_lps_mm)):
        where = "outside the image as well"
    elif not bool(body.contains(other_lps_mm)):
        where = "outside the body"
    elif structure is None:
        where = "inside the body"
    elif bool(structure.mask.contains(other_lps_mm)):
        where = f"inside '{structure.name}' as well"
    else:
        where = f"inside the body and outside '{structure.name}'"
    return (
        "If the numbers were meant in the other frame (LPS or RAS: --frame), the point would be "
        f"at LPS ({place}) mm, {where}"
    )
