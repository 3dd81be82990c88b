"""Procedure files: found by id or path, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from planner.errors import ConfigError
from planner.model import Protocol
from planner.protocols.building import protocol_of
from planner.protocols.merging import read_merged
from planner.protocols.needles import parse_needle
from planner.protocols.schema import ProtocolFile
from planner.toml_file import close_match, validated

DATA_DIR = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRecord:
    """A procedure file as it was read: where, what it holds, its SHA-256, its parents."""

    path: Path
    content: ProtocolFile
    sha256: str
    parents: tuple[str, ...] = ()


def list_protocols(user_dir: Path | None = None) -> tuple[str, ...]:
    """The ids of all procedures that ship with the package, and of ``user_dir``, sorted."""
    folders = [DATA_DIR] if user_dir is None else [DATA_DIR, _checked(user_dir)]
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.toml")}))


def load_protocol(id_or_path: str | Path, user_dir: Path | None = None) -> Protocol:
    """The procedure with this id, or in this file.

    Parameters
    ----------
    id_or_path : str or Path
        An id, looked for in ``user_dir`` first and then among those that ship
        with the package; or the path of a TOML file (it ends in ``.toml`` or
        holds a path separator).
    user_dir : Path, optional
        Folder with the user's own procedure files, ``ID.toml``.

    Returns
    -------
    Protocol
        With the SHA-256 of its content, that of the files it inherits from
        included, which tells an edited copy from the original.

    Raises
    ------
    ConfigError
        If there is no such procedure, or its file is not valid.
    """
    record = read_protocol(id_or_path, user_dir)
    return protocol_of(record.content, record.sha256)


def read_protocol(id_or_path: str | Path, user_dir: Path | None = None) -> ProtocolRecord:
    """The checked content of a procedure file; see ``load_protocol``."""
    path = _path_of(id_or_path, user_dir)
    file = read_merged(path, None if user_dir is None else _checked(user_dir), DATA_DIR)
    content = validated(ProtocolFile, file.data, where=str(path))
    if content.id != path.stem:
        raise ConfigError(
            "a procedure file is named by its id",
            seen=f"id '{content.id}'",
            needed=f"id '{path.stem}', or the file name {content.id}.toml",
            where=str(path),
        )
    for name in content.needles:
        try:
            parse_needle(name)
        except ConfigError as error:
            raise ConfigError(f"'needles': {error}", where=str(path)) from error
    return ProtocolRecord(path=path, content=content, sha256=file.sha256, parents=file.parents)


def _path_of(id_or_path: str | Path, user_dir: Path | None) -> Path:
    text = str(id_or_path)
    if isinstance(id_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        return Path(id_or_path)
    known = list_protocols(user_dir)
    if text not in known:
        raise ConfigError(f"there is no procedure '{text}'", fix=close_match(text, known))
    own = None if user_dir is None else user_dir / f"{text}.toml"
    return own if own is not None and own.is_file() else DATA_DIR / f"{text}.toml"


def _checked(user_dir: Path) -> Path:
    if not user_dir.is_dir():
        raise ConfigError("the folder of your own procedures does not exist", where=str(user_dir))
    return user_dir
