"""Procedure files: found by id or path, checked, turned into a Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from planner.errors import ConfigError
from planner.model import BoneRule, CostWeights, Evidenced, MarginRule, Protocol
from planner.protocols.needles import parse_needle
from planner.protocols.schema import AngleEntry, EvidencedEntry, ProtocolFile
from planner.toml_file import close_match, read_toml, validated

DATA_DIR = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRecord:
    """A procedure file as it was read: where, what it holds, and its SHA-256."""

    path: Path
    content: ProtocolFile
    sha256: str


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
        With the SHA-256 of the file, which tells an edited copy from the original.

    Raises
    ------
    ConfigError
        If there is no such procedure, or its file is not valid.
    """
    return _protocol(read_protocol(id_or_path, user_dir))


def read_protocol(id_or_path: str | Path, user_dir: Path | None = None) -> ProtocolRecord:
    """The checked content of a procedure file; see ``load_protocol``."""
    path = _path_of(id_or_path, user_dir)
    file = read_toml(path, kind="procedure file")
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
    return ProtocolRecord(path=path, content=content, sha256=file.sha256)


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


def _protocol(record: ProtocolRecord) -> Protocol:
    content = record.content
    approach = content.approach
    weights = content.weights
    bone_margin = _evidenced(content.bone.margin_mm)
    margins = [
        MarginRule(structure_class=name, margin=_evidenced(entry), required=entry.required)
        for name, entry in content.margins_mm.items()
    ]
    margins.append(
        MarginRule(structure_class="bone", margin=bone_margin, required=content.bone.required)
    )
    return Protocol(
        id=content.id,
        title=content.title,
        needles=content.needles,
        tolerance=_evidenced(content.target_tolerance_mm),
        throw=_evidenced(content.throw_mm),
        bone=BoneRule(content.bone.rule),
        bone_margin=bone_margin,
        default_margin=_evidenced(content.default_margin_mm),
        implant_margin=_evidenced(content.implant_margin_mm),
        margins=tuple(margins),
        max_skin_angle=_evidenced(approach.max_skin_angle_deg),
        min_length=_evidenced(content.min_length_mm),
        clear_at=_evidenced(content.clear_at_mm),
        caution_band=_evidenced(content.caution_band_mm),
        weights=CostWeights(
            clearance=weights.clearance,
            length=weights.length,
            approach=weights.approach,
            skin_incidence=weights.skin_incidence,
        ),
        axial_deg=_triple(approach.axial_deg),
        craniocaudal_deg=_triple(approach.craniocaudal_deg),
        approach_side=approach.side,
        approach_evidence=_approach_evidence(approach.axial_deg, approach.craniocaudal_deg),
        sources=content.sources,
        not_checked=content.not_checked,
        sha256=record.sha256,
    )


def _evidenced(entry: EvidencedEntry) -> Evidenced:
    return Evidenced(value=entry.value, evidence=entry.evidence)


def _triple(angle: AngleEntry | None) -> tuple[float, float, float] | None:
    return None if angle is None else (angle.min, angle.preferred, angle.max)


def _approach_evidence(axial: AngleEntry | None, craniocaudal: AngleEntry | None) -> str:
    parts = []
    if axial is not None:
        parts.append(f"axial {axial.evidence}")
    if craniocaudal is not None:
        parts.append(f"craniocaudal {craniocaudal.evidence}")
    return "; ".join(parts)
