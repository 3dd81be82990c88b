"""Whether the MR values and implants of a plan are those of the image and the masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.geometry import Volume
from planner.io.plan_document import AcquisitionRecord, ImplantRecord, PlanDocument
from planner.model import StructureRole, StructureSet
from planner.verify.artefact import materials_of
from planner.verify.ledger import Ledger

FIELD_TOL = 0.11
"""Headers round 2.89 T to 3 T; beyond a tenth the plan must call it contradictory."""

_FROM_HEADER = ("bandwidth_hz_per_px", "echo_time_ms", "repetition_time_ms")


def check_mr(plan: PlanDocument, volume: Volume, book: Ledger) -> None:
    """Values that are said to be from a tag are those of the header."""
    header = volume.source.mr
    if plan.mr is None:
        book.rule("mr is given for an MR image", None, bool(header), not header)
        return
    for name in _FROM_HEADER:
        if _source(plan.mr, name) == "tag" and name in header:
            book.close(f"mr.{name}", getattr(plan.mr, name), _number(header[name]), 1e-6)
    _check_nothing_hidden(plan.mr, header, book)
    stated = _number(header.get("field_t"))
    if _source(plan.mr, "field_t") == "tag" and stated is not None and plan.mr.field_t is not None:
        off = abs(plan.mr.field_t / stated - 1.0) if stated > 0 else np.inf
        book.close("mr.field_t differs from the header by", off, 0.0, FIELD_TOL)
    for name in ("b0_direction_lps", "readout_axis_lps", "slice_axis_lps"):
        axis = getattr(plan.mr, name)
        if axis is not None:
            length = float(np.sqrt((np.array(axis) ** 2).sum()))
            book.close(f"mr.{name} has length", length, 1.0, 1e-6)
    axes = volume.grid.lps_from_kji[:3, :3] / volume.grid.spacing_kji_mm
    if _source(plan.mr, "readout_axis_lps") in ("tag", "derived") and plan.mr.readout_axis_lps:
        along = np.abs(axes.T @ np.array(plan.mr.readout_axis_lps)).max()
        book.close("mr.readout_axis_lps along a row or column", float(along), 1.0, 1e-3)


def _check_nothing_hidden(
    mr: AcquisitionRecord, header: Mapping[str, object], book: Ledger
) -> None:
    """What the header states is given: a value called missing would hide all that follows."""
    frequency_mhz, field_t = (_number(header.get(k)) for k in ("imaging_frequency_mhz", "field_t"))
    for name in (*_FROM_HEADER, "slice_thickness_mm", "field_t"):
        stated = _number(header.get(name))
        if stated is None or not (np.isfinite(stated) and stated > 0):
            continue
        may_be_doubtful = name == "field_t" and frequency_mhz is not None and field_t is not None
        is_given = getattr(mr, name) is not None and (may_be_doubtful or name not in mr.problems)
        book.rule(f"mr.{name} is given, as the header has it", is_given, True, is_given)


def check_implants(plan: PlanDocument, structures: StructureSet, book: Ledger) -> None:
    """Every implant is listed, with metals of the table."""
    given = sorted(s.name for s in structures.with_role(StructureRole.IMPLANT))
    listed = sorted(i.name for i in plan.implants)
    book.rule("implants are those of the structures", listed, given, listed == given)
    for implant in plan.implants:
        book.rule(f"implants[{implant.name}] has metals", len(implant.materials), 1,
                  bool(implant.materials))  # fmt: skip
        _check_materials(implant, book)


def _check_materials(implant: ImplantRecord, book: Ledger) -> None:
    for material in implant.materials:
        claim = f"implants[{implant.name}].{material.name}"
        found = materials_of(material.name).get(material.name)
        if found is None:
            book.rule(claim, material.name, None, False, "no such metal in the table")
            continue
        for key in ("delta_chi_ppm", "low_ppm", "high_ppm"):
            book.close(f"{claim}.{key}", getattr(material, key), float(found[key]), 1e-9)


def _source(mr: AcquisitionRecord, name: str) -> str:
    return mr.sources.get(name, "").partition(":")[0]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
