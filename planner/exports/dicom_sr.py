"""DICOM Comprehensive 3D SR (TID 1500): one measurement group for each path.

The patient's name, ID and birth date are copied from the source images, as DICOM demands.
"""

from __future__ import annotations

import hashlib
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np

import planner
from planner.exports.dicom_common import (
    CODING_SCHEME,
    MANUFACTURER,
    MODEL,
    SERIAL_NUMBER,
    SR_SERIES,
    UNVERIFIED,
    bare_images,
    copy_patient_and_study,
    long_string,
    new_uid,
    one_line,
    restore_references,
    series_description,
    statement,
    unique_long_strings,
    write_object,
)
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport, region_words, verdict_of
from planner.io.plan_document import ClearanceRecord, TrajectoryRecord

_DECIMALS = Decimal("0.0001")
_REQUIRED_WORDS = "Required clearance to "
_SCHEME_NAME = "mr-needle-planner codes"


def write_dicom_sr(plan: PlanToExport, source: SourceImages, path: str | Path) -> tuple[Path, ...]:
    """The file of the report, after it was written.

    Each chosen path is a measurement group with a POLYLINE of two points, entry then tip,
    in LPS mm of the frame of reference of the source images. Numbers are rounded to
    0.0001 mm, clearances down and required clearances up; coordinates are 32-bit floats
    (within 0.0001 mm of the plan's up to 1 m from the origin).

    Raises
    ------
    InputError
        If it cannot be built from these images.
    OutputError
        If it cannot be written.

    References
    ----------
    DICOM PS3.16 TID 1500, 1501, 300; PS3.3 section C.18.9 (SCOORD3D).
    """
    return write_object(path, "structured report", lambda: _report(plan, source))


def _report(plan: PlanToExport, source: SourceImages) -> Any:
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    images = bare_images(source)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=new_uid(),
        name=MODEL,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MODEL} {planner.__version__}",
        serial_number=SERIAL_NUMBER,
    )
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )
    is_ct = source.volume.source.modality == "CT"
    content = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_modality_code(is_ct),
        imaging_measurements=[_group(plan, path, source) for path in plan.paths],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[images[k] for k in _crossed(plan, source)],
    )
    report = sr.Comprehensive3DSR(
        evidence=images,
        content=content,
        series_number=SR_SERIES.number,
        series_instance_uid=new_uid(),
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=long_string(planner.__version__),
        device_serial_number=SERIAL_NUMBER,
        series_description=series_description(plan, SR_SERIES),
        specific_character_set="ISO_IR 192",
        coding_schemes=[
            CodingSchemeIdentificationItem(designator=CODING_SCHEME, name=_SCHEME_NAME)
        ],
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    copy_patient_and_study(report, source)
    restore_references(report, source)
    return report


def _crossed(plan: PlanToExport, source: SourceImages) -> list[int]:
    """Slices that a path crosses: the image library has these, the evidence all."""
    crossed: set[int] = set()
    last = len(source.slices) - 1
    for path in plan.paths:
        ends = source.volume.grid.to_kji([path.entry_lps_mm, path.throw_end_lps_mm])[:, 0]
        first, stop = np.rint([ends.min(), ends.max()]).astype(int).clip(0, last)
        crossed.update(range(first, stop + 1))
    return sorted(crossed)


def _modality_code(is_ct: bool) -> Any:
    from pydicom.sr.coding import Code

    if is_ct:
        return Code("77477000", "SCT", "Computed tomography")
    return Code("113091000", "SCT", "Magnetic resonance imaging")


def _group(plan: PlanToExport, path: TrajectoryRecord, source: SourceImages) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    name = plan.name_of(path)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=new_uid(), identifier=long_string(name)),
        finding_type=codes.DCM.Path,
        measurements=[*_lengths(plan, path, source), *_clearances(path.clearances)],
        qualitative_evaluations=_evaluations(plan, path),
    )
    group[0].ContentSequence.extend(_texts(plan, path))
    return group


