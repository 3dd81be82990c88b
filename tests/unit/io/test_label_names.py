"""Names to roles: every name of every known tool, and hand-made names by their words."""

from __future__ import annotations

import pytest

from planner.errors import ConfigError
from planner.io.label_names import (
    label_table_named,
    label_tables,
    meaning_of_name,
    tables_for_names,
)
from planner.model import StructureRole
from planner.model.naming import words_of

CLASSES = {
    "nerve",
    "vessel",
    "spinal_canal",
    "bone",
    "disc",
    "bowel",
    "kidney",
    "pleura_lung",
    "organ",
    "muscle",
    "joint",
    "implant",
    "skin_body",
    "lesion",
}

MAY_BE_CROSSED = {
    StructureRole.ALLOWED: "muscle",
    StructureRole.BODY: "skin_body",
    StructureRole.TARGET: "lesion",
    StructureRole.BONE: "bone",
    StructureRole.IMPLANT: "implant",
}
"""Every role but avoid goes with one class only."""


class TestTables:
    @pytest.mark.parametrize("table", label_tables(), ids=lambda t: t.key)
    def test_every_name_has_a_role_and_a_class(self, table):
        for name in table.numbers.values():
            meaning = table.meaning_of(name)
            assert meaning is not None, name
            assert meaning.structure_class in CLASSES
            assert meaning.decided_by == f"table {table.key}"
            if meaning.role is not StructureRole.AVOID:
                assert MAY_BE_CROSSED[meaning.role] == meaning.structure_class, name

    @pytest.mark.parametrize("table", label_tables(), ids=lambda t: t.key)
    def test_every_rule_is_used_by_some_task(self, table):
        names = {n for t in label_tables() if t.tool == table.tool for n in t.numbers.values()}
        for rule in table.rules:
            for pattern in rule.names:
                start = pattern.rstrip("*").lstrip("*").lower()
                assert any(start in name.lower() for name in names), pattern

    def test_tables_agree_on_the_names_they_share(self):
        meanings: dict[str, tuple[StructureRole, str | None]] = {}
        for table in label_tables():
            for name in table.numbers.values():
                meaning = table.meaning_of(name)
                assert meaning is not None
                found = (meaning.role, meaning.structure_class)
                assert meanings.setdefault(name.lower(), found) == found, name

    @pytest.mark.parametrize(
        ("key", "count", "number", "name"),
        [
            ("TotalSegmentator/total", 117, 52, "aorta"),
            ("totalsegmentator/total_mr", 50, 23, "aorta"),
            ("totalsegmentator/total_v1", 104, 41, "vertebrae_C1"),
            ("totalsegmentator/total_v1", 104, 104, "urinary_bladder"),
            ("totalsegmentator/total_mr_56", 56, 32, "fibula"),
            ("totalsegmentator/total_mr_56", 56, 56, "brain"),
            ("totalsegmentator/vertebrae_mr", 25, 25, "vertebrae_C1"),
            ("totalspineseg/step2_2024", 50, 41, "vertebrae_C1"),
            ("totalspineseg/step2_2024", 50, 202, "disc_L5_S"),
            ("TotalSpineSeg", 50, 45, "vertebrae_L5"),
            ("totalspineseg/step2", 50, 1, "spinal_cord"),
            ("tptbox", 27, 61, "Spinal_Canal"),
            ("SPINEPS", 27, 49, "Vertebra_Corpus_border"),
            ("spineps/vert", 115, 22, "L3"),
            ("tptbox/instance", 84, 105, "disc_below_vertebra_5"),
        ],
    )
    def test_numbers_of_the_published_tables(self, key, count, number, name):
        table = label_table_named(key)
        assert len(table.numbers) == count
        assert table.numbers[number] == name

    def test_the_same_number_means_different_things(self):
        # Why a number alone is never used.
        total, total_mr = map(
            label_table_named, ("totalsegmentator/total", "totalsegmentator/total_mr")
        )
        assert total.numbers[23] == "kidney_cyst_left"
        assert total_mr.numbers[23] == "aorta"

    def test_a_tool_with_tasks_needs_one(self):
        with pytest.raises(
            ConfigError, match="needs a task; needed: one of TotalSegmentator/total,"
        ):
            label_table_named("totalsegmentator")

    def test_an_unknown_table_is_refused_with_a_guess(self):
        with pytest.raises(ConfigError, match=r"no label table 'totalspinseg/step2'.*Did you mean"):
            label_table_named("totalspinseg/step2")
        with pytest.raises(ConfigError, match=r"no label table 'tptbox/subregion'.*TPTBox/subreg"):
            label_table_named("tptbox/subregion")

    def test_the_table_that_knows_most_comes_first(self):
        names = ["sacrum", "disc_L4_L5", "disc_L5_S", "vertebrae_L5"]
        assert tables_for_names(names)[0].key == "TotalSpineSeg/step2"
        assert tables_for_names(["sacrum", "aorta"])[0].key == "TotalSegmentator/total"
        assert tables_for_names(["nothing of this"]) == ()

    def test_patterns_reach_only_the_names_of_the_table(self):
        table = label_table_named("totalsegmentator/total")
        assert table.meaning_of("vertebrae_nerve_root") is None
        assert table.meaning_of("Iliac Artery-left").structure_class == "vessel"

    def test_bare_levels_are_names_of_a_table_only_when_it_is_chosen(self):
        # "T2" is more often an MR contrast than a thoracic vertebra.
        assert meaning_of_name("T2") is None
        chosen = label_table_named("tptbox/vert")
        assert meaning_of_name("T2", preferred=[chosen]).role is StructureRole.BONE


