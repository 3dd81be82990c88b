"""What a structure is called and what role it has: the file's names, tables, the user's word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import ConfigError, MaskError
from planner.geometry import Grid
from planner.io import load_structures, parse_role
from planner.model import StructureRole
from tests.mask_files import (
    image_on,
    reading_notes,
    write_nifti,
)


class TestNames:
    @pytest.fixture
    def two(self, grid: Grid) -> np.ndarray:
        labels = np.zeros(grid.shape_kji, np.uint8)
        labels[1:3, 2:4, 2:4], labels[4, 5:8, 1:4] = 23, 21
        return labels

    def test_label_table_in_the_nifti_header(self, tmp_path, grid, two):
        names = {21: "spinal_cord", 23: "aorta", 4: "gallbladder"}
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, names)
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"spinal_cord", "aorta"}
        assert structures["aorta"].source.label_value == 23
        assert structures["aorta"].source.segment_name == "aorta"
        assert structures["aorta"].source.role_from == "table TotalSegmentator/total"
        assert reading_notes(structures) == ()

    def test_a_label_missing_in_the_header_table(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {23: "aorta"})
        structures = load_structures(path, image_on(grid))
        assert structures["seg_21"].role is StructureRole.AVOID
        assert any("file's own table: 21" in w for w in structures.warnings)

    def test_an_unreadable_header_table_is_told(self, tmp_path, grid, two, monkeypatch):
        monkeypatch.setattr(
            "tests.mask_files.label_table_xml", lambda names: b"<LabelTable><Label Key='1'>"
        )
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {23: "aorta"})
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"seg_21", "seg_23"}
        assert "label table in the header is unreadable" in structures.warnings[0]

    def test_a_nameless_label_map_is_avoided(self, tmp_path, grid, two):
        # Not even the stem's own meaning counts: label 23 of psoas.nii.gz is not the psoas.
        path = write_nifti(tmp_path / "psoas.nii.gz", two, grid)
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"psoas_21", "psoas_23"}
        for structure in structures.values():
            assert structure.role is StructureRole.AVOID
            assert structure.margin_mm is None
            assert structure.structure_class is None
            assert structure.source.role_from == "default"
        assert (
            "labels without a name, avoided with the default margin: psoas_21, psoas_23"
            in (structures.warnings[0])
        )

    def test_numbers_are_read_by_the_table_the_user_chose(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid)
        structures = load_structures(path, image_on(grid), label_table="totalsegmentator/total_mr")
        assert structures["aorta"].structure_class == "vessel"
        assert "TotalSegmentator/total_mr (2.18.0)" in structures["aorta"].source.tool
        other = load_structures(path, image_on(grid), label_table="totalspineseg")
        assert set(other) == {"vertebrae_T1", "vertebrae_T3"}

    def test_a_lone_label_that_is_no_yes_or_no(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "crop.nii.gz", blob * np.uint8(60), grid)
        assert list(load_structures(path, image_on(grid))) == ["crop"]
        assert list(load_structures(path, image_on(grid), label_table="spineps")) == ["Spinal_Cord"]

    def test_names_in_the_file_win_over_the_chosen_table(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {21: "cord", 23: "aorta"})
        structures = load_structures(path, image_on(grid), label_table="totalspineseg")
        assert set(structures) == {"cord", "aorta"}
        assert structures["aorta"].source.tool is None

    def test_numbers_of_an_older_release_are_not_read_as_those_of_today(self, tmp_path, grid, blob):
        """41 is C1 in the one and L1 in the other; 202 tells which release it was."""
        labels = blob.astype(np.uint8) * 41
        labels[5, 7, 6] = 202
        path = write_nifti(tmp_path / "s.nii.gz", labels, grid)
        with pytest.raises(MaskError, match=r"not in it: 202; .*TotalSpineSeg/step2_2024"):
            load_structures(path, image_on(grid), label_table="totalspineseg")
        old = load_structures(path, image_on(grid), label_table="totalspineseg/step2_2024")
        assert set(old) == {"vertebrae_C1", "disc_L5_S"}
        # a number that no release knows is avoided and told, as ever
        labels[5, 7, 6] = 150
        odd = load_structures(
            write_nifti(tmp_path / "o.nii.gz", labels, grid),
            image_on(grid),
            label_table="totalspineseg",
        )
        assert odd["o_150"].role is StructureRole.AVOID

    def test_the_users_own_names(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid)
        (tmp_path / "labels.json").write_text(
            json.dumps({"21": "L5 root", "23": "aorta", "4": "x"})
        )
        # The file beside it is never picked up without being asked for.
        assert set(load_structures(path, image_on(grid))) == {"seg_21", "seg_23"}
        for given in (tmp_path / "labels.json", {21: "L5 root", 23: "aorta"}):
            structures = load_structures(path, image_on(grid), label_names=given)
            assert structures["L5 root"].structure_class == "nerve"
            assert structures["aorta"].source.tool == "label names of the user"
            assert reading_notes(structures) == ()

    def test_names_not_needed_are_told(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "aorta.nii.gz", blob, grid)
        structures = load_structures(path, image_on(grid), label_names={1: "vein"})
        assert list(structures) == ["aorta"]
        assert "the label names given were not used" in structures.warnings[0]

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ({"one": "aorta"}, "must map numbers to names; seen: 'one': 'aorta'"),
            ({1: ""}, "must map numbers to names; seen: 1: ''"),
            ({-1: "aorta"}, "must map numbers to names; seen: -1"),
            ([1, 2], "must map numbers to names"),
        ],
    )
    def test_useless_label_names_are_refused(self, grid, given, match):
        with pytest.raises(ConfigError, match=match):
            load_structures([], image_on(grid), label_names=given)

    def test_a_useless_label_file_is_refused(self, tmp_path, grid):
        (tmp_path / "bad.json").write_text("{")
        for name in ("bad.json", "absent.json"):
            with pytest.raises(ConfigError, match=f"label names cannot be read.*{name}"):
                load_structures([], image_on(grid), label_names=tmp_path / name)

    def test_two_structures_of_one_name_are_refused(self, tmp_path, grid, blob):
        (tmp_path / "b").mkdir()
        one = write_nifti(tmp_path / "aorta.nii.gz", blob, grid)
        two = write_nifti(tmp_path / "b" / "aorta.nii", blob, grid)
        with pytest.raises(MaskError, match=r"same name 'aorta'; in: aorta.nii.gz and aorta.nii\."):
            load_structures([one, two], image_on(grid))


class TestRoles:
    @pytest.fixture
    def path(self, tmp_path, grid, blob) -> Path:
        return write_nifti(tmp_path / "thing.nii.gz", blob, grid)

    @pytest.mark.parametrize(
        ("choice", "role", "margin_mm"),
        [
            ("avoid", StructureRole.AVOID, None),
            ("avoid:3.5", StructureRole.AVOID, 3.5),
            (("avoid", 3.0), StructureRole.AVOID, 3.0),
            (("bone", None), StructureRole.BONE, None),
            (StructureRole.IMPLANT, StructureRole.IMPLANT, None),
            ((StructureRole.AVOID, 0), StructureRole.AVOID, 0.0),
            ("Body", StructureRole.BODY, None),
        ],
    )
    def test_forms(self, path, grid, choice, role, margin_mm):
        structures = load_structures(path, image_on(grid), roles={"thing": choice})
        thing = structures["thing"]
        assert (thing.role, thing.margin_mm) == (role, margin_mm)
        assert thing.source.role_from == "user"
        assert reading_notes(structures) == ()

    def test_a_role_gives_an_unknown_name_its_class(self, path, grid):
        structures = load_structures(path, image_on(grid), roles={"thing": "body"})
        assert structures["thing"].structure_class == "skin_body"
        structures = load_structures(path, image_on(grid), roles={"thing": "avoid"})
        assert structures["thing"].structure_class is None

    def test_an_unknown_name_is_avoided_and_told(self, path, grid):
        structures = load_structures(path, image_on(grid))
        assert structures["thing"].role is StructureRole.AVOID
        assert structures["thing"].margin_mm is None
        assert structures["thing"].source.role_from == "default"
        assert "names that are not recognised" in structures.warnings[0]

    def test_a_role_for_a_name_that_is_not_there(self, path, grid):
        with pytest.raises(ConfigError, match=r"seen: 'thin'; needed: one of thing.*Did you mean"):
            load_structures(path, image_on(grid), roles={"thin": "avoid"})

    @pytest.mark.parametrize(
        ("choice", "match"),
        [
            ("avid", "'avid' is not a role.*role of 'thing'.*Did you mean 'avoid'"),
            ("", "'' is not a role"),
            ("avoid:x", "a margin must be a number.*seen: x"),
            ("avoid:nan", "a margin must be a number"),
            (("avoid", -1.0), "a margin must be a number.*seen: -1.0; needed: 0 to 100"),
            (("avoid", 101.0), "a margin must be a number"),
            (("body", 2.0), "the role body keeps no margin"),
            (("avoid", 1.0, 2.0), "a role must be"),
            (3, "a role must be"),
        ],
    )
    def test_bad_roles(self, path, grid, choice, match):
        with pytest.raises(ConfigError, match=match):
            load_structures(path, image_on(grid), roles={"thing": choice})


class TestParseRole:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("L5 root=avoid:3", ("L5 root", (StructureRole.AVOID, 3.0))),
            ("trunk=body", ("trunk", (StructureRole.BODY, None))),
            ("a=b:c=bone:0.5", ("a=b:c", (StructureRole.BONE, 0.5))),
        ],
    )
    def test_good(self, text, wanted):
        assert parse_role(text) == wanted

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("trunk", "needs the form NAME=ROLE"),
            ("=avoid", "needs the form NAME=ROLE"),
            ("trunk=", "'' is not a role"),
            ("trunk=bdy", "--role trunk=bdy. Did you mean 'body'"),
            ("root=avoid:", "a margin must be a number"),
            ("root=avoid:-2", "a margin must be a number"),
            ("lesion=target:2", "the role target keeps no margin"),
        ],
    )
    def test_bad(self, text, match):
        with pytest.raises(ConfigError, match=match):
            parse_role(text)
