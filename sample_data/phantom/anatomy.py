"""Assembly: an ordered list of painted parts, later parts lie over earlier ones."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sample_data.phantom import implants, pelvis, shapes, spine, trunk
from sample_data.phantom.parameters import PhantomParameters
from sample_data.phantom.tissues import Tissue

SIDES = {"left": 1, "right": -1}
LEVELS = ("L3", "L4", "L5")
_WORLD_LOW_MM = (-190.0, -135.0, -225.0)
_WORLD_HIGH_MM = (190.0, 135.0, 110.0)
_PROBE_STEP_MM = 12.0

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Where the part's distance is below ``offset_mm`` the point becomes ``tissue``.

    ``structure`` None clears the label there (layer kept), "" leaves labels as they are.
    """

    offset_mm: float
    tissue: Tissue | None
    structure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One solid in anatomy coordinates with its paints and bounding box."""

    distance: Distance
    paints: tuple[Paint, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The phantom patient. ``parts`` are in painting order."""

    parameters: PhantomParameters
    spine: spine.Spine
    parts: tuple[Part, ...]
    structure_names: tuple[str, ...]

    def distance_mm(self, structure: str, points_lps_mm) -> np.ndarray:
        """Analytic distance (LPS mm, negative inside) to every part labelled ``structure``.

        First order near the surface; parts painted over it later are not subtracted.
        """
        points = np.asarray(self.parameters.anatomy_from_lps(points_lps_mm))
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        found = [
            part.distance(x, y, z) - paint.offset_mm
            for part in self.parts
            for paint in part.paints
            if paint.structure == structure
        ]
        if not found:
            raise KeyError(f"no structure {structure!r}; known: {', '.join(self.structure_names)}")
        return self.parameters.scale * np.minimum.reduce(found)


