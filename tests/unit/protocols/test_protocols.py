from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from planner.errors import ConfigError
from planner.model import BoneRule
from planner.protocols import describe_protocol, list_protocols, load_protocol, parse_needle
from planner.protocols.loading import DATA_DIR

ORIGINAL = DATA_DIR / "si_joint_injection.toml"


def edited(folder: Path, old: str, new: str, name: str = "si_joint_injection") -> Path:
    text = ORIGINAL.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"the file no longer holds {old!r}"
    file = folder / f"{name}.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_the_first_four_procedures_are_there() -> None:
    assert set(list_protocols()) >= {
        "soft_tissue_biopsy",
        "transforaminal_epidural",
        "si_joint_injection",
        "vertebral_biopsy_transpedicular",
    }


@pytest.mark.parametrize("procedure", list_protocols())
def test_every_procedure_loads_with_sound_numbers(procedure: str) -> None:
    protocol = load_protocol(procedure)
    file = DATA_DIR / f"{procedure}.toml"
    assert protocol.id == procedure
    assert protocol.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [parse_needle(name).name for name in protocol.needles] == list(protocol.needles)
    nerve = protocol.margin_rule("nerve")
    assert nerve is not None and nerve.required
    assert nerve.margin.value > 0
    assert protocol.default_margin.value > 0
    assert protocol.implant_margin.value > 0
    largest = max(rule.margin.value for rule in protocol.margins)
    assert protocol.clear_at.value >= largest


@pytest.mark.parametrize(
    ("procedure", "required"),
    [
        ("soft_tissue_biopsy", {"nerve", "vessel"}),
        ("transforaminal_epidural", {"nerve", "spinal_canal", "bone"}),
        ("si_joint_injection", {"nerve", "bone"}),
        ("vertebral_biopsy_transpedicular", {"nerve", "spinal_canal", "vessel", "bone"}),
    ],
)
def test_the_classes_whose_masks_a_procedure_cannot_do_without(
    procedure: str, required: set[str]
) -> None:
    protocol = load_protocol(procedure)
    assert {r.structure_class for r in protocol.margins if r.required} == required


def test_bone_is_crossed_only_where_bone_is_the_way_in() -> None:
    rules = {name: load_protocol(name).bone for name in list_protocols()}
    assert rules["vertebral_biopsy_transpedicular"] is BoneRule.ALLOWED
    assert rules["si_joint_injection"] is BoneRule.FORBIDDEN
    assert rules["transforaminal_epidural"] is BoneRule.FORBIDDEN
    assert rules["soft_tissue_biopsy"] is BoneRule.FORBIDDEN


def test_a_core_biopsy_is_planned_for_the_longest_usual_throw() -> None:
    assert load_protocol("soft_tissue_biopsy").throw.value == 20.0


@pytest.mark.parametrize("procedure", list_protocols())
def test_every_number_in_a_file_stands_beside_its_evidence(procedure: str) -> None:
    """Whatever the schema says: no line of a file has a number without a tag near it."""
    text = (DATA_DIR / f"{procedure}.toml").read_text(encoding="utf-8")
    weights = text.partition("[weights]")
    assert 'evidence = "E"' in weights[2]
    for line in weights[0].splitlines():
        code = line.partition("#")[0]
        if re.search(r"=\s*-?\d", code):
            assert "evidence" in code, line


@pytest.mark.parametrize("procedure", list_protocols())
def test_the_description_shows_every_margin_with_its_evidence(procedure: str) -> None:
    protocol = load_protocol(procedure)
    text = describe_protocol(protocol)
    assert protocol.sha256 in text
    assert "Research use only" in text
    for rule in protocol.margins:
        if rule.structure_class != "bone":
            name = rule.structure_class.replace("_", " ")
            pattern = rf"{name}( \*)? +{rule.margin.value:g} mm \[{rule.margin.evidence}\]"
            assert re.search(pattern, text), pattern


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
