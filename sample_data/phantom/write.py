"""Files: DICOM MR series, Slicer segmentation, truth.json. Same bytes every time."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import slicerio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage, generate_uid

from sample_data.phantom.labels import LabelMaps
from sample_data.phantom.parameters import AcquisitionParameters, PhantomGrid

BANNER = "SYNTHETIC PHANTOM - RESEARCH USE ONLY - NOT A PATIENT"
STUDY_DATE, STUDY_TIME = "20240101", "120000"
BANDWIDTH_HZ_PER_PX = 250.0
FIELD_T = 1.5
ECHO_TIME_MS = 95.0
LARMOR_MHZ_PER_T = 42.577


def uid(*words: str) -> str:
    """UID that depends only on the given words."""
    return generate_uid(entropy_srcs=["needle-planner phantom", *words])


def write_series(
    folder: Path,
    values: np.ndarray,
    grid: PhantomGrid,
    acquisition: AcquisitionParameters,
    variant: str,
) -> list[Path]:
    """Write one file per slice, IM_0001.dcm first at the feet, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.dcm"):
        old.unlink()
    paths = []
    window_width = float(np.percentile(values, 99.5))
    for k in range(grid.shape_kji[0]):
        dataset = _common_header(variant)
        _add_acquisition(dataset, grid, acquisition)
        _add_slice(dataset, grid, k, variant)
        _add_pixels(dataset, values[k], window_width)
        dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
        path = folder / f"IM_{k + 1:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _common_header(variant: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = uid("implementation")
    ds.file_meta.ImplementationVersionName = "PHANTOM_1"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "DIS2D"]
    ds.SOPClassUID = MRImageStorage
    for group in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{group}Date", STUDY_DATE)
        setattr(ds, f"{group}Time", STUDY_TIME)
    ds.AccessionNumber = ""
    ds.Modality = "MR"
    ds.Manufacturer = "SYNTHETIC"
    ds.ManufacturerModelName = "needle-planner phantom"
    ds.SoftwareVersions = "phantom 1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = f"Synthetic lumbosacral phantom ({variant})"
    ds.SeriesDescription = "t2_tse_tra_obl_prone"
    ds.ImageComments = BANNER
    ds.PatientName = "PHANTOM"
    ds.PatientID = "PHANTOM"
    ds.PatientBirthDate = ""
    ds.PatientSex = ""
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "synthetic data, no patient"
    ds.BodyPartExamined = "LSPINE"
    ds.ProtocolName = "needle planning T2 TSE"
    ds.PatientPosition = "HFP"
    ds.StudyInstanceUID = uid(variant, "study")
    ds.SeriesInstanceUID = uid(variant, "series")
    ds.FrameOfReferenceUID = uid(variant, "frame")
    ds.StudyID = "1"
    ds.SeriesNumber = 5
    ds.AcquisitionNumber = 1
    ds.PositionReferenceIndicator = ""
    return ds


def _add_acquisition(ds: Dataset, grid: PhantomGrid, acquisition: AcquisitionParameters) -> None:
    rows, columns = grid.shape_kji[1:]
    phase_lines = int(rows * 0.8)
    ds.ScanningSequence = "SE"
    ds.SequenceVariant = ["SK", "SP"]
    ds.ScanOptions = "PFP"
    ds.MRAcquisitionType = "2D"
    ds.SequenceName = "*tse2d1_17"
    ds.AngioFlag = "N"
    ds.RepetitionTime = "4200"
    ds.EchoTime = f"{ECHO_TIME_MS:g}"
    ds.EchoTrainLength = 17
    ds.EchoNumbers = 1
    ds.FlipAngle = "150"
    ds.NumberOfAverages = "2"
    ds.ImagingFrequency = f"{FIELD_T * LARMOR_MHZ_PER_T:.4f}"
    ds.ImagedNucleus = "1H"
    ds.MagneticFieldStrength = f"{FIELD_T:g}"
    ds.NumberOfPhaseEncodingSteps = phase_lines
    ds.PercentSampling = "80"
    ds.PercentPhaseFieldOfView = f"{100.0 * rows / columns:.4f}"
    ds.PixelBandwidth = f"{BANDWIDTH_HZ_PER_PX:g}"
    ds.TransmitCoilName = "Body"
    ds.ReceiveCoilName = "Body+Spine"
    # readout along the row (patient left-right), phase along the column
    ds.AcquisitionMatrix = [0, columns, phase_lines, 0]
    ds.InPlanePhaseEncodingDirection = "COL"
    ds.VariableFlipAngleFlag = "N"
    ds.SAR = "1.2"
    ds.SliceThickness = f"{acquisition.slice_thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{acquisition.slice_step_mm:g}"
    ds.PixelSpacing = [f"{acquisition.pixel_mm:g}"] * 2


