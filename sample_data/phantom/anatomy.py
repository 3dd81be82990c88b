"""Assembly: an ordered list of painted parts, later parts lie over earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sample_data.phantom import extras, implants, nerves, pelvis, shapes, spine, trunk, upper
from sample_data.phantom.parameters import PhantomParameters
from sample_data.phantom.part import Part, make_part, mirrored
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.tissues import Tissue

SIDES = {"left": 1, "right": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The phantom patient. ``parts`` are in painting order."""

    parameters: PhantomParameters
    spine: spine.Spine | None  # None in the scenes of the limbs
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


def build_anatomy(parameters: PhantomParameters | None = None) -> Anatomy:
    """Phantom patient for the given parameters (defaults: the committed one)."""
    parameters = parameters or PhantomParameters()
    column = spine.build_spine(parameters)
    skin = make_part(
        trunk.skin_distance,
        (0.0, Tissue.SKIN, "body"),
        (-trunk.SKIN_THICKNESS_MM, Tissue.FAT, "body"),
    )
    parts = [
        skin,
        *_organ_parts(parameters.seed),
        *_muscle_parts(parameters.seed),
        *_envelope_parts(),
        *_vessel_parts(),
    ]
    scene = parameters if isinstance(parameters, ScenePatient) else None
    reaches_up = "T12" in column.vertebrae
    if reaches_up:
        parts = [upper.raised(p, column, p.paints[-1].structure or "") for p in parts]
    if scene is not None:
        parts += extras.organ_parts(scene)
    parts += [
        *_joint_parts(column, parameters.sij_gap_mm),
        *_disc_parts(column),
        *_nerve_parts(column),
        *_bone_parts(column, parameters),
        *_lesion_parts(column, parameters),
    ]
    if scene is not None:
        parts += extras.target_parts(scene, column)
        parts += upper.upper_parts(column, scene) if reaches_up else []
    if parameters.has_implant:
        parts.append(
            make_part(partial(implants.rods_distance, column), (0.0, Tissue.METAL, "rods"))
        )
        parts.append(
            make_part(partial(implants.screws_distance, column), (0.0, Tissue.METAL, "screws"))
        )
    return assembled(parameters, parts, column)


def assembled(
    parameters: PhantomParameters, parts: Sequence[Part], column: spine.Spine | None = None
) -> Anatomy:
    """Anatomy of parts in painting order; the structures are what they paint."""
    names = dict.fromkeys(
        paint.structure for part in parts for paint in part.paints if paint.structure
    )
    return Anatomy(
        parameters=parameters, spine=column, parts=tuple(parts), structure_names=tuple(names)
    )


def _envelope_parts() -> list[Part]:
    """Belly wall and fat layer: painted over organs and muscles, so they need no clipping."""
    return [
        make_part(trunk.abdominal_wall_distance, (0.0, Tissue.MUSCLE, "abdominal_wall")),
        make_part(trunk.subcutis_distance, (0.0, Tissue.FAT, None)),
        make_part(
            lambda x, y, z: np.abs(trunk.fascia_distance(x, y, z)) - 0.45, (0.0, Tissue.FASCIA, "")
        ),
    ]


def _organ_parts(seed: int) -> list[Part]:
    parts = []
    content = {"fluid": Tissue.BOWEL_FLUID, "gas": Tissue.BOWEL_FLUID, "stool": Tissue.STOOL}
    for loop in trunk.bowel_loops(seed):
        outer = (0.0, Tissue.BOWEL_WALL, "bowel")
        parts.append(
            make_part(partial(trunk.bowel_distance, loop), outer, (-2.2, content[loop[2]], "bowel"))
        )
        parts.append(make_part(partial(trunk.bowel_gas_distance, loop), (0.0, Tissue.GAS, "bowel")))
    for side, sign in SIDES.items():
        name = f"kidney_{side}"
        paints = ((0.0, Tissue.KIDNEY_CORTEX, name), (-8.0, Tissue.KIDNEY_MEDULLA, name))
        parts.append(make_part(partial(trunk.kidney_distance, sign), *paints))
    bladder = ((0.0, Tissue.BOWEL_WALL, "bladder"), (-3.0, Tissue.URINE, "bladder"))
    parts.append(make_part(trunk.bladder_distance, *bladder))
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
            parts.append(make_part(mirrored(distance, sign), *paints))
    return parts


def _vessel_parts() -> list[Part]:
    parts = []
    for name in trunk.VESSELS:
        is_vein = "vein" in name or "vena" in name
        paints = (
            (0.0, Tissue.BOWEL_WALL, name),
            (-0.9, Tissue.VEIN if is_vein else Tissue.ARTERY, name),
        )
        parts.append(make_part(partial(trunk.vessel_distance, name), *paints))
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

    parts = [make_part(interspinous, (0.0, Tissue.LIGAMENT, ""))]
    for side, sign in SIDES.items():
        ligament = partial(sacroiliac, is_cartilage=False, sign=sign)
        cartilage = partial(sacroiliac, is_cartilage=True, sign=sign)
        parts.append(make_part(ligament, (0.0, Tissue.LIGAMENT, None)))
        parts.append(make_part(cartilage, (0.0, Tissue.CARTILAGE, f"si_joint_{side}")))
    for name, joint in column.facets.items():
        root_x = spine.superior_root_x_mm(column, name)
        parts.append(make_part(partial(facet, joint, root_x), (0.0, Tissue.CARTILAGE, None)))
    return parts


