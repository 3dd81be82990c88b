"""Groups slices by series and splits a series into the volumes it holds.

A series may hold several stacks: other orientations (a localizer), and at the
same positions other b-values, echoes, image types or time points. What cannot
be told apart stays together, and the stack check then names the duplicates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from planner.errors import InputError, MixedFrameError, SeriesGeometryError
from planner.io.part_labels import image_type_labels, number_labels, rank_labels
from planner.io.slice_header import SliceHeader
from planner.io.wording import counted

ORIENTATION_SPLIT_DEG = 1.0
"""Slices turned by more than this belong to another stack.

Stacks that are meant to differ (a localizer, discs angled one by one) differ by
degrees; a smaller turn within a series is a fault and is reported as such.
"""

SAME_PLACE_TOL_MM = 0.05
"""Images nearer than this show the same slice: half of the thinnest slice step in use (0.1 mm)."""

PIXEL_SPACING_DECIMALS = 5
"""Pixel spacings equal to so many decimals (mm) are the same: 0.005 mm over 500 pixels."""

MAX_ORIENTATIONS = 100
"""A series with more is not split, and so refused; a radial one has some 36."""

STRAY_MAX = 2
"""So few slices apart from the rest of a series are not a stack of their own.

Then their header or the series is damaged (or it is a quick localizer), and
leaving them out in silence could hide a missing slice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPart:
    """The slices of one volume, in no particular order.

    ``label`` is None when the series is not split; ``problems`` concern the
    whole series and forbid planning on any of its parts.
    """

    slices: tuple[SliceHeader, ...]
    label: str | None = None
    problems: tuple[InputError, ...] = ()
    warnings: tuple[str, ...] = ()

    def labelled(self, text: str) -> SeriesPart:
        """The same part with one more label."""
        return replace(self, label=f"{self.label}, {text}" if self.label else text)


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One property that may tell images at the same position apart."""

    value: Callable[[SliceHeader], Hashable]
    labels: Callable[[Sequence[Hashable]], dict[Hashable, str]]


def _rounded(attribute: str, decimals: int, header: SliceHeader) -> float | None:
    value = getattr(header, attribute)
    return None if value is None else round(float(value), decimals)


_CRITERIA = (
    _Criterion(partial(_rounded, "b_value_s_per_mm2", 3), number_labels("b={}", 0)),
    _Criterion(lambda h: h.gradient_direction, rank_labels("direction {} of {}")),
    _Criterion(partial(_rounded, "echo_time_ms", 4), number_labels("TE={} ms", 1)),
    _Criterion(lambda h: h.echo_number, number_labels("echo {}", 0)),
    _Criterion(lambda h: (h.image_type, h.image_kind), image_type_labels),
    _Criterion(partial(_rounded, "inversion_time_ms", 3), number_labels("TI={} ms", 0)),
    _Criterion(partial(_rounded, "flip_angle_deg", 3), number_labels("flip={} deg", 0)),
    _Criterion(lambda h: h.temporal_position, rank_labels("time {} of {}")),
    _Criterion(partial(_rounded, "trigger_time_ms", 3), number_labels("trigger={} ms", 0)),
    _Criterion(lambda h: h.acquisition_number, number_labels("acquisition {}", 0)),
)

_TIMES: tuple[Callable[[SliceHeader], Hashable], ...] = (
    lambda h: h.trigger_time_ms,
    lambda h: h.acquisition_time or None,
)


def group_by_series(slices: Sequence[SliceHeader]) -> list[tuple[SliceHeader, ...]]:
    """Slices of the same patient, study and series together, in a fixed order.

    Without a Series Instance UID the folder and the series number stand in for it.
    """
    groups: dict[tuple[str, ...], list[SliceHeader]] = {}
    for header in sorted(slices, key=lambda h: h.name):
        series = header.series_instance_uid
        if not series:
            series = f"{PurePosixPath(header.name).parent}\n{header.series_number}"
        key = (header.patient_key, header.study_instance_uid, series)
        groups.setdefault(key, []).append(header)

    def order(key: tuple[str, ...]) -> tuple[object, ...]:
        number = groups[key][0].series_number
        return (key[1], number is None, number or 0, key[2], key[0])

    return [tuple(groups[key]) for key in sorted(groups, key=order)]


def split_series(slices: Sequence[SliceHeader]) -> list[SeriesPart]:
    """The volumes in one series, each with a label that tells it from the others.

    Parameters
    ----------
    slices : sequence of SliceHeader
        All planes of one series.
    """
    whole = SeriesPart(slices=tuple(slices))
    if any(h.position_lps_mm is None or h.row_column_axes_lps is None for h in slices):
        return [whole]
    stacks = [
        stack
        for in_frame in _by_frame(whole)
        for oriented in _by_orientation(in_frame)
        for stack in _by_stack_id(oriented)
    ]
    parts = [part for stack in stacks for part in _with_coverage(stack)]
    mixed = tuple(mixed_size_problems(slices))
    # a part that is mixed in itself is refused by the stack check, with its own numbers
    return [
        part if mixed_size_problems(part.slices) else replace(part, problems=part.problems + mixed)
        for part in parts
    ]


def mixed_size_problems(slices: Sequence[SliceHeader]) -> list[InputError]:
    """What is wrong where pixel spacing or image size differ between slices; else empty."""
    spacings = Counter(
        tuple(round(v, PIXEL_SPACING_DECIMALS) for v in h.pixel_spacing_ji_mm)
        for h in slices
        if h.pixel_spacing_ji_mm
    )
    shapes = Counter((h.layout.rows, h.layout.columns) for h in slices if h.layout)
    return [
        SeriesGeometryError(
            f"mixed {name}: {len(counts)} kinds in one series",
            seen="; ".join(
                f"{' x '.join(f'{v:g}' for v in value)} {unit} in {counted(n, 'image')}"
                for value, n in sorted(counts.items())
            ),
            needed=f"one {name}",
            fix="Export the series again from the scanner or PACS, each stack as its own series.",
        )
        for name, unit, counts in (("pixel spacing", "mm", spacings), ("image size", "px", shapes))
        if len(counts) > 1
    ]


def _by_frame(part: SeriesPart) -> list[SeriesPart]:
    """One part for each frame of reference; files without one are left to the stack check."""
    uids = sorted({h.frame_of_reference_uid for h in part.slices})
    if len(uids) == 1 or "" in uids:
        return [part]
    groups = [tuple(h for h in part.slices if h.frame_of_reference_uid == uid) for uid in uids]
    problem = MixedFrameError(
        f"the series mixes {len(uids)} frames of reference",
        seen=f"{_sizes(groups)} slices",
        needed="one FrameOfReferenceUID",
        where=min(groups, key=len)[0].name,
        fix="Slices of different frames do not share coordinates: export the series again.",
    )
    return _labelled(part, groups, "frame {} of {}", problem)


def _by_orientation(part: SeriesPart) -> list[SeriesPart]:
    """One part for each orientation that differs by more than ``ORIENTATION_SPLIT_DEG``."""
    axes = [np.reshape(h.row_column_axes_lps or (), (2, 3)) for h in part.slices]
    references: list[np.ndarray] = []
    members: list[list[SliceHeader]] = []
    for header, own in zip(part.slices, axes, strict=True):
        for reference, group in zip(references, members, strict=True):
            if turn_deg(reference, own) <= ORIENTATION_SPLIT_DEG:
                group.append(header)
                break
        else:
            references.append(own)
            members.append([header])
        if len(references) > MAX_ORIENTATIONS:
            return [part]
    if len(members) == 1:
        return [part]
    order = sorted(range(len(members)), key=lambda n: np.round(references[n], 3).tolist())
    groups = [tuple(members[n]) for n in order]
    few = min(groups, key=len)
    turn = turn_deg(references[order[0]], references[order[1]])
    problem = SeriesGeometryError(
        f"mixed orientation: {len(few)} of {len(part.slices)} slices turned against the others",
        seen=f"{turn:.2f} degrees between the slices, {_sizes(groups)} slices",
        needed=f"one orientation, or stacks of at least {STRAY_MAX + 1} slices each",
        where=few[0].name,
        fix="Export the series again; a slice whose header is damaged cannot be placed.",
    )
    return _labelled(part, groups, "orientation {} of {}", problem)


def _by_stack_id(part: SeriesPart) -> list[SeriesPart]:
    """One part for each Stack ID of multi-frame objects, where each is large enough."""
    members: dict[str, list[SliceHeader]] = {}
    for header in part.slices:
        members.setdefault(header.stack_id, []).append(header)
    if len(members) == 1 or "" in members or min(map(len, members.values())) <= STRAY_MAX:
        return [part]
    groups = [tuple(members[stack_id]) for stack_id in sorted(members)]
    return [
        replace(part, slices=group).labelled(f"stack {n} of {len(groups)}")
        for n, group in enumerate(groups, 1)
    ]


def _labelled(
    part: SeriesPart, groups: Sequence[tuple[SliceHeader, ...]], pattern: str, problem: InputError
) -> list[SeriesPart]:
    """The groups as parts; all of them bear the problem when one is too small for a stack."""
    has_strays = min(len(g) for g in groups) <= STRAY_MAX
    problems = (*part.problems, problem) if has_strays else part.problems
    return [
        replace(part, slices=group, problems=problems).labelled(pattern.format(n, len(groups)))
        for n, group in enumerate(groups, 1)
    ]


def _sizes(groups: Sequence[Sequence[SliceHeader]]) -> str:
    return " + ".join(str(len(g)) for g in groups)


def turn_deg(axes: np.ndarray, other: np.ndarray) -> float:
    """Largest angle between the row directions or the column directions, in degrees."""
    lengths = np.linalg.norm(axes, axis=1) * np.linalg.norm(other, axis=1)
    cosine = np.sum(axes * other, axis=1) / np.maximum(lengths, 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).max())


def places(slices: Sequence[SliceHeader]) -> list[int]:
    """For each slice the number of its place; slices at the same position share it.

    Requires positions and orientation. Places are numbered along the slice normal.
    """
    positions = np.array([h.position_lps_mm for h in slices], dtype=np.float64)
    row, column = np.reshape(slices[0].row_column_axes_lps or (), (2, 3))
    along = positions @ np.cross(row, column)
    points = positions.tolist()
    # places by the box they lie in: all slices side by side at one height cost no more
    boxes = np.floor(positions / SAME_PLACE_TOL_MM).tolist()
    in_box: dict[tuple[float, float, float], list[int]] = {}
    numbers = [0] * len(slices)
    firsts: list[list[float]] = []
    for n in np.argsort(along, kind="stable").tolist():
        near = (place for box in _boxes_around(*boxes[n]) for place in in_box.get(box, ()))
        same = (p for p in near if math.dist(points[n], firsts[p]) <= SAME_PLACE_TOL_MM)
        place = next(same, len(firsts))
        if place == len(firsts):
            firsts.append(points[n])
            in_box.setdefault((boxes[n][0], boxes[n][1], boxes[n][2]), []).append(place)
        numbers[n] = place
    return numbers


def _boxes_around(x: float, y: float, z: float) -> Iterator[tuple[float, float, float]]:
    """A box and the 26 around it, itself first."""
    for dx in (0, -1, 1):
        for dy in (0, -1, 1):
            for dz in (0, -1, 1):
                yield x + dx, y + dy, z + dz


def _by_repeats(part: SeriesPart, criteria: Sequence[_Criterion]) -> list[SeriesPart]:
    """Splits a stack whose positions repeat by the first criteria that tell them apart."""
    at = places(part.slices)
    most = max(Counter(at).values())
    if most == 1 or len(set(at)) == 1:
        return [part]
    for n, criterion in enumerate(criteria):
        groups: dict[Hashable, list[SliceHeader]] = {}
        seen: dict[int, set[Hashable]] = {}
        for header, place in zip(part.slices, at, strict=True):
            value = criterion.value(header)
            groups.setdefault(value, []).append(header)
            seen.setdefault(place, set()).add(value)
        # more values than repeats: a property of each slice (its time), not of a volume
        if 1 < len(groups) <= most and max(len(v) for v in seen.values()) > 1:
            values = sorted(groups, key=_sortable)
            labels = criterion.labels(values)
            return [
                finer
                for value in values
                for finer in _by_repeats(
                    replace(part, slices=tuple(groups[value])).labelled(labels[value]),
                    criteria[n + 1 :],
                )
            ]
    return _by_time(part, at)


def _by_time(part: SeriesPart, at: Sequence[int]) -> list[SeriesPart]:
    """Splits by the order in time at each position, where every position has as many images."""
    members: dict[int, list[SliceHeader]] = {}
    for header, place in zip(part.slices, at, strict=True):
        members.setdefault(place, []).append(header)
    counts = {len(m) for m in members.values()}
    if len(counts) != 1:
        return [part]
    (n_times,) = counts
    for time in _TIMES:
        if all(len({time(h) for h in m} - {None}) == n_times for m in members.values()):
            ordered = [sorted(m, key=lambda h: _sortable(time(h))) for m in members.values()]
            return [
                replace(part, slices=tuple(m[rank] for m in ordered)).labelled(
                    f"time {rank + 1} of {n_times}"
                )
                for rank in range(n_times)
            ]
    return [part]


def _sortable(value: Hashable) -> tuple[bool, object]:
    """None first, then by value."""
    return (value is not None, value if value is not None else 0)


def _with_coverage(stack: SeriesPart) -> list[SeriesPart]:
    """The volumes of a stack; a warning where others have slices that one lacks."""
    parts = _by_repeats(stack, _CRITERIA)
    if len(parts) == 1:
        return parts
    n_places = max(places(stack.slices)) + 1
    return [_with_missing_places(part, n_places) for part in parts]


def _with_missing_places(part: SeriesPart, n_places: int) -> SeriesPart:
    n_own = max(places(part.slices)) + 1
    if n_own == n_places:
        return part
    text = f"has slices at {n_own} of the {n_places} positions of its series"
    return replace(part, warnings=(*part.warnings, text))
