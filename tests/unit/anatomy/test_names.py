from __future__ import annotations

import pytest

from planner.anatomy.names import Label, Part, below, label_of


@pytest.mark.parametrize(
    ("name", "part", "level", "side"),
    [
        ("vertebrae_L4", Part.VERTEBRA, "L4", None),
        ("vertebrae_T12", Part.VERTEBRA, "T12", None),
        ("L4", Part.VERTEBRA, "L4", None),
        ("vertebrae_S1", Part.VERTEBRA, "S1", None),
        ("vertebrae", Part.VERTEBRA, None, None),
        ("vertebrae_body", Part.BODY, None, None),
        ("Vertebra_Corpus", Part.BODY, None, None),
        ("Vertebra_Corpus_border", Part.BODY, None, None),
        ("Arcus_Vertebrae", Part.ARCH, None, None),
        ("Spinosus_Process", Part.SPINOUS, None, None),
        ("Costal_Process_Left", Part.TRANSVERSE, None, "left"),
        ("Superior_Articular_Right", Part.SUPERIOR_ARTICULAR, None, "right"),
        ("Inferior_Articular_Left", Part.INFERIOR_ARTICULAR, None, "left"),
        ("disc_L4_L5", Part.DISC, "L4", None),
        ("disc_L5_S", Part.DISC, "L5", None),
        ("disc_L5_S1", Part.DISC, "L5", None),
        ("L4_ivd", Part.DISC, "L4", None),
        ("Vertebra_Disc", Part.DISC, None, None),
        ("intervertebral_discs", Part.DISC, None, None),
        ("sacrum", Part.SACRUM, None, None),
        ("Sacrum_Sacral_Ala_Left", Part.SACRAL_ALA, None, "left"),
        ("hip_left", Part.HIP, None, "left"),
        ("ilium_right", Part.HIP, None, "right"),
        ("Spinal Canal", Part.CANAL, None, None),
        ("spinal_cord", Part.CORD, None, None),
        ("thecal-sac", Part.SAC, None, None),
        ("si_joint_left", Part.SI_JOINT, None, "left"),
        ("femur_left", Part.FEMUR, None, "left"),
        ("piriformis_right", Part.PIRIFORMIS, None, "right"),
        ("aorta", Part.AORTA, None, None),
    ],
)
def test_names_of_the_known_tools(name, part, level, side) -> None:
    assert label_of(name) == Label(part=part, level=level, side=side)


@pytest.mark.parametrize(
    "name",
    [
        "body",  # of the patient
        "vertebra_5",  # an instance, not a level
        "disc_below_vertebra_5",
        "disc_L3_L5",  # not adjacent
        "L4_L5",
        "left",
        "rib_left_7",
        "nerve_root_L5_left",
        "kidney_cyst_left",
        "hip_left_right",
        "lesion_L5",
        "Sacrum_Endplate",
        "label_44",
        "",
    ],
)
def test_what_is_not_understood_means_nothing(name: str) -> None:
    assert label_of(name) is None


def test_the_levels_go_on_into_the_sacrum() -> None:
    assert below("T12") == "L1"
    assert below("L5") == "S1"
    assert below("S5") is None
    assert below("L6") is None
