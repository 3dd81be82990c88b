"""Exact distances and voxel walks, in float64 and without any shared kernel.

Slow on purpose and made differently from the search: no distance field, no
table of breakpoints. A convex function of the place along the needle is
narrowed by golden sections, over every voxel that could hold the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray

_CHUNK = 1 << 18
"""Voxels worked on at once: some 30 MB of temporaries."""

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_STEPS = 46
"""Golden sections: 0.618**46 < 2.5e-10 of the needle's length."""

_MIN_PIECE_MM = 1e-6
"""A shorter piece of path inside a voxel is a rounding at its edge or corner."""

_NORMAL_SIGMA_MM = 3.0
"""Smoothing of the body before its surface normal is taken."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NearestPoints:
    """Distance (mm) of a segment to a set of voxel boxes, and where it occurs (LPS mm)."""

    distance_mm: float
    on_segment_lps_mm: FloatArray
    on_boxes_lps_mm: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelBoxes:
    """The voxels of a mask as boxes of edge lengths ``spacing_mm`` around their centres.

    Coordinates are millimetres along the grid's own axes, where the boxes are
    axis-aligned; ``columns_lps`` are these axes in LPS. Only boxes with a free
    face are listed: a segment meets one of them before any other, unless it
    starts inside the mask.
    """

    columns_lps: FloatArray
    origin_lps_mm: FloatArray
    spacing_mm: FloatArray
    mask: Mask
    flat_indices: NDArray[np.int64]

    @classmethod
    def of(cls, mask: Mask) -> VoxelBoxes:
        """The boxes of a mask."""
        columns, spacing_mm = _axes(mask.grid)
        inner = ndimage.binary_erosion(mask.inside, ndimage.generate_binary_structure(3, 1))
        return cls(
            columns_lps=columns,
            origin_lps_mm=np.array(mask.grid.lps_from_kji[:3, 3]),
            spacing_mm=spacing_mm,
            mask=mask,
            flat_indices=np.flatnonzero(mask.inside & ~inner),
        )

    def nearest_to_segment(self, start_lps_mm: FloatArray, end_lps_mm: FloatArray) -> NearestPoints:
        """Distance of the segment start..end (a point when they coincide) to the nearest box.

        ``inf`` with NaN points when there is no box. The distance is that of
        two points which exist: it is never too small by more than rounding,
        and too large by less than 1e-7 mm.
        """
        start = self._to_axes_mm(start_lps_mm)
        along = self._to_axes_mm(end_lps_mm) - start
        if self.flat_indices.size == 0:
            nan = np.full(3, np.nan)
            return NearestPoints(distance_mm=np.inf, on_segment_lps_mm=nan, on_boxes_lps_mm=nan)
        if bool(self.mask.contains(np.asarray(start_lps_mm, dtype=np.float64))):
            here = np.array(start_lps_mm, dtype=np.float64)
            return NearestPoints(distance_mm=0.0, on_segment_lps_mm=here, on_boxes_lps_mm=here)
        centres = self._possible_centres(start, along)
        place, squared = _closest_place(start, along, centres, self.spacing_mm / 2)
        best = int(np.argmin(squared))
        on_segment = start + place[best] * along
        half = self.spacing_mm / 2
        on_box = np.clip(on_segment, centres[best] - half, centres[best] + half)
        return NearestPoints(
            distance_mm=float(np.sqrt(squared[best])),
            on_segment_lps_mm=self._to_lps(on_segment),
            on_boxes_lps_mm=self._to_lps(on_box),
        )

    def _possible_centres(self, start: FloatArray, along: FloatArray) -> FloatArray:
        """Centres of all boxes that may be the nearest: (m, 3).

        A box is no nearer than its centre less half its diagonal; one whose
        bound exceeds the distance of a known box cannot be the nearest.
        """
        to_centre = np.empty(self.flat_indices.size)
        for low in range(0, to_centre.size, _CHUNK):
            part = slice(low, low + _CHUNK)
            to_centre[part] = _distance_to_segment(self._centres(part), start, along)
        best = int(np.argmin(to_centre))
        known = self._centres(slice(best, best + 1))
        squared = _closest_place(start, along, known, self.spacing_mm / 2)[1]
        half_diagonal_mm = float(np.linalg.norm(self.spacing_mm)) / 2
        limit_mm = float(np.sqrt(squared[0])) + half_diagonal_mm
        keep = np.flatnonzero(to_centre <= limit_mm * (1 + 1e-12) + 1e-9)
        return self._centres(keep)

    def _centres(self, part: slice | NDArray[np.int64]) -> FloatArray:
        index = np.unravel_index(self.flat_indices[part], self.mask.grid.shape_kji)
        return np.stack(index, axis=-1) * self.spacing_mm

    def _to_axes_mm(self, point_lps_mm: FloatArray) -> FloatArray:
        offset = np.asarray(point_lps_mm, dtype=np.float64) - self.origin_lps_mm
        return np.asarray(np.linalg.solve(self.columns_lps, offset))

    def _to_lps(self, point_mm: FloatArray) -> FloatArray:
        return np.asarray(self.columns_lps @ point_mm + self.origin_lps_mm)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelWalk:
    """The pieces of a segment, one voxel each: ``kji`` (n, 3), from and to in mm from the start.

    ``kji`` may lie outside the grid; ``is_in_grid`` (n,) says so.
    """

    kji: NDArray[np.int64]
    from_mm: FloatArray
    to_mm: FloatArray
    is_in_grid: NDArray[np.bool_]

    def inside(self, mask: Mask) -> NDArray[np.bool_]:
        """Whether each piece lies in a voxel of the mask (of the same grid)."""
        index = np.where(self.is_in_grid[:, None], self.kji, 0)
        return np.asarray(mask.inside[tuple(index.T)] & self.is_in_grid)


def walk_voxels(start_lps_mm: FloatArray, end_lps_mm: FloatArray, grid: Grid) -> VoxelWalk:
    """Every voxel that the segment crosses, found from where it crosses the voxel faces.

    The segment is also cut every 0.2 voxel, so that no piece is long.
    """
    columns, spacing_mm = _axes(grid)
    origin = grid.lps_from_kji[:3, 3]
    start = np.linalg.solve(columns, np.asarray(start_lps_mm) - origin) / spacing_mm
    end = np.linalg.solve(columns, np.asarray(end_lps_mm) - origin) / spacing_mm
    length_mm = float(np.linalg.norm(np.asarray(end_lps_mm) - np.asarray(start_lps_mm)))
    n_cuts = int(np.ceil(np.abs(end - start).max() / 0.2)) + 1
    cuts = [np.linspace(0.0, 1.0, n_cuts + 1)]
    for a, b in zip(start, end, strict=True):
        if a != b:
            faces = np.arange(np.ceil(min(a, b) - 0.5), np.floor(max(a, b) - 0.5) + 1) + 0.5
            cuts.append((faces - a) / (b - a))
    places = np.unique(np.clip(np.concatenate(cuts), 0.0, 1.0))
    low, high = places[:-1], places[1:]
    is_real = (high - low) * length_mm > _MIN_PIECE_MM
    low, high = low[is_real], high[is_real]
    middle = ((low + high) / 2)[:, None]
    kji = np.floor(start + middle * (end - start) + 0.5).astype(np.int64)
    return VoxelWalk(
        kji=kji,
        from_mm=low * length_mm,
        to_mm=high * length_mm,
        is_in_grid=np.all((kji >= 0) & (kji < np.array(grid.shape_kji)), axis=-1),
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Skin:
    """The outer surface of a body: ``tissue`` is the body with its closed cavities filled.

    ``solid`` is tissue and what was not imaged, ``known`` what was imaged.
    """

    grid: Grid
    tissue: NDArray[np.bool_]
    solid: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, body: Mask, imaged: Mask | None = None) -> Skin:
        """The skin of a body mask. Air that does not reach the image's edge is a cavity.

        What the scanner did not image is taken for solid: it may hide the body.
        """
        known = np.ones_like(body.inside) if imaged is None else imaged.inside
        # Air may reach the image's edge through what was not imaged.
        label, n_labels = ndimage.label(~(body.inside & known))
        is_open = np.zeros(n_labels + 1, dtype=np.bool_)
        for axis in range(3):
            for side in (0, -1):
                is_open[np.unique(label.take(side, axis))] = True
        is_open[0] = False  # label 0 is the body itself
        tissue = np.asarray(~is_open[label])
        return cls(grid=body.grid, tissue=tissue, solid=tissue | ~known, known=known)

    def voxels_to_surface(self, point_lps_mm: FloatArray) -> float:
        """How far a point is from the nearest piece of skin, in voxels along the worst axis.

        Faces where the image volume cuts the body are no skin. ``inf`` when
        there is none within three voxels.
        """
        centre, window, start = self._around(point_lps_mm, np.array([4, 4, 4]))
        if window.size == 0:
            return float(np.inf)
        nearest = np.inf
        for axis in range(3):
            lower, upper = np.delete(window, -1, axis), np.delete(window, 0, axis)
            face = (np.argwhere(lower != upper) + start).astype(np.float64)
            face[:, axis] += 0.5  # the face lies half a voxel above the lower voxel's centre
            half = np.full(3, 0.5)
            half[axis] = 0.0
            gaps = np.abs(face - centre) - half
            if gaps.size:
                nearest = min(nearest, float(np.maximum(gaps, 0.0).max(axis=1).min()))
        return nearest

    def is_seen_beside(self, point_lps_mm: FloatArray, reach_mm: float) -> bool:
        """Whether all within reach was imaged, but for where the stack ends head- or footwards.

        Voxels count whose centres lie within reach of the centre of the point's own voxel.
        """
        columns, spacing_mm = _axes(self.grid)
        reach = np.ceil(reach_mm / spacing_mm).astype(np.int64) + 1
        centre, window, start = self._around(point_lps_mm, reach)
        head_foot = int(np.argmax(np.abs(columns[2])))
        low = (centre + 0.5) * spacing_mm
        high = np.array(self.grid.shape_kji) * spacing_mm - low
        for axis in range(3):
            if axis != head_foot and not min(low[axis], high[axis]) >= reach_mm - 1e-6:
                return False
        place = tuple(slice(a, a + n) for a, n in zip(start, window.shape, strict=True))
        unknown = np.argwhere(~self.known[place]) + start
        apart = (unknown - np.floor(centre + 0.5)) * spacing_mm
        return not bool(np.any((apart**2).sum(axis=1) <= reach_mm**2))

    def is_known_around(self, point_lps_mm: FloatArray) -> bool:
        """Whether all that decides the normal at a point was imaged.

        Where the image ends beside an entry, its normal depends on how the body
        is thought to go on, and two ways of thinking differ.
        """
        _, spacing_mm = _axes(self.grid)
        reach = np.ceil(3 * _NORMAL_SIGMA_MM / spacing_mm).astype(np.int64)
        _, window, start = self._around(point_lps_mm, reach)
        place = tuple(slice(a, a + n) for a, n in zip(start, window.shape, strict=True))
        is_whole = bool(np.all(np.array(window.shape) == 2 * reach + 2))
        return is_whole and bool(self.known[place].all())

    def outward_normal_lps(self, point_lps_mm: FloatArray) -> FloatArray | None:
        """Unit normal of the smoothed body at a point, out of the body; None where it has none.

        The mean is taken over what is known: beyond the image and where nothing was
        imaged there is neither body nor air.
        """
        columns, spacing_mm = _axes(self.grid)
        reach = np.ceil(5 * _NORMAL_SIGMA_MM / spacing_mm).astype(np.int64) + 2
        centre, window, start = self._around(point_lps_mm, reach)
        if min(window.shape) < 2:
            return None
        place_of = tuple(slice(a, a + n) for a, n in zip(start, window.shape, strict=True))
        known = self.known[place_of].astype(np.float64)
        sums = [
            ndimage.gaussian_filter(values, _NORMAL_SIGMA_MM / spacing_mm, mode="constant")
            for values in (self.tissue[place_of] * known, known)
        ]
        smooth = sums[0] / np.maximum(sums[1], 1e-6)
        slopes = np.stack(np.gradient(smooth, *spacing_mm))
        place = (centre - start)[:, None]
        inward = np.array([ndimage.map_coordinates(s, place, order=1)[0] for s in slopes])
        size = float(np.linalg.norm(inward))
        return None if size < 1e-9 else np.asarray(columns @ (-inward / size))

    def _around(
        self, point_lps_mm: FloatArray, reach: NDArray[np.int64]
    ) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.int64]]:
        """The point as a continuous index, the window of ``solid`` around it, and its start."""
        columns, spacing_mm = _axes(self.grid)
        offset = np.asarray(point_lps_mm) - self.grid.lps_from_kji[:3, 3]
        centre = np.linalg.solve(columns, offset) / spacing_mm
        shape = np.array(self.grid.shape_kji)
        start = np.clip(np.floor(centre).astype(np.int64) - reach, 0, shape)
        stop = np.clip(np.floor(centre).astype(np.int64) + reach + 2, 0, shape)
        window = self.solid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        return centre, window, start


def room_to_faces_mm(
    grid: Grid, start_lps_mm: FloatArray, end_lps_mm: FloatArray
) -> NDArray[np.float64]:
    """Distance of a segment to the low and high outer face of k, j, i: (3, 2), negative beyond."""
    columns, spacing_mm = _axes(grid)
    origin = grid.lps_from_kji[:3, 3]
    ends = np.stack([np.linalg.solve(columns, p - origin) for p in (start_lps_mm, end_lps_mm)])
    low = (ends + 0.5 * spacing_mm).min(axis=0)
    high = ((np.array(grid.shape_kji) - 0.5) * spacing_mm - ends).min(axis=0)
    return np.stack([low, high], axis=1)


def unseen_boxes(body: Mask, imaged: Mask | None) -> VoxelBoxes | None:
    """The voxels in the body or with a face to it that were not imaged; None without any."""
    if imaged is None:
        return None
    beside = body.inside.copy()
    for axis in range(3):
        for step in (1, -1):
            moved = np.roll(body.inside, step, axis)
            moved.swapaxes(0, axis)[0 if step > 0 else -1] = False
            beside |= moved
    beside &= ~imaged.inside
    return VoxelBoxes.of(Mask(grid=body.grid, inside=beside)) if beside.any() else None


def room_to_cuts_mm(body: Mask, start_lps_mm: FloatArray, end_lps_mm: FloatArray) -> float:
    """Distance of a segment to the faces of the image that cut the body; inf without one."""
    room = room_to_faces_mm(body.grid, start_lps_mm, end_lps_mm)
    is_cut = [[body.inside.take(side, axis).any() for side in (0, -1)] for axis in range(3)]
    return float(np.min(room, where=np.array(is_cut), initial=np.inf))


def _axes(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Unit directions of k, j, i as columns, and the voxel edge lengths in mm."""
    matrix = grid.lps_from_kji[:3, :3]
    spacing_mm = np.sqrt((matrix**2).sum(axis=0))
    return matrix / spacing_mm, spacing_mm


