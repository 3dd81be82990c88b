"""Whether image, masks and procedure are those that the plan was made from."""

from __future__ import annotations

import numpy as np

from planner.geometry import Grid, Mask, Volume
from planner.geometry.digest import mask_sha256, volume_sha256
from planner.io.plan_document import PlanDocument, StructureRecord
from planner.model import MarginRule, Protocol, Structure, StructureRole, StructureSet
from planner.model.naming import holds_words
from planner.verify.ledger import Ledger
from planner.verify.report import CheckKind

MATRIX_TOL = 1e-9
"""A plan file keeps every digit of a matrix."""

CONTACT_MM = 0.01
"""Touching is contact, whatever the margin; reports resolve no less."""

_ABSENT = "missing"


def check_image(plan: PlanDocument, volume: Volume, book: Ledger) -> None:
    """The image: content, grid, frame, identity."""
    image, source = plan.image, volume.source
    book.same("image.sha256", image.sha256, volume_sha256(volume))
    _check_grid("image", image.shape_kji, image.lps_from_kji, volume.grid, book)
    spacing_mm = np.sqrt((np.array(image.lps_from_kji)[:3, :3] ** 2).sum(axis=0))
    for axis, claimed, recomputed in zip("kji", image.spacing_kji_mm, spacing_mm, strict=True):
        book.close(f"image.spacing_kji_mm[{axis}]", claimed, float(recomputed), 1e-6)
    book.same(
        "frame.frame_of_reference_uid", plan.frame.frame_of_reference_uid, volume.grid.frame.uid
    )
    book.same("image.modality", image.modality, source.modality)
    book.same("image.study_instance_uid", image.study_instance_uid, source.study_instance_uid)
    book.same("image.series_instance_uid", image.series_instance_uid, source.series_instance_uid)
    book.same("image.patient_position", image.patient_position, str(source.patient_position))


def check_procedure(plan: PlanDocument, protocol: Protocol | None, book: Ledger) -> None:
    """The procedure: the same file, and its limits as the plan states them."""
    record = plan.procedure
    if protocol is None:
        note = f"procedure '{record.id}' is not known here: give it to verify_plan"
        book.same("procedure.sha256", record.sha256, _ABSENT, note=note)
        return
    book.same("procedure.id", record.id, protocol.id)
    book.same("procedure.sha256", record.sha256, protocol.sha256)
    book.close("procedure.caution_band_mm", record.caution_band_mm, protocol.caution_band.value, 0)
    book.close(
        "procedure.max_skin_angle_deg", record.max_skin_angle_deg, protocol.max_skin_angle.value, 0
    )
    book.close("procedure.min_length_mm", record.min_length_mm, protocol.min_length.value, 0)
    reserve_mm = protocol.length_reserve.value
    book.close("procedure.length_reserve_mm", record.length_reserve_mm, reserve_mm, 0)
    book.close("target.tolerance_mm", plan.target.tolerance_mm, protocol.tolerance.value, 0)
    required = tuple(r.label for r in protocol.margins if r.required)
    book.same(
        "procedure.required_classes", record.required_classes, required, kind=CheckKind.NUMBER
    )


def check_structures(
    plan: PlanDocument, structures: StructureSet, protocol: Protocol | None, book: Ledger
) -> None:
    """Every structure of the plan is given, is the same, and none is given beside them."""
    names = [record.name for record in plan.structures]
    book.rule(
        "structures: names are unique", len(names), len(set(names)), len(names) == len(set(names))
    )
    for record in plan.structures:
        claim = f"structures[{record.name}]"
        if record.name not in structures:
            book.same(claim, record.name, _ABSENT, note="no such structure was given")
            continue
        _check_structure(claim, record, structures[record.name], book)
        needed_mm = asked_margin_mm(
            structures[record.name], protocol, plan.options.get("allow_bone")
        )
        _check_margin(claim, record, needed_mm, protocol, book)
    for name in structures:
        if name not in names:
            book.same(f"structures[{name}]", _ABSENT, name, note="the plan does not know it")


