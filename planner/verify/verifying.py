"""The whole verification: inputs, then every trajectory, then the plan's own logic."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import ConfigError, PlannerError
from planner.geometry import Mask, Volume
from planner.geometry.frames import FloatArray
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import Finding, PlanResult, Protocol, StructureRole, StructureSet, Verdict
from planner.verify.asked import check_asked
from planner.verify.claims import check_plan_claims, check_region_claims, needle_is_known
from planner.verify.exact import Skin, VoxelBoxes, unseen_boxes
from planner.verify.findings import Surroundings
from planner.verify.inputs import (
    asked_margin_mm,
    check_body,
    check_image,
    check_procedure,
    check_structures,
    shaft_margin_mm,
    soft_margin_mm,
)
from planner.verify.ledger import Ledger
from planner.verify.metal import metal_truth
from planner.verify.mr_inputs import check_implants, check_mr
from planner.verify.pairs import check_pairs
from planner.verify.paths import check_trajectory
from planner.verify.report import VerificationReport
from planner.verify.way import protocol_as_planned, way_truth
from planner.verify.words import check_midline, middles_told


def verify_plan(
    plan: PlanResult | PlanDocument,
    volume: Volume,
    structures: StructureSet,
    body: Mask | None = None,
    *,
    protocol: Protocol | None = None,
) -> VerificationReport:
    """What an independent computation says about every claim of a plan.

    Parameters
    ----------
    plan : PlanResult or PlanDocument
        From :func:`planner.plan` or :func:`planner.load_plan`.
    volume, structures : Volume, StructureSet
        Read again from the files. Structures need the roles and margins of the
        plan; :func:`structures_as_planned` sets those that the user gave.
    body : Mask, optional
        The body. By default the structure of role ``body``, or else the body
        found anew in the image.
    protocol : Protocol, optional
        The procedure. By default that of a PlanResult, or else the one of this
        id that ships with the package.

    Returns
    -------
    VerificationReport
        ``ok`` only when every claim was confirmed. Whatever is missing (a
        structure, the body, the procedure) is not confirmed.

    Notes
    -----
    Distances are those of the needle's axis to voxel boxes, in float64, by a
    golden section over every voxel that may be the nearest; they are right to
    1e-6 mm. A claimed clearance may be up to 0.01 mm smaller, never larger.
    """
    book = Ledger()
    if isinstance(plan, PlanResult):
        protocol = protocol or plan.protocol
        plan = plan_document(plan)
    protocol = protocol_as_planned(plan, protocol or _protocol_of(plan), book)
    found = _body_of(structures, volume, body)
    check_image(plan, volume, book)
    check_procedure(plan, protocol, book)
    way = way_truth(plan, structures, protocol, book)
    protocol = way.protocol
    check_structures(plan, structures, protocol, book)
    check_body(plan, found.mask, found.source, book)
    check_mr(plan, volume, book)
    check_implants(plan, structures, book)
    check_plan_claims(plan, volume, structures, protocol, book)
    check_region_claims(plan, way.region, book)
    check_midline(plan, structures, found.mask, book)
    check_asked(plan, structures, protocol, book)
    _check_search(plan, book)
    allow_bone = plan.options.get("allow_bone")
    margins_mm = {
        name: asked_margin_mm(structure, protocol, allow_bone)
        for name, structure in structures.items()
    }
    measured = {c.structure for t in plan.trajectories for c in t.clearances}
    measured |= {name for name, margin_mm in margins_mm.items() if margin_mm is not None}
    around = Surroundings(
        volume=volume,
        structures=structures,
        boxes={n: VoxelBoxes.of(s.mask) for n, s in structures.items() if n in measured},
        body=found.mask,
        skin=None if found.mask is None else Skin.of(found.mask, found.imaged),
        unseen=None if found.mask is None else unseen_boxes(found.mask, found.imaged),
        margins_mm=margins_mm,
        soft_mm={
            name: soft
            for name, structure in structures.items()
            if (soft := soft_margin_mm(structure, protocol, allow_bone)) is not None
        },
        protocol=protocol,
        way=way,
        shaft_mm={
            name: shaft
            for name, structure in structures.items()
            if (shaft := shaft_margin_mm(structure, protocol, allow_bone)) is not None
        },
        middles=middles_told(plan, structures, found.mask),
        required_mm=_required_classes(plan, protocol),
        b0_direction_lps=_b0_of(plan, volume),
        metal=metal_truth(plan, structures),
        doubts=(*structures.findings, *found.doubts),
    )
    paths = plan.trajectories if needle_is_known(plan, book) else ()
    for place, trajectory in enumerate(paths, start=1):
        book.trajectory = place
        book.rule("rank", trajectory.rank, place, trajectory.rank == place)
        check_trajectory(plan, trajectory, around, book)
    book.trajectory = None
    check_pairs(plan, protocol, book)
    _check_order(plan, book)
    _check_verdict(plan, book)
    book.skip("explanation, warnings and notes (text)")
    book.skip("whether a better path exists, Pareto-optimality, and counts of rejected candidates")
    book.skip("whether an entry lies on the table")
    if around.metal is not None:
        book.skip("how much more than the metal's dipoles the plan allows for; advice")
    book.skip("the skin normal of an entry beside the end of the image")
    return book.report()


def structures_as_planned(plan: PlanDocument, structures: StructureSet) -> StructureSet:
    """The structures with the roles and margins that the user gave when the plan was made.

    Files do not hold them. Only what the plan records as the user's choice is
    changed; other roles and margins are checked by ``verify_plan``.
    """
    chosen = {record.name: record for record in plan.structures if record.role_from == "user"}
    changed = []
    for structure in structures.structures:
        record = chosen.get(structure.name)
        if record is not None:
            structure = structure.with_role(record.role, record.own_margin_mm)
        changed.append(structure)
    return StructureSet(
        grid=structures.grid,
        structures=tuple(changed),
        warnings=structures.warnings,
        findings=structures.findings,
    )


def _check_search(plan: PlanDocument, book: Ledger) -> None:
    search = plan.search
    total = search.feasible + sum(search.rejected.values())
    book.rule(
        "search: feasible and rejected make up all candidates",
        search.candidates,
        total,
        search.candidates == total,
    )


def _check_order(plan: PlanDocument, book: Ledger) -> None:
    """The paths are ordered by verdict, then by cost."""
    keys = [(t.verdict.severity, t.cost) for t in plan.trajectories]
    book.rule("trajectories: order by verdict, then cost", len(keys), None, keys == sorted(keys))


def _check_verdict(plan: PlanDocument, book: Ledger) -> None:
    """The plan's verdict is that of its first path; without a path it is fail or unknown."""
    if plan.trajectories:
        best = plan.trajectories[0].verdict
        book.rule("verdict", str(plan.verdict), str(best), plan.verdict is best)
        return
    book.rule("verdict", str(plan.verdict), "fail", plan.verdict in (Verdict.FAIL, Verdict.UNKNOWN))
    book.rule("explanation", len(plan.explanation), 1, bool(plan.explanation), "no path, no reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    mask: Mask | None
    source: str
    imaged: Mask | None = None
    doubts: tuple[Finding, ...] = ()


def _body_of(structures: StructureSet, volume: Volume, body: Mask | None) -> _Body:
    """The body: given, or the structures of that role together, or found in the image."""
    given = structures.with_role(StructureRole.BODY)
    source = "structure:" + "+".join(s.name for s in given) if given else "automatic"
    skin_room: Any = importlib.import_module("planner.skin")
    if body is None and given:
        inside = np.any([s.mask.inside for s in given], axis=0)
        grid = volume.grid if volume.grid.is_close(structures.grid) else structures.grid
        body = Mask(grid=grid, inside=inside)
    if body is not None:
        is_here = body.grid.is_close(volume.grid)
        imaged = skin_room.imaged_around(volume, body) if is_here else None
        return _Body(mask=body, source=source, imaged=imaged)
    try:
        found: Any = skin_room.find_body(volume)
    except PlannerError:
        return _Body(mask=None, source=source)
    return _Body(mask=found.mask, source=source, imaged=found.imaged, doubts=found.findings)


def _protocol_of(plan: PlanDocument) -> Protocol | None:
    try:
        found: Protocol = importlib.import_module("planner.protocols").load_protocol(
            plan.procedure.id
        )
    except ConfigError:
        return None
    return found


def _required_classes(plan: PlanDocument, protocol: Protocol | None) -> dict[str, float]:
    """Classes that must be given, with their margins; NaN (never close) when not known."""
    if protocol is None:
        return dict.fromkeys(plan.procedure.required_classes, float("nan"))
    return {rule.label: rule.margin.value for rule in protocol.margins if rule.required}


def _b0_of(plan: PlanDocument, volume: Volume) -> FloatArray | None:
    """Direction of the main field from the image's header, or else from the plan."""
    stated = volume.source.mr.get("b0_direction_lps")
    if plan.mr is not None:
        stated = (plan.mr.guidance or plan.mr).b0_direction_lps
    return None if stated is None else np.asarray(stated, dtype=np.float64)
