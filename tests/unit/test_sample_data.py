"""The sample studies: anatomy of the phantom at coarse resolution, and the committed files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicerio
from scipy import ndimage

from sample_data.phantom import (
    AcquisitionParameters,
    PhantomGrid,
    PhantomParameters,
    acquisition_grid,
    build_anatomy,
    make,
    nerves,
    rasterise,
    truth,
    write,
)
from sample_data.phantom.labels import bone_names

SAMPLE_DATA = Path(make.SAMPLE_DATA)
VARIANTS = ("plain", "implant")
MAX_COMMITTED_BYTES = 6_000_000
TOL_GEOMETRY_MM = 1e-6  # DICOM text values carry 9 decimals
TOL_CLEARANCE_MM = 0.002  # truth.json rounds to 0.001
TOL_PEDICLE_WIDTH_MM = 1.5  # the isthmus blends into body and arch
TOL_PEDICLE_ANGLE_DEG = 6.0


@pytest.fixture(scope="module")
def anatomy():
    return build_anatomy()


@pytest.fixture(scope="module")
def coarse(anatomy):
    """Labels at 2.8 x 2.8 x 6.6 mm."""
    return rasterise(
        anatomy, acquisition_grid(anatomy.parameters, AcquisitionParameters().coarser(2.0))
    )


@pytest.fixture(scope="module", params=VARIANTS)
def study(request):
    """Committed study: folder, truth and label layers as a reader sees them."""
    folder = SAMPLE_DATA / request.param
    known = json.loads((folder / "truth.json").read_text())
    segmentation = slicerio.read_segmentation(str(folder / "structures.seg.nrrd"))
    return folder, known, segmentation


def true_segmentation(folder, segmentation):
    """Where the structures truly are: a file of its own where metal displaces what is shown."""
    path = folder / "truth.seg.nrrd"
    return slicerio.read_segmentation(str(path)) if path.exists() else segmentation


def centroid_lps_mm(maps, name):
    return maps.grid.lps_from_index(np.argwhere(maps.mask(name))).mean(axis=0)


def committed_mask(segmentation, name):
    segment = next(s for s in segmentation["segments"] if s["name"] == name)
    return (segmentation["voxels"][segment["layer"]] == segment["labelValue"]).transpose(2, 1, 0)


def truth_grid(known):
    grid = known["grid"]
    return PhantomGrid(
        shape_kji=tuple(grid["shape_kji"]), lps_from_kji=np.array(grid["lps_from_kji"])
    )


def root_samples(anatomy, level, n=300):
    points, radii = nerves.nerve_root_line(anatomy.spine, level)
    t, index = np.linspace(0, len(points) - 1, n), np.arange(len(points))
    line = np.stack([np.interp(t, index, points[:, c]) for c in range(3)], axis=1)
    return anatomy.parameters.lps_from_anatomy(line), np.interp(
        t, index, radii
    ) * anatomy.parameters.scale


# ---- anatomy -------------------------------------------------------------------------------


def test_left_structures_lie_on_positive_x(coarse):
    midline_mm = PhantomParameters().origin_lps_mm[0]
    sided = [name for name in coarse.names if name.endswith(("_left", "_right"))]
    assert len(sided) > 30
    for name in sided:
        is_left = centroid_lps_mm(coarse, name)[0] > midline_mm
        assert is_left == name.endswith("_left"), name


def test_order_head_to_feet_and_front_to_back(coarse):
    z_mm = [
        centroid_lps_mm(coarse, n)[2]
        for n in ("L3", "disc_L3_L4", "L4", "disc_L4_L5", "L5", "sacrum")
    ]
    assert np.all(np.diff(z_mm) < 0.0)
    y_mm = [
        centroid_lps_mm(coarse, n)[1]
        for n in ("bowel", "aorta", "disc_L3_L4", "thecal_sac", "erector_spinae_left")
    ]
    assert np.all(np.diff(y_mm) > 0.0)


def test_anatomy_layer_has_no_overlap_and_stays_in_the_body(coarse):
    assert not np.any((coarse.layers[1] > 0) & ~coarse.mask("body"))
    sac = coarse.mask("thecal_sac")
    assert np.mean(coarse.mask("spinal_canal")[sac]) > 0.9  # overlapping layers on purpose
    skin_columns = coarse.mask("body")[:, :, [0, -1]]
    assert not skin_columns.any(), "air margin on both flanks"
    assert not coarse.mask("body")[:, [0, -1], :].any(), "air margin before and behind"


@pytest.mark.parametrize(
    "level, width_mm, angle_deg", [("L3", 10.3, 14.0), ("L4", 12.9, 18.0), ("L5", 18.0, 30.0)]
)
def test_pedicle_width_and_angle_are_near_published(anatomy, level, width_mm, angle_deg):
    v = anatomy.spine.vertebrae[level]
    forward_mm, step_mm = 2.0, 0.05  # just in front of the isthmus, clear of the transverse process
    half_mm = np.arange(0.0, 20.0, step_mm)
    nominal = np.deg2rad(angle_deg)
    pivot = np.array(
        [
            v.pedicle_x_mm - forward_mm * np.sin(nominal),
            v.pedicle_a_mm - forward_mm * np.cos(nominal),
        ]
    )
    angles_deg = np.arange(0.0, 46.0, 1.0)
    widths_mm = []
    for turn in np.deg2rad(angles_deg):  # the shortest chord is the width, its normal the axis
        chord = 0.0
        for sign in (1.0, -1.0):
            x, a = pivot[:, None] + sign * half_mm * np.array([[np.cos(turn)], [-np.sin(turn)]])
            local = [v.pose.point(xi, ai, v.pedicle_h_mm) for xi, ai in zip(x, a, strict=True)]
            outside = anatomy.distance_mm(level, anatomy.parameters.lps_from_anatomy(local)) > 0.0
            chord += step_mm * (np.argmax(outside) if outside.any() else len(outside))
        widths_mm.append(chord)
    assert min(widths_mm) == pytest.approx(width_mm, abs=TOL_PEDICLE_WIDTH_MM)
    shortest = angles_deg[np.array(widths_mm) <= min(widths_mm) + 0.1].mean()
    assert shortest == pytest.approx(angle_deg, abs=TOL_PEDICLE_ANGLE_DEG)


def test_foramen_height_is_near_published_18_mm(anatomy):
    for height_mm in truth.foramen_heights_mm(anatomy).values():
        assert height_mm == pytest.approx(18.0, abs=3.0)


@pytest.mark.parametrize("level", ["L3", "L4", "L5", "S1"])
def test_roots_pass_their_foramen_without_touching_bone(anatomy, level):
    line, radii = root_samples(anatomy, level)
    for bone in bone_names():
        assert np.min(anatomy.distance_mm(bone, line) - radii) > 0.0, bone
    starts_in_canal = anatomy.distance_mm("spinal_canal", line[:1])[0] < 0.0
    leaves_canal = anatomy.distance_mm("spinal_canal", line[-1:])[0] > 10.0
    assert starts_in_canal and leaves_canal


def test_a_straight_root_would_touch_bone(anatomy):
    """Helper check: the bone test above can say no."""
    v = anatomy.spine.vertebrae["L4"]
    centre = anatomy.parameters.lps_from_anatomy(
        v.pose.point(v.pedicle_x_mm, v.pedicle_a_mm, v.pedicle_h_mm)
    )
    assert anatomy.distance_mm("L4", centre) < -3.0


@pytest.mark.parametrize("gap_mm", [1.5, 2.5])
def test_si_joint_gap_is_present(gap_mm):
    anatomy = build_anatomy(PhantomParameters(sij_gap_mm=gap_mm))
    centre = truth.target_points(anatomy)["si_joint_left"]
    across = np.array([np.cos(np.deg2rad(25.0)), np.sin(np.deg2rad(25.0)), 0.0])
    offsets_mm = np.arange(-6.0, 6.0, 0.02)
    line = centre + offsets_mm[:, None] * across - np.array([0.0, 4.0, 0.0])
    free = (anatomy.distance_mm("sacrum", line) > 0.0) & (
        anatomy.distance_mm("ilium_left", line) > 0.0
    )
    assert free.sum() * 0.02 == pytest.approx(gap_mm, abs=0.4)
    assert anatomy.distance_mm("sacrum", line[0]) < 0.0 < anatomy.distance_mm("sacrum", line[-1])


def test_scale_and_obliquity_change_the_grid_not_the_patient(anatomy):
    """A structure's volume scales with the cube, and does not depend on the slice tilt."""
    acquisition = AcquisitionParameters().coarser(3.0)
    tilted = replace(acquisition, tilt_about_left_deg=-20.0)
    volumes_mm3 = []
    for scale, scan in ((1.0, acquisition), (1.0, tilted), (1.1, acquisition)):
        patient = build_anatomy(PhantomParameters(scale=scale)) if scale != 1.0 else anatomy
        grid = acquisition_grid(patient.parameters, scan)
        mask = rasterise(patient, grid).mask("L4")
        volumes_mm3.append(mask.sum() * abs(np.linalg.det(grid.lps_from_kji[:3, :3])))
    assert volumes_mm3[1] == pytest.approx(volumes_mm3[0], rel=0.08)
    assert volumes_mm3[2] == pytest.approx(1.1**3 * volumes_mm3[0], rel=0.08)


