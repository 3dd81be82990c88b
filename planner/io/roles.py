"""Roles as a user gives them: on the command line and in ``roles={...}``."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from planner.errors import ConfigError
from planner.model import StructureRole

RoleChoice = StructureRole | str | tuple[StructureRole | str, float | None]
"""``"avoid"``, ``"avoid:3.0"``, ``("avoid", 3.0)`` or a StructureRole."""

MAX_MARGIN_MM = 100.0


def parse_role(text: str) -> tuple[str, tuple[StructureRole, float | None]]:
    """Name, role and margin (mm) from ``NAME=ROLE[:MARGIN_MM]``.

    The name may contain ``=`` and ``:``; the last ``=`` counts.

    Raises
    ------
    ConfigError
        If a part is missing, the role is unknown or the margin not 0 to 100 mm.

    Examples
    --------
    >>> parse_role("L5 root=avoid:3")
    ('L5 root', (<StructureRole.AVOID: 'avoid'>, 3.0))
    >>> parse_role("trunk=bdy")
    Traceback (most recent call last):
        ...
    planner.errors.ConfigError: 'bdy' is not a role; needed: one of avoid, bone, implant, body, \
target, allowed; in: --role trunk=bdy. Did you mean 'body'?
    """
    name, equals, choice = text.rpartition("=")
    if not equals or not name.strip():
        raise ConfigError(
            "a role needs the form NAME=ROLE[:MARGIN_MM]",
            seen=text,
            fix="For example: --role 'L5 root=avoid:3'",
        )
    return name.strip(), role_and_margin(choice, where=f"--role {text}")


def role_and_margin(choice: RoleChoice, *, where: str) -> tuple[StructureRole, float | None]:
    """Role and margin from any of the forms of ``RoleChoice``.

    Raises
    ------
    ConfigError
        As `parse_role`; also for a margin on a role that keeps none.
    """
    role: StructureRole | str
    margin: float | str | None
    if isinstance(choice, StructureRole):
        role, margin = choice, None
    elif isinstance(choice, str):
        role, colon, text = choice.partition(":")
        margin = text if colon else None
    elif isinstance(choice, tuple | list) and len(choice) == 2:
        role, margin = choice
    else:
        raise ConfigError(
            "a role must be ROLE, 'ROLE:MARGIN_MM' or (ROLE, MARGIN_MM)", seen=choice, where=where
        )
    known_role = _role(role, where)
    margin_mm = _margin_mm(margin, where)
    if margin_mm is not None and not known_role.is_obstacle:
        raise ConfigError(
            f"the role {known_role} keeps no margin",
            seen=f"{margin_mm:g} mm",
            where=where,
            fix="A margin goes with avoid, bone or implant.",
        )
    return known_role, margin_mm


def unknown_name_error(name: str, known: Iterable[str]) -> ConfigError:
    """The error for a role given to a structure that is not there."""
    names = sorted(known)
    lower = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(name.casefold(), lower, n=3, cutoff=0.6)
    found = ", ".join(f"'{lower[n]}'" for n in near)
    return ConfigError(
        "a role is given for a structure that is not there",
        seen=f"'{name}'",
        needed="one of " + ", ".join(names) if names else "no structure was loaded",
        fix=f"Did you mean {found}?" if found else None,
    )


def _role(role: StructureRole | str, where: str) -> StructureRole:
    known = [str(r) for r in StructureRole]
    text = str(role).strip().lower()
    if text in known:
        return StructureRole(text)
    near = difflib.get_close_matches(text, known, n=1)
    raise ConfigError(
        f"'{str(role).strip()}' is not a role",
        needed="one of " + ", ".join(known),
        where=where,
        fix=f"Did you mean '{near[0]}'?" if near else None,
    )


def _margin_mm(margin: float | str | None, where: str) -> float | None:
    if margin is None:
        return None
    try:
        value = float(margin)
    except (TypeError, ValueError):
        value = math.nan
    if not (0.0 <= value <= MAX_MARGIN_MM):
        raise ConfigError(
            "a margin must be a number of millimetres",
            seen=margin,
            needed=f"0 to {MAX_MARGIN_MM:g}",
            where=where,
        )
    return value
