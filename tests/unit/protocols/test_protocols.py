from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.errors import ConfigError
from planner.model import BoneRule
from planner.protocols import (
    describe_protocol,
    list_protocols,
    load_protocol,
    parse_needle,
    procedure_list,
    read_protocol,
)
from planner.protocols.loading import DATA_DIR

ORIGINAL = DATA_DIR / "si_joint_injection.toml"


def edited(folder: Path, old: str, new: str, name: str = "si_joint_injection") -> Path:
    text = ORIGINAL.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"the file no longer holds {old!r}"
    file = folder / f"{name}.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


PROCEDURES = {
    "abscess_drainage": {"bowel", "vessel"},
    "bone_biopsy": {"nerve", "vessel", "bone"},
    "bone_biopsy_flat": {"nerve", "vessel", "bone"},
    "bone_cyst": {"nerve", "vessel", "bone"},
    "coeliac_plexus_block": {"pleura_lung", "kidney", "vessel", "spinal_canal", "bone", "aorta"},
    "cyst_aspiration": {"nerve", "vessel"},
    "disc_biopsy": {"nerve", "spinal_canal", "vessel", "bone"},
    "discography": {"nerve", "spinal_canal", "vessel", "bone"},
    "epiphyseal_bar": {"nerve", "vessel", "bone", "growth plate"},
    "facet_cryoneurotomy": {"nerve", "spinal_canal", "bone"},
    "facet_injection": {"nerve", "spinal_canal", "bone"},
    "hip_arthrography": {"nerve", "vessel", "bone"},
    "lumbar_sympathetic_block": {"nerve", "vessel", "kidney", "bone"},
    "osteochondral_drilling": {"nerve", "vessel", "joint", "bone"},
    "osteoid_osteoma": {"nerve", "vessel", "bone"},
    "percutaneous_discectomy": {"nerve", "spinal_canal", "vessel", "bone"},
    "piriformis_injection": {"nerve", "bone"},
    "sacral_nerve_root_block": {"nerve", "root", "bone"},
    "sacroplasty": {"nerve", "root", "spinal_canal", "bone"},
    "selective_nerve_root_block": {"nerve", "spinal_canal", "bone"},
    "shoulder_arthrography": {"nerve", "vessel", "bone"},
    "si_joint_injection": {"nerve", "bone"},
    "soft_tissue_biopsy": {"nerve", "vessel"},
    "soft_tissue_fine_needle": {"nerve", "vessel"},
    "transforaminal_epidural": {"nerve", "spinal_canal", "bone"},
    "transforaminal_infraneural": {"nerve", "spinal_canal", "bone"},
    "tumour_ablation": {"nerve", "vessel", "bone"},
    "vertebral_biopsy_parapedicular": {"pleura_lung", "nerve", "spinal_canal", "vessel", "bone"},
    "vertebral_biopsy_transpedicular": {"nerve", "spinal_canal", "vessel", "bone"},
}
"""Every procedure, with the masks that it cannot do without."""


def test_these_procedures_are_there_and_no_other() -> None:
    assert set(list_protocols()) == set(PROCEDURES)


@pytest.mark.parametrize("procedure", list_protocols())
def test_every_procedure_loads_with_sound_numbers(procedure: str) -> None:
    protocol = load_protocol(procedure)
    assert protocol.id == procedure
    assert re.fullmatch("[0-9a-f]{64}", protocol.sha256)
    assert [parse_needle(name).name for name in protocol.needles] == list(protocol.needles)
    assert protocol.family
    assert protocol.positions
    assert protocol.targets
    assert protocol.target_definition
    assert protocol.length_reserve.value > 0
    nerve = protocol.margin_rule("nerve")
    assert nerve is not None and nerve.hard
    assert nerve.margin.value > 0
    assert protocol.default_margin.value > 0
    assert protocol.implant_margin.value > 0
    largest = max(rule.margin.value for rule in protocol.margins)
    assert protocol.clear_at.value >= largest


@pytest.mark.parametrize(("procedure", "required"), PROCEDURES.items())
def test_the_classes_whose_masks_a_procedure_cannot_do_without(
    procedure: str, required: set[str]
) -> None:
    protocol = load_protocol(procedure)
    assert {r.label for r in protocol.margins if r.required} == required


def test_bone_is_crossed_only_where_bone_is_the_way_in() -> None:
    rules = {name: load_protocol(name).bone for name in list_protocols()}
    assert rules["vertebral_biopsy_transpedicular"] is BoneRule.THROUGH_PEDICLE
    assert rules["si_joint_injection"] is BoneRule.FORBIDDEN
    assert rules["transforaminal_epidural"] is BoneRule.FORBIDDEN
    assert rules["soft_tissue_biopsy"] is BoneRule.FORBIDDEN
    assert {name for name, rule in rules.items() if rule.may_be_crossed} == {
        "bone_biopsy",
        "bone_biopsy_flat",
        "bone_cyst",
        "epiphyseal_bar",
        "osteochondral_drilling",
        "osteoid_osteoma",
        "sacroplasty",
        "tumour_ablation",
        "vertebral_biopsy_parapedicular",
        "vertebral_biopsy_transpedicular",
    }


def test_the_list_is_by_family_and_names_every_procedure_once() -> None:
    text = procedure_list([read_protocol(name) for name in list_protocols()])
    words = text.split()
    assert all(words.count(name) == 1 for name in list_protocols())
    heads = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert heads == ["ABLATION", "BIOPSY", "BONE AND DISC", "DRAINAGE", "INJECTION"]