PHANTOM = {
    "body": ("body", "skin_body"),
    "L3": ("bone", "bone"),
    "L4": ("bone", "bone"),
    "L5": ("bone", "bone"),
    "sacrum": ("bone", "bone"),
    "ilium_left": ("bone", "bone"),
    "ilium_right": ("bone", "bone"),
    "disc_L3_L4": ("avoid", "disc"),
    "spinal_canal": ("avoid", "spinal_canal"),
    "thecal_sac": ("avoid", "spinal_canal"),
    "nerve_root_L3_left": ("avoid", "nerve"),
    "sciatic_nerve_left": ("avoid", "nerve"),
    "aorta": ("avoid", "vessel"),
    "inferior_vena_cava": ("avoid", "vessel"),
    "iliac_artery_left": ("avoid", "vessel"),
    "iliac_vein_left": ("avoid", "vessel"),
    "bowel": ("avoid", "bowel"),
    "kidney_left": ("avoid", "kidney"),
    "psoas_left": ("allowed", "muscle"),
    "erector_spinae_left": ("allowed", "muscle"),
    "iliacus_right": ("allowed", "muscle"),
    "abdominal_wall": ("allowed", "muscle"),
    "bladder": ("avoid", "organ"),
    "si_joint_left": ("avoid", "joint"),
    "lesion_soft_tissue": ("target", "lesion"),
    "lesion_L5": ("target", "lesion"),
    "rods": ("implant", "implant"),
    "screws": ("implant", "implant"),
    "facet_joint_L4_L5_left": ("avoid", "joint"),
    "facet joints": ("avoid", "joint"),
}

HAND_MADE = {
    "L5 root": ("avoid", "nerve"),
    "nerveRootL5": ("avoid", "nerve"),
    "DRG L4": ("avoid", "nerve"),
    "lumbar-plexus": ("avoid", "nerve"),
    "foramen S1": ("avoid", "nerve"),
    "psoas nerve": ("avoid", "nerve"),
    "common iliac vessels": ("avoid", "vessel"),
    "cauda equina": ("avoid", "spinal_canal"),
    "right lung": ("avoid", "pleura_lung"),
    "screw_L5_left_2": ("implant", "implant"),
    "hip_implant_left": ("implant", "implant"),
    "rib cage": ("bone", "bone"),
    "growth plate": ("avoid", "joint"),
    "endplate_L4": ("bone", "bone"),
    "SI_joint_left": ("avoid", "joint"),
    "hip joint": ("avoid", "joint"),
    "iliac_crest_left": ("bone", "bone"),
    "vertebra_T2": ("bone", "bone"),
    "L3 body": ("bone", "bone"),
    "T12": ("bone", "bone"),
    "S1": ("bone", "bone"),
    "thoracic vertebral column": ("bone", "bone"),
    "L5S1 disc": ("avoid", "disc"),
    "Tumour femur": ("target", "lesion"),
    "tumor_thrombus_ivc": ("avoid", "vessel"),
    "kidney tumor": ("avoid", "kidney"),
    "trunk": ("body", "skin_body"),
    "Skin": ("body", "skin_body"),
    "muscle_left": ("allowed", "muscle"),
}

NOT_UNDERSTOOD = [
    "thing",
    "Segment_1",
    "seg_3",
    "iliac_left",  # bone or vessel
    "femoral left",  # nerve, artery, vein or head
    "L5_left",  # a root, a facet, a pedicle
    "L4_L5",  # a disc, a facet, a level
    "T1",
    "t2_seg-manual",
    "psoas_abscess",  # a word that is not known beside a muscle
    "sacrum fistula",
    "lesion halo",
    "body coil artefact",
    "obturator",
    "",
]


class TestWords:
    @pytest.mark.parametrize(("name", "wanted"), (PHANTOM | HAND_MADE).items())
    def test_names_that_are_understood(self, name, wanted):
        meaning = meaning_of_name(name)
        assert meaning is not None
        assert (meaning.role.value, meaning.structure_class) == wanted

    @pytest.mark.parametrize("name", NOT_UNDERSTOOD)
    def test_names_that_are_not(self, name):
        assert meaning_of_name(name) is None

    def test_an_unknown_word_never_opens_a_structure(self):
        # Avoid and implant hold whatever else is said; no other role does.
        for name, (role, _) in (PHANTOM | HAND_MADE).items():
            meaning = meaning_of_name(f"{name} zzyzx")
            if role in ("avoid", "implant"):
                assert meaning is not None and meaning.role.value == role, name
            else:
                assert meaning is None, name

    def test_a_nerve_in_the_name_is_never_overruled(self):
        for name in PHANTOM | HAND_MADE:
            meaning = meaning_of_name(f"{name} nerve")
            assert meaning is not None
            assert (meaning.role, meaning.structure_class) == (StructureRole.AVOID, "nerve")

    def test_words(self):
        assert words_of("nerveRoot_L5-S1") == ["nerve", "root", "l5", "s1"]
        assert words_of("  ") == []