def test_exact_segment_distance_helper():
    grid = PhantomGrid(
        shape_kji=(5, 5, 5), lps_from_kji=np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    )
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True  # box x 1.5..2.5, y 1.5..2.5, z 4.5..7.5 mm
    assert truth.segment_to_boxes_mm(
        [4.0, -9.0, 6.0], [4.0, 9.0, 6.0], mask, grid
    ) == pytest.approx(1.5, abs=1e-6)
    assert truth.segment_to_boxes_mm([2.0, 2.0, 9.0], [2.0, 9.0, 9.0], mask, grid) == pytest.approx(
        1.5, abs=1e-6
    )
    assert truth.segment_to_boxes_mm([0.0, 2.0, 6.0], [9.0, 2.0, 6.0], mask, grid) == pytest.approx(
        0.0, abs=1e-6
    )


# ---- files ---------------------------------------------------------------------------------


def test_same_bytes_each_time(tmp_path):
    acquisition = AcquisitionParameters().coarser(10.0)
    contents = [
        make.make_variant(tmp_path / str(n), "implant", PhantomParameters(), acquisition)["files"]
        for n in range(2)
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 7 + 2  # slices, segmentations as drawn and true


def test_committed_files_match_their_hashes(study):
    folder, known, _ = study
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {
        "truth.json"
    }
    assert present == set(known["files"])
    for name, digest in known["files"].items():
        assert write.sha256(folder / name) == digest, name


@pytest.mark.parametrize("k", [4, 22, 41, 60])
def test_the_scripts_still_make_the_committed_labels(study, k):
    """One slice, voxel by voxel: new anatomy must not move what is committed."""
    folder, known, segmentation = study
    labels = true_segmentation(folder, segmentation)
    patient = build_anatomy(PhantomParameters(has_implant=folder.name == "implant"))
    whole = truth_grid(known)
    affine = whole.lps_from_kji.copy()
    affine[:3, 3] = whole.lps_from_index((k, 0, 0))
    one_slice = PhantomGrid(shape_kji=(1, *whole.shape_kji[1:]), lps_from_kji=affine)
    made = rasterise(patient, one_slice)
    for name in patient.structure_names:
        np.testing.assert_array_equal(
            made.mask(name)[0], committed_mask(labels, name)[k], err_msg=name
        )


def test_committed_size():
    total = sum(
        p.stat().st_size for v in VARIANTS for p in (SAMPLE_DATA / v).rglob("*") if p.is_file()
    )
    assert total < MAX_COMMITTED_BYTES


def test_dicom_grid_equals_segmentation_grid(study):
    folder, known, segmentation = study
    expected = np.array(known["grid"]["lps_from_kji"])
    series = write.read_grid(folder / "dicom")
    assert list(series.shape_kji) == known["grid"]["shape_kji"]
    np.testing.assert_allclose(series.lps_from_kji, expected, atol=TOL_GEOMETRY_MM)
    np.testing.assert_allclose(
        segmentation["ijkToLPS"][:, [2, 1, 0, 3]], expected, atol=TOL_GEOMETRY_MM
    )
    assert segmentation["voxels"].shape[1:] == tuple(known["grid"]["shape_kji"])[::-1]


def test_two_readers_decode_the_same_pixels(study):
    folder, _, _ = study
    path = sorted((folder / "dicom").glob("*.dcm"))[30]
    values = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0])
    assert 500 < values.max() <= 1023


