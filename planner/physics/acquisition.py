"""MRAcquisition from header values and from what the user says, each value with its source.

The pitfalls are those of real headers: bandwidth is per ACQUIRED pixel while images are
interpolated (P1), bandwidth may be absent (P2), the readout is the axis that is not phase
encoded (P4), field strength may be in gauss or missing (P6), research sequences state no
family (P8), metal reduction has no tag (P10), the direction of B0 has none either (P12),
radial readouts have no single axis (P13). What is missing stays None, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.model.mr import (
    GYROMAGNETIC_MHZ_PER_T,
    MetalReduction,
    MRAcquisition,
    Provenance,
    SequenceFamily,
    ValueSource,
)
from planner.physics.acquisition_overrides import Overrides

FAT_SHIFT_PPM = 3.4
"""Chemical shift between water and fat (L: dcm2niix; 3.5 elsewhere)."""

DEFAULT_RF_BANDWIDTH_HZ = 1000.0
"""RF bandwidth of slice selection: not in DICOM (L: near-metal simulator of Keskin et al.)."""

FIELD_TOLERANCE = 0.03
"""Share beyond which field strength and imaging frequency are told to disagree (P6)."""

FIELD_CONTRADICTION = 0.10
"""Share beyond which neither is believed. Between the two the larger one is taken: Siemens
magnets called 3 T run at 123.2 MHz, 2.89 T (seen in PROSTATEx, 3.5 % apart)."""

BANDWIDTH_TOLERANCE = 0.05
"""Bandwidth tag and Siemens dwell time must agree to this share (P3)."""

FOV_TOLERANCE = 0.03
"""Share by which the image's sides may miss the stated phase field of view (P1)."""

_BALANCED = re.compile(
    r"TRU(E)?[ _-]?F(I|ISP)|FIESTA|B[ _-]?(FFE|TFE)|TFI[23]D|BALANCED|(^|[^A-Z])B?SSFP", re.I
)
_ECHO_PLANAR = re.compile(
    r"EP_?[23]D|(^|[^A-Z])(SS|DW|SE|GE)?[-_ ]?EPI([^A-Z]|$)|EPI_|RESOLVE", re.I
)
_ROTATING = re.compile(
    r"RADIAL|SPIRAL|BLADE|PROPELLER|MULTI[ _-]?VANE|STAR[ _-]?VIBE|\bUTE|\bZTE", re.I
)
_METAL = (
    (MetalReduction.MAVRIC, re.compile(r"MAVRIC", re.I)),
    (MetalReduction.SEMAC, re.compile(r"SEMAC|ADV(ANCED)?[ _-]?WARP|O-?MAR[ _-]?XD", re.I)),
    (MetalReduction.VAT, re.compile(r"\bVAT\b|WARP|O-?MAR", re.I)),
)


def acquisition_of(
    header: Mapping[str, object],
    grid: Grid,
    overrides: Mapping[str, object] | None = None,
) -> MRAcquisition:
    """The acquisition of an image, from its header values and what the user says.

    Parameters
    ----------
    header : mapping
        ``Volume.source.mr``; empty for an image that is no DICOM MR.
    grid : Grid
        Of the image: rows along j, columns along i, slices along k.
    overrides : mapping, optional
        ``--mr`` keys, see ``planner.physics.acquisition_overrides``.

    Returns
    -------
    MRAcquisition

    Raises
    ------
    ConfigError
        If an override is unknown or out of range.
    """
    reader = _Reader(header, grid, Overrides.of(overrides or {}, grid))
    return reader.acquisition()


