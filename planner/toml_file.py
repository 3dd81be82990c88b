"""TOML files a person may edit: read, hashed, checked against a schema.

Every fault is a ``ConfigError`` that names the file, the key and, where a key or
a choice looks like a typing slip, the one that was probably meant.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from planner.errors import ConfigError

MAX_BYTES = 200_000
"""A settings file is a few kB; anything larger is another kind of file."""

MAX_DOTS = 200
"""In one line: a dotted key costs the parser the square of its parts, time and memory."""

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlFile:
    """The parsed content of a TOML file and the SHA-256 of its bytes."""

    path: Path
    data: Mapping[str, Any]
    sha256: str


def read_toml(path: Path, *, kind: str) -> TomlFile:
    """The content of a TOML file; ``kind`` says in errors what it should be.

    Raises
    ------
    ConfigError
        If the file cannot be read, is too large, or is not TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                f"the {kind} is too large to be a settings file",
                seen=f"{path.stat().st_size} bytes",
                needed=f"<= {MAX_BYTES} bytes",
                where=str(path),
            )
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the {kind} cannot be read", seen=error.strerror or str(error), where=str(path)
        ) from error
    try:
        if max(line.count(b".") for line in content.split(b"\n")) > MAX_DOTS:
            raise RecursionError
        data = tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ConfigError(f"the {kind} is nested too deeply", where=str(path)) from error
    except ValueError as error:  # not TOML, not UTF-8, or an integer of too many digits
        raise ConfigError(f"the {kind} is not TOML", seen=str(error), where=str(path)) from error
    return TomlFile(path=path, data=data, sha256=hashlib.sha256(content).hexdigest())


def validated(model: type[_Model], data: Mapping[str, Any], *, where: str) -> _Model:
    """The data as a ``model``; ``where`` names the file or the option they came from.

    Raises
    ------
    ConfigError
        For the first unknown key (with a close match), missing key or bad value.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise _config_error(model, error, where) from error


def close_match(word: str, known: Iterable[str]) -> str:
    """A sentence with the known word most like ``word``, or with all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return "Known: " + ", ".join(names) + "." if names else ""


def _config_error(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    # A misspelt key is both unknown and missing: the unknown one says more.
    faults = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = faults[0]
    location = [part for part in first["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in location)
    match first["type"]:
        case "extra_forbidden":
            fix = close_match(str(location[-1]), _known_keys(model, location[:-1]))
            return ConfigError(f"unknown key '{key}'", where=where, fix=fix)
        case "missing":
            return ConfigError(f"the key '{key}' is missing", where=where)
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", str(first["ctx"]["expected"]))
            return ConfigError(
                f"'{key}' has an unknown value",
                seen=first["input"],
                where=where,
                fix=close_match(str(first["input"]), choices),
            )
        case _:
            message = first["msg"].removeprefix("Value error, ")
            seen = first["input"] if isinstance(first["input"], str | int | float) else None
            what = f"'{key}' is not valid: {message}" if key else message
            return ConfigError(what, seen=seen, where=where)


def _known_keys(model: type[BaseModel], location: list[str | int]) -> list[str]:
    """The keys of the table that ``location`` points at."""
    for part in location:
        if not isinstance(part, str) or part not in model.model_fields:
            continue  # the index of a list, or the free key of a table
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