def test_headers_carry_what_planning_needs_and_no_identity(study):
    folder, _, _ = study
    ds = pydicom.dcmread(sorted((folder / "dicom").glob("*.dcm"))[0], stop_before_pixels=True)
    assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate) == ("PHANTOM", "PHANTOM", "")
    assert ds.PatientPosition == "HFP"
    assert ds.InPlanePhaseEncodingDirection == "COL"
    assert float(ds.PixelBandwidth) == write.BANDWIDTH_HZ_PER_PX
    assert float(ds.SpacingBetweenSlices) > float(ds.SliceThickness)
    cosines = np.asarray(ds.ImageOrientationPatient, float)
    assert cosines[0] < -0.9 and cosines[4] < -0.9, (
        "first column is the patient's left, first row the back"
    )


def test_labels_match_the_truth_counts(study):
    folder, known, segmentation = study
    pairs = [(segmentation, known["structures"])]
    if "artefact" in known:
        true = true_segmentation(folder, segmentation)
        pairs.append((true, known["artefact"]["true_structures"]))
    for labels, counts in pairs:
        assert {s["name"] for s in labels["segments"]} == set(counts)
        for name, facts in counts.items():
            assert committed_mask(labels, name).sum() == facts["voxels"], name


@pytest.mark.parametrize("target", ["foramen_L4_L5_left", "si_joint_left", "soft_tissue_lesion"])
def test_demo_paths_are_clear_on_the_committed_voxels(study, target):
    folder, known, segmentation = study
    segmentation = true_segmentation(folder, segmentation)
    path, grid = known["demo_paths"][target], truth_grid(known)
    entry, tip = np.array(path["entry_lps_mm"]), np.array(path["target_lps_mm"])
    end = tip + path["throw_mm"] * (tip - entry) / np.linalg.norm(tip - entry)
    for name in (*bone_names(), "thecal_sac", "nerve_root_L4_left"):
        mask = committed_mask(segmentation, name)
        clearance_mm = (
            truth.segment_to_boxes_mm(entry, end, mask, grid) - path["needle_outer_diameter_mm"] / 2
        )
        assert clearance_mm == pytest.approx(path["clearance_mm"][name], abs=TOL_CLEARANCE_MM), name
        assert clearance_mm > 0.0, name
    assert path["clearance_mm"]["thecal_sac"] > 3.0
    assert path["clearance_mm"]["nerve_root_L4_left"] > 1.5


