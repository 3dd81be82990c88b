"""What the caller named, turned into values: procedure, needle, options, structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.errors import ConfigError
from planner.model import Needle, PlanResult, PlanWarning, Protocol, StructureSet
from planner.search.options import SearchOptions


def chosen_protocol(procedure: Protocol | str) -> Protocol:
    """The protocol itself, or the one with this id."""
    if isinstance(procedure, Protocol):
        return procedure
    from planner.protocols import load_protocol

    return load_protocol(procedure)


def chosen_needle(
    needle: Needle | str | None, protocol: Protocol, throw_mm: float | None
) -> Needle:
    """The needle with its throw: the caller's, or the longer of the needle's and the procedure's.

    A needle says nothing of what the procedure fires through it: a throw of 0 is no promise.
    """
    if isinstance(needle, Needle):
        chosen = needle
    else:
        from planner.protocols import parse_needle

        chosen = parse_needle(needle if needle is not None else protocol.needles[0])
    if throw_mm is None:
        throw_mm = max(chosen.throw_mm, protocol.throw.value)
    return replace(chosen, throw_mm=float(throw_mm))


def long_enough(protocol: Protocol, needle: Needle, needed_mm: float) -> Needle | None:
    """The procedure's shortest needle of at least a length, the same gauge first; None without."""
    from planner.protocols import parse_needle

    found = [parse_needle(name) for name in protocol.needles]
    fitting = [other for other in found if other.length_mm >= needed_mm]
    gauge_mm = needle.outer_diameter_mm
    return min(
        fitting,
        key=lambda other: (abs(other.outer_diameter_mm - gauge_mm), other.length_mm),
        default=None,
    )


def longer_needle(result: PlanResult) -> Needle | None:
    """The needle of the procedure with which the length alone would open a path; None without."""
    for found in result.explanation:
        if found.constraint == "length" and found.opens_at is not None:
            return long_enough(result.protocol, result.needle, found.opens_at)
    return None


def needle_warnings(needle: Needle, protocol: Protocol) -> tuple[PlanWarning, ...]:
    """Told where the needle is not one of the procedure's, or fires less than it says."""
    known = {name.casefold() for name in protocol.needles}
    found = list(throw_warning(needle, protocol))
    if needle.name.partition(":")[0].casefold() not in known:
        message = (
            f"{needle.name} ({needle.outer_diameter_mm:g} mm) is not among this procedure's "
            f"needles: {', '.join(protocol.needles)}."
        )
        found.append(PlanWarning(code="needle", message=message))
    return tuple(found)


def throw_warning(needle: Needle, protocol: Protocol) -> tuple[PlanWarning, ...]:
    """Told where less is fired than the procedure says."""
    usual = protocol.throw.value
    if needle.throw_mm >= usual:
        return ()
    message = (
        f"The throw is {needle.throw_mm:g} mm, as asked; the procedure fires {usual:g} mm past the "
        f"tip ({protocol.throw.evidence}). What lies there is not looked at."
    )
    return (PlanWarning(code="throw", message=message),)


def chosen_options(given: Mapping[str, Any]) -> SearchOptions:
    """Search options from keyword arguments; an unknown one is refused."""
    known = SearchOptions.__dataclass_fields__
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError("unknown option", seen=", ".join(unknown), needed=", ".join(known))
    return SearchOptions(**given)


def check_names(names: Sequence[str], structures: StructureSet) -> None:
    """Refuse names that are not among the structures."""
    unknown = [name for name in names if name not in structures]
    if unknown:
        raise ConfigError(
            "no such structure for a forbidden entry",
            seen=", ".join(unknown),
            needed=", ".join(structures) or "(no structures were given)",
        )