def _part(distance: Distance, *paints: tuple[float, Tissue | None, str | None]) -> Part:
    """Part with its bounding box probed on a coarse lattice."""
    axes = [
        np.arange(lo, hi, _PROBE_STEP_MM)
        for lo, hi in zip(_WORLD_LOW_MM, _WORLD_HIGH_MM, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    # a point of the solid is at most half a lattice diagonal (10.4 mm) from a probe
    inside = np.broadcast_to(distance(x, y, z), x.shape) < max(p[0] for p in paints) + 16.0
    hits = np.stack([x[inside], y[inside], z[inside]])
    return Part(
        distance=distance,
        paints=tuple(Paint(offset_mm=o, tissue=t, structure=s) for o, t, s in paints),
        low_mm=hits.min(axis=1) - _PROBE_STEP_MM,
        high_mm=hits.max(axis=1) + _PROBE_STEP_MM,
    )


def _mirrored(distance: Distance, side: int) -> Distance:
    return lambda x, y, z: distance(side * x, y, z)


def build_anatomy(parameters: PhantomParameters | None = None) -> Anatomy:
    """Phantom patient for the given parameters (defaults: the committed one)."""
    parameters = parameters or PhantomParameters()
    column = spine.build_spine(parameters)
    parts = [
        _part(
            trunk.skin_distance,
            (0.0, Tissue.SKIN, "body"),
            (-trunk.SKIN_THICKNESS_MM, Tissue.FAT, "body"),
        ),
        *_organ_parts(parameters.seed),
        *_muscle_parts(parameters.seed),
        *_envelope_parts(),
        *_vessel_parts(),
        *_joint_parts(column, parameters.sij_gap_mm),
        *_disc_parts(column),
        *_nerve_parts(column),
        *_bone_parts(column, parameters.sij_gap_mm),
        *_lesion_parts(column, parameters.has_implant),
    ]
    if parameters.has_implant:
        parts.append(_part(partial(implants.rods_distance, column), (0.0, Tissue.METAL, "rods")))
        parts.append(
            _part(partial(implants.screws_distance, column), (0.0, Tissue.METAL, "screws"))
        )
    names = dict.fromkeys(
        paint.structure for part in parts for paint in part.paints if paint.structure
    )
    return Anatomy(
        parameters=parameters, spine=column, parts=tuple(parts), structure_names=tuple(names)
    )


def _envelope_parts() -> list[Part]:
    """Belly wall and fat layer: painted over organs and muscles, so they need no clipping."""
    return [
        _part(trunk.abdominal_wall_distance, (0.0, Tissue.MUSCLE, "abdominal_wall")),
        _part(trunk.subcutis_distance, (0.0, Tissue.FAT, None)),
        _part(
            lambda x, y, z: np.abs(trunk.fascia_distance(x, y, z)) - 0.45, (0.0, Tissue.FASCIA, "")
        ),
    ]


def _organ_parts(seed: int) -> list[Part]:
    parts = []
    content = {"fluid": Tissue.BOWEL_FLUID, "gas": Tissue.BOWEL_FLUID, "stool": Tissue.STOOL}
    for loop in trunk.bowel_loops(seed):
        outer = (0.0, Tissue.BOWEL_WALL, "bowel")
        parts.append(
            _part(partial(trunk.bowel_distance, loop), outer, (-2.2, content[loop[2]], "bowel"))
        )
        parts.append(_part(partial(trunk.bowel_gas_distance, loop), (0.0, Tissue.GAS, "bowel")))
    for side, sign in SIDES.items():
        name = f"kidney_{side}"
        paints = ((0.0, Tissue.KIDNEY_CORTEX, name), (-8.0, Tissue.KIDNEY_MEDULLA, name))
        parts.append(_part(partial(trunk.kidney_distance, sign), *paints))
    bladder = ((0.0, Tissue.BOWEL_WALL, "bladder"), (-3.0, Tissue.URINE, "bladder"))
    parts.append(_part(trunk.bladder_distance, *bladder))
    return parts


def _muscle_parts(seed: int) -> list[Part]:
    parts = []
    for side, sign in SIDES.items():
        extra = {
            "iliacus": trunk.iliacus_distance,
            "gluteus_medius": trunk.gluteus_medius_distance,
            "piriformis": trunk.piriformis_distance,
        }
        columns = {
            name: partial(trunk.muscle_distance, name, seed=100 * seed + n + 10 * sign)
            for n, name in enumerate(trunk.MUSCLE_COLUMNS)
        }
        for name, distance in {**extra, **columns}.items():
            gap_mm = {"gluteus_maximus": 2.0, "psoas": 1.5, "iliacus": 0.0}.get(name, 1.1)
            paints = [(0.0, Tissue.MUSCLE, f"{name}_{side}")]
            if gap_mm:
                paints.insert(0, (gap_mm, Tissue.FAT, None))
            parts.append(_part(_mirrored(distance, sign), *paints))
    return parts


def _vessel_parts() -> list[Part]:
    parts = []
    for name in trunk.VESSELS:
        is_vein = "vein" in name or "vena" in name
        paints = (
            (0.0, Tissue.BOWEL_WALL, name),
            (-0.9, Tissue.VEIN if is_vein else Tissue.ARTERY, name),
        )
        parts.append(_part(partial(trunk.vessel_distance, name), *paints))
    return parts


def _joint_parts(column: spine.Spine, gap_mm: float) -> list[Part]:
    def sacroiliac(x, y, z, is_cartilage, sign):
        ax = sign * x
        a, s = spine.sacral_local(column, y, z)
        space = np.abs(pelvis.joint_side_mm(column, ax, y, z)) - pelvis.joint_half_gap_mm(
            column, y, z, gap_mm
        )
        ends = np.maximum(-3.0 - s, s - pelvis.JOINT_END_S_MM)
        back = pelvis.joint_back_a_mm(s)
        depth = np.maximum(a - back, -16.0 - a) if is_cartilage else np.maximum(back - a, a - 24.0)
        return shapes.intersection(space, ends, depth)

    def facet(joint, root_x, x, y, z):
        ax = np.abs(x)
        peg = spine.inferior_process_distance(joint, ax, y, z)
        cup = spine.superior_process_distance(joint, ax, y, z, root_x)
        return np.maximum(peg, cup) - spine.FACET_GAP_MM - 0.2

    def interspinous(x, y, z):
        v, _, _ = spine.canal_local(column, y, z)
        deep = trunk.fascia_distance(x, y, z) + 1.5
        return shapes.intersection(np.abs(x) - 2.0, 15.0 - v, v - 42.0, -72.0 - z, deep)

    parts = [_part(interspinous, (0.0, Tissue.LIGAMENT, ""))]
    for side, sign in SIDES.items():
        ligament = partial(sacroiliac, is_cartilage=False, sign=sign)
        cartilage = partial(sacroiliac, is_cartilage=True, sign=sign)
        parts.append(_part(ligament, (0.0, Tissue.LIGAMENT, None)))
        parts.append(_part(cartilage, (0.0, Tissue.CARTILAGE, f"si_joint_{side}")))
    roots = {"L3_L4": column.vertebrae["L4"], "L4_L5": column.vertebrae["L5"], "L5_S1": None}
    for name, lower in roots.items():
        root_x = lower.pedicle_x_mm if lower else pelvis.S1_SUPERIOR_PROCESS_ROOT_X_MM
        parts.append(
            _part(partial(facet, column.facets[name], root_x), (0.0, Tissue.CARTILAGE, None))
        )
    return parts


def _disc_parts(column: spine.Spine) -> list[Part]:
    parts = []
    for name in column.discs:
        label = f"disc_{name}"
        parts.append(
            _part(partial(spine.disc_distance, column, name), (0.0, Tissue.ANNULUS, label))
        )
        parts.append(
            _part(partial(spine.nucleus_distance, column, name), (0.0, Tissue.NUCLEUS, label))
        )
    return parts


def _nerve_parts(column: spine.Spine) -> list[Part]:
    parts = [
        _part(partial(spine.canal_distance, column), (0.0, Tissue.FAT, "spinal_canal")),
        _part(
            partial(spine.thecal_sac_distance, column),
            (0.0, Tissue.LIGAMENT, "thecal_sac"),
            (-0.4, Tissue.CSF, "thecal_sac"),
        ),
        _part(partial(spine.cauda_equina_distance, column), (0.0, Tissue.NERVE, "thecal_sac")),
    ]
    for level in (*LEVELS, "S1"):
        points, radii = spine.nerve_root_line(column, level)
        for side, sign in SIDES.items():
            line = points * (sign, 1.0, 1.0)
            name = f"nerve_root_{level}_{side}"
            root = partial(shapes.tube, points=line, radii_mm=radii)
            # a sleeve of fat keeps roots visible inside muscle, as in life
            parts.append(
                _part(
                    root,
                    (0.9, Tissue.FAT, ""),
                    (0.0, Tissue.NERVE, name),
                    (-2.1, Tissue.GANGLION, name),
                )
            )
    sciatic = np.array(
        [(42.0, 14.0, -118.0), (49.0, 18.0, -133.0), (60.0, 27.0, -155.0), (67.0, 34.0, -215.0)]
    )
    for side, sign in SIDES.items():
        nerve = partial(shapes.tube, points=sciatic * (sign, 1, 1), radii_mm=(2.6, 3.6, 4.6, 4.8))
        parts.append(
            _part(nerve, (1.2, Tissue.FAT, ""), (0.0, Tissue.NERVE, f"sciatic_nerve_{side}"))
        )
    return parts


def _bone_parts(column: spine.Spine, gap_mm: float) -> list[Part]:
    def layered(name, marrow, shell_mm=1.1):
        return (0.0, Tissue.CORTEX, name), (-shell_mm, marrow, name)

    parts = [
        _part(partial(spine.vertebra_distance, column, level), *layered(level, Tissue.MARROW))
        for level in LEVELS
    ]
    sacrum = partial(pelvis.sacrum_distance, column, gap_mm=gap_mm)
    parts.append(_part(sacrum, *layered("sacrum", Tissue.MARROW_FATTY)))
    for side, sign in SIDES.items():
        ilium = _mirrored(partial(pelvis.ilium_distance, column, gap_mm=gap_mm), sign)
        parts.append(_part(ilium, *layered(f"ilium_{side}", Tissue.MARROW_FATTY, 1.4)))
    return parts


SOFT_TISSUE_LESION_MM = np.array([90.0, 30.0, -92.0])  # left gluteus medius
BONE_LESION_LOCAL_MM = (11.5, -1.0, 6.0)  # in the L5 frame, left half of the body
BONE_LESION_RADIUS_MM = 6.0


def _lesion_parts(column: spine.Spine, has_implant: bool) -> list[Part]:
    def soft(x, y, z):
        round_part = shapes.ellipsoid(x, y, z, SOFT_TISSUE_LESION_MM, (4.2, 3.9, 4.3))
        return round_part + shapes.waviness(8 * x, 8 * y, 8 * z, 21, 0.3)

    def bone(x, y, z):
        centre = column.vertebrae["L5"].pose.point(*BONE_LESION_LOCAL_MM)
        round_part = shapes.ellipsoid(x, y, z, centre, (BONE_LESION_RADIUS_MM,) * 3)
        return round_part + shapes.waviness(5 * x, 5 * y, 5 * z, 22, 0.5)

    parts = [_part(soft, (0.0, Tissue.LESION_SOFT, "lesion_soft_tissue"))]
    if not has_implant:  # the L5 screw runs where the lesion would be
        parts.append(_part(bone, (0.0, Tissue.LESION_BONE, "lesion_L5")))
    return parts
