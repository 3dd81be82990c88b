"""The procedures' numbers against a table of published facts, where one is at hand."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from planner.model import Protocol
from planner.protocols import load_protocol, parse_needle

FACT_OF = {
    "bone_biopsy": "bone_biopsy",
    "soft_tissue_biopsy": "soft_tissue_biopsy",
    "vertebral_biopsy_transpedicular": "vertebral_biopsy_transpedicular",
    "vertebral_biopsy_parapedicular": "vertebral_biopsy_parapedicular",
    "disc_biopsy": "disc_biopsy_discography",
    "transforaminal_epidural": "transforaminal_epidural",
    "selective_nerve_root_block": "selective_nerve_root_block",
    "sacral_nerve_root_block": "sacral_nerve_root_block",
    "si_joint_injection": "si_joint_injection",
    "facet_injection": "facet_injection",
    "facet_cryoneurotomy": "facet_cryoneurotomy_medial_branch",
    "lumbar_sympathetic_block": "lumbar_sympathetic_block",
    "coeliac_plexus_block": "celiac_plexus_block",
    "piriformis_injection": "piriformis_injection",
    "osteoid_osteoma": "osteoid_osteoma",
    "bone_cyst": "bone_cyst_sclerotherapy",
    "tumour_ablation": "tumour_ablation_multiprobe",
    "sacroplasty": "sacroplasty",
    "percutaneous_discectomy": "percutaneous_discectomy",
    "hip_arthrography": "arthrography_arthrocentesis",
    "shoulder_arthrography": "arthrography_arthrocentesis",
    "cyst_aspiration": "cyst_aspiration",
    "abscess_drainage": "abscess_drainage",
}

RULE_OF = {
    "bone_biopsy": {
        "neurovascular_bundle": "nerve vessel",
        "joint_capsule": "joint",
        "growth_plate": "growth plate",
        "uninvolved_compartment": "uninvolved",
    },
    "soft_tissue_biopsy": {
        "neurovascular_bundle": "nerve vessel",
        "joint": "joint",
        "uninvolved_compartment": "uninvolved",
    },
    "vertebral_biopsy_transpedicular": {
        "spinal_canal": "spinal_canal",
        "nerve_root": "nerve",
        "anterior_cortex": "far_wall",
        "aorta_ivc": "vessel",
    },
    "vertebral_biopsy_parapedicular": {
        "pleura": "pleura_lung",
        "spinal_canal": "spinal_canal",
        "segmental_artery": "segmental artery",
        "aorta_ivc": "vessel",
    },
    "disc_biopsy": {
        "exiting_nerve_root": "nerve",
        "thecal_sac": "spinal_canal",
        "iliac_crest": "bone",
        "facet_bone": "bone",
        "aorta_iliac": "vessel",
        "bowel_kidney": "bowel kidney",
    },
    "transforaminal_epidural": {
        "exiting_root_drg": "nerve",
        "thecal_sac": "spinal_canal",
        "foraminal_artery_anterosuperior": "vessel",
        "disc": "disc",
    },
    "sacral_nerve_root_block": {
        "ventral_foramen": "ventral foramen",
        "rectum_vessels": "bowel vessel",
        "nerve": "terminal:nerve",
    },
    "si_joint_injection": {
        "anterior_capsule_presacral": "anterior capsule",
        "sacral_foramina": "sacral foramen",
        "sciatic_superior_gluteal": "nerve",
    },
    "facet_injection": {"thecal_sac": "spinal_canal", "nerve_root": "nerve"},
    "facet_cryoneurotomy": {"ventral_ramus": "nerve", "foramen_line": "foramen"},
    "lumbar_sympathetic_block": {
        "aorta": "vessel",
        "ivc": "vessel",
        "kidney_ureter": "kidney ureter",
        "exiting_root": "nerve",
        "bowel": "bowel",
    },
    "coeliac_plexus_block": {
        "pleura": "pleura_lung",
        "kidney": "kidney",
        "aorta": "aorta",
        "ivc": "vessel",
        "spinal_canal": "spinal_canal",
        "liver": "liver",
    },
    "piriformis_injection": {
        "sciatic_nerve": "nerve",
        "superior_inferior_gluteal_vessels": "gluteal artery",
        "pelvic_bowel": "bowel",
    },
    "osteoid_osteoma": {
        "nerve_cord": "nerve spinal_canal",
        "major_vessel": "vessel",
        "growth_plate_cartilage": "growth plate joint",
    },
    "bone_cyst": {
        "growth_plate": "growth plate",
        "nv_bundle": "nerve vessel",
        "spinal_canal": "spinal_canal",
    },
    "tumour_ablation": {
        "nerve_spinal_cord": "nerve spinal_canal",
        "bowel": "bowel",
        "joint_cartilage": "joint",
    },
    "sacroplasty": {
        "sacral_foramen": "nerve",
        "anterior_cortex": "far_wall",
        "sij": "joint",
        "spinal_canal": "spinal_canal",
    },
    "hip_arthrography": {"femoral_nv_bundle": "nerve vessel", "implant": "implant"},
    "shoulder_arthrography": {"axillary_nv": "nerve vessel", "implant": "implant"},
    "cyst_aspiration": {"nerve": "nerve", "vessel": "vessel", "thecal_sac": "spinal_canal"},
    "abscess_drainage": {
        "bowel": "bowel",
        "pleura": "pleura_lung",
        "epigastric_deep_circumflex": "epigastric",
        "major_vessel": "vessel",
    },
}
"""Structure of the facts to the rule, or rules, that stand for it here."""

NOT_A_MARGIN = {"skin", "necrosis_core"}
"""Distances of a zone or of the sampled place, which no needle keeps."""
OF_THE_OTHER_JOINT = {
    "hip_arthrography": "axillary_nv",
    "shoulder_arthrography": "femoral_nv_bundle",
}
COVERED_BY_BONE = {"iliac_crest"}
HARDER_HERE = {("transforaminal_epidural", "exiting_root_drg")} | {
    ("transforaminal_epidural", name) for name in ("foraminal_artery_anterosuperior", "disc")
}
"""Soft in the facts and hard in the files: the stricter reading."""


@pytest.fixture(scope="module")
def facts() -> dict[str, dict[str, Any]]:
    data = os.environ.get("NEEDLE_PLANNER_DATA")
    file = Path(data or "none").resolve().parent / "procedure_facts.toml"
    if data is None or not file.is_file():
        pytest.skip("no table of facts beside the folder that NEEDLE_PLANNER_DATA names")
    presets = tomllib.loads(file.read_text(encoding="utf-8"))["preset"]
    by_id = {preset["id"]: preset for preset in presets}
    return {
        id_: {**by_id.get(preset.get("inherits", ""), {}), **preset}
        for id_, preset in by_id.items()
    }


def _margin(protocol: Protocol, label: str) -> tuple[float, bool]:
    if label == "far_wall":
        assert protocol.tip is not None and protocol.tip.far_wall is not None
        return protocol.tip.far_wall.value, True
    if label == "implant":
        return protocol.implant_margin.value, True
    if label == "bone":
        return protocol.bone_margin.value, True
    rules = protocol.margins
    if label.startswith("terminal:"):
        assert protocol.terminal is not None
        rules, label = protocol.terminal.margins, label.removeprefix("terminal:")
    (rule,) = [r for r in rules if r.label == label]
    return rule.margin.value, rule.hard


def test_every_fact_has_its_procedure(facts: dict[str, dict[str, Any]]) -> None:
    assert set(FACT_OF.values()) == set(facts)


@pytest.mark.parametrize("procedure", RULE_OF)
def test_margins_are_those_of_the_facts(procedure: str, facts: dict[str, dict[str, Any]]) -> None:
    protocol = load_protocol(procedure)
    for entry in facts[FACT_OF[procedure]]["avoid"]:
        name = entry["s"]
        if name in NOT_A_MARGIN or OF_THE_OTHER_JOINT.get(procedure) == name:
            continue
        labels = RULE_OF[procedure].get(name)
        if labels is None:
            assert name in COVERED_BY_BONE, name
            assert protocol.bone_margin.value >= entry["m"]
            continue
        for label in re.split(r" (?=nerve|vessel|kidney|ureter|joint|spinal_canal)", labels):
            value, is_hard = _margin(protocol, label)
            assert value == entry["m"], (name, label)
            if (procedure, name) not in HARDER_HERE and not label.startswith("terminal"):
                assert is_hard == entry["hard"], (name, label)


@pytest.mark.parametrize("procedure", FACT_OF)
def test_tolerance_angles_and_depth_are_those_of_the_facts(
    procedure: str, facts: dict[str, dict[str, Any]]
) -> None:
    protocol, fact = load_protocol(procedure), facts[FACT_OF[procedure]]
    assert protocol.tolerance.value == fact.get("tol_mm", protocol.tolerance.value)
    axial = fact.get("axial_deg", fact.get("approach_axial_deg"))
    if isinstance(axial, list) and procedure != "soft_tissue_biopsy":  # any angle at all
        assert protocol.axial_deg == tuple(axial)
    if "depth_mm" in fact:
        assert protocol.depth_mm is not None
        assert protocol.depth_mm.values == tuple(fact["depth_mm"])
    angle = fact.get("cortex_angle_deg")
    if angle is not None:
        wanted = angle["long_bone"] if isinstance(angle, dict) else angle
        found = protocol.cortex_angle_deg
        assert found is not None and [found.min_deg, found.max_deg] == wanted


@pytest.mark.parametrize("procedure", FACT_OF)
def test_needles_are_those_of_the_facts(procedure: str, facts: dict[str, dict[str, Any]]) -> None:
    entry = facts[FACT_OF[procedure]]["needle"]
    gauges = {*entry.get("gauge", []), *entry.get("outer_gauge", []), *entry.get("probe_gauge", [])}
    diameters = {parse_needle(f"{g}G-100").outer_diameter_mm for g in gauges}
    diameters |= set(entry.get("drill_mm", []))
    diameters |= {round(f / 3, 2) for f in entry.get("catheter_F", [])}
    needles = [parse_needle(name) for name in load_protocol(procedure).needles]
    assert {n.outer_diameter_mm for n in needles} == diameters


def test_levels_are_those_of_the_facts(facts: dict[str, dict[str, Any]]) -> None:
    fact = facts["vertebral_biopsy_transpedicular"]["axial_deg_by_level"]
    protocol = load_protocol("vertebral_biopsy_transpedicular")
    assert {n: a.axial_deg for n, a in protocol.levels.items()} == {
        n: tuple(v) for n, v in fact.items()
    }
    disc = load_protocol("disc_biopsy").levels
    for name, level in facts["disc_biopsy_discography"]["levels"].items():
        found = disc[f"{name[:2]}-{name[2:]}"]
        assert found.axial_deg == tuple(level["axial_deg"])
        assert found.craniocaudal_deg is not None and found.entry_lateral_mm is not None
        assert found.craniocaudal_deg[1] == level["tilt_deg"]
        assert found.entry_lateral_mm[1] == level["entry_lat_mm"]
    fact = facts["transforaminal_epidural"]["levels_axial_deg"]
    foramen = load_protocol("transforaminal_epidural")
    assert foramen.at_level("L5-S1").axial_deg == tuple(fact["L5"])
    for name in ("L1", "L4", "L1-L2", "L4-L5"):
        assert foramen.at_level(name).axial_deg == tuple(fact["L1_L4"])
    fact = facts["celiac_plexus_block"]
    coeliac = load_protocol("coeliac_plexus_block")
    for side in ("left", "right"):
        assert coeliac.at_level("L1", side).axial_deg == tuple(fact["axial_deg"][side])
        assert coeliac.levels[side].entry_lateral_mm == tuple(fact["entry_lat_mm"])
    fact = facts["lumbar_sympathetic_block"]
    sympathetic = load_protocol("lumbar_sympathetic_block").levels
    assert list(sympathetic) == fact["levels"]
    assert all(a.entry_lateral_mm == tuple(fact["entry_lat_mm"]) for a in sympathetic.values())
    s1 = facts["sacral_nerve_root_block"]["levels"]["S1"]
    sacral = load_protocol("sacral_nerve_root_block").at_level("S1")
    assert sacral.axial_deg == tuple(s1["axial_deg"])
    assert sacral.craniocaudal_deg == tuple(facts["sacral_nerve_root_block"]["tilt_deg"])


def test_a_flat_bone_is_drilled_at_a_slant(facts: dict[str, dict[str, Any]]) -> None:
    angle = load_protocol("bone_biopsy_flat").cortex_angle_deg
    assert angle is not None
    assert [angle.min_deg, angle.max_deg] == facts["bone_biopsy"]["cortex_angle_deg"]["flat_bone"]
    assert angle.evidence == "L: openradiology"


def test_other_numbers_are_those_of_the_facts(facts: dict[str, dict[str, Any]]) -> None:
    gap = load_protocol("vertebral_biopsy_transpedicular").pedicle_wall_gap
    assert gap is not None
    assert f">= {gap.value:g} mm" in facts["vertebral_biopsy_transpedicular"]["pedicle_rule"]
    si = load_protocol("si_joint_injection")
    assert si.direction == facts["si_joint_injection"]["dir"]
    assert si.corridor is not None
    depth = si.corridor.numbers["max_depth_mm"].value
    assert f"<= {depth:g} mm" in facts["si_joint_injection"]["endpoint"]
    kambin = load_protocol("percutaneous_discectomy").corridor
    assert kambin is not None
    numbers = {name: number.value for name, number in kambin.numbers.items()}
    assert numbers["max_cannula_mm"] == facts["percutaneous_discectomy"]["needle"]["cannula_mm_max"]
    limit = facts["disc_biopsy_discography"]["max_disc_obliquity_deg"]
    assert numbers["max_disc_obliquity_deg"] == limit
    foramen = load_protocol("transforaminal_epidural").corridor
    assert foramen is not None
    area = foramen.numbers["least_triangle_area_mm2"].value
    assert f"< {area:g}" in facts["transforaminal_epidural"]["warn_if"]
    nerve = load_protocol("selective_nerve_root_block").terminal
    assert nerve is not None
    (override,) = facts["selective_nerve_root_block"]["avoid_override"]
    assert nerve.margins[0].margin.value == override["m"]
    two = load_protocol("bone_cyst").two_needles
    assert two is not None
    assert f">= {two.spacing.value:g} mm" in facts["bone_cyst_sclerotherapy"]["spacing_rule"]
    throw = load_protocol("soft_tissue_biopsy").throw.value
    assert throw == max(facts["soft_tissue_biopsy"]["needle"]["throw_mm"])