def check_body(plan: PlanDocument, body: Mask | None, body_source: str, book: Ledger) -> None:
    """The body is the one whose surface the entries lie on."""
    if body is None:
        book.same("body.sha256", plan.body.sha256, _ABSENT, note="no body could be found")
        return
    note = "" if plan.body.sha256 else "the plan does not say which body mask it used"
    book.same("body.source", plan.body.source, body_source)
    book.same("body.sha256", plan.body.sha256, mask_sha256(body), note=note)
    if plan.body.voxels is not None:
        book.same("body.voxels", plan.body.voxels, body.n_voxels)


def _check_structure(
    claim: str, record: StructureRecord, structure: Structure, book: Ledger
) -> None:
    mask, source = structure.mask, structure.source
    book.same(f"{claim}.sha256", record.sha256, mask_sha256(mask))
    book.same(f"{claim}.role", str(record.role), str(structure.role))
    book.same(f"{claim}.structure_class", record.structure_class, structure.structure_class)
    book.same(f"{claim}.voxels", record.voxels, int(np.count_nonzero(mask.inside)))
    volume_mm3 = np.count_nonzero(mask.inside) * abs(np.linalg.det(mask.grid.lps_from_kji[:3, :3]))
    book.close(
        f"{claim}.volume_mm3",
        record.volume_mm3,
        float(volume_mm3),
        1e-9 * float(volume_mm3),
        kind=CheckKind.INPUT,
    )
    book.same(f"{claim}.own_margin_mm", record.own_margin_mm, structure.margin_mm)
    book.same(f"{claim}.method", record.method, source.method)
    book.close(f"{claim}.grown_mm", record.grown_mm, source.grown_mm, 1e-9, kind=CheckKind.INPUT)
    coverage = record.coverage
    _check_grid(f"{claim}.coverage", coverage.shape_kji, coverage.lps_from_kji, source.grid, book)


def _check_margin(
    claim: str,
    record: StructureRecord,
    needed_mm: float | None,
    protocol: Protocol | None,
    book: Ledger,
) -> None:
    """The margin is at least what the user set or the procedure asks; obstacles are hard."""
    if protocol is None and record.own_margin_mm is None:
        book.skip(f"whether the margin of '{record.name}' is the one of the procedure")
    elif needed_mm is None:
        book.same(f"{claim}.margin_mm", record.margin_mm, None, kind=CheckKind.RULE)
    else:
        book.rule(
            f"{claim}.margin_mm is what was asked for",
            record.margin_mm,
            needed_mm,
            record.margin_mm is not None and record.margin_mm >= needed_mm,
        )
    is_hard = record.margin_mm is not None and record.role.is_obstacle
    book.rule(f"{claim}.hard", record.hard, is_hard, record.hard == is_hard)


def asked_margin_mm(
    structure: Structure, protocol: Protocol | None, allow_bone: object = None
) -> float | None:
    """The least margin to keep to a structure; None when the needle may touch it.

    ``allow_bone`` True or False is the user's choice over the procedure's bone rule.
    """
    if not structure.role.is_obstacle:
        return None
    asked_mm = structure.margin_mm
    if asked_mm is None:
        asked_mm = _procedure_margin_mm(structure, protocol, allow_bone)
        tip_mm = _tip_margin_mm(structure, protocol)
        if asked_mm is not None and tip_mm is not None:
            asked_mm = min(asked_mm, tip_mm)
    return None if asked_mm is None else max(asked_mm, CONTACT_MM)


def shaft_margin_mm(
    structure: Structure, protocol: Protocol | None, allow_bone: object = None
) -> tuple[float, float] | None:
    """The margin of all but the last stretch before the tip, and that stretch's length.

    None where the whole needle keeps one margin.
    """
    if protocol is None or protocol.terminal is None or structure.margin_mm is not None:
        return None
    whole_mm = asked_margin_mm(structure, protocol, allow_bone)
    usual_mm = _procedure_margin_mm(structure, protocol, allow_bone)
    if whole_mm is None or usual_mm is None or not whole_mm < usual_mm:
        return None
    return usual_mm, protocol.terminal.length.value


