"""Acquisition values of an MR series as its header states them.

A value that is absent (or cannot be read) is absent here: never a default, never
a guess. What the values may not be trusted for is decided where they are used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from planner.io.dicom_values import DicomTag, RawElements

MrValue = float | int | str | tuple[str, ...] | tuple[int, ...]

GE_B_VALUE_OFFSET = 1_000_000_000
"""GE adds 1e9 (sometimes a multiple) to the b-value in (0043,1039)."""

_SIEMENS_B_IN_NAME = re.compile(r"^\*?ep_b(\d+)(?:t|#\d+)?$")
"""``*ep_b400t`` is b = 400 (trace), ``*ep_b1000#3`` a direction; ``*ep_b50_800`` is a range."""

_Reader = Callable[[RawElements, DicomTag], MrValue | None]


def _number(raw: RawElements, tag: DicomTag) -> float | None:
    return raw.number(tag)


def _positive(raw: RawElements, tag: DicomTag) -> float | None:
    """A quantity for which zero means 'not filled in' (a field strength, a bandwidth)."""
    value = raw.number(tag)
    return value if value is not None and value > 0 else None


def _integer(raw: RawElements, tag: DicomTag) -> int | None:
    return raw.integer(tag)


def _count(raw: RawElements, tag: DicomTag) -> int | None:
    """A number of images or echoes stored as SL; zero means 'not filled in'."""
    value = raw.long(tag)
    return value if value is not None and value > 0 else None


def _text(raw: RawElements, tag: DicomTag) -> str | None:
    return raw.decoded(tag) or None


def _texts(raw: RawElements, tag: DicomTag) -> tuple[str, ...] | None:
    return raw.texts(tag) or None


def _shorts(raw: RawElements, tag: DicomTag) -> tuple[int, ...] | None:
    return raw.shorts(tag)


def _float32(raw: RawElements, tag: DicomTag) -> float | None:
    values = raw.floats(tag, "f")
    return values[0] if values else None


def _b_value(raw: RawElements, _: DicomTag) -> float | None:
    return b_value_s_per_mm2(raw)


_KEYS: dict[str, tuple[DicomTag, _Reader]] = {
    "field_t": (DicomTag.MagneticFieldStrength, _positive),
    "imaging_frequency_mhz": (DicomTag.ImagingFrequency, _positive),
    "bandwidth_hz_per_px": (DicomTag.PixelBandwidth, _positive),
    "echo_time_ms": (DicomTag.EchoTime, _number),
    "repetition_time_ms": (DicomTag.RepetitionTime, _positive),
    "inversion_time_ms": (DicomTag.InversionTime, _number),
    "flip_angle_deg": (DicomTag.FlipAngle, _number),
    "echo_number": (DicomTag.EchoNumbers, _integer),
    "echo_train_length": (DicomTag.EchoTrainLength, _integer),
    "number_of_averages": (DicomTag.NumberOfAverages, _positive),
    "scanning_sequence": (DicomTag.ScanningSequence, _texts),
    "sequence_variant": (DicomTag.SequenceVariant, _texts),
    "scan_options": (DicomTag.ScanOptions, _texts),
    "sequence_name": (DicomTag.SequenceName, _text),
    "protocol_name": (DicomTag.ProtocolName, _text),
    "acquisition_type": (DicomTag.MRAcquisitionType, _text),
    "phase_encoding_direction": (DicomTag.InPlanePhaseEncodingDirection, _text),
    "acquisition_matrix": (DicomTag.AcquisitionMatrix, _shorts),
    "percent_sampling": (DicomTag.PercentSampling, _positive),
    "percent_phase_fov": (DicomTag.PercentPhaseFieldOfView, _positive),
    "slice_thickness_mm": (DicomTag.SliceThickness, _positive),
    "spacing_between_slices_tag_mm": (DicomTag.SpacingBetweenSlices, _number),
    "b_value_s_per_mm2": (DicomTag.DiffusionBValue, _b_value),
    "image_type": (DicomTag.ImageType, _texts),
    "manufacturer": (DicomTag.Manufacturer, _text),
    "manufacturer_model_name": (DicomTag.ManufacturerModelName, _text),
    "siemens_dwell_time_ns": (DicomTag.SiemensDwellTime, _positive),
    "philips_water_fat_shift_px": (DicomTag.PhilipsWaterFatShift, _float32),
    "philips_epi_factor": (DicomTag.PhilipsEPIFactor, _count),
    "philips_slices_per_stack": (DicomTag.PhilipsSlicesPerStack, _count),
    "philips_stacks": (DicomTag.PhilipsStacks, _count),
    "images_in_acquisition": (DicomTag.ImagesInAcquisition, _integer),
    "ge_images_in_series": (DicomTag.GEImagesInSeries, _count),
}

MR_TAGS: tuple[DicomTag, ...] = (
    *dict.fromkeys(tag for tag, _ in _KEYS.values()),
    DicomTag.SiemensBValue,
    DicomTag.GEBValue,
    DicomTag.PhilipsBValue,
)
"""Every attribute that ``mr_values`` looks at."""


def mr_values(raw: RawElements) -> Mapping[str, MrValue]:
    """Acquisition values of one slice, keys with their unit, in a fixed order.

    ``slice_thickness_mm`` and ``spacing_between_slices_tag_mm`` are what the
    header says; the spacing of a volume comes from its positions alone.

    Returns
    -------
    mapping of str to float, int, str or tuple
        Only what is present and readable. ``acquisition_matrix`` is frequency
        rows, frequency columns, phase rows, phase columns. Read-only.
    """
    found: dict[str, MrValue] = {}
    for key, (tag, read) in _KEYS.items():
        try:
            value = read(raw, tag)
        except ValueError:
            continue
        if value is not None:
            found[key] = value
    return MappingProxyType(found)


def b_value_s_per_mm2(raw: RawElements) -> float | None:
    """Diffusion b-value in s/mm2 from the standard or the vendor's attribute, else None."""
    sources: tuple[Callable[[], tuple[float, ...] | None], ...] = (
        lambda: raw.floats(DicomTag.DiffusionBValue, "d"),
        lambda: raw.numbers(DicomTag.SiemensBValue),
        lambda: raw.floats(DicomTag.PhilipsBValue, "f"),
        lambda: raw.numbers(DicomTag.GEBValue),
    )
    for read in sources:
        try:
            values = read()
        except ValueError:
            continue
        if values:
            return math.fmod(values[0], GE_B_VALUE_OFFSET)
    match = _SIEMENS_B_IN_NAME.match(raw.text(DicomTag.SequenceName))
    return float(match.group(1)) if match else None
