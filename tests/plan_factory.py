"""A small synthetic PlanResult whose anatomy is the same in LPS for every grid.

A lumbar-like phantom: elliptic trunk, vertebra with canal, left nerve root, aorta
and cava, a pedicle screw on the right, a target in the left foramen. The numbers
of the trajectories are recomputed here by brute force (dense samples of the axis
against voxel boxes), not by the package's search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from planner.geometry import FrameId, Grid, ImageSource, Mask, PatientPosition, Volume
from planner.model import (
    Angles,
    BoneRule,
    Candidates,
    Clearance,
    CostWeights,
    Evidenced,
    Explanation,
    Finding,
    MarginRule,
    MaskSource,
    Needle,
    PlanResult,
    PlanWarning,
    Protocol,
    Structure,
    StructureRole,
    StructureSet,
    StructureUse,
    Target,
    Trajectory,
    Verdict,
    verdict_of_margin,
)
from tests.grids import ORIENTED_AXES

CENTRE_LPS_MM = np.array([-12.0, 31.0, -205.0])
"""Middle of the trunk: off the scanner's centre on purpose."""

TARGET_LPS_MM = CENTRE_LPS_MM + np.array([29.0, -4.0, 0.0])
TRUNK_HALF_LPS_MM = np.array([82.0, 58.0])
SERIES_UID = "1.2.826.0.1.3680043.8.498.111.222"
CAUTION_BAND_MM = 1.0


@dataclass(frozen=True)
class _Obstacle:
    name: str
    grid: Grid
    boxes_mm: np.ndarray  # voxel centres along the grid axes
    tree: cKDTree = field(repr=False)

    @classmethod
    def of(cls, structure: Structure) -> _Obstacle:
        grid = structure.mask.grid
        centres = np.argwhere(structure.mask.inside) * grid.spacing_kji_mm
        return cls(structure.name, grid, centres, cKDTree(centres))

    def closest(self, start: np.ndarray, end: np.ndarray, step_mm: float) -> tuple[float, ...]:
        """Distance and the two closest points, from samples of the axis."""
        n = max(2, int(np.linalg.norm(end - start) / step_mm) + 1)
        points = np.linspace(start, end, n)
        axes_mm = self.grid.to_axes_mm(points)
        _, near = self.tree.query(axes_mm, k=min(12, len(self.boxes_mm)))
        half = self.grid.spacing_kji_mm / 2
        boxes = self.boxes_mm[near.reshape(n, -1)]
        nearest = np.clip(axes_mm[:, None], boxes - half, boxes + half)
        gap = np.linalg.norm(nearest - axes_mm[:, None], axis=-1)
        a, b = np.unravel_index(np.argmin(gap), gap.shape)
        on_structure = self.grid.to_lps(nearest[a, b] / self.grid.spacing_kji_mm)
        return float(gap[a, b]), points[a], on_structure


def make_grid(
    grid_axes: str = "oblique", *, spacing_kji_mm: tuple[float, float, float] = (4.0, 1.2, 1.2)
) -> Grid:
    """An anisotropic grid around the phantom, about 150 x 180 x 190 mm."""
    shape = (38, 150, 158)
    axes = ORIENTED_AXES[grid_axes]
    frame = FrameId("1.2.3.4.5", "phantom")
    loose = Grid.from_axes(shape, spacing_kji_mm, (0.0, 0.0, 0.0), axes, frame)
    origin = CENTRE_LPS_MM - loose.centre_lps_mm
    return Grid.from_axes(shape, spacing_kji_mm, origin, axes, frame)


