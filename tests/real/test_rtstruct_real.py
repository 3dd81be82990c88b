"""Real RT structure sets: two by MIM 7 with broken references, one by rt-utils (OpenCV)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from planner.errors import MaskError
from planner.geometry import Volume
from planner.geometry.contour_cover import TOUCH_TOL_PX
from planner.io import load_structures, load_volume
from planner.io.rtstruct_parsing import parse_rtstruct

MIM = ("invalid_reference_rt.dcm", "non_existent_reference_rt.dcm")


@pytest.fixture(scope="module")
def ct(shared_data, tmp_path_factory) -> Path:
    """The CT slices alone: in the set they lie beside the structure sets."""
    folder = tmp_path_factory.mktemp("ct")
    for name in ("ct_1.dcm", "ct_2.dcm"):
        shutil.copy(shared_data / "rtutils_rtstruct" / "mock_data" / name, folder)
    return folder


@pytest.fixture(scope="module")
def image(ct) -> Volume:
    return load_volume(ct)


@pytest.fixture(scope="module")
def folder(shared_data) -> Path:
    return shared_data / "rtutils_rtstruct" / "mock_data"


@pytest.mark.parametrize("name", MIM)
class TestMim:
    def test_four_rois_on_the_two_slices_of_the_image(self, folder, image, name):
        structures = load_structures(folder / name, image)
        assert list(structures) == ["ROI-1", "ROI-2", "ROI-3", "ROI-4"]
        assert all(s.source.grid is image.grid for s in structures.values())
        told = [w for w in structures.warnings if "outside the image volume" in w]
        assert len(told) == 1 and "ROI-4 (1 of 3)" in told[0]

    def test_the_area_is_that_of_the_contours_and_half_a_pixel_around(self, folder, image, name):
        avoided = load_structures(folder / name, image)
        roles = dict.fromkeys(avoided, "target")
        sampled = load_structures(folder / name, image, roles=roles)
        pixel = float(image.grid.spacing_kji_mm[1])
        for roi in parse_rtstruct(folder / name).rois:
            outlines = [c[:, :2] for c in roi.closed if c[0, 2] < 67.5]
            area = sum(shoelace(c) for c in outlines)
            length = sum(np.linalg.norm(c - np.roll(c, 1, axis=0), axis=1).sum() for c in outlines)
            slices_mm2 = pixel**2
            exact = sampled[roi.name].mask.n_voxels * slices_mm2
            assert exact == pytest.approx(area, abs=0.6 * length * pixel)
            grown = avoided[roi.name].mask.n_voxels * slices_mm2
            assert area + 0.3 * length * pixel < grown < area + 2.2 * length * pixel

    @pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
    def test_no_voxel_of_plastimatch_is_missing(self, folder, ct, image, name, tmp_path):
        ours = load_structures(folder / name, image)
        theirs = by_plastimatch(folder / name, ct, tmp_path)
        assert set(theirs) == {"ROI-1", "ROI-2", "ROI-3", "ROI-4"}
        for roi, mask in theirs.items():
            assert mask.sum() > 1000
            assert not (mask & ~ours[roi].mask.inside).any()


class TestRtUtils:
    def test_its_own_frame_of_reference_is_a_mismatch(self, folder, image):
        with pytest.raises(MaskError, match="not in the image's frame of reference"):
            load_structures(folder / "rt.dcm", image)

    def test_contours_on_pixel_centres_do_not_shrink(self, folder, image):
        structures = load_structures(folder / "rt.dcm", image, accept_frame_mismatch=True)
        mask = structures["ROI-1"].mask
        for contour in parse_rtstruct(folder / "rt.dcm").rois[0].closed:
            # Each corner's pixel, and what lies half a pixel around it.
            kji = image.grid.to_kji(contour)
            for step in np.array([(0, a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]):
                points = image.grid.to_lps(kji + step * (0.5 - 2 * TOUCH_TOL_PX))
                assert mask.contains(points).all()


def shoelace(outline: np.ndarray) -> float:
    x, y = outline.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def by_plastimatch(file: Path, ct: Path, out: Path) -> dict[str, np.ndarray]:
    done = subprocess.run(
        ["plastimatch", "convert", "--input", str(file), "--referenced-ct", str(ct),
         "--output-prefix", str(out / "masks"), "--prefix-format", "nrrd"],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reference = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(ct)))
    found = {}
    for path in (out / "masks").glob("*.nrrd"):
        mask = SimpleITK.Resample(
            SimpleITK.ReadImage(path), reference, SimpleITK.Transform(),
            SimpleITK.sitkNearestNeighbor,
        )  # fmt: skip
        found[path.stem] = SimpleITK.GetArrayFromImage(mask) > 0
    return found
