"""The needle's own artefact: how wide the shaft looks and how far the tip seems to reach.

Closed forms for a long thin cylinder at an angle to B0 (width) and for the magnetic pole at
its end (tip). Q(theta) = gamma dchi B0 a^2 sin^2(theta) in Hz mm^2:

- spin echo, dark width: 2 (Q kappa / 2)^(1/3), ASTM (30 %) width 1.35 times that, with
  kappa = max(readout pixel / bandwidth, slice thickness / RF bandwidth) in mm/Hz;
- gradient echo, width: 2 (Q d TE / 0.4419)^(1/3) with d the acquired pixel;
- tip beyond the true one: gradient echo (gamma dchi B0 cos(theta) a^2 d TE / 0.8838)^(1/3),
  spin echo (gamma dchi B0 cos(theta) a^2 kappa / 4)^(1/3).

Evidence: C (3-D simulation of an 18G titanium needle agrees within one pixel); published
ranges in docs/needle_artefact.md. A hollow needle counts with its metal alone: the outside
field depends on the sum of dchi (a_out^2 - a_in^2).
"""

from __future__ import annotations

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model.mr import GYROMAGNETIC_MHZ_PER_T, Material, MRAcquisition
from planner.model.mr_results import NeedleArtefact
from planner.physics.shifts import EPI_REASON, MissingForMetal, dark_band_hz

ASTM_FACTOR = 1.35
"""ASTM (30 % change) width over dark width in spin echo (C)."""

DEPHASING_CYCLES = 0.4419
"""Cycles over a pixel at which 30 % of the signal is lost: sinc(0.4419) = 0.7 (C)."""

TIP_FACTOR_STEEP = 2.0
"""By this the law may fall short of a tip's bloom in gradient echo (E, on L: Song 2012, 9 mm)."""

STEEP_DEG = 30.0
POOR_SHAFT_DEG = 20.0
"""Below this angle to B0 the tip blooms and the shaft is hard to see (E)."""

VISIBLE_PIXELS = 1.5
"""Artefact width, in acquired pixels, that can be seen (E)."""

_WIDTH_PIXELS, _TIP_PIXELS = 1.5, 2.0
"""Pixels by which simulated widths and tips lie beyond the laws at most (C: 1.2 and 2)."""

_SMALL_COMPONENT = 0.1
"""Readout components below this (6 degrees) do not widen the shaft."""


def missing_for_needle(acquisition: MRAcquisition) -> tuple[MissingForMetal, ...]:
    """What keeps the artefact from being computed; empty when nothing does."""
    needed = ["field_t", "bandwidth_hz_per_px", "readout_pixel_mm"]
    if not acquisition.sequence.refocuses:
        needed.append("echo_time_ms")
    if acquisition.acquisition != "3D":
        needed.append("slice_thickness_mm")
    if acquisition.sequence.may_be_balanced:
        needed.append("repetition_time_ms")
    missing = tuple(
        MissingForMetal(name=name, reason=acquisition.problems.get(name, "not in the header"))
        for name in needed
        if getattr(acquisition, name) is None
    )
    missing += tuple(
        MissingForMetal(name=name, reason=acquisition.problems[name])
        for name in needed
        if name in acquisition.problems and getattr(acquisition, name) is not None
    )
    if acquisition.sequence.value == "EPI":
        missing += (MissingForMetal(name="sequence", reason=EPI_REASON),)
    return missing


def needle_strength_ppm_mm2(
    delta_chi_ppm: float, outer_diameter_mm: float, inner_diameter_mm: float = 0.0
) -> float:
    """Dchi (a_out^2 - a_in^2), ppm mm^2: all that the field outside a needle depends on."""
    return abs(delta_chi_ppm) * (outer_diameter_mm**2 - inner_diameter_mm**2) / 4.0