def test_a_core_biopsy_is_planned_for_the_longest_usual_throw() -> None:
    assert load_protocol("soft_tissue_biopsy").throw.value == 20.0


def _tables(value: object, way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield way, value
        for key, inner in value.items():
            yield from _tables(inner, f"{way}.{key}")


@pytest.mark.parametrize("procedure", list_protocols())
def test_every_number_in_a_file_stands_beside_its_evidence(procedure: str) -> None:
    """Whatever the schema says: no table of a file has a number without a tag in it."""
    file = DATA_DIR / f"{procedure}.toml"
    for way, table in _tables(tomllib.loads(file.read_text(encoding="utf-8"))):
        numbers = [k for k, v in table.items() if type(v) in (int, float)]
        if numbers:
            assert re.match(r"[LMCE](: \S|$)", table.get("evidence", "")), f"{way}: {numbers}"


@pytest.mark.parametrize("procedure", list_protocols())
def test_the_description_shows_every_number_with_its_evidence(procedure: str) -> None:
    """Every table with evidence is found in the text: its numbers, then its tag."""
    record = read_protocol(procedure)
    text = " ".join(describe_protocol(load_protocol(procedure), record.parents).split())
    assert record.sha256 in text
    assert "Research use only" in text
    for way, table in _tables(record.content.model_dump(mode="json", by_alias=True)):
        evidence = table.get("evidence")
        if evidence is None or way.startswith(".bone.margin_mm"):
            continue
        values = [v for v in table.values() if type(v) in (int, float)]
        places = [m.start() for m in re.finditer(re.escape(evidence) + r"[\];]", text)]
        near = [text[max(0, at - 400) : at] for at in places]
        assert any(all(f"{abs(v):g}" in part for v in values) for part in near), (way, table)


@pytest.mark.parametrize("procedure", list_protocols())
def test_the_description_shows_every_margin_with_its_evidence(procedure: str) -> None:
    protocol = load_protocol(procedure)
    lines = describe_protocol(protocol).splitlines()
    for rule in protocol.margins:
        if rule.structure_class == "bone" and not rule.name_words:
            continue
        name = rule.label.replace("_", " ") + (" *" if rule.required else "")
        own = [line for line in lines if line.startswith(f"  {name:<28}{rule.margin.value:g} mm")]
        assert any(line.endswith(f"[{rule.margin.evidence}]") for line in own), rule
        assert any(("soft" in line) != rule.hard for line in own), rule


def test_a_file_of_the_user_is_read_by_path_and_by_folder(tmp_path: Path) -> None:
    file = edited(tmp_path, "nerve = {value = 10.0", "nerve = {value = 12.0")
    for protocol in (
        load_protocol(file),
        load_protocol(str(file)),
        load_protocol("si_joint_injection", tmp_path),
    ):
        rule = protocol.margin_rule("nerve")
        assert rule is not None and rule.margin.value == 12.0
        assert protocol.sha256 != load_protocol("si_joint_injection").sha256
    assert load_protocol("soft_tissue_biopsy", tmp_path).id == "soft_tissue_biopsy"


def test_an_unknown_procedure_names_the_closest_one() -> None:
    with pytest.raises(ConfigError, match=r"no procedure 'si_joint'.*'si_joint_injection'"):
        load_protocol("si_joint")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("tolerance_mm", "tolerence_mm", r"unknown key 'target_tolerence_mm'.*target_tolerance_mm"),
        ("nerve =", "nerv =", r"'margins_mm\.nerv' has an unknown value.*'nerve'"),
        ("clearance = 1.0", "clearence = 1.0", r"unknown key 'weights\.clearence'.*'clearance'"),
        ("required = true", "requierd = true", r"'bone\.requierd'.*'required'"),
        ("throw_mm =", "#", "'throw_mm' is missing"),
        (
            'value = 10.0, evidence = "E"',
            "value = 10.0",
            r"'margins_mm\.nerve\.evidence' is missing",
        ),
        ('value = 10.0, evidence = "E"', 'value = 10.0, evidence = "X"', "evidence' is not valid"),
        ("nerve = {value = 10.0", "nerve = {value = -1.0", "nerve.value' is not valid"),
        ("nerve = {value = 10.0", "nerve = {value = nan", "nerve.value' is not valid"),
        ("nerve = {value = 10.0", "nerve = {value = '10'", "nerve.value' is not valid"),
        ("preferred = 15.0", "preferred = 45.0", "must not decrease"),
        ("min = 0.0", "min = -5.0", "unsigned"),
        ('side = "posterior"', 'side = "posteror"', r"Did you mean 'posterior'\?"),
        ('"22G-90"', '"7G-90"', "gauge 7G is not in the catalogue"),
        ('id = "si_joint_injection"', 'id = "other"', "named by its id"),
        ('"needle-protocol/1"', '"needle-protocol/2"', "needle-protocol/1"),
    ],
)
def test_a_faulty_file_is_refused_with_file_and_key(
    tmp_path: Path, old: str, new: str, match: str
) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        load_protocol(edited(tmp_path, old, new))
    assert "si_joint_injection.toml" in str(caught.value)


def test_a_missing_file_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_protocol(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="does not exist"):
        list_protocols(tmp_path / "none")
