"""What a procedure file must not say: each guard of the schema with a file that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import ConfigError
from planner.protocols import load_protocol
from planner.protocols.loading import DATA_DIR


def edited(folder: Path, name: str, old: str, new: str) -> Path:
    text = (DATA_DIR / f"{name}.toml").read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{name} no longer holds {old!r}"
    file = folder / f"{name}.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def added(folder: Path, name: str, more: str) -> Path:
    text = (DATA_DIR / f"{name}.toml").read_text(encoding="utf-8")
    file = folder / f"{name}.toml"
    file.write_text(f"{text}\n{more}\n", encoding="utf-8")
    return file


TERMINAL = """
[terminal]
length_mm = {{value = {length}, evidence = "E"}}
{reason}
[terminal.margins_mm]
{name} = {{value = {value}, evidence = "E"}}
"""


@pytest.mark.parametrize("vital", ["vessel", "spinal_canal"])
def test_a_margin_to_what_is_vital_shrinks_near_the_tip_only_with_a_reason(
    tmp_path: Path, vital: str
) -> None:
    more = TERMINAL.format(length=10.0, reason="", name=vital, value=1.0)
    with pytest.raises(ConfigError, match=f"margin to {vital}.*reason in 'vital_opt_in'"):
        load_protocol(added(tmp_path, "facet_injection", more))
    blank = TERMINAL.format(length=10.0, reason='vital_opt_in = "  "', name=vital, value=1.0)
    with pytest.raises(ConfigError, match="vital_opt_in"):
        load_protocol(added(tmp_path, "facet_injection", blank))
    said = TERMINAL.format(length=10.0, reason='vital_opt_in = "why"', name=vital, value=1.0)
    terminal = load_protocol(added(tmp_path, "facet_injection", said)).terminal
    assert terminal is not None
    assert terminal.vital_opt_in == "why"
    assert terminal.margins[0].margin.value == 1.0


@pytest.mark.parametrize(
    ("name", "value", "length", "match"),
    [
        (
            "nerve",
            9.0,
            10.0,
            r"near the tip \(9 mm\) is wider than that of the whole path \(5 mm\)",
        ),
        ("joint", 3.5, 10.0, r"wider than that of the whole path \(3 mm\)"),
        ("nerve", 1.0, 31.0, "at most 30 mm"),
        ("nerve", 1.0, 0.0, "above 0"),
    ],
)
def test_a_last_stretch_that_makes_no_sense_is_refused(
    tmp_path: Path, name: str, value: float, length: float, match: str
) -> None:
    more = TERMINAL.format(length=length, reason="", name=name, value=value)
    with pytest.raises(ConfigError, match=match):
        load_protocol(added(tmp_path, "facet_injection", more))


@pytest.mark.parametrize(
    "name", ["nerve", "vessel", "spinal_canal", "bowel", "pleura_lung", "aorta", "L5 root", "-"]
)
def test_what_is_vital_may_not_simply_be_crossed(tmp_path: Path, name: str) -> None:
    file = edited(tmp_path, "facet_injection", '"muscle"]', f'"{name}"]')
    with pytest.raises(ConfigError, match="not for a path to cross"):
        load_protocol(file)


def test_a_class_cannot_have_a_margin_and_be_crossed(tmp_path: Path) -> None:
    file = edited(tmp_path, "facet_injection", '"muscle"]', '"disc"]')
    with pytest.raises(ConfigError, match="disc has a margin and may be crossed"):
        load_protocol(file)


def test_the_spinal_canal_is_never_soft(tmp_path: Path) -> None:
    old = 'spinal_canal = {value = 5.0, evidence = "E", required = true'
    file = edited(tmp_path, "facet_injection", old, f"{old}, hard = false")
    with pytest.raises(ConfigError, match="spinal canal is always hard"):
        load_protocol(file)


@pytest.mark.parametrize(
    "more",
    [
        'floor = {value = 3.0, evidence = "E"}',
        'hard = false, floor = {value = 6.0, evidence = "E"}',
    ],
)
def test_a_floor_belongs_to_a_soft_margin_and_lies_below_it(tmp_path: Path, more: str) -> None:
    old = 'nerve = {value = 5.0, evidence = "E"'
    with pytest.raises(ConfigError, match="a floor is for a soft margin"):
        load_protocol(edited(tmp_path, "facet_injection", old, f"{old}, {more}"))


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        (
            "vertebral_biopsy_transpedicular",
            'rule = "through_pedicle"',
            'rule = "allowed"',
            "go together",
        ),
        (
            "facet_injection",
            'rule = "forbidden"',
            'rule = "through_pedicle"',
            "go together",
        ),
        ("facet_injection", 'kind = "joint_plane"', 'kind = "tunnel"', "unknown value"),
        ("facet_injection", "max_plane_angle_deg =", "max_depth_mm =", "needs max_plane_angle_deg"),
        ("facet_injection", "max_plane_angle_deg =", "angle =", "has no angle"),
        (
            "bone_biopsy",
            'rule = "allowed"',
            'rule = "forbidden"',
            "only where bone may be crossed",
        ),
        ("bone_biopsy", "min = 70.0, max = 90.0", "min = 90.0, max = 70.0", "min must not be"),
        ("bone_biopsy", "min = 20.0, typical = 60.0", "min = 70.0, typical = 60.0", "not decrease"),
        ("bone_biopsy", 'names = ["growth plate", "physis"]', 'names = ["-"]', "holds no word"),
        ("bone_biopsy", 'names = ["growth plate", "physis"]', "names = []", "at least 1 item"),
        ("bone_biopsy", 'targets = ["lesion"]', 'targets = ["leison"]', "Did you mean 'lesion'"),
        ("bone_biopsy", 'positions = ["supine"', 'positions = ["supin"', "Did you mean 'supine'"),
        ("bone_biopsy", 'family = "biopsy"', 'family = "biopsies"', "Did you mean 'biopsy'"),
        ("disc_biopsy", "[approach.levels.L3-L4]", "[approach.levels.third]", "levels.third"),
        ("disc_biopsy", "entry_lateral_mm", "entry_latral_mm", "Did you mean 'entry_lateral_mm'"),
        ("disc_biopsy", 'runs = "lateral_to_medial"', 'runs = "up"', "unknown value"),
        (
            "disc_biopsy",
            "preferred_depth_fraction = {value = 0.5",
            "preferred_depth_fraction = {value = 1.5",
            "less than or equal to 1",
        ),
        ("coeliac_plexus_block", 'evidence = "L: Cancer Pain text"', "", "evidence' is missing"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(
    tmp_path: Path, name: str, old: str, new: str, match: str
) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        load_protocol(edited(tmp_path, name, old, new))
    assert f"{name}.toml" in str(caught.value)
