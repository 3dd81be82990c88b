"""A DICOM RT Structure Set as structures: contours on, between or across the image's slices.

What a file speaks for: where it refers to the image's series or slices, or its contours
lie on the image's slices in the image's frame of reference, it was drawn on this image, and
what it does not outline is not there. Else nothing is known outside the box of its contours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.errors import MaskError
from planner.geometry import Grid, Volume
from planner.geometry.contour_cover import SlabStack, contours_at_centres, cover_contours
from planner.geometry.contour_slabs import (
    ContourStack,
    Gap,
    slabs_of,
    stacks_of,
    usual_step_mm,
)
from planner.geometry.frames import FloatArray
from planner.geometry.resample import MaskTransfer
from planner.io.references import refers_to
from planner.io.rtstruct_parsing import RoiContours, RtStructures, parse_rtstruct
from planner.io.stored_file import (
    CONTOUR_KIND,
    ImageReferences,
    MaskOptions,
    StoredFile,
    StoredLabel,
    sha256_of,
)
from planner.model import StructureRole

_NO_STRUCTURE_TYPES = ("ISOCENTER", "REGISTRATION")
"""Points of these types mark a place of the treatment machine, not of the anatomy."""

_MEANINGS = {"EXTERNAL": "body", "GTV": "target", "CTV": "target", "PTV": "target"}
"""What interpreted types say of a structure whose name says nothing. The others, ORGAN among
them, say nothing that would let the needle closer."""

_SAME_DIRECTION = 0.999
_SPARSE = 1.5
"""Contour planes farther apart than this many slices of the image are told."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContourFile(StoredFile):
    """The ROIs of a file by number, with the distance between planes that is usual in it."""

    rois: dict[int, RoiContours]
    steps: tuple[tuple[FloatArray, float], ...]
    """Normal and usual step of each direction of contour planes in the file."""

    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """Every voxel that an ROI may reach, for obstacles; voxel centres inside, for others."""
        roi = self.rois[label.value]
        stacks = []
        for stack in _stacks(roi, image, self.file):
            slabs, _ = slabs_of(stack, _step_like(stack, self.steps))
            stacks.append(SlabStack(stack=stack, slabs=slabs))
        try:
            if role.is_obstacle:
                return cover_contours(stacks, roi.lines, image)
            return contours_at_centres(stacks, image)
        except MaskError as error:
            raise _about(error, roi, self.file) from error


def read_contour_file(path: Path, image: Volume, options: MaskOptions) -> ContourFile:
    """The ROIs of an RT Structure Set, for an image.

    Raises
    ------
    UnsupportedObjectError
        If the DICOM object is of another kind.
    MaskError
        If the file is damaged, a closed contour is not planar, or its ROIs are in several
        frames of reference (unless ``options.accept_frame_mismatch``).
    """
    content = parse_rtstruct(path)
    notes = list(content.warnings)
    _check_one_frame(content, image, options, path.name, notes)
    rois = {roi.number: roi for roi in content.rois if not _is_machine_point(roi)}
    left_out = [roi for roi in content.rois if roi.number not in rois]
    if left_out:
        notes.append(f"{path.name}: points of the treatment machine, left out: {_names(left_out)}")
    stacks = {number: _stacks(roi, image.grid, path.name) for number, roi in rois.items()}
    steps = _usual_steps([s for one in stacks.values() for s in one])
    notes.extend(_line_notes(rois.values(), path.name))
    notes.extend(_stack_notes(rois, stacks, steps, path.name))
    notes.extend(_outside_notes(rois.values(), image.grid, path.name))
    references = ImageReferences(
        frame_of_reference_uid=_main_frame(content, image),
        series_instance_uids=frozenset(content.series_uids),
        sop_instance_uids=frozenset(content.sop_uids),
    )
    return ContourFile(
        file=path.name,
        stem=path.stem,
        sha256=sha256_of(path),
        grid=_known_part(references, list(stacks.values()), rois.values(), image),
        labels=tuple(_label(roi) for roi in rois.values()),
        warnings=tuple(notes),
        references=references,
        kind=CONTOUR_KIND,
        rois=rois,
        steps=steps,
    )


