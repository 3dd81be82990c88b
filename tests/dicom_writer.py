"""Writes classic single-frame DICOM series for a given grid, one file per slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from planner.geometry import Grid

Edit = Callable[[Dataset, int], None]

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = "1.2.826.0.1.3680043.8.498.2"
SECRETS = ("DOE^JOHN", "19700101", "GENERAL HOSPITAL")
"""Patient name, birth date and institution that must never come out again."""


def texture(grid: Grid, *, dtype: type = np.uint16, top: int = 900) -> np.ndarray:
    """Values that differ from voxel to voxel in every direction, shape of the grid."""
    n = int(np.prod(grid.shape_kji))
    return ((np.arange(n) * 7919) % top).reshape(grid.shape_kji).astype(dtype)


def slice_dataset(grid: Grid, k: int, values: np.ndarray, *, modality: str = "MR") -> FileDataset:
    """One slice as a data set that could be saved; ``values`` is [j, i]."""
    storage = MRImageStorage if modality == "MR" else CTImageStorage
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientBirthDate, ds.InstitutionName = SECRETS
    ds.PatientID = "4711"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY_UID, SERIES_UID
    ds.FrameOfReferenceUID = grid.frame.uid or "1.2.3"
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = modality, 4, "t2_tse"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.InstanceNumber, ds.PatientPosition = k + 1, "HFS"
    axes = grid.axes_lps_from_kji
    ds.ImagePositionPatient = ds_texts(grid.to_lps([k, 0, 0]))
    ds.ImageOrientationPatient = ds_texts(np.concatenate([axes[:, 2], axes[:, 1]]))
    ds.PixelSpacing = ds_texts(grid.spacing_kji_mm[1:])
    ds.SliceThickness = "99"
    ds.SpacingBetweenSlices = "77"
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = values.dtype.itemsize * 8
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(values.dtype.kind == "i")
    ds.PixelData = np.ascontiguousarray(values).tobytes()
    return ds


def write_series(
    folder: Path,
    grid: Grid,
    values: np.ndarray | None = None,
    *,
    edit: Edit | None = None,
    modality: str = "MR",
    skip: tuple[int, ...] = (),
    prefix: str = "",
) -> list[Path]:
    """Saves the slices of a grid under names whose order is not theirs.

    ``edit`` may change each data set before it is saved; ``skip`` leaves slices out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels = texture(grid) if values is None else values
    names = np.random.default_rng(5).permutation(grid.shape_kji[0])
    written = []
    for k in range(grid.shape_kji[0]):
        if k in skip:
            continue
        ds = slice_dataset(grid, k, pixels[k], modality=modality)
        if edit is not None:
            edit(ds, k)
        file = folder / f"{prefix}IM{names[k]:04d}"
        save(ds, file)
        written.append(file)
    return written


def save(ds: Dataset, file: Path) -> None:
    """Saves as DICOM Part 10."""
    ds.save_as(file, enforce_file_format=True)


def edit_file(file: Path, edit: Callable[[Dataset], None]) -> None:
    """Changes a file that was written before."""
    ds = pydicom.dcmread(file)
    edit(ds)
    save(ds, file)


def ds_texts(numbers: np.ndarray) -> list[str]:
    """Numbers as DS values, at most 16 characters each."""
    return [format_number_as_ds(float(v)) for v in numbers]