def _tip_margin_mm(structure: Structure, protocol: Protocol | None) -> float | None:
    """The smaller margin that the procedure allows near the tip, by name or by class."""
    if protocol is None or protocol.terminal is None or structure.role is not StructureRole.AVOID:
        return None
    rules = protocol.terminal.margins
    by_name = [r for r in rules if r.name_words and holds_words(structure.name, r.name_words)]
    by_class = [
        r for r in rules if not r.name_words and r.structure_class == structure.structure_class
    ]
    own = _rule_by_name(structure, protocol)
    if own is not None and own.hard:
        by_class = []
    found = by_name or by_class[:1]
    return max((r.margin.value for r in found), default=None)


def _procedure_margin_mm(
    structure: Structure, protocol: Protocol | None, allow_bone: object
) -> float | None:
    if protocol is None:
        return None
    named = _rule_by_name(structure, protocol)
    if structure.role is StructureRole.IMPLANT:
        return protocol.implant_margin.value
    if structure.role is StructureRole.BONE:
        is_of_bone = named is not None and named.structure_class == "bone"
        if named is not None and is_of_bone and allow_bone is not True:
            return _least_mm(named)
        by_rule = protocol.bone.may_be_crossed
        is_allowed = allow_bone if isinstance(allow_bone, bool) else by_rule
        return None if is_allowed else protocol.bone_margin.value
    by_user = structure.source.role_from == "user"
    if not by_user and protocol.may_cross(structure.name, structure.structure_class):
        return None
    rule = _rule_of(structure, protocol)
    if rule is None:
        return protocol.default_margin.value
    return _least_mm(rule)


def soft_margin_mm(
    structure: Structure, protocol: Protocol | None, allow_bone: object = None
) -> float | None:
    """The margin below which a path is a caution only; None where the margin is hard."""
    if protocol is None or structure.margin_mm is not None:
        return None
    if asked_margin_mm(structure, protocol, allow_bone) is None:
        return None
    if structure.role is StructureRole.IMPLANT:
        return None
    is_bone = structure.role is StructureRole.BONE
    by_name = _rule_by_name(structure, protocol)
    if is_bone and by_name is not None and by_name.structure_class != "bone":
        by_name = None
    rule = by_name if is_bone else _rule_of(structure, protocol)
    return None if rule is None or rule.hard else rule.margin.value


def _least_mm(rule: MarginRule) -> float:
    """A soft margin rejects at its floor only, or at contact."""
    if rule.hard:
        return rule.margin.value
    return CONTACT_MM if rule.floor is None else rule.floor.value


def _rule_of(structure: Structure, protocol: Protocol) -> MarginRule | None:
    by_name = _rule_by_name(structure, protocol)
    by_class = {r.structure_class: r for r in protocol.margins if not r.name_words}
    return by_name or by_class.get(structure.structure_class or "")


def _rule_by_name(structure: Structure, protocol: Protocol) -> MarginRule | None:
    """Of the rules that name it, the strictest: hard before soft, then the widest margin."""
    strictest = None
    for rule in protocol.margins:
        if not (rule.name_words and holds_words(structure.name, rule.name_words)):
            continue
        if strictest is None or (rule.hard, rule.margin.value) > (
            strictest.hard,
            strictest.margin.value,
        ):
            strictest = rule
    return strictest


def _check_grid(
    claim: str,
    shape_kji: tuple[int, int, int],
    lps_from_kji: tuple[tuple[float, ...], ...],
    grid: Grid,
    book: Ledger,
) -> None:
    book.same(f"{claim}.shape_kji", shape_kji, grid.shape_kji)
    gap = float(np.abs(np.array(lps_from_kji) - grid.lps_from_kji).max())
    book.close(f"{claim}.lps_from_kji differs by", gap, 0.0, MATRIX_TOL, kind=CheckKind.INPUT)
