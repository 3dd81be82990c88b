"""From slice positions to a Grid, or to the reasons why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import DicomTagError, GeometryError, InputError, SeriesGeometryError
from planner.geometry import FrameId, Grid, ImageWarning
from planner.geometry.frames import FloatArray
from planner.io.slice_header import SliceHeader
from planner.io.stack_problems import (
    POSITION_TOL_MM,
    REEXPORT,
    axes_problems,
    frame_problems,
    gap_problems,
    header_problems,
    place_problems,
    sideways_problems,
)

REPORT_RESIDUAL_MM = 0.005
"""Residuals from here on are told in a warning; below is the rounding of the header's decimals."""

GAP_WARNING_FRAC = 0.05
"""Unimaged tissue between slices is told from this fraction of the slice step on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackGeometry:
    """Outcome of the checks of one stack.

    Attributes
    ----------
    grid : Grid or None
        None when a problem forbids it.
    slices : tuple of SliceHeader
        In order of k, ascending along row direction x column direction, so the
        grid is right-handed; in the given order when they cannot be sorted.
    problems : tuple of InputError
        Each refuses the volume; the first is the worst.
    warnings : tuple of str
        ``frame_unknown`` among them when no slice names its frame of reference.
    """

    grid: Grid | None
    slices: tuple[SliceHeader, ...]
    problems: tuple[InputError, ...] = ()
    warnings: tuple[str, ...] = ()


def check_stack(slices: Sequence[SliceHeader]) -> StackGeometry:
    """The grid of a stack of slices, or what is wrong with it, with numbers.

    Parameters
    ----------
    slices : sequence of SliceHeader
        One part of a series, in any order.
    """
    problems = [*header_problems(slices), *frame_problems(slices)]
    frame_warnings = _frame_warnings(slices)
    if any(isinstance(p, DicomTagError) for p in problems):
        return StackGeometry(
            grid=None,
            slices=tuple(slices),
            problems=tuple(problems),
            warnings=frame_warnings,
        )
    axes = np.array([h.row_column_axes_lps for h in slices])
    row, column = np.reshape(np.median(axes, axis=0), (2, 3))
    normal = np.cross(row, column)
    positions = np.array([h.position_lps_mm for h in slices])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(slices[n] for n in order)
    problems += axes_problems(slices, axes)
    problems += place_problems(ordered)
    warnings: list[str] = []
    grid = None
    if not problems:
        grid, problems, warnings = _fitted(ordered, row, column, normal)
    return StackGeometry(
        grid=grid,
        slices=ordered,
        problems=tuple(problems),
        warnings=(*frame_warnings, *warnings),
    )


def _frame_warnings(slices: Sequence[SliceHeader]) -> tuple[str, ...]:
    """Nothing is refused for want of a frame: a volume file has none either. But it is said."""
    if any(h.frame_of_reference_uid for h in slices):
        return ()
    where = "its one image" if len(slices) == 1 else f"all {len(slices)} images"
    text = (
        f"no frame of reference (FrameOfReferenceUID absent in {where})"
        ": the coordinates hold for this series alone, and nothing shows that a --target or "
        "--structures made on another series belongs to it"
    )
    return (ImageWarning(text, code="frame_unknown"),)


def _fitted(
    ordered: Sequence[SliceHeader], row: FloatArray, column: FloatArray, normal: FloatArray
) -> tuple[Grid | None, list[InputError], list[str]]:
    """Least-squares grid through the positions, k along the normal; or why it does not fit."""
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    positions = np.array([h.position_lps_mm for h in ordered])
    along_mm = positions @ normal
    sideways_mm = positions - np.outer(along_mm, normal)
    n = len(ordered)
    k = np.arange(n) - (n - 1) / 2
    step_mm = float(k @ along_mm / (k @ k))
    along_off_mm = along_mm - along_mm.mean() - k * step_mm
    sideways_off_mm = np.linalg.norm(sideways_mm - sideways_mm.mean(axis=0), axis=1)
    problems = sideways_problems(ordered, sideways_mm, sideways_off_mm, along_mm)
    problems += gap_problems(ordered, along_mm, along_off_mm)
    if problems:
        return None, problems, []
    residual_mm = float(np.hypot(along_off_mm, sideways_off_mm).max())
    first = ordered[0]
    spacing = first.pixel_spacing_ji_mm or (0.0, 0.0)
    layout = first.layout
    shape = (n, layout.rows, layout.columns) if layout else (n, 0, 0)
    origin = sideways_mm.mean(axis=0) + (along_mm.mean() + k[0] * step_mm) * normal
    try:
        grid = Grid.from_axes(
            shape,
            (step_mm, spacing[0], spacing[1]),
            origin,
            # Pixel Spacing [0] is between rows: j runs down a column, i along a row
            np.column_stack([normal, column, row]),
            FrameId(first.frame_of_reference_uid or None, "DICOM patient coordinates"),
        )
    except GeometryError as error:
        return None, [SeriesGeometryError(str(error), where=first.name, fix=REEXPORT)], []
    return grid, [], _stack_warnings(ordered, step_mm, residual_mm)


def _stack_warnings(
    ordered: Sequence[SliceHeader], step_mm: float, residual_mm: float
) -> list[str]:
    warnings: list[str] = []
    if residual_mm > REPORT_RESIDUAL_MM:
        text = (
            f"slice positions deviate by up to {residual_mm:.3f} mm from an even stack "
            f"(accepted up to {POSITION_TOL_MM} mm)"
        )
        warnings.append(ImageWarning(text, code="uneven_slices"))
    if len(ordered) == 2:
        warnings.append(
            f"only two slices, {step_mm:.2f} mm apart: nothing shows whether one between is missing"
        )
    thickness = ordered[0].mr.get("slice_thickness_mm")
    if isinstance(thickness, float) and step_mm - thickness > GAP_WARNING_FRAC * step_mm:
        warnings.append(
            f"slices are {thickness:.2f} mm thick but {step_mm:.2f} mm apart: "
            f"{100 * (1 - thickness / step_mm):.0f} % of the tissue was not imaged"
        )
    return warnings
