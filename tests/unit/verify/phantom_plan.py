"""A small plan whose every number is right, from formulas and brute force of its own.

Three structures with a known shape: a ball (nerve), a tube (vessel), a slab
(bone), in a body that is a slab of soft tissue with its skin facing posterior.
Distances are found here over ALL voxels by a fine scan of the axis followed by
local refinement, neither as in the search nor as in the verification.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

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
from planner.physics import acquisition_of
from planner.physics.scan_planes import scan_planes
from tests.grids import ORIENTED_AXES

SPACING_KJI_MM = (4.0, 0.5, 0.5)
CENTRE_LPS_MM = np.array([21.0, -13.0, 88.0])
TARGET_LPS_MM = CENTRE_LPS_MM + np.array([1.0, 2.0, 0.5])
CAUTION_BAND_MM = 1.0


def expert(value: float) -> Evidenced:
    return Evidenced(value=value, evidence="E")


def make_protocol(sha256: str = "cd" * 32) -> Protocol:
    return Protocol(
        id="phantom_injection",
        title="Phantom injection",
        needles=("22G-90",),
        tolerance=expert(2.0),
        throw=expert(0.0),
        bone=BoneRule.FORBIDDEN,
        bone_margin=expert(0.5),
        default_margin=expert(3.0),
        implant_margin=expert(4.0),
        margins=(
            MarginRule(structure_class="nerve", margin=expert(3.0), required=True),
            MarginRule(structure_class="vessel", margin=expert(2.0)),
        ),
        max_skin_angle=expert(60.0),
        min_length=expert(5.0),
        clear_at=expert(10.0),
        caution_band=expert(CAUTION_BAND_MM),
        weights=CostWeights(),
        axial_deg=(0.0, 10.0, 40.0),
        craniocaudal_deg=None,
        approach_side="posterior",
        sha256=sha256,
    )


def make_grid(axes: str = "oblique_flipped") -> Grid:
    """About 60 mm in every direction around the centre, 0.5 x 0.5 x 4 mm."""
    shape = (15, 120, 120)
    loose = Grid.from_axes(shape, SPACING_KJI_MM, (0, 0, 0), ORIENTED_AXES[axes])
    origin = CENTRE_LPS_MM - loose.centre_lps_mm
    return Grid.from_axes(
        shape, SPACING_KJI_MM, origin, ORIENTED_AXES[axes], FrameId("1.2.3.4", "phantom")
    )


def offsets_lps_mm(grid: Grid) -> np.ndarray:
    return grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTRE_LPS_MM


def make_structures(grid: Grid) -> StructureSet:
    lps = offsets_lps_mm(grid)
    x, y, z = lps[..., 0], lps[..., 1], lps[..., 2]
    masks = {
        "trunk": (y <= 18.0, StructureRole.BODY, None, None),
        "L5 root": (
            np.linalg.norm(lps - [9.0, 8.0, 2.0], axis=-1) <= 2.5,
            StructureRole.AVOID,
            "nerve",
            None,
        ),
        "iliac artery": (np.hypot(x + 8.0, z + 3.0) <= 3.0, StructureRole.AVOID, "vessel", 2.5),
        "sacrum": ((y <= -3.0) & (y >= -9.0), StructureRole.BONE, "bone", None),
    }
    found = tuple(
        Structure(
            name=name,
            role=role,
            mask=Mask(grid=grid, inside=inside),
            source=MaskSource(
                file=f"{name}.seg.nrrd",
                grid=grid,
                sha256="ab" * 32,
                role_from="user" if margin is not None else "default",
            ),
            margin_mm=margin,
            structure_class=structure_class,
        )
        for name, (inside, role, structure_class, margin) in masks.items()
    )
    return StructureSet(grid=grid, structures=found)


def make_volume(grid: Grid) -> Volume:
    values = np.random.default_rng(3).integers(0, 900, grid.shape_kji).astype(np.int16)
    source = ImageSource(
        modality="MR",
        study_instance_uid="1.2.826.0.1.3680043.8.498.1",
        series_instance_uid="1.2.826.0.1.3680043.8.498.2",
        series_number=4,
        description="Somebody^Private t1",
        patient_position=PatientPosition.HFP,
        mr={"b0_direction_lps": (0.0, 0.0, 1.0)},
        files=("/home/user/Somebody_Private/1.dcm", "/home/user/Somebody_Private/2.dcm"),
    )
    return Volume(grid=grid, values=values, source=source)


def brute_distance(
    start: np.ndarray, end: np.ndarray, mask: Mask
) -> tuple[float, np.ndarray, np.ndarray]:
    """Distance of a segment to the nearest voxel box of a mask, and the closest points.

    A scan of the axis over all voxels picks promising ones; bounded scalar
    minimisation on each of them refines.
    """
    grid = mask.grid
    axes = grid.axes_lps_from_kji
    half = grid.spacing_kji_mm / 2
    centres = np.argwhere(mask.inside) * grid.spacing_kji_mm
    a = (start - grid.origin_lps_mm) @ axes
    b = (end - grid.origin_lps_mm) @ axes
    along = b - a

    def gap(t: float, boxes: np.ndarray) -> np.ndarray:
        outside = np.maximum(np.abs(a + t * along - boxes) - half, 0.0)
        return np.sqrt((outside**2).sum(axis=-1))

    places = np.linspace(0, 1, 41)
    coarse = np.array([gap(t, centres) for t in places])
    step_mm = float(np.linalg.norm(along)) / 40
    near = np.flatnonzero(coarse.min(axis=0) <= coarse.min() + step_mm)
    best = (np.inf, 0.0, 0)
    for row in near:
        box = centres[row]
        low = max(0, int(np.argmin(coarse[:, row])) - 1)
        high = min(40, low + 2)
        found = minimize_scalar(
            lambda t, box=box: float(gap(t, box)) ** 2,
            bounds=(places[low], places[high]),
            method="bounded",
            options={"xatol": 1e-10},
        )
        for t in (float(found.x), 0.0, 1.0):
            value = float(gap(t, box))
            if value < best[0]:
                best = (value, t, int(row))
    distance, t, row = best
    on_axis = a + t * along
    on_box = np.clip(on_axis, centres[row] - half, centres[row] + half)
    return distance, axes @ on_axis + grid.origin_lps_mm, axes @ on_box + grid.origin_lps_mm


def skin_point(body: Mask, x: float, z: float) -> np.ndarray:
    """The last point of the body on the line through (x, z) towards posterior, 1e-3 mm inside."""
    ys = np.arange(10.0, 26.0, 1e-3)
    line = CENTRE_LPS_MM + np.stack([np.full_like(ys, x), ys, np.full_like(ys, z)], axis=1)
    inside = body.contains(line)
    return line[np.flatnonzero(inside)[-1]]


_ENTRIES_XZ = ((2.0, 1.5), (-1.0, -4.0), (4.5, 6.0))


def make_result(
    axes: str = "oblique_flipped",
    *,
    throw_mm: float = 0.0,
    feasible: bool = True,
    missing_class: bool = False,
) -> PlanResult:
    """A plan of three paths, or of none; with a required class nobody gave if asked."""
    grid = make_grid(axes)
    structures = make_structures(grid)
    protocol = make_protocol()
    if missing_class:
        bowel = MarginRule(structure_class="bowel", margin=expert(5.0), required=True)
        protocol = _with_rule(protocol, bowel)
    needle = Needle(
        name="22G-90:steel",
        outer_diameter_mm=0.72,
        length_mm=90.0,
        throw_mm=throw_mm,
        material="steel",
    )
    target = Target(point_lps_mm=TARGET_LPS_MM, tolerance_mm=2.0)
    margins = {"L5 root": 3.0, "iliac artery": 2.5, "sacrum": 0.5}
    uses = tuple(
        StructureUse(
            name=s.name,
            role=str(s.role),
            margin_mm=margins.get(s.name),
            hard=s.role.is_obstacle,
            evidence="user" if s.margin_mm is not None else "E",
        )
        for s in structures.structures
    )
    body = structures["trunk"].mask
    entries = [skin_point(body, x, z) for x, z in _ENTRIES_XZ] if feasible else []
    paths = [
        _trajectory(entry, structures, margins, needle, protocol, missing_class)
        for entry in entries
    ]
    paths.sort(key=lambda path: (path.verdict.severity, path.cost))
    trajectories = tuple(
        replace(path, rank=rank, candidate=rank - 1, is_pareto_optimal=rank == 1)
        for rank, path in enumerate(paths, start=1)
    )
    n = len(entries) + 2
    volume = make_volume(grid)
    return PlanResult(
        volume=volume,
        structures=structures,
        protocol=protocol,
        needle=needle,
        target=target,
        uses=uses,
        candidates=Candidates(
            entry_lps_mm=np.zeros((n, 3)),
            tip_lps_mm=np.zeros((n, 3)),
            skin_normal_lps=np.tile([0.0, 1.0, 0.0], (n, 1)),
            feasible=np.array([True] * len(entries) + [False, False]),
            rejected_by=np.array([""] * len(entries) + ["clearance:L5 root", "length"]),
            cost=np.full(n, np.nan),
            clearance_bound_mm=np.full(n, np.nan),
        ),
        trajectories=trajectories,
        verdict=trajectories[0].verdict if trajectories else Verdict.FAIL,
        explanation=()
        if feasible
        else (
            Explanation(
                code="opens",
                message="a smaller margin to L5 root would open a path",
                constraint="clearance:L5 root",
                n_removed=1,
                n_only_this=1,
                current=3.0,
                opens_at=2.1,
                unit="mm",
            ),
        ),
        warnings=(PlanWarning(code="unknown_name", message="'x' is in no label table"),),
        seconds={"field": 0.1, "total": 0.3},
        options={"top": 3, "entry_spacing_mm": 2.0, "forbidden_entry": [], "allow_bone": None},
        body=body,
        body_source="structure:trunk",
        acquisitions=(acquisition_of(volume.source.mr, grid, {"b0": "bore"}),),
    )


def _with_rule(protocol: Protocol, rule: MarginRule) -> Protocol:
    return replace(protocol, margins=(*protocol.margins, rule))


def _trajectory(
    entry: np.ndarray,
    structures: StructureSet,
    margins: dict[str, float],
    needle: Needle,
    protocol: Protocol,
    missing_class: bool,
) -> Trajectory:
    tip = TARGET_LPS_MM
    length = float(np.linalg.norm(tip - entry))
    direction = (tip - entry) / length
    end = tip + direction * needle.throw_mm
    normal = np.array([0.0, 1.0, 0.0])
    skin_deg = float(np.degrees(np.arccos(-direction @ normal)))
    clearances, findings = [], []
    for name, required in margins.items():
        distance, on_needle, on_structure = brute_distance(entry, end, structures[name].mask)
        clearance = float(np.floor((distance - needle.radius_mm) * 100 + 1e-9) / 100)
        clearances.append(
            Clearance(
                structure=name,
                clearance_mm=clearance,
                required_mm=required,
                on_needle_lps_mm=on_needle,
                on_structure_lps_mm=on_structure,
            )
        )
        x, y, z = (float(v) for v in on_needle)
        findings.append(
            Finding(
                constraint="bone" if name == "sacrum" else "clearance",
                structure=name,
                measured=clearance,
                required=required,
                unit="mm",
                verdict=verdict_of_margin(
                    distance - needle.radius_mm, required, caution_band=CAUTION_BAND_MM
                ),
                where_lps_mm=(x, y, z),
            )
        )
    findings += [
        Finding(
            constraint="length",
            structure=None,
            measured=round(length, 2),
            required=needle.length_mm,
            unit="mm",
            verdict=Verdict.PASS,
        ),
        Finding(
            constraint="skin_angle",
            structure=None,
            measured=round(skin_deg, 2),
            required=60.0,
            unit="degrees",
            verdict=Verdict.PASS,
        ),
        Finding(
            constraint="outside_body",
            structure=None,
            measured=None,
            required=None,
            unit="",
            verdict=Verdict.PASS,
        ),
    ]
    if missing_class:
        findings.append(
            Finding(
                constraint="missing_structure",
                structure="bowel",
                measured=None,
                required=5.0,
                unit="mm",
                verdict=Verdict.UNKNOWN,
                note="no mask of class 'bowel' was given",
            )
        )
    # 1 at the margin, 0 at 10 mm; the preferred approach is 10 degrees in the axial plane.
    axial_deg = float(np.degrees(np.arctan2(direction[0], abs(direction[1]))))
    tight = [(c.clearance_mm - c.required_mm) / (10.0 - c.required_mm) for c in clearances]
    terms = {
        "clearance": min(1.0 - min(tight), 1.0),
        "length": length / needle.length_mm,
        "approach": abs(abs(axial_deg) - 10.0) / 45.0,
        "skin_incidence": skin_deg / 60.0,
    }
    return Trajectory(
        rank=1,
        entry_lps_mm=entry,
        tip_lps_mm=tip,
        throw_end_lps_mm=end,
        skin_normal_lps=normal,
        length_mm=length,
        verdict=Verdict.worst(f.verdict for f in findings),
        cost=float(
            (1.0 * terms["clearance"] + 0.5 * terms["length"] + 0.5 * terms["approach"])
            + 0.25 * terms["skin_incidence"]
        )
        / 2.25,
        cost_terms=terms,
        angles=Angles(
            axial_deg=axial_deg,
            craniocaudal_deg=float(np.degrees(np.arcsin(direction[2]))),
            skin_normal_deg=skin_deg,
            b0_deg=float(np.degrees(np.arccos(abs(direction[2])))),
        ),
        clearances=tuple(clearances),
        findings=tuple(findings),
        is_pareto_optimal=False,
        words=_words(entry, axial_deg, float(np.degrees(np.arcsin(direction[2]))), length),
        scan_planes=scan_planes(entry, tip),
        candidate=0,
    )


def _words(entry: np.ndarray, axial_deg: float, tilt_deg: float, length_mm: float) -> str:
    """The body is a slab without sides: the entry is told from the middle of the image."""
    lateral = float(entry[0] - CENTRE_LPS_MM[0])
    way = "away from" if axial_deg * lateral > 0 else "towards"
    tilt = f"{abs(tilt_deg):.0f} degrees {'cranial' if tilt_deg > 0 else 'caudal'}"
    return (
        f"entry {abs(lateral):.0f} mm {'left' if lateral > 0 else 'right'} of the image's centre "
        f"line, {abs(axial_deg):.0f} degrees {way} it, {tilt}, depth {length_mm:.0f} mm"
    )