def make_structures(grid: Grid) -> StructureSet:
    """Trunk, bone, nerve, vessels, implant, target."""
    lps = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTRE_LPS_MM
    x, y, z = lps[..., 0], lps[..., 1], lps[..., 2]

    def tube(start: Iterable[float], end: Iterable[float], radius_mm: float) -> np.ndarray:
        a, b = np.array(list(start)), np.array(list(end))
        t = np.clip((lps - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        return np.linalg.norm(lps - (a + t[..., None] * (b - a)), axis=-1) <= radius_mm

    trunk = (x / TRUNK_HALF_LPS_MM[0]) ** 2 + (y / TRUNK_HALF_LPS_MM[1]) ** 2 <= 1
    body = ((x / 21) ** 2 + ((y + 6) / 15) ** 2 <= 1) & (np.abs(z) <= 40)
    arch = (np.hypot(x, y - 18) <= 13) & (np.abs(z) <= 14)
    spinous = (np.abs(x) <= 3.5) & (y > 26) & (y < 46) & (np.abs(z) <= 10)
    canal = np.hypot(x, y - 17) <= 8
    implant = tube((-16, 34, 2), (-9, -4, 2), 3.0)
    masks = {
        "trunk": (trunk, StructureRole.BODY, None),
        "vertebra_L4": ((body | arch | spinous) & ~canal & ~implant, StructureRole.BONE, "bone"),
        "nerve_root_L4_left": (tube((6, 16, 14), (34, 2, -26), 2.6), StructureRole.AVOID, "nerve"),
        "superior_cluneal_nerve_left": (
            tube((36, 40, 45), (52, 30, -45), 1.5),
            StructureRole.AVOID,
            "nerve",
        ),
        "thecal_sac": (np.hypot(x, y - 17) <= 7.5, StructureRole.AVOID, "nerve"),
        "aorta": (tube((6, -33, -200), (6, -33, 200), 7.5), StructureRole.AVOID, "vessel"),
        "inferior_vena_cava": (
            tube((-14, -31, -200), (-14, -31, 200), 8.5),
            StructureRole.AVOID,
            "vessel",
        ),
        "pedicle_screw_right": (implant, StructureRole.IMPLANT, None),
        "foramen": (
            np.linalg.norm(lps - (TARGET_LPS_MM - CENTRE_LPS_MM), axis=-1) <= 3.0,
            StructureRole.TARGET,
            None,
        ),
    }
    found = tuple(
        Structure(
            name=name,
            role=role,
            mask=Mask(grid=grid, inside=inside),
            source=MaskSource(file="phantom.seg.nrrd", grid=grid, sha256="ab" * 32),
            structure_class=structure_class,
        )
        for name, (inside, role, structure_class) in masks.items()
        if inside.any()
    )
    return StructureSet(grid=grid, structures=found)


def make_volume(grid: Grid, structures: StructureSet) -> Volume:
    """A T1-like image of the phantom: bright fat and marrow, coil shading, noise."""
    rng = np.random.default_rng(7)
    lps = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTRE_LPS_MM
    trunk = structures["trunk"].mask.inside
    depth = np.hypot(lps[..., 0] / TRUNK_HALF_LPS_MM[0], lps[..., 1] / TRUNK_HALF_LPS_MM[1])
    image = np.where(depth > 0.86, 900.0, 330.0) * trunk
    image += trunk * 60 * np.sin(lps[..., 0] / 4.0) * np.cos(lps[..., 1] / 5.5)
    levels = {
        "vertebra_L4": 620.0,
        "nerve_root_L4_left": 420.0,
        "superior_cluneal_nerve_left": 420.0,
        "thecal_sac": 180.0,
        "aorta": 60.0,
        "inferior_vena_cava": 80.0,
        "pedicle_screw_right": 5.0,
    }
    for name, level in levels.items():
        if name in structures:
            image[structures[name].mask.inside] = level
    image *= 1.0 + 0.3 * lps[..., 1] / 100.0
    image += rng.rayleigh(15.0, image.shape)
    source = ImageSource(
        modality="MR",
        study_instance_uid="1.2.826.0.1.3680043.8.498.111",
        series_instance_uid=SERIES_UID,
        series_number=4,
        description="t1_tse_tra",
        patient_position=PatientPosition.FFP,
    )
    return Volume(grid=grid, values=image.astype(np.int16), source=source)


def make_protocol() -> Protocol:
    """Margins of a transforaminal injection; requires bowel, which the phantom lacks."""

    def expert(value: float) -> Evidenced:
        return Evidenced(value=value, evidence="E")

    return Protocol(
        id="transforaminal_injection",
        title="Lumbar transforaminal injection",
        needles=("22G-90",),
        tolerance=expert(3.0),
        throw=expert(0.0),
        bone=BoneRule.FORBIDDEN,
        bone_margin=expert(0.0),
        default_margin=expert(3.0),
        implant_margin=expert(3.0),
        margins=(
            MarginRule(structure_class="nerve", margin=expert(3.0), required=True),
            MarginRule(structure_class="vessel", margin=expert(3.0)),
        ),
        max_skin_angle=expert(60.0),
        min_length=expert(20.0),
        clear_at=expert(10.0),
        caution_band=expert(CAUTION_BAND_MM),
        weights=CostWeights(),
        sha256="cd" * 32,
    )


def skin_entries() -> tuple[np.ndarray, np.ndarray]:
    """Several hundred points on the back's skin and the outward normals, LPS."""
    theta = np.radians(np.linspace(-15.0, 110.0, 32))  # 0 = posterior, + = left
    z = np.linspace(-45.0, 45.0, 15)
    t, zz = (a.ravel() for a in np.meshgrid(theta, z))
    a, b = TRUNK_HALF_LPS_MM
    entry = CENTRE_LPS_MM + np.stack([a * np.sin(t), b * np.cos(t), zz], axis=1)
    normal = np.stack([np.sin(t) / a, np.cos(t) / b, np.zeros_like(t)], axis=1)
    return entry, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def angles_of(entry: np.ndarray, tip: np.ndarray, normal: np.ndarray) -> Angles:
    """The DESIGN's angle convention, written out again."""
    d = (tip - entry) / np.linalg.norm(tip - entry)
    return Angles(
        axial_deg=float(np.degrees(np.arctan2(d[0], abs(d[1])))),
        craniocaudal_deg=float(np.degrees(np.arcsin(d[2]))),
        skin_normal_deg=float(np.degrees(np.arccos(np.clip(-d @ normal, -1, 1)))),
        b0_deg=float(np.degrees(np.arccos(min(1.0, abs(d[2]))))),
    )


def make_result(
    grid_axes: str = "oblique",
    feasible: bool = True,
    *,
    throw_mm: float = 0.0,
    unknown: bool = False,
    n_trajectories: int = 3,
) -> PlanResult:
    """A plan of the phantom.

    ``feasible=False`` asks for margins that nothing meets; ``unknown=True`` adds
    a required structure class without a mask, so that every verdict is UNKNOWN.
    """
    grid = make_grid(grid_axes)
    structures = make_structures(grid)
    volume = make_volume(grid, structures)
    protocol = make_protocol()
    needle = Needle(
        name="22G-90",
        outer_diameter_mm=0.72,
        length_mm=90.0,
        throw_mm=throw_mm,
        material="austenitic steel",
    )
    target = Target(point_lps_mm=TARGET_LPS_MM, tolerance_mm=3.0, name="foramen")
    extra_mm = 0.0 if feasible else 25.0
    required = {
        s.name: (0.0 if s.role is StructureRole.BONE else 3.0) + extra_mm
        for s in structures.with_role(
            StructureRole.AVOID, StructureRole.BONE, StructureRole.IMPLANT
        )
    }
    obstacles = [_Obstacle.of(structures[name]) for name in required]
    candidates = _candidates(obstacles, required, needle)
    order = np.argsort(np.where(candidates.feasible, candidates.cost, np.inf), kind="stable")
    chosen = _spread(candidates, order, n_trajectories) if feasible else []
    trajectories = tuple(
        _trajectory(rank, index, candidates, obstacles, required, needle, unknown)
        for rank, index in enumerate(chosen, start=1)
    )
    verdict = trajectories[0].verdict if trajectories else Verdict.FAIL
    uses = tuple(
        StructureUse(
            name=s.name,
            role=s.role.value,
            margin_mm=required.get(s.name),
            hard=s.role.is_obstacle,
            evidence="E",
        )
        for s in structures.structures
    )
    explanation = () if feasible else _explanation(candidates)
    return PlanResult(
        volume=volume,
        structures=structures,
        protocol=protocol,
        needle=needle,
        target=target,
        uses=uses,
        candidates=candidates,
        trajectories=trajectories,
        verdict=verdict,
        explanation=explanation,
        warnings=(
            PlanWarning(
                code="unknown_structure_name",
                message="structure 'foramen' is in no label table; role given by the user",
            ),
        ),
        body=structures["trunk"].mask,
        body_source="structure:trunk",
        seconds={"field": 0.11, "trace": 0.02, "total": 0.31},
    )


def _candidates(
    obstacles: list[_Obstacle], required: dict[str, float], needle: Needle
) -> Candidates:
    entry, normal = skin_entries()
    n = len(entry)
    rejected_by = np.full(n, "", dtype="<U40")
    bound = np.full(n, np.nan)
    cost = np.full(n, np.nan)
    for row in range(n):
        length = float(np.linalg.norm(TARGET_LPS_MM - entry[row]))
        direction = (TARGET_LPS_MM - entry[row]) / length
        skin_deg = float(np.degrees(np.arccos(np.clip(-direction @ normal[row], -1, 1))))
        if length > needle.length_mm:
            rejected_by[row] = "length"
            continue
        axial_deg = np.degrees(np.arctan2(-direction[0], -direction[1]))
        if not 0.0 <= axial_deg <= 50.0:
            rejected_by[row] = "approach"
            continue
        if skin_deg > 45.0:
            rejected_by[row] = "skin_angle"
            continue
        end = TARGET_LPS_MM + direction * needle.throw_mm
        gaps = {o.name: o.closest(entry[row], end, 1.5)[0] - needle.radius_mm for o in obstacles}
        bound[row] = min(gaps.values())
        failed = [name for name, gap in gaps.items() if not gap >= required[name]]
        if failed:
            rejected_by[row] = "bone" if failed[0].startswith("vert") else f"clearance:{failed[0]}"
        else:
            tilt_deg = abs(np.degrees(np.arcsin(direction[2])))
            cost[row] = 1.0 / (1.0 + bound[row]) + abs(axial_deg - 24.0) / 50 + tilt_deg / 30
    return Candidates(
        entry_lps_mm=entry,
        tip_lps_mm=np.broadcast_to(TARGET_LPS_MM, entry.shape).copy(),
        skin_normal_lps=normal,
        feasible=rejected_by == "",
        rejected_by=rejected_by,
        cost=cost,
        clearance_bound_mm=bound,
    )


def _spread(candidates: Candidates, order: np.ndarray, wanted: int) -> list[int]:
    chosen: list[int] = []
    for index in order:
        if len(chosen) == wanted or not candidates.feasible[index]:
            break
        entry = candidates.entry_lps_mm[index]
        if all(np.linalg.norm(entry - candidates.entry_lps_mm[c]) >= 10.0 for c in chosen):
            chosen.append(int(index))
    return chosen


def _trajectory(
    rank: int,
    index: int,
    candidates: Candidates,
    obstacles: list[_Obstacle],
    required: dict[str, float],
    needle: Needle,
    unknown: bool,
) -> Trajectory:
    entry, tip = candidates.entry_lps_mm[index], candidates.tip_lps_mm[index]
    length = float(np.linalg.norm(tip - entry))
    end = tip + (tip - entry) / length * needle.throw_mm
    clearances, findings = [], []
    for obstacle in obstacles:
        gap, on_needle, on_structure = obstacle.closest(entry, end, 0.05)
        clearance = np.floor((gap - needle.radius_mm) * 100) / 100
        clearances.append(
            Clearance(
                structure=obstacle.name,
                clearance_mm=float(clearance),
                required_mm=required[obstacle.name],
                on_needle_lps_mm=on_needle,
                on_structure_lps_mm=on_structure,
            )
        )
        findings.append(
            Finding(
                constraint="clearance",
                structure=obstacle.name,
                measured=float(clearance),
                required=required[obstacle.name],
                unit="mm",
                verdict=verdict_of_margin(
                    clearance, required[obstacle.name], caution_band=CAUTION_BAND_MM
                ),
                where_lps_mm=tuple(float(v) for v in on_needle),
            )
        )
    findings.append(
        Finding(
            constraint="length",
            structure=None,
            measured=length,
            required=needle.length_mm,
            unit="mm",
            verdict=Verdict.PASS,
        )
    )
    if unknown:
        findings.append(
            Finding(
                constraint="missing_structure",
                structure="bowel",
                measured=None,
                required=None,
                unit="",
                verdict=Verdict.UNKNOWN,
                note="the procedure must avoid bowel but no mask of it was given",
            )
        )
    angles = angles_of(entry, tip, candidates.skin_normal_lps[index])
    return Trajectory(
        rank=rank,
        entry_lps_mm=entry,
        tip_lps_mm=tip,
        throw_end_lps_mm=end,
        skin_normal_lps=candidates.skin_normal_lps[index],
        length_mm=length,
        verdict=Verdict.worst(f.verdict for f in findings),
        cost=float(candidates.cost[index]),
        cost_terms={"clearance": 0.3, "length": 0.4},
        angles=angles,
        clearances=tuple(clearances),
        findings=tuple(findings),
        is_pareto_optimal=rank == 1,
        words=_words(entry, length, angles),
        candidate=index,
    )


def _words(entry: np.ndarray, length: float, angles: Angles) -> str:
    side = "left" if entry[0] > CENTRE_LPS_MM[0] else "right"
    tilt = "cranial" if angles.craniocaudal_deg > 0 else "caudal"
    return (
        f"entry {abs(entry[0] - CENTRE_LPS_MM[0]):.0f} mm {side} of midline, "
        f"{abs(angles.axial_deg):.0f} degrees towards midline, "
        f"{abs(angles.craniocaudal_deg):.0f} degrees {tilt}, depth {length:.0f} mm"
    )


def _explanation(candidates: Candidates) -> tuple[Explanation, ...]:
    ids, counts = np.unique(candidates.rejected_by, return_counts=True)
    worst = int(np.argmax(counts))
    return (
        Explanation(
            code="most_removed",
            message=f"{ids[worst]} removed {counts[worst]} of {len(candidates)} candidates",
            constraint=str(ids[worst]),
            n_removed=int(counts[worst]),
            n_only_this=int(counts[worst]) // 2,
            current=28.0,
            opens_at=6.5,
            unit="mm",
        ),
    )
