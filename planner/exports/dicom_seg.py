"""DICOM Segmentation (BINARY) of the regions of a plan.

The patient's name, ID and birth date are copied from the source images, as DICOM demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import planner
from planner.errors import GridMismatchError, MaskError
from planner.exports.dicom_common import (
    CODING_SCHEME,
    MANUFACTURER,
    MODEL,
    SEG_SERIES,
    SERIAL_NUMBER,
    bare_images,
    copy_patient_and_study,
    long_string,
    new_uid,
    restore_references,
    series_description,
    short_text,
    statement,
    unique_long_strings,
    write_object,
)
from planner.exports.dicom_regions import Region, RegionKind, derived_regions
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport
from planner.geometry import Mask

_COLOURS = {
    RegionKind.PATH: (0, 255, 0),
    RegionKind.TARGET: (255, 220, 0),
    RegionKind.TOLERANCE: (255, 160, 0),
    RegionKind.VOID: (255, 0, 0),
    RegionKind.SWEPT: (200, 0, 255),
    RegionKind.OTHER: (0, 160, 255),
}
"""Recommended display, red, green, blue."""


def write_dicom_seg(
    plan: PlanToExport,
    source: SourceImages,
    path: str | Path,
    regions: Mapping[str, Mask] | None = None,
) -> tuple[Path, ...]:
    """The file of the segmentation, after it was written.

    Segments: every chosen path as the voxels its needle touches (throw included), the
    target's structures and tolerance; beside metal the void and every structure that the
    image shift grew; then ``regions``. Segments overlap. Slices without a voxel are left out.

    Parameters
    ----------
    plan, source
    path : str or Path
    regions : mapping of name to Mask, optional
        More regions, on the grid of the images.

    Raises
    ------
    GridMismatchError
        A region is on another grid.
    InputError
        The plan has implants and its structures were not given, a region is empty, or the
        object cannot be built from these images.
    OutputError
        If it cannot be written.
    """
    found = list(derived_regions(plan, source))
    for name, mask in (regions or {}).items():
        _check(name, mask, source)
        found.append(Region(name=name, kind=RegionKind.OTHER, mask=mask, words="given region"))
    return write_object(path, "segmentation", lambda: _segmentation(plan, source, found))


def _check(name: str, mask: Mask, source: SourceImages) -> None:
    grid = source.volume.grid
    if not mask.grid.frame.same_as(grid.frame) or not mask.grid.is_close(grid):
        raise GridMismatchError(
            f"region '{name}' is not on the grid of the source images",
            seen=mask.grid.shape_kji,
            needed=grid.shape_kji,
        )
    if mask.n_voxels == 0:
        raise MaskError("a region has no voxel", where=name)


def _segmentation(plan: PlanToExport, source: SourceImages, regions: list[Region]) -> Any:
    import highdicom as hd
    from highdicom.seg import Segmentation, SegmentationTypeValues

    grid = source.volume.grid
    array = np.stack([r.mask.inside for r in regions], axis=-1)
    labels = unique_long_strings([r.name for r in regions])
    volume = hd.Volume(
        array=array,
        affine=np.array(grid.lps_from_kji),
        coordinate_system="PATIENT",
        frame_of_reference_uid=source.frame_of_reference_uid,
        channels={"SegmentNumber": list(range(1, len(regions) + 1))},
    )
    seg = Segmentation(
        source_images=bare_images(source),
        pixel_array=volume,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(n, label, region)
            for n, (label, region) in enumerate(zip(labels, regions, strict=True), start=1)
        ],
        series_instance_uid=new_uid(),
        series_number=SEG_SERIES.number,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=long_string(planner.__version__),
        device_serial_number=SERIAL_NUMBER,
        content_label="NEEDLE_PLAN",
        content_description=series_description(plan, SEG_SERIES),
        series_description=series_description(plan, SEG_SERIES),
        specific_character_set="ISO_IR 192",
    )
    seg.ContentCreatorName = None
    for item, region in zip(seg.SegmentSequence, regions, strict=True):
        item.SegmentDescription = short_text(f"{region.words}. {statement(plan)}")
    copy_patient_and_study(seg, source)
    restore_references(seg, source)
    return seg


def _description(number: int, label: str, region: Region) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    place = codes.SCT.SpatialAndRelationalConcept
    category, kind = {
        RegionKind.PATH: (codes.SCT.PhysicalObject, codes.SCT.Needle),
        RegionKind.TARGET: (place, codes.DCM.Target),
        RegionKind.TOLERANCE: (place, Code("TOLERANCE", CODING_SCHEME, "Tolerance of the target")),
        RegionKind.VOID: (place, Code("MRVOID", CODING_SCHEME, "Void of an MR image beside metal")),
        RegionKind.SWEPT: (
            place,
            Code("SWEPT", CODING_SCHEME, "Structure grown by the possible image shift"),
        ),
        RegionKind.OTHER: (place, Code("REGION", CODING_SCHEME, "Region of a needle plan")),
    }[region.kind]
    return SegmentDescription(
        display_color=CIELabColor.from_rgb(*_COLOURS[region.kind]),
        segment_number=number,
        segment_label=label,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MODEL,
            version=planner.__version__,
            family=Code("123109", "DCM", "Manual Processing")
            if region.kind is RegionKind.TARGET
            else Code("GEOMETRY", CODING_SCHEME, "Geometric construction"),
        ),
    )
