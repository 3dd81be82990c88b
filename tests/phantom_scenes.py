"""Scenes of the phantom as the planner takes them: volume, masks and truth.

Every function gives a `Scene`, which unpacks as ``volume, masks, truth = lumbar_scene()``.
Scenes are kept between tests: their arrays are read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from planner.geometry import FrameId, Grid, ImageSource, Mask, PatientPosition, Volume
from planner.io.label_names import meaning_of_name
from planner.io.roles import role_and_margin
from planner.model import MaskSource, Structure, StructureRole, StructureSet
from sample_data.phantom.hip import hip_targets
from sample_data.phantom.limb import limb_targets
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scene_truth import TargetTruth, trunk_targets
from sample_data.phantom.scenes import UPPER_LEVELS, SceneImage, SceneScan, trunk_scene
from sample_data.phantom.scenes import limb_scene as limb_scene_image
from sample_data.phantom.shoulder import shoulder_targets

FRAME = FrameId("1.2.826.0.1.3680043.8.498.5", "phantom scene")
SCAN = SceneScan()
LUMBAR = ScenePatient()
LIMB = ScenePatient(origin_lps_mm=(60.0, -20.0, 400.0))
UPPER = ScenePatient(levels=UPPER_LEVELS, lesion_level="L1")

_LATERAL_MM = {"limb": 100.0, "hip": 82.0, "shoulder": 165.0}  # origin left of the midline
_LIMB_TARGETS = {"limb": limb_targets, "hip": hip_targets, "shoulder": shoulder_targets}


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTruth:
    """What is known of a scene. ``targets`` by the text that asks for them; LPS mm."""

    targets: Mapping[str, TargetTruth]
    midline_x_mm: float
    image: SceneImage

    def distance_mm(self, structure: str, points_lps_mm: np.ndarray) -> np.ndarray:
        """Analytic distance to a structure by its phantom name (``"L4"``, ``"ilium_left"``)."""
        return self.image.anatomy.distance_mm(structure, points_lps_mm)


class Scene(NamedTuple):
    """Image, masks by name (every one on the image grid), and truth."""

    volume: Volume
    masks: dict[str, Mask]
    truth: SceneTruth


@lru_cache(maxsize=8)
def lumbar_scene(patient: ScenePatient = LUMBAR, scan: SceneScan = SCAN) -> Scene:
    """L3 to S1 with the iliac crests, kidneys' lower poles, psoas abscess, paraspinal cyst."""
    return _trunk("lumbar", patient, scan)


@lru_cache(maxsize=6)
def pelvis_scene(patient: ScenePatient = LUMBAR, scan: SceneScan = SCAN) -> Scene:
    """Sacrum, joints and sciatic notches, prone."""
    return _trunk("pelvis", patient, scan)


@lru_cache(maxsize=6)
def upper_lumbar_scene(patient: ScenePatient = UPPER, scan: SceneScan = SCAN) -> Scene:
    """T12 to L2 with pleura, twelfth ribs, cord and coeliac artery, prone."""
    return _trunk("upper_lumbar", patient, scan)


@lru_cache(maxsize=4)
def limb_scene(patient: ScenePatient = LIMB, scan: SceneScan = SCAN) -> Scene:
    """Left thigh, supine: femur with lesions, growth plate, compartments, bundle, tumour."""
    return _limb("limb", patient, scan)


@lru_cache(maxsize=4)
def hip_scene(patient: ScenePatient = LIMB, scan: SceneScan = SCAN) -> Scene:
    """Left hip, supine: femoral head and neck, acetabulum, femoral vessels and nerve."""
    return _limb("hip", patient, scan)


@lru_cache(maxsize=4)
def shoulder_scene(patient: ScenePatient = LIMB, scan: SceneScan = SCAN) -> Scene:
    """Left shoulder, supine: humerus, scapula, coracoid, axillary bundle, lung."""
    return _limb("shoulder", patient, scan)


def _limb(view: str, patient: ScenePatient, scan: SceneScan) -> Scene:
    image = limb_scene_image(view, patient, scan)
    return _scene(image, _LIMB_TARGETS[view](image.anatomy), PatientPosition.HFS)


def _trunk(view: str, patient: ScenePatient, scan: SceneScan) -> Scene:
    image = trunk_scene(view, patient, scan)
    targets = trunk_targets(image.anatomy)
    return _scene(image, targets, PatientPosition.HFP)


def _scene(
    image: SceneImage, targets: Mapping[str, TargetTruth], position: PatientPosition
) -> Scene:
    grid = Grid(shape_kji=image.grid.shape_kji, lps_from_kji=image.grid.lps_from_kji, frame=FRAME)
    source = ImageSource(
        modality="MR",
        series_instance_uid=f"{FRAME.uid}.{sum(image.name.encode())}",
        patient_position=position,
    )
    shown = {name: t for name, t in targets.items() if grid.contains(t.centre_lps_mm, inset_mm=3.0)}
    parameters = image.anatomy.parameters
    middle_mm = parameters.origin_lps_mm[0] - _LATERAL_MM.get(image.name, 0.0) * parameters.scale
    truth = SceneTruth(targets=shown, midline_x_mm=middle_mm, image=image)
    masks = {name: Mask(grid=grid, inside=inside) for name, inside in image.masks.items()}
    return Scene(Volume(grid=grid, values=image.values, source=source), masks, truth)


def scene_structures(
    scene: Scene,
    *,
    without: Iterable[str] = (),
    roles: Mapping[str, str] | None = None,
) -> StructureSet:
    """The scene's masks as structures, with the role that their name means to the planner.

    ``without``: names or patterns (``"nerve_root_*"``) that are left out. ``roles``: what the
    user says of a name (``"target"``, ``"avoid:0"``); names that mean nothing are avoided.
    """
    chosen = dict(roles or {})
    left_out = tuple(without)
    structures = []
    for name, mask in scene.masks.items():
        if any(fnmatchcase(name, pattern) for pattern in left_out):
            continue
        meaning = meaning_of_name(name)
        structure = Structure(
            name=name,
            role=meaning.role if meaning else StructureRole.AVOID,
            mask=mask,
            source=MaskSource(file=f"{name}.nrrd", grid=mask.grid),
            structure_class=meaning.structure_class if meaning else None,
        )
        if name in chosen:
            structure = structure.with_role(*role_and_margin(chosen[name], where=name))
        structures.append(structure)
    return StructureSet(grid=scene.volume.grid, structures=tuple(structures))
