from __future__ import annotations

import pytest

from planner.errors import ConfigError
from planner.protocols import load_needles, named_needle, needle_catalogue, parse_needle

# Outer diameters of PHYSICS facts B2, written out a second time on purpose.
OUTER_DIAMETER_MM = {
    "8G": 4.19,
    "10G": 3.40,
    "11G": 3.05,
    "12G": 2.77,
    "13G": 2.41,
    "14G": 2.11,
    "15G": 1.83,
    "16G": 1.65,
    "17G": 1.47,
    "18G": 1.27,
    "19G": 1.07,
    "20G": 0.91,
    "21G": 0.82,
    "22G": 0.72,
    "23G": 0.64,
    "25G": 0.51,
}


def test_the_catalogue_has_the_known_gauges_and_no_other() -> None:
    found = {gauge: entry.outer_diameter_mm for gauge, entry in needle_catalogue().gauges.items()}
    assert found == OUTER_DIAMETER_MM


def test_a_higher_gauge_is_thinner() -> None:
    gauges = needle_catalogue().gauges
    ordered = [gauges[g].outer_diameter_mm for g in sorted(gauges, key=lambda g: int(g[:-1]))]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("text", ["22G-90", "22g-90", " 22G - 90 ", "22G-90mm", "022G-090"[1:]])
def test_ways_to_write_a_needle(text: str) -> None:
    needle = parse_needle(text)
    assert (needle.name, needle.length_mm, needle.radius_mm) == ("22G-90", 90.0, 0.36)
    assert needle.throw_mm == 0.0
    assert needle.evidence == "M: ISO/Stubs; material E: assumed, check the label"


@pytest.mark.parametrize("length", [10, 95, 400])
def test_any_whole_length_in_range_is_accepted_and_remarked_on(length: int) -> None:
    needle = parse_needle(f"22G-{length}")
    assert needle.length_mm == length
    assert f"{length} mm is no usual length of 22G" in needle.evidence


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("7G-90", "gauge 7G is not in the catalogue.*22G"),
        ("22G-9", "length is out of range; seen: 9 mm; needed: 10 to 400 mm.*70, 90"),
        ("22G-401", "length is out of range"),
        ("22G", "is not a needle; needed: GAUGE-LENGTH_MM"),
        ("22G-90.5", "is not a needle"),
        ("22-90", "is not a needle"),
        ("22G-90-t10", "is not a needle"),
        ("", "is not a needle"),
        ("-22G-90", "is not a needle"),
    ],
)
def test_anything_else_is_refused_with_what_exists(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse_needle(text)


def test_material_is_assumed_and_said_unless_given():
    assumed, steel = parse_needle("22G-90"), parse_needle("22g-90:Steel")
    assert assumed.material == "titanium alloy" and "assumed" in assumed.evidence
    assert steel.material == "steel" and "assumed" not in steel.evidence
    assert steel.name == "22G-90:steel" and assumed.name == "22G-90"
    assert parse_needle("22G-90:unknown").material == "unknown"


OWN = """
schema = "needles/1"
[needles."Site biopsy 14"]
outer_diameter_mm = 2.1
inner_diameter_mm = 1.6
length_mm = 130.0
throw_mm = 18.0
material = "titanium"
mr_conditional = "1.5 T"
"""


def test_own_needles(tmp_path):
    file = tmp_path / "needles.toml"
    file.write_text(OWN)
    (needle,) = load_needles(file).values()
    assert needle.name == "Site biopsy 14" and needle.inner_diameter_mm == 1.6
    assert needle.throw_mm == 18.0 and needle.material == "titanium"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("outer_diameter_mm = 2.1", "outer_diameter_mm = 21.0"),
        ("inner_diameter_mm = 1.6", "inner_diameter_mm = 2.2"),
        ("length_mm = 130.0", "length_mm = nan"),
        ("length_mm = 130.0", "lenght_mm = 130.0"),
        ('schema = "needles/1"', 'schema = "needles/2"'),
    ],
)
def test_wrong_own_needles_are_refused(tmp_path, old, new):
    file = tmp_path / "needles.toml"
    file.write_text(OWN.replace(old, new))
    with pytest.raises(ConfigError):
        load_needles(file)


COAX = """schema = "needles/1"
[needles.coax]
outer_diameter_mm = 1.5
inner_diameter_mm = 1.3
length_mm = 130
material = "nitinol"
evidence = "M: label"
"""


def test_a_needle_of_ones_own_is_named_by_file_and_name(tmp_path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(COAX)
    assert named_needle(f"{file}#coax") == named_needle(str(file))
    assert named_needle(f"{file}#coax").inner_diameter_mm == 1.3
    assert named_needle("22G-90") == parse_needle("22G-90")


@pytest.mark.parametrize("name", ["#other", ""])
def test_a_name_that_is_not_in_the_file_is_refused(tmp_path, name) -> None:
    file = tmp_path / "own.toml"
    file.write_text(COAX + COAX.split("\n", 1)[1].replace("coax", "thin"))
    with pytest.raises(ConfigError, match="coax, thin"):
        named_needle(f"{file}{name}")