def _distance_to_segment(points: FloatArray, start: FloatArray, along: FloatArray) -> FloatArray:
    """Distances (n,) of points (n, 3) to the segment start .. start + along."""
    offset = points - start
    squared_length = float(along @ along)
    place = offset @ along / squared_length if squared_length > 0 else np.zeros(len(points))
    foot = np.clip(place, 0.0, 1.0)[:, None] * along
    return np.asarray(np.linalg.norm(offset - foot, axis=1))


def _closest_place(
    start: FloatArray, along: FloatArray, centres: FloatArray, half: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Place on the segment (0..1) closest to each box, and the squared distance there: (n,), (n,).

    The squared distance of a moving point to a box is convex in its place, so
    a golden section brackets the minimum; both ends are tried as well.
    """
    place = np.empty(len(centres))
    squared = np.empty(len(centres))
    for low in range(0, len(centres), _CHUNK):
        part = slice(low, low + _CHUNK)
        offset = start - centres[part]

        def squared_at(t: FloatArray, offset: FloatArray = offset) -> FloatArray:
            gap = np.abs(offset + t[:, None] * along) - half
            np.maximum(gap, 0.0, out=gap)
            return np.asarray(np.einsum("ij,ij->i", gap, gap))

        a, b = np.zeros(len(offset)), np.ones(len(offset))
        for _ in range(_STEPS):
            width = _GOLDEN * (b - a)
            left, right = b - width, a + width
            is_left = squared_at(left) <= squared_at(right)
            b = np.where(is_left, right, b)
            a = np.where(is_left, a, left)
        tries = np.stack([(a + b) / 2, np.zeros(len(offset)), np.ones(len(offset))])
        values = np.stack([squared_at(t) for t in tries])
        best = values.argmin(axis=0)
        column = np.arange(len(offset))
        place[part] = tries[best, column]
        squared[part] = values[best, column]
    return place, squared