def test_foramen_path_angle_and_a_bad_path(study):
    _, known, segmentation = study
    path, grid = known["demo_paths"]["foramen_L4_L5_left"], truth_grid(known)
    assert 15.0 <= -path["axial_deg"] <= 30.0, "from the left, tip towards the midline"
    medial = truth.needle_direction(+35.0, 0.0)
    tip = np.array(path["target_lps_mm"])
    bone = committed_mask(segmentation, "L4") | committed_mask(segmentation, "L5")
    assert truth.segment_to_boxes_mm(tip - 60.0 * medial, tip, bone, grid) == pytest.approx(
        0.0, abs=1e-6
    )


def test_pedicle_path_stays_inside_bone_between_canal_and_lesion():
    known = json.loads((SAMPLE_DATA / "plain" / "truth.json").read_text())
    path = known["demo_paths"]["vertebra_L5_lesion"]
    assert 20.0 <= -path["axial_deg"] <= 37.0
    assert path["clearance_mm"]["spinal_canal"] > 2.0
    assert path["clearance_mm"]["L5"] < 0.0  # it must cross this bone


def image_values(folder):
    return np.stack([pydicom.dcmread(p).pixel_array for p in sorted(folder.glob("*.dcm"))])


@pytest.fixture(scope="module")
def implant_study():
    """Values, drawn and true masks of the implant study."""
    folder = SAMPLE_DATA / "implant"
    known = json.loads((folder / "truth.json").read_text())
    masks = []
    for name in ("structures", "truth"):
        read = slicerio.read_segmentation(str(folder / f"{name}.seg.nrrd"))
        masks.append({s["name"]: committed_mask(read, s["name"]) for s in read["segments"]})
    return image_values(folder / "dicom"), known, *masks


