"""A protocol at one level, on one side, and with an opt-in."""

from __future__ import annotations

import pytest

from planner.errors import ConfigError
from planner.model import LevelApproach, Triple
from planner.model.naming import holds_words, words_of
from planner.protocols import load_protocol
from tests.trunk import simple_protocol


def test_a_level_replaces_its_angles_and_nothing_else() -> None:
    whole = load_protocol("vertebral_biopsy_transpedicular")
    at_l1 = whole.at_level("L1")
    assert at_l1.axial_deg == (5.0, 11.0, 17.0)
    assert at_l1.craniocaudal_deg == whole.craniocaudal_deg
    assert (
        at_l1.approach_evidence == f"at L1: axial M: Zindrick 1987; else {whole.approach_evidence}"
    )
    assert (at_l1.sha256, at_l1.margins, at_l1.id) == (whole.sha256, whole.margins, whole.id)
    assert whole.at_level("l1").axial_deg == at_l1.axial_deg


@pytest.mark.parametrize(("level", "side"), [("C3", None), (None, None), ("", "left")])
def test_a_level_that_is_not_listed_changes_nothing(level: str | None, side: str | None) -> None:
    whole = load_protocol("vertebral_biopsy_transpedicular")
    assert whole.at_level(level, side) is whole


def test_a_side_is_applied_after_the_level() -> None:
    levels = {
        "L2": LevelApproach(axial_deg=(1.0, 2.0, 3.0), craniocaudal_deg=(0.0, 0.0, 9.0)),
        "left": LevelApproach(axial_deg=(4.0, 5.0, 6.0), evidence="E"),
    }
    whole = simple_protocol(levels=levels)
    left = whole.at_level("L2", "left")
    assert left.axial_deg == (4.0, 5.0, 6.0)
    assert left.craniocaudal_deg == (0.0, 0.0, 9.0)
    assert whole.at_level("L2", "right").axial_deg == (1.0, 2.0, 3.0)


def test_a_level_of_zero_degrees_is_a_level() -> None:
    whole = simple_protocol(
        axial_deg=(5.0, 6.0, 7.0), levels={"T12": LevelApproach(axial_deg=(0.0, 0.0, 0.0))}
    )
    assert whole.at_level("T12").axial_deg == (0.0, 0.0, 0.0)


def test_an_opt_in_is_told_by_title_and_hash() -> None:
    plain = load_protocol("coeliac_plexus_block")
    asked = plain.with_opt_in("transaortic")
    assert asked.title == f"{plain.title} (opt-in: transaortic)"
    assert asked.sha256 != plain.sha256
    assert asked.opted_in == ("transaortic",)
    assert not plain.may_cross("aorta", "vessel")
    assert asked.may_cross("aorta", "vessel")
    assert not asked.may_cross("inferior_vena_cava", "vessel")
    assert asked.with_opt_in("transaortic") is asked


def test_thermal_protection_lets_the_needle_nearer_but_never_softer() -> None:
    plain = load_protocol("osteoid_osteoma")
    asked = plain.with_opt_in("thermal_protection")
    for name in ("nerve", "spinal_canal"):
        before, after = plain.margin_rule(name), asked.margin_rule(name)
        assert before is not None and after is not None
        assert (before.margin.value, after.margin.value) == (10.0, 5.0)
        assert after.hard
        assert after.required == before.required
    assert len(asked.margins) == len(plain.margins)


def test_an_opt_in_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no opt-in 'transcaval'; needed: transaortic"):
        load_protocol("coeliac_plexus_block").with_opt_in("transcaval")
    with pytest.raises(ConfigError, match="it has none"):
        load_protocol("facet_injection").with_opt_in("any")


@pytest.mark.parametrize("values", [(2.0, 1.0, 3.0), (1.0, 4.0, 3.0), (1.0, float("nan"), 3.0)])
def test_a_range_that_decreases_is_refused(values: tuple[float, float, float]) -> None:
    low, typical, high = values
    with pytest.raises(ConfigError, match="must not decrease"):
        Triple(low=low, typical=typical, high=high, evidence="E")


def test_words_are_compared_whole_and_in_order() -> None:
    assert words_of("L4L5 disc") == ["l4", "l5", "disc"]
    assert holds_words("Growth-Plate distal", ["growth plate"])
    assert not holds_words("plate growth", ["growth plate"])
    assert not holds_words("", ["growth plate"])
    assert not holds_words("anything", ["", "-"])


def test_the_joint_that_is_the_target_may_be_entered_and_no_other() -> None:
    joints = {
        "si_joint_injection": "SIJoint left",
        "facet_injection": "facet joint L4-L5",
        "hip_arthrography": "hip joint",
        "shoulder_arthrography": "glenohumeral joint",
    }
    for procedure in joints:
        protocol = load_protocol(procedure)
        for other, name in joints.items():
            assert protocol.may_cross(name, "joint") == (other == procedure), (procedure, name)
