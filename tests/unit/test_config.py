from __future__ import annotations

from pathlib import Path

import pytest

from planner.config import PlanSettings, load_config, resolve_settings
from planner.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "plan.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_without_keys_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == PlanSettings()


def test_an_option_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = write(tmp_path, "top = 3\nneedle = '22G-90'\n")
    settings = resolve_settings({"top": 5, "needle": None}, file=file)
    assert (settings.top, settings.needle, settings.min_separation_mm) == (5, "22G-90", 10.0)


@pytest.mark.parametrize("value", [False, 0.0])
def test_an_option_that_is_false_or_zero_counts_as_given(tmp_path: Path, value: object) -> None:
    key = "figures" if value is False else "throw_mm"
    file = write(tmp_path, "figures = true\nthrow_mm = 12.0\n")
    assert getattr(resolve_settings({key: value}, file=file), key) == value


def test_roles_are_merged_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, "[roles]\nroot = 'avoid:3'\nsac = 'avoid'\n")
    settings = resolve_settings({"roles": {"root": "allowed"}}, file=file)
    assert settings.roles == {"root": "allowed", "sac": "avoid"}


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "structures = ['a.nrrd', '/b/c.nrrd']\ntarget = 't.mrk.json#L5'\nlabel_names = 'n.txt'\n",
    )
    settings = load_config(file)
    assert settings.structures == (tmp_path / "a.nrrd", Path("/b/c.nrrd"))
    assert settings.target == str(tmp_path / "t.mrk.json#L5")
    assert settings.label_names == tmp_path / "n.txt"


def test_a_target_may_be_a_list_of_numbers(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "target = [-3.5, 2, 7]\n")).target == "-3.5,2,7"


def test_an_unknown_key_is_refused_with_the_file_the_key_and_a_close_match(tmp_path: Path) -> None:
    file = write(tmp_path, "min_seperation_mm = 5.0\n")
    with pytest.raises(ConfigError, match=r"'min_seperation_mm'.*plan\.toml.*'min_separation_mm'"):
        load_config(file)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("top = 0", "'top' is not valid"),
        ("top = '5'", "'top' is not valid"),
        ("throw_mm = nan", "'throw_mm' is not valid"),
        ("throw_mm = '5'", "'throw_mm' is not valid"),
        ("throw_mm = true", "'throw_mm' is not valid"),
        ("throw_mm = -1.0", "'throw_mm' is not valid"),
        ("entry_spacing_mm = 0.0", "'entry_spacing_mm' is not valid"),
        ("figures = 1", "'figures' is not valid"),
        ("table_side = 'posteror'", r"unknown value.*Did you mean 'posterior'\?"),
        ("top = ", "is not TOML"),
        ("roles = ['a']", "'roles' is not valid"),
    ],
)
def test_a_bad_value_is_refused_with_its_key(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_config(write(tmp_path, text))


def test_a_missing_or_huge_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(binary)
    with pytest.raises(ConfigError, match="too large"):
        load_config(write(tmp_path, "# " + "x" * 1_000_001))


def test_the_public_copy_holds_no_folder_names() -> None:
    settings = PlanSettings(
        target="/data/doe_john/t.mrk.json#1",
        structures=(Path("/data/doe_john/seg.nrrd"),),
        procedure="/data/doe_john/mine.toml",
        label_names=Path("/data/doe_john/names.txt"),
        procedure_dir=Path("/data/doe_john"),
    )
    public = settings.public()
    assert public["target"] == "t.mrk.json#1"
    assert public["structures"] == ["seg.nrrd"]
    assert public["procedure"] == "mine.toml"
    assert "/data" not in str(public)
    assert PlanSettings(target="structure:lesion/left").public()["target"] == (
        "structure:lesion/left"
    )


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PlanSettings().top = 3  # type: ignore[misc]