def _disc_parts(column: spine.Spine) -> list[Part]:
    parts = []
    for name in column.discs:
        label = f"disc_{name}"
        parts.append(
            make_part(partial(spine.disc_distance, column, name), (0.0, Tissue.ANNULUS, label))
        )
        parts.append(
            make_part(partial(spine.nucleus_distance, column, name), (0.0, Tissue.NUCLEUS, label))
        )
    return parts


def _nerve_parts(column: spine.Spine) -> list[Part]:
    parts = [
        make_part(partial(spine.canal_distance, column), (0.0, Tissue.FAT, "spinal_canal")),
        make_part(
            partial(nerves.thecal_sac_distance, column),
            (0.0, Tissue.LIGAMENT, "thecal_sac"),
            (-0.4, Tissue.CSF, "thecal_sac"),
        ),
        make_part(partial(nerves.cauda_equina_distance, column), (0.0, Tissue.NERVE, "thecal_sac")),
    ]
    for level in (*(n for n in column.vertebrae if n != "T12"), "S1"):
        points, radii = nerves.nerve_root_line(column, level)
        for side, sign in SIDES.items():
            line = points * (sign, 1.0, 1.0)
            name = f"nerve_root_{level}_{side}"
            root = partial(shapes.tube, points=line, radii_mm=radii)
            # a sleeve of fat keeps roots visible inside muscle, as in life
            parts.append(
                make_part(
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
            make_part(nerve, (1.2, Tissue.FAT, ""), (0.0, Tissue.NERVE, f"sciatic_nerve_{side}"))
        )
    return parts


def _bone_parts(column: spine.Spine, parameters: PhantomParameters) -> list[Part]:
    def layered(name, marrow, shell_mm=1.1):
        return (0.0, Tissue.CORTEX, name), (-shell_mm, marrow, name)

    parts = [
        make_part(partial(spine.vertebra_distance, column, level), *layered(level, Tissue.MARROW))
        for level in column.vertebrae
    ]
    gap_mm = parameters.sij_gap_mm
    rise_mm = parameters.crest_rise_mm if isinstance(parameters, ScenePatient) else 0.0
    sacrum = partial(pelvis.sacrum_distance, column, gap_mm=gap_mm)
    parts.append(make_part(sacrum, *layered("sacrum", Tissue.MARROW_FATTY)))
    for side, sign in SIDES.items():
        ilium = mirrored(
            partial(pelvis.ilium_distance, column, gap_mm=gap_mm, rise_mm=rise_mm), sign
        )
        parts.append(make_part(ilium, *layered(f"ilium_{side}", Tissue.MARROW_FATTY, 1.4)))
    return parts


SOFT_TISSUE_LESION_MM = np.array([90.0, 30.0, -92.0])  # left gluteus medius
BONE_LESION_LOCAL_MM = (11.5, -1.0, 6.0)  # in the L5 frame, left half of the body
BONE_LESION_RADIUS_MM = 6.0


def bone_lesion(column: spine.Spine, parameters: PhantomParameters) -> tuple[str, np.ndarray]:
    """Vertebra with the lesion and the lesion's centre (anatomy coordinates)."""
    level = parameters.lesion_level if isinstance(parameters, ScenePatient) else "L5"
    x_mm, a_mm, h_mm = BONE_LESION_LOCAL_MM
    if level != "L5":
        x_mm = 0.42 * column.vertebrae[level].half_width_mm
    return level, column.vertebrae[level].pose.point(x_mm, a_mm, h_mm)


def _lesion_parts(column: spine.Spine, parameters: PhantomParameters) -> list[Part]:
    level, centre = bone_lesion(column, parameters)

    def soft(x, y, z):
        round_part = shapes.ellipsoid(x, y, z, SOFT_TISSUE_LESION_MM, (4.2, 3.9, 4.3))
        return round_part + shapes.waviness(8 * x, 8 * y, 8 * z, 21, 0.3)

    def bone(x, y, z):
        round_part = shapes.ellipsoid(x, y, z, centre, (BONE_LESION_RADIUS_MM,) * 3)
        return round_part + shapes.waviness(5 * x, 5 * y, 5 * z, 22, 0.5)

    parts = [make_part(soft, (0.0, Tissue.LESION_SOFT, "lesion_soft_tissue"))]
    if not parameters.has_implant:  # the L5 screw runs where the lesion would be
        parts.append(make_part(bone, (0.0, Tissue.LESION_BONE, f"lesion_{level}")))
    return parts
