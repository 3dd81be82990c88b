"""What the caller named, turned into values: procedure, needle, options, structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.errors import ConfigError
from planner.model import Needle, Protocol, StructureSet
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
    """The needle with its throw: the caller's, or for a named needle the procedure's."""
    if isinstance(needle, Needle):
        chosen = needle
    else:
        from planner.protocols import parse_needle

        named: Needle = parse_needle(needle if needle is not None else protocol.needles[0])
        chosen = replace(named, throw_mm=protocol.throw.value)
    return chosen if throw_mm is None else replace(chosen, throw_mm=float(throw_mm))


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
