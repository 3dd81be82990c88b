"""Reading plan.json: nothing is taken on trust."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from planner.errors import InputError
from planner.io.plan_document import SCHEMA_ID, PlanDocument

MAX_PLAN_BYTES = 64 * 1024 * 1024
"""A plan of a thousand trajectories has a few MB; a larger file is no plan."""

_MAX_ERRORS_SHOWN = 5


def load_plan(path: str | os.PathLike[str]) -> PlanDocument:
    """The plan in a plan.json.

    Raises
    ------
    InputError
        If the file is missing, too large, not JSON, not a plan, of a newer
        schema, or if a value is missing, unknown, of the wrong type or not
        finite; the message names the place in the file.
    """
    name = str(path)
    text = _read_text(Path(path), name)
    data = _parse(text, name)
    _check_schema_id(data, name)
    try:
        return PlanDocument.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            "the plan file is not valid",
            seen=describe(error),
            where=name,
            fix="It was changed by hand or is damaged: plan again.",
        ) from error


def _read_text(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_PLAN_BYTES:
            raise InputError(
                "the plan file is too large to be a plan",
                seen=f"{size / 1e6:.0f} MB",
                needed=f"at most {MAX_PLAN_BYTES / 1e6:.0f} MB",
                where=name,
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            "the plan file cannot be read", seen=error.strerror or str(error), where=name
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_a_plan(name, "it is not a text file") from error


def _parse(text: str, name: str) -> Any:
    def refuse_constant(constant: str) -> NoReturn:
        raise InputError(
            "a number in the plan file is not finite",
            seen=constant,
            needed="finite numbers only",
            where=name,
        )

    def refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            double = sorted({key for key in keys if keys.count(key) > 1})
            raise InputError(
                "a key stands twice in one object of the plan file",
                seen=", ".join(double),
                where=name,
            )
        return found

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_twice)
    except json.JSONDecodeError as error:
        raise _not_a_plan(
            name, f"it is not JSON: {error.msg} in line {error.lineno} column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _not_a_plan(name, "its JSON is nested too deeply") from error
    except InputError:
        raise
    except ValueError as error:
        raise _not_a_plan(name, "a number in it has too many digits") from error


def _check_schema_id(data: Any, name: str) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(schema, str) or not schema.startswith("needle-plan/"):
        raise _not_a_plan(name, 'it does not say "schema": "needle-plan/1" at its top')
    if schema == SCHEMA_ID:
        return
    match = re.fullmatch(r"needle-plan/(\d{1,6})", schema)
    is_newer = match is not None and int(match[1]) > 1
    raise InputError(
        "the plan file was written by a newer planner"
        if is_newer
        else "the plan file has an unknown schema",
        seen=schema[:80],
        needed=SCHEMA_ID,
        where=name,
        fix="Update the planner." if is_newer else None,
    )


def _not_a_plan(name: str, reason: str) -> InputError:
    return InputError(f"the file is not a plan: {reason}", where=name)


def describe(error: ValidationError) -> str:
    """The first faults as ``trajectories[0].length_mm: what is wrong (seen ...)``."""
    faults = error.errors(include_url=False)
    lines = []
    for fault in faults[:_MAX_ERRORS_SHOWN]:
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in fault["loc"])
        seen = "" if fault["type"] == "missing" else f" (seen {repr(fault['input'])[:60]})"
        lines.append(f"{place.lstrip('.') or 'file'}: {fault['msg']}{seen}")
    if len(faults) > _MAX_ERRORS_SHOWN:
        lines.append(f"and {len(faults) - _MAX_ERRORS_SHOWN} more")
    return "; ".join(lines)