def _add_slice(ds: Dataset, grid: PhantomGrid, k: int, variant: str) -> None:
    ds.SOPInstanceUID = uid(variant, "instance", str(k))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber = k + 1
    row_axis = grid.lps_from_kji[:3, 2] / grid.spacing_kji_mm[2]
    column_axis = grid.lps_from_kji[:3, 1] / grid.spacing_kji_mm[1]
    position_mm = grid.lps_from_index((k, 0, 0))
    ds.ImagePositionPatient = [_decimal(v, 9) for v in position_mm]
    ds.ImageOrientationPatient = [_decimal(v, 12) for v in (*row_axis, *column_axis)]
    normal = np.cross(row_axis, column_axis)
    ds.SliceLocation = _decimal(float(position_mm @ normal), 6)


def _decimal(value: float, digits: int) -> str:
    """DICOM DS text (at most 16 characters) without a negative zero."""
    text = f"{round(float(value), digits) + 0.0:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if len(text) <= 16 else text[:16]


def _add_pixels(ds: Dataset, plane: np.ndarray, window_width: float) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = plane.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 10, 9
    ds.PixelRepresentation = 0
    ds.SmallestImagePixelValue = int(plane.min())
    ds.LargestImagePixelValue = int(plane.max())
    ds.WindowWidth = f"{window_width:.0f}"
    ds.WindowCenter = f"{window_width / 2:.0f}"
    ds.LossyImageCompression = "00"
    ds.PixelData = np.ascontiguousarray(plane, "<u2").tobytes()


def write_segmentation(path: Path, maps: LabelMaps) -> None:
    """Multi-layer .seg.nrrd as 3D Slicer stores it, in LPS, without a time stamp."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ijk_to_lps = maps.grid.lps_from_kji[:, [2, 1, 0, 3]]
    voxels = np.asfortranarray(maps.layers.transpose(0, 3, 2, 1))
    segments = [_segment(name, maps) for name in maps.names]
    segmentation = {
        "voxels": voxels,
        "ijkToLPS": ijk_to_lps,
        "containedRepresentationNames": ["Binary labelmap"],
        "masterRepresentation": "Binary labelmap",
        "referenceImageExtentOffset": [0, 0, 0],
        "segments": segments,
    }
    slicerio.write_segmentation(str(path), segmentation)
    # the writer puts the date in a comment line: the file must not change from day to day
    raw = path.read_bytes()
    path.write_bytes(
        re.sub(
            rb"(?m)^# This NRRD file was generated by[^\n]*\n(?:# on [^\n]*\n)?", b"", raw, count=1
        )
    )


def _segment(name: str, maps: LabelMaps) -> dict:
    where = np.argwhere(maps.mask(name))
    low, high = where.min(axis=0)[::-1], where.max(axis=0)[::-1]
    hue = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)).uniform(
        0.2, 1.0, 3
    )
    return {
        "id": name,
        "name": name,
        "color": [round(float(c), 4) for c in hue],
        "nameAutoGenerated": False,
        "colorAutoGenerated": False,
        "labelValue": maps.values[name],
        "layer": maps.layer_numbers[name],
        "extent": [int(v) for pair in zip(low, high, strict=True) for v in pair],
        "status": "completed",
    }


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_truth(path: Path, content: dict) -> None:
    """Stable JSON: sorted keys, one value per line where short lists stay readable."""
    text = json.dumps(content, indent=1, sort_keys=True)
    text = re.sub(
        r"\[\s+([-0-9.e+,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text
    )
    path.write_text(text + "\n", encoding="utf-8")


def read_grid(folder: Path) -> PhantomGrid:
    """Grid of a written series from its headers (first and last slice), for checks."""
    files = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(folder.glob("*.dcm"))]
    first, last = files[0], files[-1]
    cosines = np.asarray(first.ImageOrientationPatient, float)
    lps_from_kji = np.eye(4)
    start, end = (np.asarray(d.ImagePositionPatient, float) for d in (first, last))
    lps_from_kji[:3, 0] = (end - start) / (len(files) - 1)
    lps_from_kji[:3, 1] = cosines[3:] * float(first.PixelSpacing[0])
    lps_from_kji[:3, 2] = cosines[:3] * float(first.PixelSpacing[1])
    lps_from_kji[:3, 3] = start
    return PhantomGrid(shape_kji=(len(files), first.Rows, first.Columns), lps_from_kji=lps_from_kji)
