"""Where the frames of a DICOM SEG lie, from their own positions.

The spacing tags of such objects are copied from source images and often wrong, and empty
slices may be left out. So the lattice is found from the positions: the image's own slices
where all frames lie on them, else the stated spacing where it fits, else the least gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import GeometryError, MaskError
from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.io.mask_formats import require_voxel_count

POSITION_TOL_MM = 0.05
"""Frames off an even stack by more than this form no volume."""

_COSINE_TOL = 1e-4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SegFrames:
    """The lattice of a segmentation, and for each frame its segment and slice.

    ``segments`` is None in a label map, where every frame holds all segments.
    """

    grid: Grid
    slices: NDArray[np.int64]
    segments: NDArray[np.int64] | None


def seg_frames(dataset: Any, image: Grid, file: str) -> SegFrames:
    """Lattice and frames of a segmentation; the lattice gets the image's frame of reference.

    Whether it is the image's frame is asked in ``references``: here only positions count.

    Raises
    ------
    MaskError
        If a position is missing, frames are not parallel, or lie at uneven distances.
    """
    positions, axes, spacing = _planes(dataset, file)
    row, column = axes[:3], axes[3:]
    normal = np.cross(row, column)
    along = positions @ normal
    sideways = positions - np.outer(along, normal)
    off = float(np.linalg.norm(sideways - np.median(sideways, axis=0), axis=1).max())
    if not off <= POSITION_TOL_MM:
        raise _irregular(f"frames shifted sideways by up to {off:.2f} mm", file)
    step = _step_mm(np.unique(np.round(along, 4)), dataset, image, normal, file)
    first = float(along.min())
    index = (along - first) / step
    slices = np.rint(index).astype(np.int64)
    if not np.abs(index - slices).max() * step <= POSITION_TOL_MM:
        raise _irregular(f"frames {np.abs(index - slices).max() * step:.2f} mm off", file)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    shape = (int(slices.max()) + 1, rows, columns)
    require_voxel_count(shape, file)
    matrix = np.eye(4)
    matrix[:3, 0] = normal * step
    matrix[:3, 1] = column * spacing[0]
    matrix[:3, 2] = row * spacing[1]
    matrix[:3, 3] = positions[int(np.argmin(along))]
    try:
        grid = Grid(shape_kji=shape, lps_from_kji=matrix, frame=image.frame)
    except GeometryError as error:
        raise MaskError(
            f"the position of the segmentation cannot be used: {error.what}",
            seen=error.seen,
            needed=error.needed,
            where=file,
        ) from error
    return SegFrames(grid=grid, slices=slices, segments=_segments(dataset, file))


def _groups(dataset: Any) -> Iterator[tuple[Any, Any]]:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    for item in dataset.get("PerFrameFunctionalGroupsSequence") or []:
        yield item, shared


def _macro(item: Any, shared: Any, keyword: str) -> Any:
    for group in (item, shared):
        if group is not None and group.get(keyword):
            return group.get(keyword)[0]
    return None


def _planes(dataset: Any, file: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Positions (n, 3), one orientation (6,), one pixel spacing (2,)."""
    positions, orientations, spacings = [], [], []
    for item, shared in _groups(dataset):
        place = _macro(item, shared, "PlanePositionSequence")
        turn = _macro(item, shared, "PlaneOrientationSequence")
        pixel = _macro(item, shared, "PixelMeasuresSequence")
        try:
            positions.append([float(v) for v in place.ImagePositionPatient])
            orientations.append([float(v) for v in turn.ImageOrientationPatient])
            spacings.append([float(v) for v in pixel.PixelSpacing])
        except (AttributeError, TypeError, ValueError) as error:
            raise MaskError(
                "a frame of the segmentation has no place in the patient",
                seen=f"frame {len(positions) + 1}",
                needed="position, orientation and pixel spacing",
                where=file,
            ) from error
    if not positions or len(positions) != int(dataset.get("NumberOfFrames", 1)):
        raise MaskError(
            "the segmentation does not place all of its frames",
            seen=f"{len(positions)} places for {dataset.get('NumberOfFrames', 1)} frames",
            where=file,
        )
    place_of, axes, spacing = np.array(positions), np.array(orientations), np.array(spacings)
    if not (np.all(np.isfinite(place_of)) and np.ptp(axes, axis=0).max() <= _COSINE_TOL):
        raise _irregular("frames turned against each other", file)
    if not (np.ptp(spacing, axis=0).max() <= 1e-5 and spacing.min() > 0):
        raise _irregular("frames of different pixel spacing", file)
    return place_of, axes[0], spacing[0]


def _step_mm(places: FloatArray, dataset: Any, image: Grid, normal: FloatArray, file: str) -> float:
    """Distance between slices: the image's, the stated one, or the least gap."""
    gaps = np.diff(places)
    image_step = float(image.spacing_kji_mm[0])
    is_parallel = abs(abs(float(image.axes_lps_from_kji[:, 0] @ normal)) - 1.0) <= _COSINE_TOL
    choices = [image_step] if is_parallel else []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    pixel = _macro(None, shared, "PixelMeasuresSequence")
    stated = [pixel.get(k) for k in ("SpacingBetweenSlices", "SliceThickness")] if pixel else []
    choices += [float(v) for v in stated if v is not None and float(v) > 0]
    if gaps.size == 0:
        if choices:
            return choices[0]
        raise _irregular("one frame of unknown thickness", file)
    choices.append(float(gaps.min()))
    for step in choices:
        multiple = np.rint(gaps / step)
        if np.all(multiple >= 1) and np.abs(gaps - multiple * step).max() <= POSITION_TOL_MM:
            return step
    raise _irregular(f"gaps of {gaps.min():.2f} to {gaps.max():.2f} mm", file)


def _segments(dataset: Any, file: str) -> NDArray[np.int64] | None:
    if str(dataset.get("SegmentationType", "")) == "LABELMAP":
        return None
    numbers: list[int] = []
    for item, shared in _groups(dataset):
        macro = _macro(item, shared, "SegmentIdentificationSequence")
        number = None if macro is None else macro.get("ReferencedSegmentNumber")
        if not isinstance(number, int):
            raise MaskError(
                "a frame of the segmentation does not say which segment it shows",
                seen=f"frame {len(numbers) + 1}",
                where=file,
            )
        numbers.append(int(number))
    return np.array(numbers, np.int64)


def _irregular(seen: str, file: str) -> MaskError:
    return MaskError(
        "the frames of the segmentation form no regular volume",
        seen=seen,
        needed=f"parallel frames at even distances, within {POSITION_TOL_MM} mm",
        where=file,
        fix="Export each orientation as its own segmentation.",
    )
