"""What an expert expects of every procedure on the phantom, and where it cannot be done.

``EXPECTATIONS[procedure]`` names a scene, a target, the structures that a planner is given, the
entry side, angles and depth of a path that an expert would take, and a variant of the patient
in which no such path is left. ``phantom_paths`` finds such paths without
the planner's search.

Angles as the planner reports them: axial positive when the tip points to the patient's left,
craniocaudal positive when it points to the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.model import StructureSet
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scenes import UPPER_LEVELS, SceneScan
from tests.phantom_scenes import (
    SCAN,
    Scene,
    hip_scene,
    limb_scene,
    lumbar_scene,
    pelvis_scene,
    scene_structures,
    shoulder_scene,
    upper_lumbar_scene,
)

Range = tuple[float, float]
SUBREGIONS = (
    "Vertebra_Corpus", "Arcus_Vertebrae", "Spinosus_Process", "Costal_Process_*",
    "Superior_Articular_*", "Inferior_Articular_*",
)  # fmt: skip
BONES = ("vertebrae_*", "sacrum", "hip_left", "hip_right", "rib_*")
_LUMBAR: dict[str, Any] = {}
_UPPER: dict[str, Any] = {"levels": UPPER_LEVELS, "lesion_level": "L1"}
_LIMB: dict[str, Any] = {"origin_lps_mm": (60.0, -20.0, 400.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One procedure on one scene.

    Attributes
    ----------
    make : callable (ScenePatient, SceneScan) -> Scene
    patient : mapping, arguments of ScenePatient
    target : str, what a planner is asked for: ``"anatomy:..."`` or ``"structure:..."``
    truth : str, key of the scene's ``truth.targets``
    entry : tuple of words, where the entry lies: posterior or anterior of the tip; left or
        right of the patient's midline; lateral or medial of the tip
    axial_deg, craniocaudal_deg, depth_mm : what an expert would accept, depth entry to tip
    margins_mm : structure name or pattern to the clearance that the path keeps, all its length
    bone_last_mm : own bone (``own_bone``) may be crossed this far before the tip; inf: anywhere
    tip_along_mm : tips from so far before to so far beyond the true centre, along its axis
    tip_radius_mm : and so far sideways
    inside : name of the mask that the tip must lie in, or None
    through : the path runs through this target (``"pedicle:L5:left"``) with ``wall_gap_mm``
    withheld : names or patterns a planner is not given: no tool draws them, or they are targets
    roles : role by name where the name alone does not say it
    needle_mm : outer diameter
    blocked_patient : changes to ``patient`` that leave no path, or None where only missing
        knowledge stops the procedure
    blocked_target : another target for the variant, or None
    blocked_by : words, what stands in the way
    control_patient : changes that open ``blocked_target``, where that is another target
    blocked_words : what the explanation must name
    blocked_case : of the two patients, the one in which the variant leaves no path
    unknown_without : patterns; a planner that is not given these must not say pass
    """

    make: Callable[[ScenePatient, SceneScan], Scene]
    target: str
    truth: str
    entry: tuple[str, ...]
    axial_deg: Range
    craniocaudal_deg: Range
    depth_mm: Range
    margins_mm: Mapping[str, float]
    patient: Mapping[str, Any] = field(default_factory=dict)
    own_bone: tuple[str, ...] = ()
    bone_last_mm: float = 0.0
    bone_margin_mm: float = 0.3
    tip_along_mm: Range = (0.0, 0.0)
    tip_radius_mm: float = 0.0
    inside: str | None = None
    through: str | None = None
    wall_gap_mm: float = 1.5
    withheld: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    needle_mm: float = 0.72
    blocked_patient: Mapping[str, Any] | None = None
    control_patient: Mapping[str, Any] | None = None
    blocked_target: tuple[str, str] | None = None
    blocked_by: str = ""
    blocked_words: str = ""
    blocked_case: str = "large"
    unknown_without: tuple[str, ...] = ("nerve_root_*",)

    def scene(self, scan: SceneScan = SCAN, **changes: Any) -> Scene:
        """The scene; ``changes`` to the patient, such as ``scale=0.9``."""
        return self.make(ScenePatient(**{**self.patient, **changes}), scan)

    def blocked_scene(self, scan: SceneScan = SCAN, **changes: Any) -> Scene:
        """The scene of the variant that leaves no path."""
        if self.blocked_patient is None:
            raise ValueError("this procedure has no blocked variant, only missing knowledge")
        return self.scene(scan, **{**self.blocked_patient, **changes})

    def structures(self, scene: Scene, without: tuple[str, ...] = ()) -> StructureSet:
        """What a planner is given."""
        return scene_structures(scene, without=(*self.withheld, *without), roles=self.roles)