def _label(roi: RoiContours) -> StoredLabel:
    n_points = sum(len(c) for c in (*roi.closed, *roi.lines))
    return StoredLabel(
        layer=0,
        value=roi.number,
        name=roi.name,
        n_voxels=n_points,
        meaning=_MEANINGS.get(roi.interpreted_type),
    )


# ---------------------------------------------------------------- planes and directions


def _stacks(roi: RoiContours, image: Grid, file: str) -> tuple[ContourStack, ...]:
    try:
        return stacks_of(roi.closed, image)
    except MaskError as error:
        raise _about(error, roi, file) from error


def _about(error: MaskError, roi: RoiContours, file: str) -> MaskError:
    """The same error with the ROI's name, and the contour's number in the file."""
    where = f"{roi.label} in {file}"
    if error.where is not None:
        number = roi.closed_numbers[int(error.where.removeprefix("contour ")) - 1]
        where = f"{roi.label}, contour {number} in {file}"
    return MaskError(error.what, seen=error.seen, needed=error.needed, where=where, fix=error.fix)


def _usual_steps(stacks: Sequence[ContourStack]) -> tuple[tuple[FloatArray, float], ...]:
    """For every direction of planes in the file, the usual step from plane to plane."""
    pooled: list[tuple[FloatArray, list[float]]] = []
    for stack in stacks:
        for normal, steps in pooled:
            if abs(normal @ stack.normal_lps) > _SAME_DIRECTION:
                steps.extend(stack.steps_mm)
                break
        else:
            pooled.append((stack.normal_lps, list(stack.steps_mm)))
    usual = [(normal, usual_step_mm(np.array(steps))) for normal, steps in pooled]
    return tuple((normal, step) for normal, step in usual if step is not None)


def _step_like(stack: ContourStack, steps: Iterable[tuple[FloatArray, float]]) -> float | None:
    for normal, step in steps:
        if abs(normal @ stack.normal_lps) > _SAME_DIRECTION:
            return step
    return None


# ---------------------------------------------------------------- frames and extent


def _main_frame(content: RtStructures, image: Volume) -> str | None:
    """The image's frame where the file names it, else the first one that it names."""
    if image.grid.frame.uid in content.frame_uids:
        return image.grid.frame.uid
    return content.frame_uids[0] if content.frame_uids else None


def _check_one_frame(
    content: RtStructures, image: Volume, options: MaskOptions, file: str, notes: list[str]
) -> None:
    main = _main_frame(content, image)
    others = [roi for roi in content.rois if roi.frame_uid not in (None, main) and roi.n_contours]
    if not others:
        return
    if not options.accept_frame_mismatch:
        raise MaskError(
            "structures of the file are in another frame of reference than the others",
            seen=f"{_names(others)} in {others[0].frame_uid}",
            needed=main,
            where=file,
            fix="Their coordinates mean another place. Export them apart, registered to the image, "
            "or accept it (--accept-frame-mismatch) if you know that the frames are the same.",
        )
    notes.append(
        f"{file}: in another frame of reference ({others[0].frame_uid}), taken as the same because "
        f"you accepted it: {_names(others)}"
    )


def _known_part(
    references: ImageReferences,
    stacks: Sequence[tuple[ContourStack, ...]],
    rois: Iterable[RoiContours],
    image: Volume,
) -> Grid:
    """The image's grid where the file was drawn on the image, else the box of the contours."""
    every = [stack for one in stacks for stack in one]
    frame_uid = references.frame_of_reference_uid
    same_frame = frame_uid is not None and frame_uid == image.grid.frame.uid
    if refers_to(references, image):
        return image.grid
    if same_frame and every and all(stack.is_on_image_planes for stack in every):
        return image.grid
    return _box(rois, image.grid)


