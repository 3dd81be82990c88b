"""Procedure files that inherit from one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import ConfigError
from planner.protocols import load_protocol, read_protocol


def child(folder: Path, name: str, parent: str, more: str = "", title: str = "Mine") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(
        f'schema = "needle-protocol/1"\nid = "{name}"\ntitle = "{title}"\n'
        f'inherits = "{parent}"\n{more}\n',
        encoding="utf-8",
    )
    return file


def test_a_child_has_its_parents_numbers_and_its_own(tmp_path: Path) -> None:
    more = '[margins_mm]\nnerve = {value = 12.0, evidence = "M: own"}'
    child(tmp_path, "mine", "si_joint_injection", more)
    own, parent = load_protocol("mine", tmp_path), load_protocol("si_joint_injection")
    nerve = own.margin_rule("nerve")
    assert nerve is not None
    assert (nerve.margin.value, nerve.margin.evidence) == (12.0, "M: own")
    assert nerve.required, "a flag that the child does not speak of stays"
    assert own.title == "Mine"
    assert own.margin_rule("vessel") == parent.margin_rule("vessel")
    assert own.corridor == parent.corridor
    assert read_protocol("mine", tmp_path).parents == ("si_joint_injection",)


def test_a_users_file_may_inherit_from_the_packaged_one_of_its_own_name(tmp_path: Path) -> None:
    more = 'caution_band_mm = {value = 2.0, evidence = "E"}'
    child(tmp_path, "si_joint_injection", "si_joint_injection", more)
    assert load_protocol("si_joint_injection", tmp_path).caution_band.value == 2.0
    assert load_protocol("si_joint_injection").caution_band.value == 0.5


def test_a_change_in_any_of_the_files_changes_the_hash(tmp_path: Path) -> None:
    base = '[margins_mm]\nnerve = {value = 12.0, evidence = "E"}'
    child(tmp_path, "base", "si_joint_injection", base)
    child(tmp_path, "mine", "base")
    first = load_protocol("mine", tmp_path).sha256
    child(tmp_path, "base", "si_joint_injection", f"# only a comment\n{base}")
    assert load_protocol("mine", tmp_path).sha256 == first
    child(tmp_path, "base", "si_joint_injection", base.replace("12.0", "13.0"))
    assert load_protocol("mine", tmp_path).sha256 != first


def test_what_a_child_does_without_is_gone(tmp_path: Path) -> None:
    child(tmp_path, "mine", "si_joint_injection", 'without = ["corridor", "margins_mm.vessel"]')
    own = load_protocol("mine", tmp_path)
    assert own.corridor is None
    assert own.margin_rule("vessel") is None
    assert load_protocol("si_joint_injection").corridor is not None


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (
            "[margins_mm]\nnerve = {value = 1.0}",
            r"'margins_mm\.nerve' gives a number anew without its own evidence",
        ),
        ("[margins_mm.nerve]\nvalue = 1.0", "without its own evidence"),
        (
            '[approach]\naxial_deg = {max = 80.0, evidence = "E"}',
            r"'approach\.axial_deg'.*also min, preferred",
        ),
        ('without = ["corridors"]', "the parent has no key 'corridors'"),
        ('without = ["margins_mm.nerve.value.x"]', "has no key"),
        ('without = "corridor"', "'without' is a list"),
        ("[margins_mm]\nnerv = 1", "margins_mm.nerv"),
        ("margins_mm = 3", "margins_mm"),
    ],
)
def test_a_faulty_child_is_refused(tmp_path: Path, more: str, match: str) -> None:
    file = child(tmp_path, "mine", "si_joint_injection", more)
    with pytest.raises(ConfigError, match=match) as caught:
        load_protocol("mine", tmp_path)
    assert str(file) in str(caught.value)


def test_files_that_inherit_in_a_circle_are_refused(tmp_path: Path) -> None:
    child(tmp_path, "a", "b")
    child(tmp_path, "b", "c")
    child(tmp_path, "c", "a")
    with pytest.raises(ConfigError, match="in a circle; seen: a -> b -> c -> a"):
        load_protocol("a", tmp_path)
    child(tmp_path, "d", "d")
    with pytest.raises(ConfigError, match="no procedure 'd'|in a circle"):
        load_protocol("d", tmp_path)


def test_a_long_line_of_ancestors_is_refused(tmp_path: Path) -> None:
    for n in range(12):
        child(tmp_path, f"p{n}", f"p{n + 1}")
    child(tmp_path, "p12", "si_joint_injection")
    with pytest.raises(ConfigError, match="too many procedure files"):
        load_protocol("p0", tmp_path)


def test_an_unknown_parent_names_the_closest_one(tmp_path: Path) -> None:
    child(tmp_path, "mine", "si_joint_injektion")
    with pytest.raises(ConfigError, match="no procedure 'si_joint_injektion'.*Did you mean"):
        load_protocol("mine", tmp_path)
    child(tmp_path, "mine", "x").write_text('id = "mine"\ntitle = "M"\ninherits = 3\n')
    with pytest.raises(ConfigError, match="'inherits' is the id of one procedure"):
        load_protocol("mine", tmp_path)


@pytest.mark.parametrize("name", ["../elsewhere/mine", "/tmp/mine", "mine.toml", ""])
def test_a_parent_is_named_by_its_id_and_by_no_path(tmp_path: Path, name: str) -> None:
    child(tmp_path, "mine", name)
    with pytest.raises(ConfigError, match="'inherits' is the id of one procedure"):
        load_protocol("mine", tmp_path)


@pytest.mark.parametrize("key", ["id", "title"])
def test_a_child_names_itself(tmp_path: Path, key: str) -> None:
    file = child(tmp_path, "mine", "si_joint_injection")
    lines = [line for line in file.read_text().splitlines() if not line.startswith(key)]
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=f"the key '{key}' is missing"):
        load_protocol("mine", tmp_path)