_TRUNK_MARGINS = {
    "nerve_root_*": 1.5, "thecal_sac": 3.0, "aorta": 5.0, "inferior_vena_cava": 5.0,
    "iliac_*": 5.0, "gluteal_*": 3.0, "bowel": 10.0, "kidney_*": 5.0, "urinary_bladder": 5.0,
}  # fmt: skip
_LIMB_MARGINS = {"femoral_*": 10.0, "sciatic_nerve_left": 10.0}
_CARTILAGE = {"joint_cartilage": 1.0, "growth_plate": 1.0}
_FORAMEN = {
    "make": lumbar_scene,
    "target": "anatomy:foramen:L4-L5:left",
    "truth": "foramen:L4-L5:left",
    "entry": ("posterior", "left", "lateral"),
    "axial_deg": (-35.0, -15.0),
    "craniocaudal_deg": (-15.0, 15.0),
    "depth_mm": (45.0, 110.0),
    "tip_radius_mm": 8.0,
    "blocked_patient": {"has_fusion_mass": True},
    "blocked_by": "bone of a posterolateral fusion over the foramen",
}
_DISC = {
    "make": lumbar_scene,
    "target": "anatomy:disc:L4-L5",
    "truth": "disc:L4-L5",
    "entry": ("posterior", "right", "lateral"),
    "axial_deg": (37.0, 57.0),
    "craniocaudal_deg": (-25.0, 5.0),
    "depth_mm": (90.0, 170.0),
    "margins_mm": {**_TRUNK_MARGINS, "nerve_root_*": 2.0},
    "tip_radius_mm": 6.0,
    "withheld": ("disc_L4_L5", "disc_L5_S"),
    "blocked_patient": {"crest_rise_mm": 55.0, "l5_s1_extra_tilt_deg": -20.0},
    "control_patient": {"crest_rise_mm": -60.0, "l5_s1_extra_tilt_deg": -20.0},
    "blocked_target": ("anatomy:disc:L5-S1", "disc:L5-S1"),
    "blocked_by": "iliac crest in front of the L5-S1 disc",
    "blocked_words": "hip_",
}
_THIGH = {
    "make": limb_scene,
    "patient": _LIMB,
    "craniocaudal_deg": (-20.0, 20.0),
    "own_bone": ("femur_left",),
    "bone_last_mm": np.inf,
    "blocked_patient": {"bundle_over_target": True},
    "blocked_by": "vessels all around the femur",
    "unknown_without": ("femoral_*", "sciatic_nerve_left"),
}
_COMPARTMENTS = {"thigh_posterior_compartment_left": 0.0, "thigh_medial_compartment_left": 0.0}
_COMPARTMENT_ROLES = dict.fromkeys(_COMPARTMENTS, "avoid:0")  # the tumour has spared them
_TUMOUR = {
    **_THIGH,
    "target": "structure:soft_tissue_tumour",
    "truth": "soft_tissue_tumour",
    "entry": ("left", "lateral"),
    "axial_deg": (-90.0, -30.0),
    "depth_mm": (15.0, 90.0),
    "inside": "soft_tissue_tumour",
    "tip_radius_mm": 2.5,
    "own_bone": (),
    "bone_last_mm": 0.0,
    "roles": _COMPARTMENT_ROLES,
    "blocked_patient": {"thigh_wrap": True},
    "blocked_by": "the posterior compartment wraps around the tumour's",
}

