"""Paths an expert would take on the phantom, found without the planner's search.

``open_paths`` shows that an expectation can be met (and in its variant cannot) before a planner
is asked; ``complaints`` says what an expert would not recognise in a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from planner.geometry.angles import needle_angles_deg
from planner.geometry.clearance import exact_clearance_mm
from tests.phantom_expectations import BONES, Expectation
from tests.phantom_scenes import Scene

ROUNDING = 0.05  # mm or degrees
_STEP_DEG = 4.0
_TIP_STEP_MM = 2.5


def complaints(
    expectation: Expectation, scene: Scene, entry_lps_mm: np.ndarray, tip_lps_mm: np.ndarray
) -> list[str]:
    """What an expert would not recognise in a path; empty when it is as expected."""
    middle_mm = scene.truth.midline_x_mm
    entry, tip = np.asarray(entry_lps_mm, float), np.asarray(tip_lps_mm, float)
    aside_mm = np.abs([entry[0] - middle_mm, tip[0] - middle_mm])
    holds = {
        "posterior": entry[1] > tip[1],
        "anterior": entry[1] < tip[1],
        "left": entry[0] > middle_mm,
        "right": entry[0] < middle_mm,
        "lateral": aside_mm[0] > aside_mm[1],
        "medial": aside_mm[0] < aside_mm[1],
    }
    found = [f"the entry is not {word}" for word in expectation.entry if not holds[word]]
    angles = needle_angles_deg(entry, tip)
    scale = scene.truth.image.anatomy.parameters.scale
    for what, value, (low, high) in (
        ("axial_deg", float(angles.axial_deg), expectation.axial_deg),
        ("craniocaudal_deg", float(angles.craniocaudal_deg), expectation.craniocaudal_deg),
        ("depth_mm / scale", np.linalg.norm(tip - entry) / scale, expectation.depth_mm),
    ):
        if not (low - ROUNDING <= value <= high + ROUNDING):
            found.append(f"{what} is {value:.1f}, expected {low:g} to {high:g}")
    return found


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Paths:
    """Straight needles, n of them, LPS mm."""

    entry_lps_mm: np.ndarray
    tip_lps_mm: np.ndarray

    def __len__(self) -> int:
        return len(self.tip_lps_mm)

    def kept(self, which: np.ndarray) -> Paths:
        """The needles that are chosen."""
        return Paths(entry_lps_mm=self.entry_lps_mm[which], tip_lps_mm=self.tip_lps_mm[which])


def open_paths(expectation: Expectation, scene: Scene, truth: str | None = None) -> Paths:
    """Expected paths that keep every margin of the expectation, exactly, in the scene's masks."""
    paths = _proposed(expectation, scene, truth or expectation.truth)
    for name, needed_mm, free_last_mm in _obstacles(expectation, scene):
        if not len(paths):
            break
        gap_mm = _gap_mm(expectation, scene, paths, name, free_last_mm)
        paths = paths.kept(gap_mm >= needed_mm)
    if expectation.through and len(paths):
        paths = paths.kept(_stays_in_pedicle(expectation, scene, paths))
    return paths