def needle_artefact(
    outer_diameter_mm: float,
    materials: tuple[Material, ...],
    acquisition: MRAcquisition,
    b0_angle_deg: float,
    *,
    direction_lps: FloatArray | None = None,
    inner_diameter_mm: float = 0.0,
) -> NeedleArtefact:
    """Width and tip overshoot of a needle's artefact.

    Parameters
    ----------
    outer_diameter_mm : float
    materials : tuple of Material
        One, or the candidates of an unknown one: the strongest counts.
    acquisition : MRAcquisition
    b0_angle_deg : float
        Between needle and B0, 0 to 90.
    direction_lps : (3,), optional
        Of the needle; without it the readout is taken as the worst.
    inner_diameter_mm : float
        Of a hollow needle whose stylet is out; 0 with a metal stylet in.

    Raises
    ------
    ValueError
        If the acquisition misses a value: ask ``missing_for_needle`` first.
    """
    missing = missing_for_needle(acquisition)
    if missing:
        raise ValueError(f"missing: {', '.join(m.name for m in missing)}")
    if not (0.0 <= b0_angle_deg <= 90.0):
        raise ValueError(f"the angle to B0 is 0 to 90 degrees, not {b0_angle_deg}")
    nominal = max(materials, key=lambda m: abs(m.delta_chi_ppm.value))
    worst = max(max(abs(m.low_ppm), abs(m.high_ppm)) for m in materials)
    sine, cosine = np.sin(np.radians(b0_angle_deg)), np.cos(np.radians(b0_angle_deg))
    shape = _Shape(acquisition, direction_lps)

    def sizes(delta_chi_ppm: float) -> tuple[float, float]:
        strength = needle_strength_ppm_mm2(delta_chi_ppm, outer_diameter_mm, inner_diameter_mm)
        hz_mm2 = GYROMAGNETIC_MHZ_PER_T * (acquisition.field_t or 0.0) * strength
        return shape.width_mm(hz_mm2 * sine**2), shape.tip_mm(hz_mm2 * cosine)

    width, tip = sizes(nominal.delta_chi_ppm.value)
    width_worst, tip_worst = sizes(worst)
    pixel = acquisition.readout_pixel_mm or 0.0
    if not acquisition.sequence.refocuses and b0_angle_deg < STEEP_DEG:
        tip_worst *= TIP_FACTOR_STEEP
    width = max(width, outer_diameter_mm)
    return NeedleArtefact(
        width_mm=width,
        width_max_mm=max(width_worst * shape.astm_factor, outer_diameter_mm)
        + _WIDTH_PIXELS * pixel,
        tip_overshoot_mm=tip,
        tip_max_mm=tip_worst + _TIP_PIXELS * pixel,
        b0_angle_deg=b0_angle_deg,
        pixels_wide=width / pixel,
        material=" or ".join(m.name for m in materials),
        is_visible=bool(width / pixel >= VISIBLE_PIXELS),
        blooms=bool(b0_angle_deg < POOR_SHAFT_DEG),
    )


def tip_overshoots_mm(
    outer_diameter_mm: float,
    materials: tuple[Material, ...],
    acquisition: MRAcquisition,
    b0_cosines: FloatArray,
    *,
    inner_diameter_mm: float = 0.0,
) -> FloatArray:
    """Nominal tip overshoot (mm) of many needles by the cosine of their angle to B0, (n,).

    The readout is taken as the worst, so that the ranking does not hang on it.
    """
    nominal = max(abs(m.delta_chi_ppm.value) for m in materials)
    strength = needle_strength_ppm_mm2(nominal, outer_diameter_mm, inner_diameter_mm)
    hz_mm2 = GYROMAGNETIC_MHZ_PER_T * (acquisition.field_t or 0.0) * strength
    whole = _Shape(acquisition, None).tip_mm(hz_mm2)
    return np.asarray(whole * np.cbrt(b0_cosines))


class _Shape:
    """The cube-root laws of one acquisition."""

    def __init__(self, acquisition: MRAcquisition, direction_lps: FloatArray | None) -> None:
        read = (acquisition.readout_pixel_mm or 0.0) / (acquisition.bandwidth_hz_per_px or np.inf)
        through = 0.0
        if acquisition.acquisition != "3D":
            through = (acquisition.slice_thickness_mm or 0.0) / acquisition.rf_bandwidth_hz
        across, along = _components(acquisition, direction_lps)
        self._kappa_width = max(read if across > _SMALL_COMPONENT else 0.0, through)
        self._kappa_tip = max(read if along > _SMALL_COMPONENT else 0.0, through)
        self._dephasing = 0.0
        self._band_hz = np.inf
        self.astm_factor = ASTM_FACTOR
        if not acquisition.sequence.refocuses:
            echo_s = (acquisition.echo_time_ms or 0.0) * 1e-3
            self._dephasing = (acquisition.readout_pixel_mm or 0.0) * echo_s / DEPHASING_CYCLES
            self.astm_factor = 1.0
        band_hz = dark_band_hz(acquisition)
        if band_hz is not None:
            self._band_hz = band_hz / 2.0  # half way to its centre, as beside metal (docs/metal.md)

    def width_mm(self, hz_mm2: float) -> float:
        """The widest of stretching, dark band and dephasing."""
        stretched = 2.0 * np.cbrt(hz_mm2 * self._kappa_width / 2.0)
        banded = 2.0 * np.sqrt(hz_mm2 / (2.0 * self._band_hz))
        return float(max(stretched, banded, 2.0 * np.cbrt(hz_mm2 * self._dephasing)))

    def tip_mm(self, hz_mm2: float) -> float:
        """Overshoot of the tip."""
        shifted = np.cbrt(hz_mm2 * self._kappa_tip / 4.0)
        banded = np.sqrt(hz_mm2 / (4.0 * self._band_hz))
        return float(max(shifted, banded, np.cbrt(hz_mm2 * self._dephasing / 2.0)))


def _components(
    acquisition: MRAcquisition, direction_lps: FloatArray | None
) -> tuple[float, float]:
    """Share of the readout across and along the needle; 1 where it is not known."""
    axis = acquisition.readout_axis_lps
    if axis is None or direction_lps is None or acquisition.is_isotropic_readout:
        return 1.0, 1.0
    along = abs(float(np.dot(axis, direction_lps)) / float(np.linalg.norm(direction_lps)))
    return float(np.sqrt(max(0.0, 1.0 - along**2))), along