class _Reader:
    """Collects values, where they are from, and what is wrong with them."""

    def __init__(self, header: Mapping[str, object], grid: Grid, user: Overrides) -> None:
        self._header, self._grid, self._user = header, grid, user
        self._sources: dict[str, Provenance] = {}
        self._problems: dict[str, str] = {}

    def acquisition(self) -> MRAcquisition:
        names = " ".join(str(self._header.get(k, "")) for k in ("protocol_name", "sequence_name"))
        names += " " + " ".join(self._texts("scan_options"))
        names += " " + str(self._header.get("series_description", ""))
        sequence = self._sequence(names)
        field_t = self._field()
        readout_axis, is_isotropic = self._readout_axis(names)
        readout_pixel, phase_pixel = self._pixels(readout_axis, is_isotropic)
        return MRAcquisition(
            field_t=field_t,
            b0_direction_lps=self._b0_direction(),
            bandwidth_hz_per_px=self._bandwidth(field_t),
            readout_pixel_mm=readout_pixel,
            phase_pixel_mm=phase_pixel,
            readout_axis_lps=readout_axis,
            slice_axis_lps=self._slice_axis(),
            slice_thickness_mm=self._number("slice_thickness_mm", "SliceThickness (0018,0050)"),
            rf_bandwidth_hz=self._rf_bandwidth(),
            acquisition=self._dimensions(),
            sequence=sequence,
            echo_time_ms=self._number("echo_time_ms", "EchoTime (0018,0081)"),
            repetition_time_ms=self._number("repetition_time_ms", "RepetitionTime (0018,0080)"),
            is_isotropic_readout=is_isotropic,
            metal_reduction=self._metal_reduction(),
            metal_reduction_hint=next((str(m) for m, p in _METAL if p.search(names)), ""),
            distortion_corrected=self._distortion_corrected(),
            sources=self._sources,
            problems=self._problems,
        )

    def _note(self, name: str, source: ValueSource, detail: str) -> None:
        self._sources[name] = Provenance(source=source, detail=detail)

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._header.get(key, ())
        return tuple(str(v).upper() for v in value) if isinstance(value, tuple) else ()

    def _stated(self, key: str) -> float | None:
        value = self._header.get(key)
        usable = isinstance(value, int | float) and np.isfinite(value) and value > 0
        return float(value) if usable else None  # type: ignore[arg-type]

    def _from_user(self, name: str) -> object | None:
        value = self._user.values.get(name)
        if value is not None:
            self._note(name, ValueSource.USER, "given by the user")
        return value

    def _number(self, name: str, tag: str) -> float | None:
        given = self._from_user(name)
        if given is not None:
            return float(given)  # type: ignore[arg-type]
        value = self._stated(name)
        if value is None:
            self._problems[name] = f"{tag} is missing"
            return None
        self._note(name, ValueSource.TAG, tag)
        return value

    def _field(self) -> float | None:
        given = self._from_user("field_t")
        if given is not None:
            return float(given)  # type: ignore[arg-type]
        tag, frequency = self._stated("field_t"), self._stated("imaging_frequency_mhz")
        if tag is not None and tag > 50.0:
            tag /= 10_000.0  # old systems state gauss
        derived = None if frequency is None else frequency / GYROMAGNETIC_MHZ_PER_T
        if tag is None and derived is None:
            self._problems["field_t"] = (
                "MagneticFieldStrength (0018,0087) and ImagingFrequency (0018,0084) are missing"
            )
            return None
        if tag is None:
            self._note("field_t", ValueSource.DERIVED, f"ImagingFrequency {frequency:g} MHz")
            return derived
        detail, value = "MagneticFieldStrength (0018,0087)", tag
        if derived is not None and not abs(derived - tag) <= FIELD_TOLERANCE * tag:
            said = (
                f"MagneticFieldStrength says {tag:g} T, ImagingFrequency {frequency:g} MHz means "
                f"{derived:.3f} T"
            )
            if not abs(derived - tag) <= FIELD_CONTRADICTION * tag:
                self._problems["field_t"] = said
            detail, value = f"{said}: the larger is taken", max(tag, derived)
        self._note("field_t", ValueSource.TAG, detail)
        return value

    def _b0_direction(self) -> FloatArray:
        given = self._from_user("b0_direction_lps")
        if given is not None:
            return np.asarray(given, dtype=np.float64)
        self._note(
            "b0_direction_lps", ValueSource.DEFAULT, "along a horizontal bore (not in DICOM)"
        )
        return np.array([0.0, 0.0, 1.0])

    def _bandwidth(self, field_t: float | None) -> float | None:
        name = "bandwidth_hz_per_px"
        given = self._from_user(name)
        if given is not None:
            return float(given)  # type: ignore[arg-type]
        tag, derived = self._stated(name), self._derived_bandwidths(field_t)
        if tag is None and not derived:
            self._problems[name] = "PixelBandwidth (0018,0095) is missing"
            return None
        if tag is None:
            words, least = min(derived.items(), key=lambda item: item[1])
            self._note(name, ValueSource.DERIVED, words)
            return least
        off = {w: v for w, v in derived.items() if not abs(v - tag) <= BANDWIDTH_TOLERANCE * tag}
        if not off:
            self._note(name, ValueSource.TAG, "PixelBandwidth (0018,0095)")
            return tag
        told = ", ".join(f"{words} means {value:.0f} Hz" for words, value in off.items())
        said = f"PixelBandwidth {tag:g} Hz, {told}: the smallest is taken"
        self._note(name, ValueSource.DERIVED, said)
        return min(tag, *off.values())

    def _derived_bandwidths(self, field_t: float | None) -> dict[str, float]:
        """Bandwidths that private values mean, by what says so."""
        found = {}
        dwell_ns, steps = self._stated("siemens_dwell_time_ns"), self._readout_steps()
        if dwell_ns is not None and steps is not None:
            # twofold oversampling of the readout
            found[f"dwell time {dwell_ns:g} ns (0019,1018)"] = 1e9 / (dwell_ns * steps * 2)
        shift_px = self._stated("philips_water_fat_shift_px")
        if shift_px is not None and field_t is not None:
            frequency = field_t * GYROMAGNETIC_MHZ_PER_T
            words = f"water-fat shift {shift_px:g} px (2001,1022)"
            found[words] = FAT_SHIFT_PPM * frequency / shift_px
        return found

    def _readout_steps(self) -> int | None:
        """Acquired steps along the readout: the non-zero of the two frequency numbers (P4)."""
        matrix = self._header.get("acquisition_matrix")
        if not isinstance(matrix, tuple) or len(matrix) != 4:
            return None
        steps = [int(n) for n in matrix[:2] if int(n) > 0]
        return min(steps, default=None)  # two of them contradict each other: the larger pixel

    def _readout_axis(self, names: str) -> tuple[FloatArray | None, bool]:
        name = "readout_axis_lps"
        given = self._from_user(name)
        if isinstance(given, str):
            return None, True
        if given is not None:
            return np.asarray(given, dtype=np.float64), False
        traversal = str(self._header.get("k_space_traversal", "")).upper()
        if traversal in ("RADIAL", "SPIRAL") or _ROTATING.search(names):
            self._note(
                name, ValueSource.DERIVED, "no single readout axis: bounded in all directions"
            )
            return None, True
        phase = str(self._header.get("phase_encoding_direction", "")).upper()
        axes = self._grid.axes_lps_from_kji
        if phase not in ("ROW", "COL", "COLUMN"):
            self._problems[name] = "InPlanePhaseEncodingDirection (0018,1312) is missing" + (
                f" (it says {phase})" if phase else ""
            )
            return None, False
        self._note(name, ValueSource.TAG, f"InPlanePhaseEncodingDirection (0018,1312) = {phase}")
        # ROW: phase encoding runs along the row direction (i), so the readout along j
        return np.array(axes[:, 1] if phase == "ROW" else axes[:, 2]), False

    def _pixels(
        self, readout_axis: FloatArray | None, is_isotropic: bool
    ) -> tuple[float | None, float | None]:
        given, given_phase = self._from_user("readout_pixel_mm"), self._from_user("phase_pixel_mm")
        _, row_mm, column_mm = self._grid.spacing_kji_mm.tolist()
        read_mm, phase_mm = max(row_mm, column_mm), max(row_mm, column_mm)
        derived = None
        steps = self._readout_steps()
        if readout_axis is not None and steps is not None:
            along = np.abs(self._grid.axes_lps_from_kji.T @ readout_axis)
            is_row = along[1] > along[2]
            n_read, read_mm = self._extent(is_row)
            n_phase, phase_mm = self._extent(not is_row)
            derived = self._readout_pixel(n_read * read_mm, n_phase * phase_mm, steps, read_mm)
            phase_mm = self._phase_pixel(n_phase * phase_mm, phase_mm, derived / read_mm, derived)
        elif is_isotropic and steps is not None:
            sides = [n * d for n, d in (self._extent(True), self._extent(False))]
            derived = self._readout_pixel(max(sides), max(sides), steps, read_mm)
        if given is None and derived is None:
            self._problems["readout_pixel_mm"] = (
                "AcquisitionMatrix (0018,1310) is missing: the acquired pixel cannot be told from "
                "an interpolated one"
                if steps is None
                else "the readout axis is not known"
            )
        read = derived if given is None else float(given)  # type: ignore[arg-type]
        return read, phase_mm if given_phase is None else float(given_phase)  # type: ignore[arg-type]

    def _phase_pixel(
        self, side_mm: float, shown_mm: float, interpolated: float, readout_mm: float
    ) -> float:
        """Acquired pixel along the phase encoding: the largest that anything stated means."""
        found = [shown_mm, shown_mm * interpolated]
        matrix = self._header.get("acquisition_matrix")
        steps = [int(n) for n in matrix[2:] if int(n) > 0] if isinstance(matrix, tuple) else []
        if steps:
            found.append(side_mm / min(steps))
        percent = self._stated("percent_sampling")
        if percent is not None:
            found.append(readout_mm / (percent / 100.0))
        self._note("phase_pixel_mm", ValueSource.DERIVED, "AcquisitionMatrix and PercentSampling")
        return max(found)

    def _extent(self, is_row: bool) -> tuple[int, float]:
        axis = 1 if is_row else 2
        return self._grid.shape_kji[axis], float(self._grid.spacing_kji_mm[axis])

    def _readout_pixel(
        self, read_side_mm: float, phase_side_mm: float, steps: int, shown_mm: float
    ) -> float:
        """Acquired pixel; the larger where the sides contradict the stated field of view (P1)."""
        name = "readout_pixel_mm"
        pixel = max(read_side_mm / steps, shown_mm)
        detail = f"{read_side_mm:.1f} mm / {steps} acquired steps (AcquisitionMatrix)"
        percent = self._stated("percent_phase_fov")
        if percent is not None:
            side_mm = phase_side_mm / (percent / 100.0)
            if not abs(side_mm - read_side_mm) <= FOV_TOLERANCE * read_side_mm:
                detail += (
                    f"; PercentPhaseFieldOfView {percent:g} means a readout side of "
                    f"{side_mm:.1f} mm: cropped or padded, the larger is taken"
                )
                pixel = max(pixel, side_mm / steps)
        self._note(name, ValueSource.DERIVED, detail)
        return pixel

    def _slice_axis(self) -> FloatArray | None:
        given = self._from_user("slice_axis_lps")
        if given is not None:
            return np.asarray(given, dtype=np.float64)
        self._note("slice_axis_lps", ValueSource.DERIVED, "normal of the image planes")
        return np.array(self._grid.axes_lps_from_kji[:, 0])

    def _rf_bandwidth(self) -> float:
        given = self._from_user("rf_bandwidth_hz")
        if given is not None:
            return float(given)  # type: ignore[arg-type]
        self._note("rf_bandwidth_hz", ValueSource.DEFAULT, "not in DICOM: 1000 Hz (evidence L)")
        return DEFAULT_RF_BANDWIDTH_HZ

    def _dimensions(self) -> str | None:
        given = self._from_user("acquisition")
        if given is not None:
            return str(given)
        stated = str(self._header.get("acquisition_type", "")).upper()
        if stated in ("2D", "3D"):
            self._note("acquisition", ValueSource.TAG, "MRAcquisitionType (0018,0023)")
            return stated
        self._problems["acquisition"] = "MRAcquisitionType (0018,0023) is missing"
        return None

    def _sequence(self, names: str) -> SequenceFamily:
        given = self._from_user("sequence")
        if given is not None:
            return SequenceFamily(str(given))
        kinds = self._texts("scanning_sequence")
        family = SequenceFamily.UNKNOWN
        is_epi_by_factor = (self._stated("philips_epi_factor") or 1.0) > 1.0
        if "EP" in kinds or _ECHO_PLANAR.search(names) or is_epi_by_factor:
            family = SequenceFamily.EPI
        elif "RM" in kinds:
            pass  # research mode states nothing
        elif "GR" in kinds:
            family = SequenceFamily.BSSFP if _BALANCED.search(names) else SequenceFamily.GRE
        elif "SE" in kinds:
            train = self._stated("echo_train_length") or 1.0
            family = SequenceFamily.TSE if train > 1 else SequenceFamily.SE
        stated = "\\".join(kinds) or "missing"
        detail = f"ScanningSequence (0018,0020) = {stated}"
        if family is SequenceFamily.UNKNOWN:
            detail += ": taken as the worst (gradient echo with dark bands)"
        self._note("sequence", ValueSource.TAG if kinds else ValueSource.DEFAULT, detail)
        return family

    def _metal_reduction(self) -> MetalReduction:
        given = self._from_user("metal_reduction")
        return MetalReduction.NONE if given is None else MetalReduction(str(given))

    def _distortion_corrected(self) -> bool | None:
        kinds = set(self._texts("image_type"))
        if kinds & {"DIS2D", "DIS3D"}:
            return True
        return False if "ND" in kinds else None