EXPECTATIONS: dict[str, Expectation] = {
    "si_joint_injection": Expectation(
        make=pelvis_scene,
        target="anatomy:si_joint:left",
        truth="si_joint:left",
        entry=("posterior", "left", "medial"),
        axial_deg=(0.0, 30.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(30.0, 100.0),
        margins_mm={**_TRUNK_MARGINS, "sciatic_nerve_*": 5.0, "nerve_root_*": 4.0},
        tip_along_mm=(-6.0, 0.0),
        bone_margin_mm=0.0,
        withheld=("si_joint_*",),
        blocked_patient={"sij_gap_mm": 0.2},
        blocked_by="a joint that is fused",
        unknown_without=("sacrum", "hip_*"),
    ),
    "sacral_nerve_root_block": Expectation(
        make=pelvis_scene,
        target="anatomy:s1_foramen:left",
        truth="s1_foramen:left",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-46.0, -12.0),
        craniocaudal_deg=(-30.0, 30.0),
        depth_mm=(25.0, 90.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 1.0},
        tip_along_mm=(0.0, 8.0),
        tip_radius_mm=2.0,
        blocked_patient={"has_sealed_sacrum": True},
        blocked_by="bone over the dorsal foramen",
    ),
    "piriformis_injection": Expectation(
        make=pelvis_scene,
        target="anatomy:piriformis:left",
        truth="piriformis:left",
        entry=("posterior", "left"),
        axial_deg=(-30.0, 30.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(40.0, 120.0),
        margins_mm={**_TRUNK_MARGINS, "sciatic_nerve_*": 5.0},
        inside="piriformis_left",
        tip_radius_mm=5.0,
        blocked_patient={"has_gluteal_varix": True},
        blocked_by="gluteal veins behind the muscle",
        unknown_without=("sciatic_nerve_*", "nerve_root_*"),
    ),
    "sacroplasty": Expectation(
        make=pelvis_scene,
        target="anatomy:sacral_ala:left",
        truth="sacral_ala:left",
        entry=("posterior", "left"),
        axial_deg=(-30.0, 35.0),
        craniocaudal_deg=(-35.0, 35.0),
        depth_mm=(35.0, 110.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 4.0, "spinal_canal": 4.0},
        own_bone=("sacrum",),
        bone_last_mm=np.inf,
        tip_radius_mm=4.0,
        needle_mm=2.4,
        withheld=("si_joint_*",),
        blocked_patient={"has_gluteal_varix": True},
        blocked_by="gluteal veins behind the ala",
    ),
    "transforaminal_epidural": Expectation(**_FORAMEN, margins_mm=_TRUNK_MARGINS),
    "transforaminal_infraneural": Expectation(**_FORAMEN, margins_mm=_TRUNK_MARGINS),
    "selective_nerve_root_block": Expectation(
        **_FORAMEN, margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 1.0}
    ),
    "disc_biopsy": Expectation(**_DISC, needle_mm=1.27),
    "discography": Expectation(**_DISC, needle_mm=0.72),
    "percutaneous_discectomy": Expectation(**_DISC, needle_mm=1.47),
    "facet_injection": Expectation(
        make=lumbar_scene,
        target="anatomy:facet:L4-L5:left",
        truth="facet:L4-L5:left",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-50.0, -20.0),
        craniocaudal_deg=(-20.0, 20.0),
        depth_mm=(25.0, 100.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 4.0, "thecal_sac": 5.0},
        bone_margin_mm=0.0,
        tip_along_mm=(-10.0, 0.0),
        tip_radius_mm=2.5,
        blocked_patient={"has_fusion_mass": True},
        blocked_by="bone behind the joint",
    ),
    "facet_cryoneurotomy": Expectation(
        make=lumbar_scene,
        target="anatomy:medial_branch:L4:left",
        truth="medial_branch:L4:left",
        entry=("posterior", "left"),
        axial_deg=(-35.0, 0.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(30.0, 100.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 5.0},
        own_bone=("vertebrae_L4",),
        bone_last_mm=3.0,
        blocked_patient={"has_fusion_mass": True},
        blocked_by="bone of a fusion over the transverse process",
        tip_radius_mm=2.5,
        needle_mm=1.63,
    ),
    "lumbar_sympathetic_block": Expectation(
        make=lumbar_scene,
        target="anatomy:sympathetic:L3:left",
        truth="sympathetic:L3:left",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-48.0, -22.0),
        craniocaudal_deg=(-20.0, 20.0),
        depth_mm=(80.0, 180.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 3.0},
        tip_radius_mm=3.0,
        blocked_patient={"has_bowel_behind": True},
        blocked_by="colon behind the psoas",
        unknown_without=("aorta", "inferior_vena_cava", "nerve_root_*"),
    ),
    "coeliac_plexus_block": Expectation(
        make=upper_lumbar_scene,
        patient=_UPPER,
        target="anatomy:coeliac:left",
        truth="coeliac:left",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-38.0, -20.0),
        craniocaudal_deg=(-10.0, 30.0),
        depth_mm=(85.0, 160.0),
        margins_mm={
            "aorta": 3.0, "inferior_vena_cava": 5.0, "kidney_*": 5.0, "lung_*": 10.0,
            "spinal_canal": 10.0, "liver": 5.0, "bowel": 10.0, "nerve_root_*": 2.0,
            "coeliac_artery": 3.0,
        },
        tip_radius_mm=4.0,
        blocked_patient={"pleura_drop_mm": 60.0},
        blocked_by="pleura that reaches down to L2",
        unknown_without=("lung_*",),
    ),
    "vertebral_biopsy_transpedicular": Expectation(
        make=lumbar_scene,
        target="structure:lesion_L5",
        truth="lesion_L5",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-37.0, -20.0),
        craniocaudal_deg=(-25.0, 10.0),
        depth_mm=(60.0, 125.0),
        margins_mm={**_TRUNK_MARGINS, "spinal_canal": 2.0, "nerve_root_*": 2.0},
        own_bone=("vertebrae_L5",),
        bone_last_mm=np.inf,
        through="pedicle:L5:left",
        inside="lesion_L5",
        tip_radius_mm=4.0,
        needle_mm=3.05,
        blocked_patient={"pedicle_width_factor": 0.3},
        blocked_by="a pedicle of 5.4 mm for a needle of 3.05 mm and 1.5 mm on each side",
        unknown_without=("spinal_canal", "thecal_sac"),
    ),
    "vertebral_biopsy_parapedicular": Expectation(
        make=upper_lumbar_scene,
        patient=_UPPER,
        target="structure:lesion_L1",
        truth="lesion_L1",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-60.0, -30.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(55.0, 140.0),
        margins_mm={
            "aorta": 10.0, "inferior_vena_cava": 10.0, "kidney_*": 5.0, "lung_*": 5.0,
            "spinal_canal": 3.0, "bowel": 10.0, "nerve_root_*": 2.0,
        },
        own_bone=("vertebrae_L1",),
        bone_last_mm=26.0,
        inside="lesion_L1",
        tip_radius_mm=4.0,
        needle_mm=2.4,
        blocked_patient={"pleura_drop_mm": 95.0},
        blocked_by="pleura that reaches down to L2",
        unknown_without=("lung_*",),
    ),
    "cyst_aspiration": Expectation(
        make=lumbar_scene,
        target="structure:paraspinal_cyst",
        truth="paraspinal_cyst",
        entry=("posterior", "right"),
        axial_deg=(-30.0, 40.0),
        craniocaudal_deg=(-20.0, 20.0),
        depth_mm=(15.0, 70.0),
        margins_mm={**_TRUNK_MARGINS, "nerve_root_*": 2.0},
        inside="paraspinal_cyst",
        tip_radius_mm=2.0,
        needle_mm=1.27,
        roles={"paraspinal_cyst": "target"},
        blocked_patient={"has_bone_behind_cyst": True},
        blocked_by="a plate of bone over the cyst",
    ),
    "abscess_drainage": Expectation(
        make=lumbar_scene,
        target="structure:abscess",
        truth="abscess",
        entry=("posterior", "left", "lateral"),
        axial_deg=(-60.0, -5.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(50.0, 130.0),
        margins_mm=_TRUNK_MARGINS,
        inside="abscess",
        tip_radius_mm=5.0,
        needle_mm=1.27,
        roles={"abscess": "target"},
        blocked_patient={"has_bowel_behind": True},
        blocked_by="colon behind the abscess",
        unknown_without=("bowel",),
    ),
    "bone_biopsy": Expectation(
        **_THIGH,
        target="structure:bone_lesion",
        truth="bone_lesion",
        entry=("left",),
        axial_deg=(-90.0, 20.0),
        depth_mm=(40.0, 110.0),
        inside="bone_lesion",
        tip_radius_mm=3.0,
        margins_mm={**_LIMB_MARGINS, **_COMPARTMENTS},
        roles=_COMPARTMENT_ROLES,
        needle_mm=3.05,
    ),
    "osteoid_osteoma": Expectation(
        **_THIGH,
        target="structure:nidus",
        truth="nidus",
        entry=("left", "lateral"),
        axial_deg=(-90.0, -20.0),
        depth_mm=(35.0, 110.0),
        margins_mm=_LIMB_MARGINS,
        needle_mm=2.0,
    ),
    "bone_cyst": Expectation(
        **_THIGH,
        target="structure:bone_cyst",
        truth="bone_cyst",
        entry=("left", "lateral"),
        axial_deg=(-90.0, -20.0),
        depth_mm=(30.0, 100.0),
        inside="bone_cyst",
        tip_radius_mm=4.0,
        margins_mm={**_LIMB_MARGINS, "growth_plate": 5.0},
        roles={"bone_cyst": "target"},
        needle_mm=1.63,
    ),
    "epiphyseal_bar": Expectation(
        **_THIGH,
        target="structure:physeal_bar",
        truth="physeal_bar",
        entry=("left", "medial"),
        axial_deg=(20.0, 90.0),
        depth_mm=(15.0, 90.0),
        margins_mm={**_LIMB_MARGINS, "joint_cartilage": 2.0, "growth_plate": 1.0},
        tip_radius_mm=2.5,
        roles={"physeal_bar": "target"},
        needle_mm=3.0,
    ),
    "osteochondral_drilling": Expectation(
        **_THIGH,
        target="structure:osteochondral_lesion",
        truth="osteochondral_lesion",
        entry=("left", "medial"),
        axial_deg=(20.0, 90.0),
        depth_mm=(15.0, 80.0),
        margins_mm={**_LIMB_MARGINS, **_CARTILAGE},
        tip_along_mm=(0.0, 0.0),
        inside="osteochondral_lesion",
        tip_radius_mm=4.0,
        roles={"osteochondral_lesion": "target"},
        needle_mm=2.0,
    ),
    "soft_tissue_biopsy": Expectation(
        **_TUMOUR, margins_mm={**_LIMB_MARGINS, **_COMPARTMENTS, "femur_left": 1.0}, needle_mm=1.27
    ),
    "soft_tissue_fine_needle": Expectation(
        **_TUMOUR, margins_mm={**_LIMB_MARGINS, **_COMPARTMENTS, "femur_left": 1.0}, needle_mm=0.72
    ),
    "tumour_ablation": Expectation(
        **_TUMOUR, margins_mm={**_LIMB_MARGINS, **_COMPARTMENTS, "femur_left": 1.0}, needle_mm=1.47
    ),
    "hip_arthrography": Expectation(
        make=hip_scene,
        patient=_LIMB,
        target="anatomy:hip:left",
        truth="hip:left",
        entry=("anterior", "left"),
        axial_deg=(-30.0, 8.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(35.0, 110.0),
        margins_mm={"femoral_*": 20.0, "hip_left": 1.0},
        own_bone=("femur_left",),
        bone_last_mm=3.0,
        withheld=("hip_joint_cartilage_left",),
        blocked_patient={"bundle_over_target": True},
        blocked_by="femoral bundle in front of the neck",
        unknown_without=("femoral_*",),
    ),
    "shoulder_arthrography": Expectation(
        make=shoulder_scene,
        patient=_LIMB,
        target="anatomy:shoulder:left",
        truth="shoulder:left",
        entry=("anterior", "left"),
        axial_deg=(-25.0, 25.0),
        craniocaudal_deg=(-25.0, 25.0),
        depth_mm=(20.0, 90.0),
        margins_mm={
            "axillary_*": 15.0, "brachial_plexus_left": 15.0, "lung_*": 10.0,
            "scapula_left": 1.0, "clavicula_left": 1.0,
        },
        own_bone=("humerus_left",),
        bone_last_mm=3.0,
        blocked_patient={"bundle_over_target": True},
        blocked_by="axillary artery in front of the rotator interval",
        blocked_case="small",
        unknown_without=("axillary_*", "brachial_plexus_left"),
    ),
}  # fmt: skip
"""Procedure id to its expectation."""
