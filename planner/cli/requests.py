"""What the command plan was asked for, checked before any image is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from planner.cli.targets import TargetRequest, parse_target
from planner.config import PlanSettings, resolve_settings

if TYPE_CHECKING:
    from planner.model import Needle, Protocol
    from planner.model.mr_results import Bore

MIN_BORE_MM, MAX_BORE_MM = 100.0, 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTexts:
    """Repeatable options of the form NAME=VALUE, as given."""

    roles: tuple[str, ...] = ()
    mr: tuple[str, ...] = ()
    implants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlanRequest:
    """Everything that can be checked before an image is read."""

    settings: PlanSettings
    target: TargetRequest
    protocol: Protocol
    needle: Needle | None
    bore: Bore | None
    roles: Mapping[str, tuple[str, float | None]]


def checked_request(
    overrides: Mapping[str, Any], texts: NamedTexts, config: Path | None
) -> PlanRequest:
    """Options and settings file as one request.

    Raises
    ------
    typer.BadParameter
        If an option is missing or cannot be read.
    ConfigError
        If a value is not known or out of range.
    """
    settings = _settings(overrides, texts, config)
    if settings.target is None:
        raise typer.BadParameter("a target is needed", param_hint="'--target'")
    if settings.procedure is None:
        raise typer.BadParameter(
            "a procedure is needed; 'needle-planner procedures' lists them",
            param_hint="'--procedure'",
        )
    try:
        target = parse_target(settings.target, settings.frame)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--target'") from error
    bore = None if settings.bore is None else _bore(settings.bore)
    from planner.io import parse_role
    from planner.physics.materials import candidate_materials
    from planner.protocols import load_protocol, named_needle

    for material in settings.implants.values():
        candidate_materials(material)
    roles = {**dict.fromkeys(settings.implants, "implant"), **settings.roles}
    return PlanRequest(
        settings=settings,
        target=target,
        protocol=_opted_in(load_protocol(settings.procedure, settings.procedure_dir), settings),
        needle=None if settings.needle is None else named_needle(settings.needle),
        bore=bore,
        roles=dict(parse_role(f"{name}={role}") for name, role in roles.items()),
    )


def _opted_in(protocol: Protocol, settings: PlanSettings) -> Protocol:
    for name in settings.opt_in:
        protocol = protocol.with_opt_in(name)
    return protocol


def _settings(overrides: Mapping[str, Any], texts: NamedTexts, config: Path | None) -> PlanSettings:
    role_form = "NAME=ROLE[:MARGIN_MM], for example 'L5 root=avoid:3'"
    implant_form = "NAME=MATERIAL, for example rods=titanium"
    given = {
        "roles": dict(_named(t, "'--role'", role_form) for t in texts.roles),
        "mr": dict(_keyed(t) for t in texts.mr),
        "implants": dict(_named(t, "'--implant'", implant_form) for t in texts.implants),
    }
    return resolve_settings({**overrides, **given}, file=config)


def _named(text: str, option: str, form: str) -> tuple[str, str]:
    """A name may hold an equals sign; what follows the last one is the value."""
    name, equals, value = text.rpartition("=")
    if not (equals and name.strip() and value.strip()):
        raise typer.BadParameter(f"'{text}' is not {form}", param_hint=option)
    return name, value


def _keyed(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (equals and key.strip() and value.strip()):
        raise typer.BadParameter(f"'{text}' is not KEY=VALUE", param_hint="'--mr'")
    return key.strip(), value.strip()


def _bore(text: str) -> Bore:
    from planner.model.mr_results import Bore

    radius_text, at, centre_text = text.partition("@")
    try:
        radius = float(radius_text)
        centre = tuple(float(part) for part in centre_text.split(",")) if at else None
    except ValueError:
        radius, centre = float("nan"), None
    is_place = centre is None or (len(centre) == 2 and all(abs(c) <= MAX_BORE_MM for c in centre))
    if not (MIN_BORE_MM <= radius <= MAX_BORE_MM and is_place):
        raise typer.BadParameter(
            f"'{text}' is not RADIUS@L,P in mm (a 70 cm bore has 350), for example 350@0,-40",
            param_hint="'--bore'",
        )
    return Bore(radius_mm=radius, centre_lp_mm=None if centre is None else (centre[0], centre[1]))