def expert_path(expectation: Expectation, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Entry and tip (LPS mm) of the open path with the most room beyond its margins.

    For planners that are given a point: the centre of a region is not always a tip that a
    straight needle can reach.
    """
    paths = open_paths(expectation, scene)
    if not len(paths):
        raise ValueError(f"no open path to {expectation.truth}")
    room_mm = np.full(len(paths), np.inf)
    for name, needed_mm, free_last_mm in _obstacles(expectation, scene):
        room_mm = np.minimum(
            room_mm, _gap_mm(expectation, scene, paths, name, free_last_mm) - needed_mm
        )
    best = int(np.argmax(room_mm))
    return paths.entry_lps_mm[best], paths.tip_lps_mm[best]


def _gap_mm(
    expectation: Expectation, scene: Scene, paths: Paths, name: str, free_last_mm: float
) -> np.ndarray:
    """Exact clearance of every path to a mask, the last stretch left out."""
    along = paths.tip_lps_mm - paths.entry_lps_mm
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.asarray(
        exact_clearance_mm(
            paths.entry_lps_mm,
            paths.tip_lps_mm - free_last_mm * along,
            scene.masks[name],
            expectation.needle_mm / 2,
        )
    )


def _obstacles(expectation: Expectation, scene: Scene) -> Iterator[tuple[str, float, float]]:
    """Mask, clearance it needs, and how much of the path's end is exempt."""
    for name in scene.masks:
        patterns = [p for p in expectation.margins_mm if fnmatchcase(name, p)]
        for pattern in patterns:
            yield name, expectation.margins_mm[pattern], 0.0
        if any(fnmatchcase(name, p) for p in BONES) and name not in expectation.own_bone:
            yield name, expectation.bone_margin_mm, 0.0
        if name in expectation.own_bone and np.isfinite(expectation.bone_last_mm):
            yield name, 0.0, expectation.bone_last_mm


def _proposed(expectation: Expectation, scene: Scene, truth: str) -> Paths:
    """All tips x all angles of the expectation with the entry where the path leaves the body."""
    scale = scene.truth.image.anatomy.parameters.scale
    tips = _tips(expectation, scene, truth, scale)
    directions = _directions(expectation)
    low, high = (d * scale for d in expectation.depth_mm)
    depths = np.arange(0.0, high + 2.0, 1.0)
    body = scene.masks["body"]
    entries, ends = [], []
    for tip in tips:
        points = tip - depths[:, None] * directions[:, None, :]
        inside = body.contains(points)
        first = np.argmin(inside, axis=1)
        depth = depths[first]
        is_skin = ~inside.all(axis=1) & (depth >= low) & (depth <= high)
        is_skin &= scene.volume.grid.contains(points[np.arange(len(first)), first])
        entries.append((tip - depth[:, None] * directions)[is_skin])
        ends.append(np.broadcast_to(tip, directions.shape)[is_skin])
    return Paths(entry_lps_mm=np.concatenate(entries), tip_lps_mm=np.concatenate(ends))


def _tips(expectation: Expectation, scene: Scene, truth: str, scale: float) -> np.ndarray:
    target = scene.truth.targets[truth]
    low, high = expectation.tip_along_mm
    axis = np.zeros(3) if target.axis_lps is None else target.axis_lps
    along = np.arange(low, high + 0.1, _TIP_STEP_MM)[:, None] * axis
    reach = np.arange(-expectation.tip_radius_mm, expectation.tip_radius_mm + 0.1, _TIP_STEP_MM)
    offsets = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), -1).reshape(-1, 3)
    offsets = offsets[np.linalg.norm(offsets, axis=1) <= expectation.tip_radius_mm + 1e-9]
    tips = (along[:, None] + offsets).reshape(-1, 3) * scale + target.centre_lps_mm
    if expectation.inside is not None:
        tips = tips[scene.masks[expectation.inside].contains(tips)]
    return tips


def _directions(expectation: Expectation) -> np.ndarray:
    """Unit vectors entry to tip; both from the front and the back when neither is asked for."""
    axial, tilt = (
        np.deg2rad(np.arange(low, high + 0.1, _STEP_DEG))
        for low, high in (expectation.axial_deg, expectation.craniocaudal_deg)
    )
    a, c = (v.ravel() for v in np.meshgrid(axial, tilt, indexing="ij"))
    forwards = np.stack([np.sin(a) * np.cos(c), -np.cos(a) * np.cos(c), np.sin(c)], axis=-1)
    if "posterior" in expectation.entry:
        return forwards
    backwards = forwards * (1.0, -1.0, 1.0)
    if "anterior" in expectation.entry:
        return backwards
    return np.concatenate([forwards, backwards])


def _stays_in_pedicle(expectation: Expectation, scene: Scene, paths: Paths) -> np.ndarray:
    """Whether the axis keeps needle radius and wall gap from the pedicle's true wall."""
    pedicle = scene.truth.targets[expectation.through or ""]
    level = (expectation.through or "").split(":")[1]
    along = paths.tip_lps_mm - paths.entry_lps_mm
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    reach = np.sum((pedicle.centre_lps_mm - paths.entry_lps_mm) * along, axis=1)
    near = paths.entry_lps_mm + reach[:, None] * along
    depth_mm = -scene.truth.distance_mm(level, near)
    return np.asarray(depth_mm >= expectation.needle_mm / 2 + expectation.wall_gap_mm)
