"""What the user may say about an acquisition (``--mr KEY=VALUE``, a TOML table, a dict)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from planner.errors import ConfigError
from planner.geometry import Grid
from planner.geometry.frames import FloatArray, unit
from planner.model.mr import MetalReduction, SequenceFamily

GUIDANCE_PREFIX = "guidance."
"""Keys with this prefix are about the sequence that guides the needle, not the planning image."""

_RANGES: dict[str, tuple[float, float, str]] = {
    "field_t": (0.01, 15.0, "T"),
    "bandwidth_hz_per_px": (1.0, 10_000.0, "Hz"),
    "readout_pixel_mm": (0.05, 20.0, "mm"),
    "phase_pixel_mm": (0.05, 20.0, "mm"),
    "slice_thickness_mm": (0.1, 100.0, "mm"),
    "rf_bandwidth_hz": (50.0, 20_000.0, "Hz"),
    "echo_time_ms": (0.01, 1000.0, "ms"),
    "repetition_time_ms": (0.1, 60_000.0, "ms"),
}
_ALIASES = {"readout": "readout_axis_lps", "b0": "b0_direction_lps", "slice_axis": "slice_axis_lps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Checked values by field name of MRAcquisition."""

    values: Mapping[str, object]

    @classmethod
    def of(cls, given: Mapping[str, object], grid: Grid) -> Overrides:
        """Overrides from texts or numbers.

        Raises
        ------
        ConfigError
            Unknown key, value of the wrong kind or out of range.
        """
        readers: dict[str, Callable[[str, object], object]] = {
            **dict.fromkeys(_RANGES, _number),
            "acquisition": _dimensions,
            "sequence": lambda key, v: _choice(key, v, [m.value for m in SequenceFamily]),
            "metal_reduction": lambda key, v: _choice(key, v, [m.value for m in MetalReduction]),
            "readout_axis_lps": lambda key, v: _direction(key, v, grid),
            "slice_axis_lps": lambda key, v: _direction(key, v, grid),
            "b0_direction_lps": _b0,
        }
        values: dict[str, object] = {}
        for key, value in given.items():
            name = _ALIASES.get(key, key)
            if name not in readers:
                raise ConfigError(
                    "unknown MR value", seen=key, needed=", ".join([*readers, *_ALIASES])
                )
            values[name] = readers[name](key, value)
        return cls(values=values)


def split_guidance(
    given: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, object]]:
    """Overrides of the planning image, and those of the guiding sequence (prefix taken off)."""
    planning = {k: v for k, v in given.items() if not k.startswith(GUIDANCE_PREFIX)}
    guidance = {k.removeprefix(GUIDANCE_PREFIX): v for k, v in given.items() if k not in planning}
    return planning, guidance


def _number(key: str, value: object) -> float:
    low, high, unit_name = _RANGES[key]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not (low <= number <= high):
        raise ConfigError(
            f"MR value {key} is out of range",
            seen=value,
            needed=f"{low:g} to {high:g} {unit_name}",
            where=f"--mr {key}=...",
        )
    return number


def _choice(key: str, value: object, allowed: list[str]) -> str:
    for name in allowed:
        if str(value).strip().lower() == name.lower():
            return name
    raise ConfigError(
        f"MR value {key} is not known",
        seen=value,
        needed=", ".join(allowed),
        where=f"--mr {key}=...",
    )


def _dimensions(key: str, value: object) -> str:
    return _choice(key, value, ["2D", "3D"])


def _direction(key: str, value: object, grid: Grid) -> FloatArray | str:
    axes = grid.axes_lps_from_kji
    words = {"row": axes[:, 2], "column": axes[:, 1], "slice": axes[:, 0]}
    text = str(value).strip().lower()
    if text in words:
        return np.array(words[text])
    if text in ("radial", "spiral", "any"):
        return "isotropic"
    return _vector(key, value, "row, column, slice, radial, or L,P,S")


def _b0(key: str, value: object) -> FloatArray:
    words = {
        "bore": (0.0, 0.0, 1.0),
        "anterior-posterior": (0.0, 1.0, 0.0),
        "left-right": (1.0, 0.0, 0.0),
    }
    text = str(value).strip().lower()
    if text in words:
        return np.array(words[text])
    return _vector(key, value, f"{', '.join(words)}, or L,P,S")


def _vector(key: str, value: object, needed: str) -> FloatArray:
    parts: Iterable[object] = ()
    if isinstance(value, str):
        parts = value.split(",")
    elif isinstance(value, Iterable):
        parts = value
    try:
        vector = np.array([float(str(v)) for v in parts])
    except ValueError:
        vector = np.full(3, np.nan)
    if vector.shape != (3,) or not np.linalg.norm(vector) > 1e-6:
        raise ConfigError(
            f"MR value {key} is no direction", seen=value, needed=needed, where=f"--mr {key}=..."
        )
    return unit(vector)
