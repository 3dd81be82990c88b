"""DICOM SEG: every kind, overlaps, left-out slices, names by code, references, damage."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.sr.coding import Code

import planner
from planner.errors import InputError, MaskError
from planner.geometry import FrameId, Grid
from tests.dicom_writer import write_series
from tests.grids import ORIENTED_AXES
from tests.seg_writer import description, write_seg

SHAPE, SPACING = (7, 11, 9), (3.2, 0.8, 1.1)
FRAME = "1.2.826.0.1.3680043.8.498.77"


def grid_in(orientation, shape=SHAPE):
    return Grid.from_axes(
        shape, SPACING, (-31.0, 12.5, 40.0), ORIENTED_AXES[orientation], FrameId(FRAME)
    )


@pytest.fixture(params=["axial", "oblique", "oblique_flipped"])
def study(request, tmp_path):
    """Image files, the loaded volume, and the grid as loaded."""
    files = write_series(tmp_path / "image", grid_in(request.param))
    volume = planner.load_volume(tmp_path / "image")
    return files, volume


def blobs(grid, n=2):
    """n overlapping boxes, empty in the first and last slices; [k, j, i, n]."""
    masks = np.zeros((*grid.shape_kji, n), bool)
    for s in range(n):
        masks[2:5, 2 + s : 7 + s, 1 + s : 6 + s, s] = True
    return masks


def load(volume, file, **options):
    return planner.load_structures([file], like=volume, **options)


@pytest.mark.parametrize("omit_empty", [True, False])
def test_overlapping_binary_segments_keep_every_voxel(study, tmp_path, omit_empty):
    files, volume = study
    masks = blobs(volume.grid)
    segments = [description(1, "L5 root"), description(2, "aorta")]
    file = write_seg(tmp_path / "s.dcm", files, volume.grid, masks, segments, omit_empty=omit_empty)
    found = load(volume, file)
    assert list(found) == ["L5 root", "aorta"]
    for s, structure in enumerate(found.structures):
        np.testing.assert_array_equal(structure.mask.inside, masks[..., s])
        assert structure.source.grid.shape_kji == volume.grid.shape_kji
        assert structure.source.frame_mismatch is None


def test_a_file_without_suffix_is_recognised(study, tmp_path):
    files, volume = study
    file = write_seg(
        tmp_path / "I0001", files, volume.grid, blobs(volume.grid, 1), [description(1, "aorta")]
    )
    assert list(load(volume, file)) == ["aorta"]


def test_label_map(study, tmp_path):
    files, volume = study
    masks = blobs(volume.grid)
    masks[..., 1] &= ~masks[..., 0]
    labels = np.zeros(volume.grid.shape_kji, np.uint8)
    labels[masks[..., 0]], labels[masks[..., 1]] = 1, 2
    segments = [description(1, "liver"), description(2, "aorta")]
    file = write_seg(tmp_path / "s.dcm", files, volume.grid, masks, segments, kind="LABELMAP")
    found = load(volume, file)
    assert list(found) == ["liver", "aorta"]
    for s, structure in enumerate(found.structures):
        np.testing.assert_array_equal(structure.mask.inside, masks[..., s])


@pytest.mark.parametrize("fractional", ["OCCUPANCY", "PROBABILITY"])
def test_fractions_any_share_for_obstacles_half_for_others(study, tmp_path, fractional):
    files, volume = study
    shares = np.zeros((*volume.grid.shape_kji, 1))
    shares[2:5, 2:7, 1:6, 0] = 0.04
    shares[3, 3:6, 2:5, 0] = 0.9
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        shares,
        [description(1, "L5 root")],
        kind="FRACTIONAL",
        fractional=fractional,
    )
    obstacle = load(volume, file)
    target = load(volume, file, roles={"L5 root": "target"})
    asked = load(volume, file, fraction_threshold=0.5)
    np.testing.assert_array_equal(obstacle["L5 root"].mask.inside, shares[..., 0] > 0)
    np.testing.assert_array_equal(target["L5 root"].mask.inside, shares[..., 0] >= 0.5)
    np.testing.assert_array_equal(asked["L5 root"].mask.inside, shares[..., 0] >= 0.5)
    text = " ".join(obstacle.warnings)
    assert fractional.lower() in text and "above 0" in text and "66" in text
    assert "0.5" in " ".join(asked.warnings)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(study, bad):
    with pytest.raises(InputError, match="share"):
        load(study[1], "x.dcm", fraction_threshold=bad)


def test_labels_that_say_nothing_give_way_to_the_coded_type(study, tmp_path):
    files, volume = study
    code = Code("10200004", "SCT", "Liver")
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        blobs(volume.grid, 1),
        [description(1, "Segment 1", code)],
    )
    (structure,) = load(volume, file).structures
    assert structure.name == "Liver" and structure.structure_class == "organ"


def test_the_coded_type_decides_the_class_of_an_unknown_name(study, tmp_path):
    files, volume = study
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        blobs(volume.grid, 1),
        [description(1, "xq17", Code("15825003", "SCT", "aorta"))],
    )
    (structure,) = load(volume, file).structures
    assert structure.name == "xq17" and structure.structure_class == "vessel"


def test_segments_of_one_name_are_told_apart(study, tmp_path):
    files, volume = study
    segments = [description(1, "nerve"), description(2, "nerve")]
    file = write_seg(tmp_path / "s.dcm", files, volume.grid, blobs(volume.grid), segments)
    found = load(volume, file)
    assert list(found) == ["nerve (1)", "nerve (2)"]
    assert any("of one name" in w for w in found.warnings)


def test_an_empty_segment_is_told(study, tmp_path):
    files, volume = study
    masks = blobs(volume.grid)
    masks[..., 1] = False
    segments = [description(1, "aorta"), description(2, "L5 root")]
    file = write_seg(tmp_path / "s.dcm", files, volume.grid, masks, segments)
    found = load(volume, file)
    assert list(found) == ["aorta"]
    assert any("without a voxel" in w and "L5 root" in w for w in found.warnings)


def set_series(uid):
    def edit(seg):
        for item in seg.ReferencedSeriesSequence:
            item.SeriesInstanceUID = uid
            for instance in item.ReferencedInstanceSequence:
                instance.ReferencedSOPInstanceUID = "1.2.3.4"

    return edit


def test_of_another_series_nothing_is_known_beyond_its_frames(study, tmp_path):
    files, volume = study
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        blobs(volume.grid, 1),
        [description(1, "aorta")],
        edit=set_series("1.2.3.9"),
    )
    found = load(volume, file)
    (structure,) = found.structures
    assert structure.source.grid.shape_kji[0] == 3, "the frames that are there"
    np.testing.assert_array_equal(structure.mask.inside, blobs(volume.grid, 1)[..., 0])
    assert any("another series" in w for w in found.warnings)


def set_frame(uid):
    def edit(seg):
        seg.FrameOfReferenceUID = uid

    return edit


def test_another_frame_is_refused_unless_accepted(study, tmp_path):
    files, volume = study
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        blobs(volume.grid, 1),
        [description(1, "aorta")],
        edit=set_frame("1.2.3.99"),
    )
    with pytest.raises(MaskError, match="accept-frame-mismatch") as refused:
        load(volume, file)
    assert "1.2.3.99" in str(refused.value) and FRAME in str(refused.value)
    accepted = load(volume, file, accept_frame_mismatch=True)
    assert "1.2.3.99" in accepted["aorta"].source.frame_mismatch
    assert any("ACCEPTED" in w for w in accepted.warnings)


def test_a_lost_position_is_refused_even_when_the_frame_mismatch_is_accepted(study, tmp_path):
    files, volume = study
    moved = Grid(
        shape_kji=volume.grid.shape_kji,
        lps_from_kji=volume.grid.lps_from_kji + np.pad([[300.0]] * 3, ((0, 1), (3, 0))),
        frame=volume.grid.frame,
    )
    file = write_seg(
        tmp_path / "s.dcm",
        files,
        moved,
        np.ones((*moved.shape_kji, 1), bool),
        [description(1, "aorta")],
        edit=set_frame("1.2.3.99"),
    )
    with pytest.raises(MaskError):
        load(volume, file, accept_frame_mismatch=True)


def test_frames_out_of_order_land_right(study, tmp_path):
    files, volume = study
    masks = blobs(volume.grid, 1)
    masks[3, 4, 4, 0] = False

    def shuffle(seg):
        bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")[
            : seg.NumberOfFrames * seg.Rows * seg.Columns
        ]
        frames = bits.reshape(seg.NumberOfFrames, -1)
        order = [2, 0, 1]
        seg.PixelData = np.packbits(frames[order].ravel(), bitorder="little").tobytes()
        if len(seg.PixelData) % 2:
            seg.PixelData += b"\0"
        groups = list(seg.PerFrameFunctionalGroupsSequence)
        seg.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]

    file = write_seg(
        tmp_path / "s.dcm", files, volume.grid, masks, [description(1, "aorta")], edit=shuffle
    )
    np.testing.assert_array_equal(load(volume, file)["aorta"].mask.inside, masks[..., 0])


@pytest.mark.parametrize("size", [200, 1500, -400])
def test_cut_files_are_refused_in_words(study, tmp_path, size):
    files, volume = study
    file = write_seg(
        tmp_path / "s.dcm", files, volume.grid, blobs(volume.grid, 1), [description(1, "aorta")]
    )
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(InputError):
        load(volume, file)


def test_an_absurd_size_is_refused_before_reading(study, tmp_path):
    files, volume = study

    def grow(seg):
        seg.NumberOfFrames = 5000
        seg.Rows = seg.Columns = 60000

    file = write_seg(
        tmp_path / "s.dcm",
        files,
        volume.grid,
        blobs(volume.grid, 1),
        [description(1, "aorta")],
        edit=grow,
    )
    with pytest.raises(MaskError, match="too large"):
        load(volume, file)


def true_spacing(seg):
    """dcmqi believes the tag that the test images give wrong on purpose."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = measures.SliceThickness = SPACING[0]


