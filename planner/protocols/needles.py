"""The needle catalogue: ``"22G-90"`` to a Needle."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from planner.errors import ConfigError
from planner.model import Needle
from planner.protocols.needle_schema import NeedleCatalogue, OwnNeedles, ToolEntry
from planner.toml_file import read_toml, validated

CATALOGUE_FILE = Path(__file__).parent / "needles.toml"
MIN_LENGTH_MM, MAX_LENGTH_MM = 10, 400

_NAME = re.compile(
    r"\s*(\d{1,2})\s*g\s*-\s*(\d{1,4})(?:\s*mm)?\s*(?::\s*(\S.*?)\s*)?", re.IGNORECASE
)


def parse_needle(name: str) -> Needle:
    """The needle called ``GAUGE-LENGTH_MM[:MATERIAL]``, for example ``"22G-90"``.

    Or a tool of the catalogue by its own name, such as ``"drill-3.0-150"`` or
    ``"cryo-17G-175"``. The length of a needle may be any whole number from 10 to 400 mm;
    one that is not in the catalogue is remarked on in the needle's evidence. Nothing is
    thrown: the procedure or the user says so.

    Parameters
    ----------
    name : str
        Upper or lower case; ``"22G-90mm"`` is accepted. The material is one of
        ``planner.physics.materials`` or ``unknown``; without one the catalogue's
        assumption holds, and the evidence says so.

    Returns
    -------
    Needle
        Outer diameter and length in mm.

    Raises
    ------
    ConfigError
        If the text has another form, the gauge is not in the catalogue, or the
        length is out of range.

    Examples
    --------
    >>> parse_needle("22G-90").outer_diameter_mm
    0.72
    >>> parse_needle("7G-90")
    Traceback (most recent call last):
    ...
    planner.errors.ConfigError: needle '7G-90': gauge 7G is not in the catalogue; ...
    """
    catalogue = needle_catalogue()
    tool_name, _, tool_material = (part.strip() for part in name.partition(":"))
    for known, tool in catalogue.tools.items():
        if known.casefold() == tool_name.casefold():
            return _tool(known, tool, tool_material.lower())
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"'{name}' is not a needle",
            needed="GAUGE-LENGTH_MM, for example 22G-90, or 22G-90:steel",
            fix=_offer(catalogue),
        )
    gauge, length_mm = f"{int(match[1])}G", int(match[2])
    entry = catalogue.gauges.get(gauge)
    if entry is None:
        raise ConfigError(
            f"needle '{name}': gauge {gauge} is not in the catalogue", fix=_offer(catalogue)
        )
    lengths = ", ".join(str(n) for n in entry.lengths_mm)
    if not (MIN_LENGTH_MM <= length_mm <= MAX_LENGTH_MM):
        raise ConfigError(
            f"needle '{name}': the length is out of range",
            seen=f"{length_mm} mm",
            needed=f"{MIN_LENGTH_MM} to {MAX_LENGTH_MM} mm",
            fix=f"Usual lengths of {gauge}: {lengths} mm.",
        )
    evidence = catalogue.evidence
    if length_mm not in entry.lengths_mm:
        evidence += f"; {length_mm} mm is no usual length of {gauge} ({lengths} mm)"
    name = f"{gauge}-{length_mm}"
    material = catalogue.material
    if match[3] is None:
        evidence += f"; material {catalogue.material_evidence}"
    else:
        material = match[3].lower()
        name += f":{material}"
    return Needle(
        name=name,
        outer_diameter_mm=entry.outer_diameter_mm,
        length_mm=float(length_mm),
        material=material,
        evidence=evidence,
    )


def _tool(name: str, entry: ToolEntry, material: str) -> Needle:
    evidence = entry.evidence
    if not material:
        evidence += f"; material {entry.material}: check the label"
    return Needle(
        name=f"{name}:{material}" if material else name,
        outer_diameter_mm=entry.outer_diameter_mm,
        length_mm=entry.length_mm,
        material=material or entry.material,
        evidence=evidence,
    )


def load_needles(path: str | Path) -> dict[str, Needle]:
    """A user's own needles by name, from a TOML file (schema ``needles/1``).

    Raises
    ------
    ConfigError
        If the file cannot be read or a value is out of range.
    """
    content = read_toml(Path(path), kind="needle file")
    own = validated(OwnNeedles, content.data, where=Path(path).name)
    return {
        name: Needle(
            name=name,
            outer_diameter_mm=entry.outer_diameter_mm,
            inner_diameter_mm=entry.inner_diameter_mm,
            length_mm=entry.length_mm,
            throw_mm=entry.throw_mm,
            material=entry.material,
            evidence=entry.evidence,
        )
        for name, entry in own.needles.items()
    }


def named_needle(text: str) -> Needle:
    """A needle of the catalogue (``"22G-90"``), or of a user's file (``"own.toml#NAME"``).

    The name may be left out where the file has one needle.

    Raises
    ------
    ConfigError
        If the file or the name cannot be used.
    """
    path, _, name = text.partition("#")
    if not path.lower().endswith(".toml"):
        return parse_needle(text)
    own = load_needles(path)
    if name in own:
        return own[name]
    if not name and len(own) == 1:
        return next(iter(own.values()))
    raise ConfigError(
        "no such needle in the file" if name else "the file has several needles",
        seen=name or None,
        needed=", ".join(own),
        where=Path(path).name,
        fix=f"Say which: {Path(path).name}#NAME.",
    )


@functools.cache
def needle_catalogue() -> NeedleCatalogue:
    """The catalogue that ships with the package."""
    content = read_toml(CATALOGUE_FILE, kind="needle catalogue")
    return validated(NeedleCatalogue, content.data, where=str(CATALOGUE_FILE))


def _offer(catalogue: NeedleCatalogue) -> str:
    rows = (f"{gauge} ({e.outer_diameter_mm:.2f} mm)" for gauge, e in catalogue.gauges.items())
    return f"Gauges: {', '.join(rows)}. Tools: {', '.join(catalogue.tools)}."
