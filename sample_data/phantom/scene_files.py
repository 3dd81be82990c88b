"""A scene as files: a DICOM series and a segmentation, as scanner and segmenter leave them."""

from pathlib import Path

import pydicom

from sample_data.phantom import write
from sample_data.phantom.parameters import AcquisitionParameters
from sample_data.phantom.scenes import SceneImage

SERIES, MASKS = "dicom", "structures.seg.nrrd"


def write_scene(folder: Path, scene: SceneImage, *, patient_position: str) -> tuple[Path, Path]:
    """Write a scene and return the folder of its series and the file of its masks.

    ``patient_position`` is DICOM's: ``"HFP"`` for the trunk scenes, ``"HFS"`` for the limbs.
    The series says that it is a T2 turbo spin echo at 1.5 T, as that of the sample studies.
    """
    grid = scene.grid
    acquisition = AcquisitionParameters(
        shape_kji=grid.shape_kji,
        pixel_mm=float(grid.spacing_kji_mm[1]),
        slice_step_mm=float(grid.spacing_kji_mm[0]),
        slice_thickness_mm=float(grid.spacing_kji_mm[0]),
    )
    series, masks = folder / SERIES, folder / MASKS
    for path in write.write_series(series, scene.values, grid, acquisition, scene.name):
        dataset = pydicom.dcmread(path)
        dataset.PatientPosition = patient_position
        dataset.StudyDescription = f"Synthetic phantom, scene {scene.name}"
        dataset.SeriesDescription = f"t2_tse_{scene.name}"
        dataset.save_as(path, enforce_file_format=True)
    write.write_segmentation(masks, scene.maps)
    return series, masks
