"""What the plan says was asked for, against what it holds; and what rests on the user's word.

Nothing in an image can confirm a role, a margin or a metal that a user chose. What can be seen
is whether the plan's own record of the question says the same; all of it is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.anatomy import parse_region
from planner.errors import PlannerError
from planner.io.plan_document import PlanDocument, StructureRecord
from planner.model import Protocol, StructureSet
from planner.protocols.needles import needle_catalogue
from planner.verify.artefact import materials_of
from planner.verify.inputs import CONTACT_MM
from planner.verify.ledger import Ledger

PLAIN_NAME = "target"
"""What a target is called that is a point."""

AIMED_AT = ("structure:", "region:")
"""A target of this form gives its structure the role of the target."""

POINT_TOL_MM = 1e-6
BY_USER = "user"
MR_ALIASES = {
    "readout": "readout_axis_lps",
    "b0": "b0_direction_lps",
    "slice_axis": "slice_axis_lps",
}


def check_asked(
    plan: PlanDocument, structures: StructureSet, protocol: Protocol | None, book: Ledger
) -> None:
    """Names, roles, margins, bone, opt-ins and metals are those that were asked for."""
    _check_target_name(plan, structures, book)
    _check_needle_name(plan, book)
    asked = plan.options.get("settings")
    if isinstance(asked, dict):
        _check_roles(plan, asked, book)
        _check_metals(plan, asked, book)
        _check_choices(plan, asked, structures, book)
        _check_mr(plan, asked, book)
        _check_throw(plan, asked.get("throw_mm"), protocol, book)
    elif asked is not None:
        book.rule("options.settings is a table", str(asked), None, False)
    _tell(plan, book)
    if protocol is not None and plan.needle.throw_mm < protocol.throw.value:
        book.trust(f"a throw of {plan.needle.throw_mm:g} mm instead of {protocol.throw.value:g} mm")


def _check_target_name(plan: PlanDocument, structures: StructureSet, book: Ledger) -> None:
    """A name says no other place than the one aimed at."""
    name, region = plan.target.name, plan.target.region
    if region is not None:
        book.rule("target.name is that of the region", name, region.name, name == region.name)
        return
    point = np.array(plan.target.point_lps_mm)
    is_there = name in structures and bool(structures[name].mask.contains(point))
    note = "a target is called 'target', or as the structure that it lies in"
    book.rule("target.name", name, PLAIN_NAME, name == PLAIN_NAME or is_there, note)


def _check_needle_name(plan: PlanDocument, book: Ledger) -> None:
    """A needle that is called as one of the catalogue has the sizes of that one."""
    catalogue = needle_catalogue()
    needle = plan.needle
    short, _, material = needle.name.partition(":")
    gauge, _, length = short.partition("-")
    if short in catalogue.tools:
        tool = catalogue.tools[short]
        sizes = (tool.outer_diameter_mm, tool.length_mm)
        metal = material or tool.material
    elif gauge.upper() in catalogue.gauges:
        is_number = length.isdecimal()
        sizes = (
            catalogue.gauges[gauge.upper()].outer_diameter_mm,
            float(length) if is_number else float("nan"),
        )
        metal = material or catalogue.material
    else:
        book.trust(f"the sizes of needle '{needle.name}'")
        return
    book.close(
        "needle.outer_diameter_mm is that of its name", needle.outer_diameter_mm, sizes[0], 0
    )
    book.close("needle.length_mm is that of its name", needle.length_mm, sizes[1], 0)
    book.close("needle.inner_diameter_mm is that of its name", needle.inner_diameter_mm, 0.0, 0)
    is_one = sorted(materials_of(metal)) == sorted(materials_of(needle.material))
    book.rule("needle.material is that of its name", needle.material, metal, is_one)


def _check_throw(
    plan: PlanDocument, asked_mm: object, protocol: Protocol | None, book: Ledger
) -> None:
    """The throw asked for, or else at least the one that the procedure fires."""
    throw_mm = plan.needle.throw_mm
    if asked_mm is not None:
        book.close("needle.throw_mm is what was asked for", throw_mm, _number(asked_mm), 1e-9)
    elif protocol is not None:
        least_mm = protocol.throw.value
        claim = "needle.throw_mm is at least the procedure's"
        book.rule(claim, throw_mm, least_mm, throw_mm >= least_mm)


def _check_roles(plan: PlanDocument, asked: Mapping[str, Any], book: Ledger) -> None:
    """What is said to be from the user was asked for, and what was asked for was done."""
    chosen = dict.fromkeys(_table(asked, "implants"), "implant")
    chosen |= {name: str(choice) for name, choice in _table(asked, "roles").items()}
    aimed = _aimed_at(asked)
    for record in plan.structures:
        claim = f"structures[{record.name}] is in the role asked for"
        told = _role_and_margin(record)
        if record.name in chosen:
            wanted = _wanted(chosen[record.name])
            is_kept = told == wanted and record.role_from == BY_USER
            book.rule(claim, told, chosen[record.name], is_kept)
        elif record.role_from == BY_USER or record.own_margin_mm is not None:
            is_aimed = record.name == aimed and told == ("target", None)
            book.rule(claim, told, None, is_aimed, "options.settings does not name it")
    names = {record.name for record in plan.structures}
    for name in chosen:
        book.rule(f"role asked for '{name}'", name in names, True, name in names)


def _check_metals(plan: PlanDocument, asked: Mapping[str, Any], book: Ledger) -> None:
    """Each implant is of the metal asked for; of one that was not named it may be any."""
    given = _table(asked, "implants")
    for implant in plan.implants:
        metal = str(given.get(implant.name, "unknown"))
        wanted = sorted(materials_of(metal))
        told = sorted(m.name for m in implant.materials)
        book.rule(f"implants[{implant.name}] is of the metal asked for", told, wanted,
                  bool(wanted) and told == wanted)  # fmt: skip


def _check_choices(
    plan: PlanDocument, asked: Mapping[str, Any], structures: StructureSet, book: Ledger
) -> None:
    """Bone, opt-ins, forbidden entries and target as they were asked for."""
    for claim, told, wanted in (
        ("options.allow_bone", plan.options.get("allow_bone"), asked.get("allow_bone")),
        ("procedure.opt_ins", _names(list(plan.procedure.opt_ins)), _names(asked.get("opt_in"))),
        (
            "options.forbidden_entry",
            _names(plan.options.get("forbidden_entry")),
            _names(asked.get("forbid_entry")),
        ),
    ):
        book.rule(f"{claim} as asked for", told, wanted, told == wanted)
    target = str(asked.get("target") or "").strip()
    kind, _, name = target.partition(":")
    if kind == "anatomy":
        region = None if plan.target.region is None else plan.target.region.name
        named = _region_named(target)
        is_one = named is not None and region == named
        book.rule("target.region is the one asked for", region, named, is_one)
    elif kind in ("structure", "region"):
        point = np.array(plan.target.point_lps_mm)
        name = name.strip()
        is_in = name in structures and bool(structures[name].mask.contains(point))
        book.rule("target lies in the structure asked for", name, None, is_in)
    elif (point_lps_mm := _point_of(target, asked.get("frame"))) is not None:
        off_mm = float(np.abs(point_lps_mm - np.array(plan.target.point_lps_mm)).max())
        book.close("target.point_lps_mm is off the one asked for by", off_mm, 0.0, POINT_TOL_MM)


def _check_mr(plan: PlanDocument, asked: Mapping[str, Any], book: Ledger) -> None:
    """MR values that are said to be from the user were given, and a guiding sequence too."""
    if plan.mr is None:
        return
    given = {MR_ALIASES.get(key, key): value for key, value in _table(asked, "mr").items()}
    for name, text in plan.mr.sources.items():
        if text.partition(":")[0] != BY_USER:
            continue
        told, value = getattr(plan.mr, name, None), given.get(name)
        is_other = isinstance(told, float) and _number(value) != told
        is_other |= isinstance(told, str) and str(value).strip().casefold() != told.casefold()
        book.rule(f"mr.{name} is what was asked for", told, value, name in given and not is_other)
    guided = any(key.startswith("guidance.") for key in given)
    is_told = plan.mr.guidance is not None
    book.rule("mr.guidance is asked for", is_told, guided, is_told == guided)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _tell(plan: PlanDocument, book: Ledger) -> None:
    """Everything that only the user can know, and that makes a plan easier to pass."""
    for record in plan.structures:
        own = record.own_margin_mm
        if record.role_from == BY_USER or own is not None:
            margin = "" if own is None else f", margin {max(own, CONTACT_MM):g} mm"
            book.trust(f"'{record.name}' is {record.role}{margin}")
    if plan.options.get("allow_bone") is not None:
        may = "may" if plan.options["allow_bone"] else "may not"
        book.trust(f"bone {may} be crossed")
    for name in plan.procedure.opt_ins:
        book.trust(f"opt-in '{name}'")
    for implant in plan.implants:
        metals = " or ".join(sorted(m.name for m in implant.materials))
        book.trust(f"'{implant.name}' is of {metals}")
    acquisitions = () if plan.mr is None else (plan.mr, plan.mr.guidance)
    given = {
        key
        for mr in acquisitions
        if mr is not None
        for key, text in mr.sources.items()
        if text.partition(":")[0] == BY_USER
    }
    if given:
        book.trust(f"MR values {', '.join(sorted(given))}")


def _role_and_margin(record: StructureRecord) -> tuple[str, float | None]:
    return str(record.role), record.own_margin_mm


def _wanted(choice: str) -> tuple[str, float | None] | None:
    """Role and margin from ``ROLE`` or ``ROLE:MARGIN_MM``; None where it is neither."""
    role, colon, margin = choice.partition(":")
    try:
        return role.strip().lower(), float(margin) if colon else None
    except ValueError:
        return None


def _aimed_at(asked: Mapping[str, Any]) -> str | None:
    target = str(asked.get("target") or "")
    form = next((f for f in AIMED_AT if target.startswith(f)), None)
    return None if form is None else target.removeprefix(form).strip()


def _point_of(target: str, frame: object) -> np.ndarray | None:
    """LPS mm of a target in numbers; None of one in another form."""
    numbers = [_number(part) for part in re.split(r"[,;\s]+", target.strip())]
    if len(numbers) != 3 or any(number is None for number in numbers):
        return None
    point = np.array(numbers, dtype=np.float64)
    return point * [-1.0, -1.0, 1.0] if frame == "ras" else point


def _region_named(target: str) -> str | None:
    try:
        return parse_region(target)[1].name
    except PlannerError:
        return None


def _names(told: object) -> list[str]:
    """Each name once, in order; what is no list is a name that nothing has."""
    names = told if isinstance(told, list) else [] if told is None else [f"({told})"]
    return sorted({str(name) for name in names})


def _table(asked: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = asked.get(key)
    return table if isinstance(table, dict) else {}
