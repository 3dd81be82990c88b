"""Regions of a plan as masks: paths, target, and what metal makes of the anatomy.

The zones of metal are computed again, by the code that planned, from the acquisition and
the implants that the plan records and from its structures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from planner.errors import InputError
from planner.exports.capsule_voxels import capsule_voxels
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport
from planner.geometry import Mask
from planner.io.plan_document import AcquisitionRecord, ImplantRecord
from planner.model.mr import (
    Material,
    MetalReduction,
    MRAcquisition,
    Provenance,
    SequenceFamily,
    ValueSource,
)
from planner.model.structures import StructureRole
from planner.physics.materials import UNKNOWN_METAL, candidate_materials
from planner.report.html_region import GIVEN_REGION, region_mask
from planner.safety.metal import VOID_NAME, metal_layer, sweep_mask, sweep_widths, void_mask


class RegionKind(StrEnum):
    """What a region is of."""

    PATH = "path"
    TARGET = "target"
    TOLERANCE = "tolerance"
    VOID = "void"
    SWEPT = "swept"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Region:
    """One region with its name and a line on what it is."""

    name: str
    kind: RegionKind
    mask: Mask
    words: str


def derived_regions(plan: PlanToExport, source: SourceImages) -> tuple[Region, ...]:
    """Paths, target and tolerance, the void, and every structure the metal's shift grew.

    Raises
    ------
    InputError
        The plan has implants or a target region but the structures were not given, the region
        is not the one of the plan, or the metal is not in the table with the numbers of the
        plan: leaving the void out would look safe.
    """
    return (
        *(_path_region(plan, n, source) for n in range(len(plan.paths))),
        *_target_regions(plan, source),
        *_metal_regions(plan, source),
    )


def _path_region(plan: PlanToExport, n: int, source: SourceImages) -> Region:
    path = plan.paths[n]
    radius_mm = plan.document.needle.outer_diameter_mm / 2
    grid = source.volume.grid
    touched = capsule_voxels(grid, path.entry_lps_mm, path.throw_end_lps_mm, radius_mm)
    if not touched.any():
        raise InputError("the path lies outside the images", where=plan.name_of(path))
    return Region(
        name=plan.name_of(path),
        kind=RegionKind.PATH,
        mask=Mask(grid=grid, inside=touched),
        words=plan.description_of(path),
    )


def _target_regions(plan: PlanToExport, source: SourceImages) -> list[Region]:
    target, grid = plan.document.target, source.volume.grid
    found = []
    given = None if target.region is None else target.region.name.removeprefix(GIVEN_REGION)
    if source.structures is not None:
        for structure in source.structures.with_role(StructureRole.TARGET):
            if structure.name == given:
                continue  # told below, as what it was
            found.append(
                Region(
                    name=structure.name,
                    kind=RegionKind.TARGET,
                    mask=structure.mask,
                    words="target structure of the plan",
                )
            )
    if target.region is not None:
        return [*found, _region_of(plan, source)]
    ball = capsule_voxels(grid, target.point_lps_mm, target.point_lps_mm, target.tolerance_mm)
    if ball.any():
        found.append(
            Region(
                name=f"tolerance of {target.name}",
                kind=RegionKind.TOLERANCE,
                mask=Mask(grid=grid, inside=ball),
                words=f"voxels within {target.tolerance_mm:g} mm of the target point",
            )
        )
    return found


def _region_of(plan: PlanToExport, source: SourceImages) -> Region:
    """The region in which the tip may lie anywhere, derived again and held to its hash."""
    record = plan.document.target.region
    assert record is not None
    if source.structures is None:
        raise InputError(
            "the target region of the plan is derived from its masks",
            seen="no mask",
            needed="the mask files the plan was made with",
            where="--structures",
        )
    said = [record.words or "target region", "the tip may lie anywhere in it", *record.warnings]
    return Region(
        name=f"target {record.name}",
        kind=RegionKind.TARGET,
        mask=region_mask(plan.document, source.structures),
        words="; ".join(said),
    )


def _metal_regions(plan: PlanToExport, source: SourceImages) -> list[Region]:
    document = plan.document
    if not document.implants:
        return []
    if source.structures is None:
        raise InputError(
            "the plan has implants: the void of their field cannot be left out",
            seen=", ".join(i.name for i in document.implants),
            needed="the mask files the plan was made with",
            where="--structures",
        )
    acquisitions = []
    if document.mr is not None:
        acquisitions = [acquisition_from(document.mr)]
        if document.mr.guidance is not None:
            acquisitions.append(acquisition_from(document.mr.guidance))
    materials = {implant.name: _material_name(implant) for implant in document.implants}
    layer = metal_layer(source.structures, acquisitions, materials)
    if layer is None or layer.field is None:
        # Such a plan is UNKNOWN, and was let through by the user: its names say so.
        return []
    found = [
        Region(
            name=VOID_NAME,
            kind=RegionKind.VOID,
            mask=void_mask(layer),
            words="signal lost or image folded by metal, nominal field with its margin",
        )
    ]
    widths = sweep_widths(layer)
    for structure in source.structures.with_role(StructureRole.AVOID, StructureRole.BONE):
        mask = sweep_mask(structure.mask, layer.field, widths)
        if not np.array_equal(mask.inside, structure.mask.inside):
            found.append(
                Region(
                    name=f"{structure.name} (swept)",
                    kind=RegionKind.SWEPT,
                    mask=mask,
                    words="where the structure may truly be, by the bound of the image shift",
                )
            )
    return found


def acquisition_from(record: AcquisitionRecord) -> MRAcquisition:
    """The acquisition that a plan records."""

    def direction(values: tuple[float, float, float] | None) -> np.ndarray | None:
        return None if values is None else np.array(values)

    sources = {}
    for name, text in record.sources.items():
        kind, _, detail = text.partition(": ")
        sources[name] = Provenance(source=ValueSource(kind), detail=detail)
    b0 = record.b0_direction_lps
    if b0 is None or record.rf_bandwidth_hz is None:
        raise InputError("the plan does not say which B0 and RF bandwidth it counted with")
    return MRAcquisition(
        field_t=record.field_t,
        b0_direction_lps=np.array(b0),
        bandwidth_hz_per_px=record.bandwidth_hz_per_px,
        readout_pixel_mm=record.readout_pixel_mm,
        phase_pixel_mm=record.phase_pixel_mm,
        readout_axis_lps=direction(record.readout_axis_lps),
        slice_axis_lps=direction(record.slice_axis_lps),
        slice_thickness_mm=record.slice_thickness_mm,
        rf_bandwidth_hz=record.rf_bandwidth_hz,
        acquisition=record.acquisition,
        sequence=SequenceFamily(record.sequence or SequenceFamily.UNKNOWN),
        echo_time_ms=record.echo_time_ms,
        repetition_time_ms=record.repetition_time_ms,
        is_isotropic_readout=record.is_isotropic_readout,
        metal_reduction=MetalReduction(record.metal_reduction),
        metal_reduction_hint=record.metal_reduction_hint,
        distortion_corrected=record.distortion_corrected,
        sources=sources,
        problems=dict(record.problems),
    )


def _material_name(implant: ImplantRecord) -> str:
    """The name under which the table has the metals of an implant, with the same numbers."""
    names = [m.name for m in implant.materials]
    name = names[0] if len(names) == 1 else UNKNOWN_METAL
    table = candidate_materials(name)
    recorded = [(m.name, m.delta_chi_ppm, m.low_ppm, m.high_ppm) for m in implant.materials]
    if recorded != [_numbers(m) for m in table]:
        raise InputError(
            "the metals of an implant are not those of this version's table",
            seen=", ".join(names),
            where=implant.name,
            fix="Plan again with this version.",
        )
    return name


def _numbers(material: Material) -> tuple[str, float, float, float]:
    return (
        material.name,
        float(material.delta_chi_ppm.value),
        float(material.low_ppm),
        float(material.high_ppm),
    )
