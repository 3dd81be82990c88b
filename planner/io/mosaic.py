"""Siemens mosaic: all slices of a volume tiled in one picture, seen as one plane for each.

The position in the file is that of the big picture's corner, as if it were a slice of
its own about the same centre; which way the slices go is only said in private elements.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.geometry.frames import FloatArray
from planner.io.dicom_stream import open_header
from planner.io.dicom_values import DicomTag, RawElements
from planner.io.siemens_csa import CSA_TAGS, MAX_SLICES, MosaicFacts, mosaic_facts
from planner.io.slice_header import PixelLayout, SliceHeader

NORMAL_TOL_COSINE = 1e-3
"""The stated normal is written with few digits; it only chooses between two directions."""

STEP_TOL_MM = 0.01
"""SpacingBetweenSlices agrees with the protocol's slice centres within this."""

END_TOL_STEPS = 0.25
"""The first tile lies within so many slice steps of an end of the protocol's slices.

Otherwise the protocol says nothing about this volume (it was moved after a first scan).
"""


class _UncertainError(Exception):
    """Why the tiles cannot be placed, in words."""


def mosaic_tiles(header: SliceHeader) -> tuple[SliceHeader, ...]:
    """The planes of a mosaic in tile order; one header with a ``refusal`` where unsure.

    Parameters
    ----------
    header : SliceHeader
        The file read as if it were one classic slice.
    """
    try:
        return _tiles(header)
    except _UncertainError as why:
        return (replace(header, refusal=f"Siemens mosaic: {why}"),)


def _tiles(header: SliceHeader) -> tuple[SliceHeader, ...]:
    layout, position = header.layout, header.position_lps_mm
    axes, spacing_ji_mm = header.row_column_axes_lps, header.pixel_spacing_ji_mm
    if layout is None or position is None or axes is None or spacing_ji_mm is None:
        raise _UncertainError("image size, position, orientation or pixel spacing is missing")
    if layout.n_frames > 1:
        raise _UncertainError(
            f"{layout.n_frames} frames in one file, where one picture is expected"
        )
    raw = _private_elements(header)
    facts = mosaic_facts(raw)
    n = _number_of_slices(facts)
    tile = _tile_layout(layout, n)
    row, column = np.reshape(axes, (2, 3))
    # the picture is centred where a slice is, so its corner lies half the surplus outside
    surplus_px = layout.columns - tile.columns, layout.rows - tile.rows
    first_lps_mm = (
        np.array(position)
        + surplus_px[0] / 2 * spacing_ji_mm[1] * row
        + surplus_px[1] / 2 * spacing_ji_mm[0] * column
    )
    size_mm = tile.columns * spacing_ji_mm[1] * row + tile.rows * spacing_ji_mm[0] * column
    normal = np.cross(row, column)
    step_mm = _step_mm(raw, facts, normal)
    first_along_mm = float((first_lps_mm + size_mm / 2) @ normal)
    sign, source = _direction(facts, normal, first_along_mm, step_mm)
    b_value = header.b_value_s_per_mm2
    note = f"Siemens mosaic of {n} slices: slice direction from {source}, not from positions"
    return tuple(
        replace(
            header,
            name=f"{header.name}, tile {k + 1}",
            frame=k,
            position_lps_mm=tuple((first_lps_mm + k * sign * step_mm * normal).tolist()),
            layout=tile,
            b_value_s_per_mm2=facts.b_value_s_per_mm2 if b_value is None else b_value,
            gradient_direction=header.gradient_direction or facts.gradient_direction,
            notes=(note,),
        )
        for k in range(n)
    )


def _private_elements(header: SliceHeader) -> RawElements:
    from pydicom.tag import Tag

    tags = [Tag(tag) for tag in (*CSA_TAGS, int(DicomTag.SpacingBetweenSlices))]
    with header.file.open("rb") as stream:
        return RawElements.of(open_header(stream, header.name, tags).dataset)


def _number_of_slices(facts: MosaicFacts) -> int:
    stated = set(facts.n_images.values())
    if not stated:
        raise _UncertainError(
            "the number of its slices is not stated (the CSA header is missing or damaged)"
        )
    if len(stated) > 1:
        texts = ", ".join(f"{n} by {place}" for place, n in facts.n_images.items())
        raise _UncertainError(f"the header contradicts itself about the number of slices: {texts}")
    (n,) = stated
    if not 1 <= n <= MAX_SLICES:
        raise _UncertainError(f"{n} slices are stated, 1 to {MAX_SLICES} are possible")
    return n


def _tile_layout(layout: PixelLayout, n: int) -> PixelLayout:
    per_side = math.isqrt(n - 1) + 1
    if layout.rows % per_side or layout.columns % per_side:
        raise _UncertainError(
            f"{layout.rows} x {layout.columns} pixels do not divide into "
            f"{per_side} x {per_side} tiles for {n} slices"
        )
    return replace(
        layout,
        rows=layout.rows // per_side,
        columns=layout.columns // per_side,
        tiles_per_side=per_side,
    )


def _step_mm(raw: RawElements, facts: MosaicFacts, normal: FloatArray) -> float:
    """Distance between slices: SpacingBetweenSlices, which the protocol must bear out."""
    try:
        tag_mm = raw.number(DicomTag.SpacingBetweenSlices)
    except ValueError:
        tag_mm = None
    centres = facts.slice_centres_lps_mm
    protocol_mm = None
    if centres is not None and len(centres) > 1:
        gaps_mm = np.diff(np.sort(centres @ normal))
        protocol_mm = float(np.median(gaps_mm))
        if not np.ptp(gaps_mm) <= STEP_TOL_MM:
            raise _UncertainError(
                f"the protocol's slices are unevenly spaced: {gaps_mm.min():.3f} to "
                f"{gaps_mm.max():.3f} mm"
            )
    step_mm = tag_mm if tag_mm is not None else protocol_mm
    if step_mm is None or not step_mm > 0:
        raise _UncertainError("the distance between its slices is not stated")
    if protocol_mm is not None and not abs(step_mm - protocol_mm) <= STEP_TOL_MM:
        raise _UncertainError(
            f"SpacingBetweenSlices is {step_mm:.3f} mm, the protocol's slices are "
            f"{protocol_mm:.3f} mm apart"
        )
    return step_mm


def _direction(
    facts: MosaicFacts, normal: FloatArray, first_along_mm: float, step_mm: float
) -> tuple[int, str]:
    """Whether the tiles go along or against row x column, and what says so."""
    told: dict[str, int] = {}
    if facts.normal_lps is not None:
        cosine = float(facts.normal_lps @ normal)
        if not abs(abs(cosine) - 1.0) <= NORMAL_TOL_COSINE:
            raise _UncertainError(
                f"SliceNormalVector is not at right angles to the slices (cosine {cosine:.4f})"
            )
        told["SliceNormalVector"] = 1 if cosine > 0 else -1
    centres = facts.slice_centres_lps_mm
    if centres is not None and len(centres) > 1:
        along_mm = centres @ normal
        off_start, off_end = (
            abs(first_along_mm - float(end)) / step_mm for end in (along_mm.min(), along_mm.max())
        )
        if min(off_start, off_end) <= END_TOL_STEPS:
            told["the slice centres of the protocol"] = 1 if off_start < off_end else -1
    if not told:
        raise _UncertainError(
            "the direction of its slices is not stated (no SliceNormalVector in the CSA header)"
        )
    if len(set(told.values())) > 1:
        raise _UncertainError(f"{' and '.join(told)} state opposite directions of the slices")
    return next(iter(told.values())), " and ".join(told)
