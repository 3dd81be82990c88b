"""What can be wrong with a stack of slices; every finding carries its numbers.

Spacing and order come from the positions alone: slice thickness, Spacing Between
Slices, slice location, instance number and file name are never used for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.errors import DicomTagError, InputError, SeriesGeometryError
from planner.geometry.frames import FloatArray
from planner.io.series_split import mixed_size_problems, places, turn_deg
from planner.io.slice_header import SliceHeader
from planner.io.wording import counted

MIN_SLICES = 2
"""Fewer have no slice spacing. Two have one gap, which nothing can check: a warning says so."""

POSITION_TOL_MM = 0.05
"""Largest distance of a slice from its place on the regular grid.

A tenth of the smallest in-plane pixel in use (0.5 mm) and far under the 1 mm and
more that a needle is placed with; real series stay under 0.002 mm.
"""

AXES_TOL_COSINE = 1e-4
"""Largest difference of direction cosines within a stack, and from unit length or right angle.

0.006 degrees, 0.05 mm over 500 mm; Image Orientation is written with six decimals or more.
"""

MIN_BLOCK = 3
"""So many evenly spaced slices make a block of their own; fewer could be strays."""

BLOCK_GAP = 3.5
"""Gaps over so many slice steps (three slices or more missing) may lie between two blocks."""

REEXPORT = "Export the whole series again from the scanner or PACS."


def frame_problems(slices: Sequence[SliceHeader]) -> list[InputError]:
    """What is wrong when some slices name their frame of reference and others do not."""
    without = [h for h in slices if not h.frame_of_reference_uid]
    if len(without) in (0, len(slices)):
        return []
    return [
        SeriesGeometryError(
            "no frame of reference in some images",
            seen=f"FrameOfReferenceUID absent in {len(without)} of {len(slices)} images",
            needed="one FrameOfReferenceUID in all of them, or none in any",
            where=without[0].name,
            fix="Nothing shows that these slices share coordinates. " + REEXPORT,
        )
    ]


def header_problems(slices: Sequence[SliceHeader]) -> list[InputError]:
    """Attributes without which nothing can be placed; DicomTagError stops further checks."""
    problems = mixed_size_problems(slices)
    for keyword, attribute in (
        ("ImagePositionPatient", "position_lps_mm"),
        ("ImageOrientationPatient", "row_column_axes_lps"),
        ("PixelSpacing", "pixel_spacing_ji_mm"),
    ):
        without = [h for h in slices if getattr(h, attribute) is None]
        if without:
            problems.append(
                DicomTagError(
                    f"{keyword} is missing",
                    seen=f"absent or unreadable in {len(without)} of {len(slices)} images",
                    needed=f"{keyword} in every image",
                    where=without[0].name,
                    fix=REEXPORT,
                )
            )
    for header in slices:
        spacing = header.pixel_spacing_ji_mm
        if spacing is not None and not min(spacing) > 0:
            problems.append(
                DicomTagError(
                    "PixelSpacing is not positive",
                    seen=f"{spacing[0]:g} x {spacing[1]:g} mm",
                    needed="> 0 mm",
                    where=header.name,
                    fix=REEXPORT,
                )
            )
            break
    return problems


def axes_problems(slices: Sequence[SliceHeader], axes: FloatArray) -> list[InputError]:
    """Directions that are not unit vectors at right angles, or differ between slices."""
    problems: list[InputError] = []
    row, column = axes[:, :3], axes[:, 3:]
    lengths = np.stack([np.linalg.norm(row, axis=1), np.linalg.norm(column, axis=1)])
    off_unit = np.abs(lengths - 1.0).max(axis=0)
    off_right = np.abs(np.sum(row * column, axis=1))
    worst = int(np.argmax(np.maximum(off_unit, off_right)))
    if not max(off_unit[worst], off_right[worst]) <= AXES_TOL_COSINE:
        problems.append(
            SeriesGeometryError(
                "the row and column directions are not unit vectors at right angles",
                seen=f"lengths {lengths[0, worst]:.6f}, {lengths[1, worst]:.6f}, "
                f"cosine between them {off_right[worst]:.2e}",
                needed=f"1 within {AXES_TOL_COSINE:.0e} and 0 within {AXES_TOL_COSINE:.0e}",
                where=slices[worst].name,
                fix="ImageOrientationPatient is damaged. " + REEXPORT,
            )
        )
    if not np.ptp(axes, axis=0).max() <= AXES_TOL_COSINE:
        middle = np.median(axes, axis=0).reshape(2, 3)
        turns = [turn_deg(own.reshape(2, 3), middle) for own in axes]
        worst = int(np.argmax(turns))
        problems.append(
            SeriesGeometryError(
                "mixed orientation: the slices are not parallel",
                seen=f"a slice turned by {turns[worst]:.3f} degrees against the others",
                needed=f"<= {np.degrees(AXES_TOL_COSINE):.3f} degrees",
                where=slices[worst].name,
                fix=REEXPORT,
            )
        )
    return problems


def place_problems(ordered: Sequence[SliceHeader]) -> list[InputError]:
    """Too few slices, all at one place, duplicates."""
    n = len(ordered)
    if n < MIN_SLICES:
        return [
            SeriesGeometryError(
                "only one slice",
                seen=f"{n} slice",
                needed=f"at least {MIN_SLICES} parallel slices",
                where=ordered[0].name,
                fix="A single slice is no volume: choose another series (--series).",
            )
        ]
    at = places(ordered)
    position = np.array(ordered[0].position_lps_mm)
    if len(set(at)) == 1:
        return [
            SeriesGeometryError(
                f"all {n} slices lie at one place",
                seen=f"ImagePositionPatient {_lps(position)} in every image",
                needed=f"{n} different positions",
                where=ordered[0].name,
                fix="This is a time series of one slice or its positions are wrong: "
                "choose another series (--series).",
            )
        ]
    first: dict[int, SliceHeader] = {}
    twins: list[tuple[SliceHeader, SliceHeader]] = []
    for header, place in zip(ordered, at, strict=True):
        if place in first:
            twins.append((first[place], header))
        else:
            first[place] = header
    if not twins:
        return []
    one, other = twins[0]
    has_one_uid = bool(one.sop_instance_uid) and (
        (one.sop_instance_uid, one.frame) == (other.sop_instance_uid, other.frame)
    )
    return [
        SeriesGeometryError(
            f"duplicate slices: {len(twins)} of {n} images at the place of another one",
            seen=f"{_lps(np.array(one.position_lps_mm))} in both {one.name} and {other.name}"
            + (" (equal SOPInstanceUID, but other pixel bytes or header)" if has_one_uid else ""),
            needed="one image for each position, or an attribute that tells them apart",
            where=other.name,
            fix="Remove the copies, or keep the two acquisitions in folders of their own.",
        )
    ]


def sideways_problems(
    ordered: Sequence[SliceHeader],
    sideways_mm: FloatArray,
    sideways_off_mm: FloatArray,
    along_mm: FloatArray,
) -> list[InputError]:
    """Shear (gantry tilt) when the shift grows evenly, else single slices out of line."""
    if sideways_off_mm.max() <= POSITION_TOL_MM:
        return []
    if not np.ptp(along_mm) > POSITION_TOL_MM:
        return [
            SeriesGeometryError(
                "the slices lie side by side in one plane",
                seen=f"{len(ordered)} slices within {np.ptp(along_mm):.3f} mm of each other, "
                f"up to {sideways_off_mm.max():.3f} mm apart across",
                needed="slices above each other",
                where=ordered[0].name,
                fix="Such images are no volume: choose another series (--series).",
            )
        ]
    from_middle = along_mm - along_mm.mean()
    slope = from_middle @ (sideways_mm - sideways_mm.mean(axis=0)) / (from_middle @ from_middle)
    rest_mm = sideways_mm - sideways_mm.mean(axis=0) - np.outer(from_middle, slope)
    rest_off_mm = np.linalg.norm(rest_mm, axis=1)
    if len(ordered) > 2 and rest_off_mm.max() > POSITION_TOL_MM:
        middle = np.median(sideways_mm, axis=0)
        shift_mm = np.linalg.norm(sideways_mm - middle, axis=1)
        worst = int(np.argmax(shift_mm))
        return [
            SeriesGeometryError(
                f"slice {worst + 1} of {len(ordered)} is shifted sideways",
                seen=f"{shift_mm[worst]:.3f} mm across the stack at "
                f"{_lps(np.array(ordered[worst].position_lps_mm))}",
                needed=f"<= {POSITION_TOL_MM} mm",
                where=ordered[worst].name,
                fix="The patient or the table moved, or the header is damaged. " + REEXPORT,
            )
        ]
    angle = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    tilt = ordered[0].gantry_tilt_deg
    stated = f" (GantryDetectorTilt {tilt:g} degrees)" if tilt else ""
    return [
        SeriesGeometryError(
            "sheared stack (gantry tilt): each slice is shifted sideways against the one before",
            seen=f"{angle:.3f} degrees, {np.linalg.norm(slope) * np.ptp(along_mm):.3f} mm "
            f"over the stack{stated}",
            needed=f"<= {POSITION_TOL_MM} mm over the stack",
            where=ordered[0].name,
            fix="Acquire without gantry tilt, or resample to an orthogonal grid first.",
        )
    ]


def gap_problems(
    ordered: Sequence[SliceHeader], along_mm: FloatArray, along_off_mm: FloatArray
) -> list[InputError]:
    """Missing slices when the odd gaps are multiples of the common one, else uneven gaps."""
    if len(ordered) < 3 or np.abs(along_off_mm).max() <= POSITION_TOL_MM:
        return []
    gaps_mm = np.diff(along_mm)
    near = np.abs(gaps_mm[:, None] - gaps_mm[None, :]) <= POSITION_TOL_MM
    counts = near.sum(axis=1)
    common_mm = float(gaps_mm[counts == counts.max()].min())
    # slices side by side have no gap: then there is nothing to count in
    has_step = common_mm > POSITION_TOL_MM
    multiple = np.rint(gaps_mm / common_mm) if has_step else np.zeros_like(gaps_mm)
    wide = np.flatnonzero(multiple >= 2)
    off_mm = np.abs(gaps_mm - multiple * common_mm)
    if wide.size and off_mm.max() <= POSITION_TOL_MM * multiple.max():
        n_missing = int(multiple[wide].sum() - wide.size)
        return [
            SeriesGeometryError(
                f"{counted(n_missing, 'slice')} missing",
                seen="; ".join(_gap_text(ordered, gaps_mm, int(g)) for g in wide[:3])
                + (f"; and {counted(wide.size - 3, 'more gap')}" if wide.size > 3 else ""),
                needed=f"{common_mm:.3f} mm as between the others",
                where=ordered[int(wide[0])].name,
                fix="Copy or export the series again with all its slices, or choose another one "
                "(--series)." + _blocks_text(along_mm, wide, common_mm),
            )
        ]
    worst = int(np.argmax(np.abs(gaps_mm - common_mm)))
    return [
        SeriesGeometryError(
            f"uneven slice gaps: {gaps_mm.min():.3f} to {gaps_mm.max():.3f} mm",
            seen=_gap_text(ordered, gaps_mm, worst)
            + f", slices up to {np.abs(along_off_mm).max():.3f} mm off an even stack",
            needed=f"even gaps (most are {common_mm:.3f} mm) within {POSITION_TOL_MM} mm",
            where=ordered[worst].name,
            fix="A slice is missing or misplaced. "
            + REEXPORT
            + _blocks_text(along_mm, np.flatnonzero(gaps_mm > BLOCK_GAP * common_mm), common_mm)
            + _interleaved_text(along_mm),
        )
    ]


def _blocks_text(along_mm: FloatArray, wide: NDArray[np.intp], common_mm: float) -> str:
    """The other reading of wide gaps: separate blocks of slices; ``""`` where it does not fit."""
    if not wide.size or np.diff(along_mm)[wide].min() <= BLOCK_GAP * common_mm:
        return ""
    blocks = np.split(along_mm, wide + 1)
    if min(len(b) for b in blocks) < MIN_BLOCK or not all(_is_even(b) for b in blocks):
        return ""
    sizes = " + ".join(str(len(b)) for b in blocks)
    return (
        f" If these are {len(blocks)} separate blocks of slices ({sizes}), export each as a "
        "series of its own."
    )


def _interleaved_text(along_mm: FloatArray) -> str:
    """The other reading of alternating gaps: two stacks between each other's slices."""
    halves = along_mm[::2], along_mm[1::2]
    if min(len(h) for h in halves) < MIN_BLOCK or not all(_is_even(h) for h in halves):
        return ""
    return (
        f" If these are two stacks of {len(halves[0])} and {len(halves[1])} slices that lie "
        "between each other, export each as a series of its own."
    )


def _is_even(along_mm: FloatArray) -> bool:
    return bool(np.ptp(np.diff(along_mm)) <= 2 * POSITION_TOL_MM)


def _gap_text(ordered: Sequence[SliceHeader], gaps_mm: FloatArray, gap: int) -> str:
    middle = (
        np.array(ordered[gap].position_lps_mm) + np.array(ordered[gap + 1].position_lps_mm)
    ) / 2
    return (
        f"{gaps_mm[gap]:.3f} mm between slice {gap + 1} ({ordered[gap].name}) and slice "
        f"{gap + 2} ({ordered[gap + 1].name}), around {_lps(middle)}"
    )


def _lps(point_lps_mm: FloatArray) -> str:
    return "LPS ({:.2f}, {:.2f}, {:.2f}) mm".format(*point_lps_mm)