def dcmqi_masks(file: Path, folder: Path) -> dict[int, sitk.Image]:
    tool = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("dcmqi is not installed")
    folder.mkdir()
    done = subprocess.run(
        [tool, "--inputDICOM", str(file), "--outputDirectory", str(folder), "-t", "nrrd"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {int(f.stem.split("-")[-1]): sitk.ReadImage(str(f)) for f in folder.glob("*.nrrd")}


def assert_equal_to(oracle: sitk.Image, mask) -> None:
    """Every voxel that dcmqi sets is set here, and no other."""
    inside = sitk.GetArrayFromImage(oracle) != 0
    index = np.argwhere(inside)
    points = [oracle.TransformIndexToPhysicalPoint([int(i), int(j), int(k)]) for k, j, i in index]
    assert mask.contains(np.array(points)).all()
    assert len(points) == mask.n_voxels


def test_equal_to_dcmqi(study, tmp_path):
    files, volume = study
    masks = blobs(volume.grid)
    segments = [description(1, "L5 root"), description(2, "aorta")]
    file = write_seg(tmp_path / "s.dcm", files, volume.grid, masks, segments, edit=true_spacing)
    found = load(volume, file)
    for number, oracle in dcmqi_masks(file, tmp_path / "out").items():
        assert_equal_to(oracle, found.structures[number - 1].mask)


def test_equal_to_dcmqi_on_the_real_liver(shared_data, tmp_path):
    folder = shared_data / "dcmqi_ct_seg_nrrd"
    volume = planner.load_volume(folder / "ct-3slice")
    (structure,) = load(volume, folder / "liver.dcm").structures
    (oracle,) = dcmqi_masks(folder / "liver.dcm", tmp_path / "out").values()
    assert_equal_to(oracle, structure.mask)
    assert structure.mask.n_voxels == 107098
