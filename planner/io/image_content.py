"""What the images of a stack show, as far as their headers tell: fit to plan on or not.

Nothing here looks at pixels. A header that keeps silent raises no warning, so the
absence of one is no proof of an undistorted, acquired, anatomical image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from planner.errors import UnsupportedObjectError
from planner.geometry import ImageWarning, PatientPosition
from planner.io.mr_header import MrValue
from planner.io.slice_header import SliceHeader

LOCALIZER_STEP_MM = 5.0
"""A series named a localizer with slices farther apart than this is one.

The name alone does not decide: some sites call a thin 3-D survey a localizer.
"""

_LOCALIZER_NAME = re.compile(r"locali[sz]er|scout|survey|\b3[ _-]?(pl|plane)\b", re.IGNORECASE)
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MNIP", "MIN IP"}
_PHASE_KINDS = {"P", "PHASE", "PHASE MAP"}
_DIFFUSION_KINDS = {"DIFFUSION", "ADC", "EADC", "TRACEW", "CALC_BVAL", "FA", "TENSOR"}
_EPI_SEQUENCE = re.compile(r"^\*?(ep|re_b)")
"""Siemens sequence names: ``*ep2d...``, ``*epfid...``, ``*ep_b400t``; ``*re_b`` is readout-
segmented echo-planar imaging."""

_PHASE_ENCODING = {"ROW": " (along the rows)", "COL": " (along the columns)"}


def unfit_for_planning(
    header: SliceHeader, step_mm: float, *, is_split: bool
) -> UnsupportedObjectError | None:
    """Why images of this kind are never planned on: localizers and projections; else None.

    Parameters
    ----------
    header : SliceHeader
        Any image of the stack.
    step_mm : float
        Slice step; 0 when there is no grid.
    is_split : bool
        Whether the series holds several stacks.
    """
    tokens = {t.upper() for t in header.image_type}
    named = bool(_LOCALIZER_NAME.search(header.description))
    is_coarse = step_mm > LOCALIZER_STEP_MM
    if "LOCALIZER" in tokens or (named and (is_split or is_coarse)):
        return UnsupportedObjectError(
            "a localizer, not a planning image",
            seen=f"'{header.description}', slices {step_mm:.1f} mm apart",
            needed="a diagnostic series",
            where=header.name,
            fix="Choose the series that was acquired for planning (--series).",
        )
    if tokens & _PROJECTIONS:
        return UnsupportedObjectError(
            "projection images: what they show has no one depth",
            seen="\\".join(header.image_type),
            needed="cross-sectional images",
            where=header.name,
            fix="Choose the series the projections were made from (--series).",
        )
    return None


def content_warnings(
    slices: Sequence[SliceHeader], series: Sequence[SliceHeader]
) -> list[ImageWarning]:
    """Derived, phase and echo-planar images, and patient positions that say nothing.

    Parameters
    ----------
    slices : sequence of SliceHeader
        One volume.
    series : sequence of SliceHeader
        The whole series it belongs to: a volume of b = 0 is known by its siblings.
    """
    first = slices[0]
    notes = dict.fromkeys(note for h in slices for note in h.notes)
    found = [ImageWarning(note, code="header_note") for note in notes]
    if first.image_type and first.image_type[0].upper() == "DERIVED":
        kind = " ".join(first.image_type[2:]) or "kind not given"
        text = f"derived images ({kind}): computed from other images, not acquired"
        found.append(ImageWarning(text, code="derived"))
    if first.image_kind == "phase" or _PHASE_KINDS & {t.upper() for t in first.image_type[2:]}:
        text = "phase images: grey values do not show anatomy"
        found.append(ImageWarning(text, code="phase"))
    sign = echo_planar_sign(slices, series)
    if sign:
        axis = _PHASE_ENCODING.get(str(first.mr.get("phase_encoding_direction", "")), "")
        text = (
            f"echo-planar images ({sign}): geometrically distorted, by millimetres along the "
            f"phase encoding direction{axis}; not for needle planning unless checked against "
            "an undistorted series"
        )
        found.append(ImageWarning(text, code="echo_planar"))
    return found + _position_warnings(slices)


def echo_planar_sign(slices: Sequence[SliceHeader], series: Sequence[SliceHeader]) -> str:
    """What in the header tells that MR images are echo-planar; ``""`` when nothing does."""
    first = slices[0]
    if first.modality != "MR":
        return ""
    mr = first.mr
    scanning = mr.get("scanning_sequence")
    if isinstance(scanning, tuple) and "EP" in scanning:
        return "ScanningSequence EP"
    name = str(mr.get("sequence_name", ""))
    if _EPI_SEQUENCE.match(name):
        return f"SequenceName {name}"
    options = mr.get("scan_options")
    if isinstance(options, tuple) and any(str(o).startswith("EPI") for o in options):
        return "ScanOptions EPI"
    factor = mr.get("philips_epi_factor")
    if isinstance(factor, int) and factor > 1:
        return f"EPI factor {factor}"
    kinds = _DIFFUSION_KINDS & {t.upper() for t in first.image_type[2:]}
    if kinds:
        return f"ImageType {' '.join(sorted(kinds))}"
    # Philips writes b = 0 into every image: only a sibling with diffusion weighting tells
    if any((h.b_value_s_per_mm2 or 0.0) > 0.0 for h in series):
        return "diffusion-weighted, as a rule echo-planar"
    return ""


def _position_warnings(slices: Sequence[SliceHeader]) -> list[ImageWarning]:
    codes = {h.patient_position for h in slices}
    if len(codes) > 1:
        text = "patient position differs between slices and is taken as unknown"
        return [ImageWarning(text, code="patient_position")]
    (code,) = codes
    if code and PatientPosition.from_dicom(code) is PatientPosition.UNKNOWN:
        known = ", ".join(p for p in PatientPosition if p is not PatientPosition.UNKNOWN)
        text = (
            f"patient position '{code}' is none of {known}: taken as unknown, so the side that "
            "lies on the table is not excluded (say which it is with --table-side)"
        )
        return [ImageWarning(text, code="patient_position")]
    return []


def mr_of(slices: Sequence[SliceHeader]) -> tuple[Mapping[str, MrValue], list[str]]:
    """Acquisition values of the middle slice; a warning names those that differ in others."""
    middle = slices[len(slices) // 2]
    if middle.modality != "MR":
        return {}, []
    kinds = list({id(h.mr): h.mr for h in slices}.values())
    keys = sorted({key for mr in kinds for key in mr})
    differing = [k for k in keys if any(mr.get(k) != middle.mr.get(k) for mr in kinds)]
    if not differing:
        return middle.mr, []
    text = f"differs between slices, value of the middle slice taken: {', '.join(differing)}"
    return middle.mr, [text]


def count_warnings(
    slices: Sequence[SliceHeader], series: Sequence[SliceHeader]
) -> list[ImageWarning]:
    """Says where the header promises more images than were found.

    A slice missing at the end of a stack leaves no gap, so this is all that could show
    it. The numbers are hints: DICOM does not keep them up to date when images are
    taken out of a series, and they may count images of other series.
    """
    mr = slices[0].mr
    n_series = max(len(series), len({h.file for h in series}))
    for key, name in _SERIES_COUNTS.items():
        stated = mr.get(key)
        if isinstance(stated, int) and stated > n_series:
            return [_fewer(name, stated, n_series)]
    stated = mr.get("philips_slices_per_stack")
    if isinstance(stated, int) and mr.get("philips_stacks") == 1 and stated > len(slices):
        return [_fewer("Number of Slices MR", stated, len(slices))]
    return []


_SERIES_COUNTS = {
    "images_in_acquisition": "ImagesInAcquisition",
    "ge_images_in_series": "Images in Series",
}


def _fewer(name: str, stated: int, n_found: int) -> ImageWarning:
    text = (
        f"fewer images than the header tells of ({name} {stated}, found {n_found}): slices may "
        "be missing at an end of the stack, where no gap shows it"
    )
    return ImageWarning(text, code="fewer_images")