def _box(rois: Iterable[RoiContours], grid: Grid) -> Grid:
    """The voxels of the image that lie wholly between the outermost contour points.

    A voxel is the least that a grid can be, also where there is none.
    """
    points = [p for roi in rois for p in (*roi.closed, *roi.lines)]
    if not points:
        return grid.cropped((0, 0, 0), (1, 1, 1))
    kji = grid.to_kji(np.concatenate(points))
    # Half a slice to either side of a contour belongs to it.
    reach = np.array([0.5, 0.0, 0.0]) + 1e-3
    low = np.ceil(kji.min(axis=0) - reach + 0.5)
    high = np.floor(kji.max(axis=0) + reach - 0.5)
    shape = np.array(grid.shape_kji)
    start = np.clip(low, 0, shape - 1).astype(np.int64)
    stop = np.clip(high + 1, start + 1, shape).astype(np.int64)
    return grid.cropped(start, stop)


# ---------------------------------------------------------------- what the user is told


def _is_machine_point(roi: RoiContours) -> bool:
    only_points = bool(roi.lines) and not roi.closed and roi.n_points_only == len(roi.lines)
    return only_points and roi.interpreted_type in _NO_STRUCTURE_TYPES


def _line_notes(rois: Iterable[RoiContours], file: str) -> Iterator[str]:
    with_lines = [roi for roi in rois if roi.lines]
    if with_lines:
        yield (
            f"{file}: open contours or points are no areas; to avoid them, the voxels within half "
            f"a voxel of the line count, whatever the structure's true thickness: "
            f"{_names(with_lines)}"
        )


def _stack_notes(
    rois: dict[int, RoiContours],
    stacks: dict[int, tuple[ContourStack, ...]],
    steps: tuple[tuple[FloatArray, float], ...],
    file: str,
) -> Iterator[str]:
    between, across, sparse = [], [], []
    for number, roi in rois.items():
        for stack in stacks[number]:
            if not stack.is_parallel:
                across.append(roi)
            elif not stack.is_on_image_planes:
                between.append(roi)
            elif len(stack.planes) > 2 and not (
                (usual_step_mm(stack.steps_mm) or 0.0) <= _SPARSE * stack.image_step_mm
            ):
                sparse.append(roi)
            yield from _gap_notes(roi, slabs_of(stack, _step_like(stack, steps))[1], file)
    taken = "taken as slabs half way to the next contour plane"
    if between:
        yield f"{file}: contours between the image's slices, {taken}: {_names(between)}"
    if across:
        yield f"{file}: contours not along the image's slices, {taken}: {_names(across)}"
    if sparse:
        yield f"{file}: contours not on every slice of the image, {taken}: {_names(sparse)}"


def _gap_notes(roi: RoiContours, gaps: tuple[Gap, ...], file: str) -> Iterator[str]:
    filled = [gap for gap in gaps if gap.is_filled]
    if filled:
        n_missing = sum(gap.n_missing for gap in filled)
        yield (
            f"{file}: {roi.label} misses {n_missing} contour planes inside; filled from both "
            "sides where it is to be avoided, left open for other roles"
        )
    open_mm = [f"{gap.length_mm:.1f}" for gap in gaps if not gap.is_filled]
    if open_mm:
        yield (
            f"{file}: {roi.label} has no contour for {_shortened(open_mm)} mm between two of its "
            "planes; taken as separate parts, nothing in between is protected"
        )


def _outside_notes(rois: Iterable[RoiContours], grid: Grid, file: str) -> Iterator[str]:
    told = []
    for roi in rois:
        contours = [*roi.closed, *roi.lines]
        if not contours:
            continue
        first = np.cumsum([0, *(len(c) for c in contours[:-1])])
        is_in = grid.contains(np.concatenate(contours))
        n_outside = int(np.count_nonzero(~np.logical_and.reduceat(is_in, first)))
        if n_outside:
            told.append(f"{roi.name or roi.number} ({n_outside} of {len(contours)})")
    if told:
        yield f"{file}: contours that reach outside the image volume: {_shortened(told)}"


def _names(rois: Sequence[RoiContours]) -> str:
    return _shortened(list(dict.fromkeys(str(roi.name or roi.number) for roi in rois)))


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