def _lengths(plan: PlanToExport, path: TrajectoryRecord, source: SourceImages) -> list[Any]:
    """Path, throw, needle and target, with their places."""
    from pydicom.sr.codedict import codes

    document = plan.document
    frame = source.frame_of_reference_uid
    line = _coordinates("POLYLINE", [path.entry_lps_mm, path.tip_lps_mm], frame)
    target = _coordinates("POINT", [document.target.point_lps_mm], frame)
    aim = _code("TIP-TARGET", "Distance of the tip from the target")
    if document.target.region is not None:
        aim = _code("TIP-PREFERRED", "Distance of the tip from the preferred point")
    found = [
        _millimetres(codes.SCT.Length, _nearest(path.length_mm), line),
        _millimetres(aim, _up(path.tip_to_target_mm), target),
        _millimetres(codes.DCM.NeedleLength, _nearest(document.needle.length_mm)),
        _millimetres(
            _code("NEEDLE-OD", "Needle outer diameter"), _up(document.needle.outer_diameter_mm)
        ),
    ]
    if document.needle.throw_mm > 0.0:
        fired = _coordinates("POLYLINE", [path.tip_lps_mm, path.throw_end_lps_mm], frame)
        throw = _code("THROW", "Throw of the needle beyond the tip")
        found.append(_millimetres(throw, _up(document.needle.throw_mm), fired))
    return found


def _clearances(records: tuple[ClearanceRecord, ...]) -> list[Any]:
    """Clearance to each structure, and what was required; the names are in the code meanings."""
    found = []
    got = unique_long_strings([f"Clearance to {r.structure}" for r in records])
    needed = unique_long_strings([_REQUIRED_WORDS + r.structure for r in records])
    for record, got_meaning, needed_meaning in zip(records, got, needed, strict=True):
        key = hashlib.sha256(record.structure.encode()).hexdigest()[:8]
        found.append(_millimetres(_code(f"CLR-{key}", got_meaning), _down(record.clearance_mm)))
        if record.required_mm is not None:
            code = _code(f"REQ-{key}", needed_meaning)
            found.append(_millimetres(code, _up(record.required_mm)))
    return found


def _evaluations(plan: PlanToExport, path: TrajectoryRecord) -> list[Any]:
    from highdicom import sr

    verdict = verdict_of(path).upper()
    said = [
        (("PLANSTAT", "Plan status"), ("NOTAPPR", "Not approved")),
        (("VERDICT", "Verdict of the path"), (verdict, verdict)),
    ]
    if UNVERIFIED in plan.name_of(path):
        said.append((("CHECKED", "Verification of the path"), (UNVERIFIED, UNVERIFIED)))
    return [
        sr.QualitativeEvaluation(name=_code(*name), value=_code(*value)) for name, value in said
    ]


def _texts(plan: PlanToExport, path: TrajectoryRecord) -> list[Any]:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    document = plan.document
    needle, procedure = document.needle, document.procedure
    texts = (
        (codes.DCM.Comment, plan.description_of(path)),
        (_code("WORDS", "Entry in words"), path.words),
        (_code("NEEDLE", "Needle"), f"{needle.name}, {needle.material}"),
        (_code("PROCEDURE", "Procedure"), f"{procedure.id}: {procedure.title}"),
        (_code("RESEARCH", "Research use statement"), statement(plan)),
        (_code("PLANHASH", "SHA-256 of the plan file"), plan.sha256),
        (_code("REGION", "Target region"), region_words(plan)),
        (_code("STRUCTURES", "Names of structures in full"), _full_names(path)),
    )
    return [
        sr.TextContentItem(
            name=name, value=one_line(text), relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
        for name, text in texts
        if one_line(text)
    ]


def _full_names(path: TrajectoryRecord) -> str:
    """Names that a code meaning of 64 bytes had to cut."""
    names = [record.structure for record in path.clearances]
    told = [(name, _REQUIRED_WORDS + name) for name in names]
    return "; ".join(name for name, meaning in told if long_string(meaning) != one_line(meaning))


def _millimetres(name: Any, value: float, coordinates: Any | None = None) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    return sr.Measurement(
        name=name,
        value=value,
        unit=codes.UCUM.Millimeter,
        referenced_coordinates=None if coordinates is None else [coordinates],
    )


def _coordinates(kind: str, points_lps_mm: list[tuple[float, float, float]], frame: str) -> Any:
    from highdicom import sr

    return sr.CoordinatesForMeasurement3D(
        graphic_type=sr.GraphicTypeValues3D[kind],
        graphic_data=np.array(points_lps_mm, dtype=np.float64),
        frame_of_reference_uid=frame,
    )


def _code(value: str, meaning: str) -> Any:
    from pydicom.sr.coding import Code

    return Code(value, CODING_SCHEME, meaning)


def _nearest(value_mm: float) -> float:
    return float(Decimal(repr(value_mm)).quantize(_DECIMALS, ROUND_HALF_EVEN))


def _down(value_mm: float) -> float:
    return float(Decimal(repr(value_mm)).quantize(_DECIMALS, ROUND_FLOOR))


def _up(value_mm: float) -> float:
    return float(Decimal(repr(value_mm)).quantize(_DECIMALS, ROUND_CEILING))
