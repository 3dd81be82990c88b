"""RT Structure Sets: what a contour stands for, what is refused, what the user is told."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from planner.errors import MaskError, UnsupportedObjectError
from planner.geometry import Grid, Volume
from planner.geometry.volume import ImageSource
from planner.io import load_structures, rtstruct_parsing
from planner.io.label_names import meaning_of_name
from planner.io.rtstruct import read_contour_file
from planner.io.stored_file import MaskOptions
from planner.model import StructureRole
from tests.dicom_writer import SERIES_UID, write_series
from tests.meshes import oblique_grid
from tests.rtstruct_writer import FRAME_UID, Roi, write_rtstruct

AVOID, TARGET = StructureRole.AVOID, StructureRole.TARGET
SQUARE = np.array([[8.0, 8.0], [8.0, 14.0], [19.0, 14.0], [19.0, 8.0]])
HOLE = np.array([[11.0, 10.0], [11.0, 12.0], [16.0, 12.0], [16.0, 10.0]])


def test_grid() -> Grid:
    grid = oblique_grid()
    from planner.geometry import FrameId

    return Grid(
        shape_kji=grid.shape_kji, lps_from_kji=grid.lps_from_kji, frame=FrameId(FRAME_UID, "test")
    )


test_grid.__test__ = False
GRID = test_grid()
IMAGE = Volume(
    grid=GRID,
    values=np.zeros(GRID.shape_kji, np.int16),
    source=ImageSource(modality="MR", series_instance_uid=SERIES_UID),
)


def contour(polygon_ji, k, grid=GRID):
    return grid.to_lps(np.column_stack([np.full(len(polygon_ji), float(k)), polygon_ji]))


def read(path, image=IMAGE, **options):
    return read_contour_file(path, image, MaskOptions(**options))


def mask_of(stored, role=AVOID, n=0):
    return stored.on_grid(stored.labels[n], GRID, role).mask


@pytest.fixture
def write(tmp_path):
    def written(*rois, **how):
        how.setdefault("series_uid", SERIES_UID)
        return write_rtstruct(tmp_path / "rt.dcm", rois, **how)

    return written


class TestContent:
    @pytest.mark.parametrize(
        "syntax",
        [
            ExplicitVRLittleEndian,
            ImplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
        ],
    )
    def test_every_encoding(self, write, syntax):
        stored = read(write(Roi("cord", [contour(SQUARE, 6)]), syntax=syntax))
        assert [label.name for label in stored.labels] == ["cord"]
        assert mask_of(stored).inside[6, 10, 10]
        assert stored.kind == "RT structure set" and len(stored.sha256) == 64
        assert stored.warnings == ()

    def test_references(self, write):
        path = write(Roi("cord", [contour(SQUARE, 6)], images=["1.2.77"]), sop_uids=["1.2.66"])
        references = read(path).references
        assert references.frame_of_reference_uid == FRAME_UID
        assert references.series_instance_uids == {SERIES_UID}
        assert references.sop_instance_uids == {"1.2.66", "1.2.77"}

    def test_interpreted_types_are_meanings(self, write):
        types = ["EXTERNAL", "PTV", "ORGAN", None]
        rois = [Roi(f"x{n}", [contour(SQUARE, 6)], interpreted_type=t) for n, t in enumerate(types)]
        meanings = [label.meaning for label in read(write(*rois)).labels]
        assert meanings == ["body", "target", None, None]
        assert meaning_of_name("body").role is StructureRole.BODY
        assert meaning_of_name("target").role is StructureRole.TARGET

    def test_holes_for_obstacles_and_targets(self, write):
        for kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            wide = np.array([[4.0, 4.0], [4.0, 22.0], [28.0, 22.0], [28.0, 4.0]])
            hole = np.array([[10.0, 9.0], [10.0, 17.0], [22.0, 17.0], [22.0, 9.0]])
            stored = read(write(Roi("ring", [contour(wide, 6), contour(hole, 6)], kind=kind)))
            for role in (AVOID, TARGET):
                inside = mask_of(stored, role).inside[6]
                assert inside[6, 6] and not inside[16, 13]

    def test_a_structure_traced_on_pixel_centres_does_not_shrink(self, write):
        stored = read(write(Roi("root", [contour(SQUARE, 6)]), digits=2))
        inside = mask_of(stored).inside[6]
        truth = np.zeros_like(inside)
        truth[8:20, 8:15] = True
        assert not (truth & ~inside).any()

    def test_an_empty_roi_is_a_label_without_voxels(self, write):
        stored = read(write(Roi("cord", [contour(SQUARE, 6)]), Roi("nothing")))
        assert [label.name for label in stored.labels] == ["cord", "nothing"]
        assert mask_of(stored, n=1).n_voxels == 0

    def test_contours_of_a_number_without_a_name_are_kept_and_told(self, write):
        stored = read(write(Roi(None, [contour(SQUARE, 6)], number=9)))
        assert "ROI number 9, which the file does not name" in stored.warnings[0]
        assert stored.labels[0].name is None and mask_of(stored).n_voxels > 50

    def test_an_open_contour_is_a_line_to_avoid_and_nothing_else(self, write):
        line = GRID.to_lps(np.array([[3.0, 5.0, 5.0], [9.0, 20.0, 9.0], [14.0, 25.0, 20.0]]))
        stored = read(write(Roi("nerve", [line], kind="OPEN_NONPLANAR")))
        assert mask_of(stored).contains(line).all()
        assert mask_of(stored, TARGET).n_voxels == 0
        assert "open contours or points are no areas" in stored.warnings[0]

    def test_points_are_kept_but_not_those_of_the_machine(self, write):
        point = GRID.to_lps([[6.0, 8.0, 8.0]])
        stored = read(
            write(
                Roi("clip", [point], kind="POINT", interpreted_type="MARKER"),
                Roi("iso", [point], kind="POINT", interpreted_type="ISOCENTER"),
            )
        )
        assert [label.name for label in stored.labels] == ["clip"]
        assert mask_of(stored).n_voxels == 1
        assert any("treatment machine, left out: iso" in w for w in stored.warnings)

    def test_a_missing_plane_is_filled_and_told(self, write):
        stored = read(write(Roi("root", [contour(SQUARE, k) for k in (4, 5, 7, 8)])))
        assert mask_of(stored).inside[6, 10, 10]
        assert not mask_of(stored, TARGET).inside[6].any()
        assert "ROI 'root' misses 1 contour planes inside" in stored.warnings[0]

    def test_a_long_gap_is_told_with_its_length(self, write):
        stored = read(write(Roi("root", [contour(SQUARE, k) for k in (1, 2, 9, 10)])))
        assert "no contour for 15.4 mm between two of its planes" in stored.warnings[0]
        assert not mask_of(stored).inside[5].any()

    def test_between_slices_across_them_and_sparse(self, write):
        upright = GRID.to_lps(np.column_stack([SQUARE[:, 0] / 2, np.full(4, 15.0), SQUARE[:, 1]]))
        stored = read(
            write(
                Roi("half", [contour(SQUARE, 6.5)]),
                Roi("upright", [upright]),
                Roi("third", [contour(SQUARE, k) for k in (3, 6, 9, 12)]),
            )
        )
        told = " | ".join(stored.warnings)
        for words in (
            "between the image's slices, taken as slabs half way to the next contour plane: half",
            "not along the image's slices, taken as slabs half way to the next contour plane: up",
            "not on every slice of the image, taken as slabs half way to the next contour plane: t",
        ):
            assert words in told
        assert np.flatnonzero(mask_of(stored).inside.any(axis=(1, 2))).size >= 2

    def test_contours_outside_the_image_are_told(self, write):
        stored = read(write(Roi("cord", [contour(SQUARE, k) for k in (17, 18, 19)])))
        assert "reach outside the image volume: cord (1 of 3)" in stored.warnings[0]


class TestAsStructures:
    def test_names_roles_and_sources(self, write):
        square = [contour(SQUARE, k) for k in (5, 6, 7)]
        path = write(Roi("aorta", square), Roi("L5 root", square), Roi("nothing"))
        structures = load_structures(path, IMAGE, roles={"L5 root": "avoid:3"})
        assert set(structures) == {"aorta", "L5 root"}
        assert structures["aorta"].structure_class == "vessel"
        root = structures["L5 root"]
        assert (root.margin_mm, root.source.grid, root.source.label_value) == (3.0, GRID, 2)
        assert root.source.grown_mm == pytest.approx(1.49 * np.hypot(0.9, 1.1))
        assert any(
            "left out, no voxel in the image" in w and "nothing" in w for w in structures.warnings
        )

    def test_how_contours_became_voxels_is_told(self, write):
        path = write(Roi("root", [contour(SQUARE, 6)]), Roi("lesion", [contour(SQUARE, 8)]))
        told = load_structures(path, IMAGE, roles={"lesion": "target"}).warnings
        drawn = "RT structure set, drawn onto the voxels conservatively, grown by up to"
        assert any(drawn in w and w.endswith(": root") for w in told)
        assert any("drawn at voxel centres, edges" in w and w.endswith(": lesion") for w in told)
        assert not any("another grid" in w for w in told)

    def test_a_role_for_an_empty_roi_is_refused(self, write):
        path = write(Roi("aorta", [contour(SQUARE, 6)]), Roi("nothing"))
        with pytest.raises(MaskError, match="structure 'nothing' .* has no voxel in the image"):
            load_structures(path, IMAGE, roles={"nothing": "avoid"})

    def test_a_file_that_is_all_elsewhere_is_refused(self, write):
        with pytest.raises(MaskError, match="no voxel of the mask lies in the image"):
            load_structures(write(Roi("aorta", [contour(SQUARE, 400)])), IMAGE)

    def test_a_large_contour_is_written_as_unknown_bytes(self, write):
        """Over 64 kB a coordinate list does not fit its type in explicit encodings."""
        angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
        ring = contour(np.column_stack([15 + 8 * np.cos(angle), 13 + 8 * np.sin(angle)]), 6)
        with pytest.warns(UserWarning, match="exceeds the size of 64 kByte"):
            path = write(Roi("cord", [ring]))
        assert mask_of(read(path)).contains(ring).all()


class TestWhatItSpeaksFor:
    def test_the_image_when_it_names_its_series(self, write):
        assert read(write(Roi("a", [contour(SQUARE, 6.3)]))).grid is GRID

    def test_the_image_when_it_names_one_of_its_slices(self, write):
        source = ImageSource(modality="MR", sop_instance_uids=frozenset({"1.2.66", "1.2.67"}))
        image = Volume(grid=GRID, values=IMAGE.values, source=source)
        roi = Roi("a", [contour(SQUARE, 6.3)], images=["1.2.67"])
        assert read(write(roi, series_uid=None), image).grid is GRID
        assert read(write(roi, series_uid=None), IMAGE).grid is not GRID

    def test_the_image_when_the_contours_lie_on_its_slices_in_its_frame(self, write):
        stored = read(write(Roi("a", [contour(SQUARE, 6)]), series_uid=None))
        assert stored.grid is GRID

    @pytest.mark.parametrize(
        ("k", "how"),
        [(6.3, {"series_uid": None}), (6, {"series_uid": "1.2.99", "frame_uid": "1.2.98"})],
    )
    def test_else_only_the_box_of_the_contours(self, write, k, how):
        roi = Roi("a", [contour(SQUARE, k), contour(SQUARE, k + 1)])
        roi.frame_uid = how.get("frame_uid", FRAME_UID)
        grid = read(write(roi, **how)).grid
        points = GRID.to_lps(
            np.array([[k + 0.5, 12.0, 11.0], [k + 5.0, 12.0, 11.0], [k, 25.0, 11.0]])
        )
        assert grid.contains(points).tolist() == [True, False, False]


class TestFrames:
    def rois(self):
        return Roi("a", [contour(SQUARE, 6)]), Roi("b", [contour(SQUARE, 6)], frame_uid="1.2.999")

    def test_rois_of_another_frame_are_refused(self, write):
        with pytest.raises(
            MaskError, match=r"another frame of reference than the others; seen: b in"
        ):
            read(write(*self.rois()))

    def test_accepted_it_is_told(self, write):
        stored = read(write(*self.rois()), accept_frame_mismatch=True)
        assert "1.2.999), taken as the same because you accepted it: b" in stored.warnings[0]

    def test_a_file_of_one_other_frame_states_it(self, write):
        roi = Roi("a", [contour(SQUARE, 6)], frame_uid="1.2.999")
        assert read(write(roi, frame_uid="1.2.999")).references.frame_of_reference_uid == "1.2.999"


BAD = {
    "two numbers": ("1\\2", "not whole points; seen: 2 numbers; needed: a multiple of 3"),
    "text": ("1\\2\\x\\4\\5\\6\\7\\8\\9", "are not numbers"),
    "nan": ("1\\2\\nan\\4\\5\\6\\7\\8\\9", "cannot be used; seen: nan mm"),
    "infinite": ("1\\2\\inf\\4\\5\\6\\7\\8\\9", "cannot be used; seen: inf mm"),
    "far": ("1\\2\\1e7\\4\\5\\6\\7\\8\\9", r"cannot be used; seen: 1e\+07 mm"),
    "a line": ("1\\2\\3\\4\\5\\6", "too few points; seen: 2"),
    "nothing": ("", "too few points; seen: 0"),
    "holes in the text": ("1\\\\3\\4\\5\\6\\7\\8\\9", "are not numbers"),
}


class TestRefused:
    @pytest.mark.parametrize("name", BAD)
    def test_damaged_contours_with_their_place(self, write, name):
        text, message = BAD[name]
        with pytest.raises(MaskError, match=f"{message}.*ROI 'cord', contour 2 in rt.dcm"):
            read(write(Roi("cord", [contour(SQUARE, 6), text])))

    def test_a_bent_contour_with_its_place(self, write):
        bent = contour(SQUARE, 6)
        bent[0] += GRID.axes_lps_from_kji[:, 0] * 9.0
        line = contour(SQUARE, 3)
        kinds = ["CLOSED_PLANAR", "OPEN_PLANAR", "CLOSED_PLANAR"]
        with pytest.raises(MaskError, match=r"not planar.*needed: <= 0.5 mm.*'cord', contour 3 in"):
            read(write(Roi("cord", [contour(SQUARE, 6), line, bent], kind=kinds)))

    @pytest.mark.parametrize("kind", ["", "SPLINE"])
    def test_an_unknown_kind_of_contour(self, write, kind):
        with pytest.raises(MaskError, match="of a kind that is not known"):
            read(write(Roi("cord", [contour(SQUARE, 6)], kind=kind)))

    def test_two_rois_of_one_number(self, write):
        with pytest.raises(
            MaskError, match="two structures .* have the number 1; seen: 'a' and 'b'"
        ):
            read(write(Roi("a", number=1), Roi("b", number=1)))

    def test_another_dicom_object(self, tmp_path):
        (file, *_) = write_series(tmp_path, GRID, np.zeros(GRID.shape_kji, np.uint16))
        with pytest.raises(UnsupportedObjectError, match="not an RT structure set"):
            read(file)

    def test_bytes_that_are_no_dicom(self, tmp_path):
        path = tmp_path / "x.dcm"
        path.write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 4)
        with pytest.raises((MaskError, UnsupportedObjectError)):
            read(path)

    @pytest.mark.parametrize(
        ("limit", "value"),
        [("MAX_POINTS", 7), ("MAX_CONTOURS", 1), ("MAX_ROIS", 1), ("MAX_FILE_BYTES", 500)],
    )
    def test_limits(self, write, monkeypatch, limit, value):
        path = write(Roi("a", [contour(SQUARE, 6)]), Roi("b", [contour(SQUARE, 7)]))
        monkeypatch.setattr(rtstruct_parsing, limit, value)
        with pytest.raises(MaskError, match="too many"):
            read(path)

    def test_a_deflated_bomb_is_not_inflated(self, write, monkeypatch):
        rois = [Roi(f"a{n}", ["1.0\\" * 12000 + "1.0"]) for n in range(5)]
        path = write(*rois, syntax=DeflatedExplicitVRLittleEndian)
        monkeypatch.setattr(rtstruct_parsing, "MAX_FILE_BYTES", 20_000)
        assert path.stat().st_size < 20_000
        with pytest.raises(MaskError, match="too many bytes when inflated"):
            read(path)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
class TestAgainstPlastimatch:
    """An independent reader, on an oblique grid whose pixels are not square."""

    def test_no_voxel_of_the_oracle_is_missing(self, write, tmp_path):
        series = tmp_path / "series"
        write_series(series, GRID, np.zeros(GRID.shape_kji, np.uint16))
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        rois = []
        for n, radii in enumerate(((9.0, 7.0), (3.0, 2.2), (1.4, 1.2))):
            ring = np.column_stack([np.cos(angle) * radii[0], np.sin(angle) * radii[1]])
            if n == 0:  # a keyhole: nested contours are joined by plastimatch
                inner = 0.5 * np.concatenate([ring, ring[:1]])[::-1]
                ring = np.concatenate([ring, ring[:1], inner])
            contours = [contour(ring + [16.3 + 0.2 * k, 12.4], k) for k in range(3, 15)]
            rois.append(Roi(f"r{n}", contours))
        path = write(*rois)
        done = subprocess.run(
            ["plastimatch", "convert", "--input", str(path), "--referenced-ct", str(series),
             "--output-prefix", str(tmp_path / "out"), "--prefix-format", "nrrd"],
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        stored = read(path)
        for n, label in enumerate(stored.labels):
            (file,) = (tmp_path / "out").glob(f"*{label.name}.nrrd")
            theirs = on_grid(SimpleITK.ReadImage(file))
            ours = mask_of(stored, n=n).inside
            assert theirs.sum() > 40
            assert not (theirs & ~ours).any()
            assert not (ours & ~grown_in_plane(grown_in_plane(theirs))).any()
            same = mask_of(stored, TARGET, n=n).inside
            assert 2 * (same & theirs).sum() / (same.sum() + theirs.sum()) > 0.9


def on_grid(image: SimpleITK.Image) -> np.ndarray:
    """Their mask at the voxel centres of ours, by physical position."""
    reference = SimpleITK.GetImageFromArray(np.zeros(GRID.shape_kji, np.uint8))
    reference.SetSpacing(GRID.spacing_kji_mm[::-1].tolist())
    reference.SetOrigin(GRID.origin_lps_mm.tolist())
    reference.SetDirection(GRID.axes_lps_from_kji[:, ::-1].ravel().tolist())
    moved = SimpleITK.Resample(
        image, reference, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor
    )
    return SimpleITK.GetArrayFromImage(moved) > 0


def grown_in_plane(inside: np.ndarray) -> np.ndarray:
    out = inside.copy()
    for axis in (1, 2):
        for step in (-1, 1):
            out |= np.roll(out, step, axis=axis)
    return out
