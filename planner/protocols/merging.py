"""A procedure file merged with the files that it inherits from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import ConfigError
from planner.toml_file import close_match, read_toml

MAX_PARENTS = 8
_ID = re.compile(r"[a-z][a-z0-9_]*")
_NUMBERS = {"value", "min", "typical", "preferred", "max"}
_OWN = ("id", "title")
"""What a file says for itself even where it inherits the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFile:
    """The keys of a file and of all that it inherits from, and their SHA-256.

    ``parents`` are the ids it inherits from, the nearest first.
    """

    path: Path
    data: Mapping[str, Any]
    sha256: str
    parents: tuple[str, ...] = ()


def read_merged(path: Path, user_dir: Path | None, data_dir: Path) -> MergedFile:
    """The file with what it inherits: tables merge key by key, lists are replaced.

    ``inherits = "ID"`` names the parent, looked for in ``user_dir`` and then in
    ``data_dir``; a file of the parent's own name passes itself over, so a user's
    file may inherit from the packaged one of the same id. ``without = ["corridor",
    "approach.levels"]`` drops keys of the parent first. A number that is given anew
    needs its own evidence, and a range all of its numbers.

    The SHA-256 is that of the merged content, so it tells a changed number in any of
    the files; comments and the order of the keys do not count.

    Raises
    ------
    ConfigError
        If a file cannot be read, the parent is not there, or the files inherit in a circle.
    """
    chain = _chain(path, user_dir, data_dir)
    data: dict[str, Any] = {}
    for file, content in reversed(chain):
        own = dict(content)
        own.pop("inherits", None)
        for key in _list_of(own.pop("without", []), file):
            _drop(data, key, file)
        data = _merged(data, own, (), file)
    text = json.dumps(data, sort_keys=True, default=str, separators=(",", ":"))
    return MergedFile(
        path=path,
        data=data,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        parents=tuple(file.stem for file, _ in chain[1:]),
    )


def _chain(
    path: Path, user_dir: Path | None, data_dir: Path
) -> list[tuple[Path, Mapping[str, Any]]]:
    """The file and its parents, the file first."""
    chain: list[tuple[Path, Mapping[str, Any]]] = []
    seen: list[Path] = []
    while True:
        content = read_toml(path, kind="procedure file").data
        chain.append((path, content))
        seen.append(path.resolve())
        if "inherits" not in content:
            return chain
        for key in _OWN:
            if key not in content:
                raise ConfigError(
                    f"the key '{key}' is missing: a file that inherits has its own", where=str(path)
                )
        parent = _parent(content["inherits"], path, user_dir, data_dir)
        if parent.resolve() in seen or len(chain) >= MAX_PARENTS:
            names = " -> ".join(file.stem for file, _ in chain)
            raise ConfigError(
                "procedure files inherit in a circle"
                if parent.resolve() in seen
                else "too many procedure files inherit from one another",
                seen=f"{names} -> {parent.stem}",
                where=str(chain[0][0]),
            )
        path = parent


def _parent(name: object, child: Path, user_dir: Path | None, data_dir: Path) -> Path:
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ConfigError("'inherits' is the id of one procedure", seen=str(name), where=str(child))
    folders = [data_dir] if user_dir is None else [user_dir, data_dir]
    for folder in folders:
        file = folder / f"{name}.toml"
        is_itself = child.stem == name and file.resolve() == child.resolve()
        is_last = folder == folders[-1]
        if file.is_file() and (is_last or not is_itself):
            return file
    known = {file.stem for folder in folders for file in folder.glob("*.toml")}
    raise ConfigError(
        f"'inherits': there is no procedure '{name}'",
        where=str(child),
        fix=close_match(name, known),
    )


def _list_of(keys: object, file: Path) -> list[str]:
    if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
        return keys
    raise ConfigError("'without' is a list of keys of the parent", seen=str(keys), where=str(file))


def _drop(data: dict[str, Any], key: str, file: Path) -> None:
    *way, last = key.split(".")
    table: Any = data
    for part in way:
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise ConfigError(f"'without': the parent has no key '{key}'", where=str(file))
    del table[last]


def _merged(
    below: Mapping[str, Any], above: Mapping[str, Any], way: tuple[str, ...], file: Path
) -> dict[str, Any]:
    """``above`` over ``below``; new tables, neither is changed."""
    if below and _NUMBERS & set(above):
        lacking = sorted((_NUMBERS & set(below) | {"evidence"}) - set(above))
        if lacking:
            raise ConfigError(
                f"'{'.'.join(way)}' gives a number anew without its own evidence",
                needed=f"also {', '.join(lacking)}",
                where=str(file),
            )
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(value, dict):
            old = old if isinstance(old, dict) else {}
            result[key] = _merged(old, value, (*way, key), file)
        else:
            result[key] = value
    return result