def test_implant_study_has_metal_without_signal(implant_study):
    values, _, drawn, true = implant_study
    metal_mask = true["screws"] | true["rods"]
    assert metal_mask.sum() > 500
    plain = image_values(SAMPLE_DATA / "plain" / "dicom")
    # not zero: signal from beside is shown there
    assert np.median(values[metal_mask]) < 0.3 * np.median(plain[metal_mask])
    assert "lesion_L5" not in true
    for name in ("screws", "rods"):
        np.testing.assert_array_equal(drawn[name], true[name])


def test_the_artefact_is_a_void_with_a_bright_rim_and_ends_far_away(implant_study):
    values, known, _, true = implant_study
    plain = image_values(SAMPLE_DATA / "plain" / "dicom")
    metal_mask = true["screws"] | true["rods"]
    away_mm = ndimage.distance_transform_edt(~metal_mask, sampling=known["grid"]["spacing_kji_mm"])
    had_signal = plain > 150
    near, rim = (had_signal & (away_mm > a) & (away_mm < b) for a, b in ((1.0, 4.0), (4.0, 12.0)))
    assert np.mean(values[near] < 0.5 * plain[near]) > 0.4, "signal is lost beyond the metal"
    assert np.mean(values[rim] > 1.5 * plain[rim]) > 0.08, "and piles up"
    far = away_mm > 60.0
    without_lesion = far & ~ndimage.binary_dilation(true["L5"], iterations=3)
    change = np.abs(values.astype(float) - plain)[without_lesion]
    assert np.percentile(change, 99) < 30, "noise and a shift below half a pixel are left"


def test_what_is_drawn_differs_from_the_truth_beside_the_metal_only(implant_study):
    _, known, drawn, true = implant_study
    assert set(drawn) == set(true)
    away_mm = ndimage.distance_transform_edt(
        ~(true["screws"] | true["rods"]), sampling=known["grid"]["spacing_kji_mm"]
    )
    differs = {name: drawn[name] ^ true[name] for name in true}
    assert differs["L4"].sum() > 100 and differs["nerve_root_L4_left"].sum() > 10
    assert max(away_mm[d].max() for d in differs.values() if d.any()) < 45.0
    ratios = [drawn[name].sum() / true[name].sum() for name in true]
    assert min(ratios) > 0.9 and max(ratios) < 1.25


def test_the_header_is_that_of_the_simulated_sequence(implant_study):
    _, known, _, _ = implant_study
    sequence = known["artefact"]["sequence"]
    ds = pydicom.dcmread(SAMPLE_DATA / "implant" / "dicom" / "IM_0001.dcm", stop_before_pixels=True)
    assert float(ds.MagneticFieldStrength) == sequence["field_t"]
    assert float(ds.PixelBandwidth) == sequence["bandwidth_hz_per_px"]
    assert float(ds.SliceThickness) == sequence["slice_thickness_mm"]
    assert float(ds.EchoTime) == sequence["echo_time_ms"]
    assert ds.AcquisitionMatrix[1] == ds.Columns and ds.InPlanePhaseEncodingDirection == "COL"
    assert sequence["readout_axis"] == 2, "phase runs down the columns, so readout along the rows"
    assert float(ds.PixelSpacing[1]) == sequence["readout_pixel_mm"]
