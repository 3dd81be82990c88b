"""The body mask of an MR or CT volume: where the patient is, found from the image alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.geometry import Grid, Mask, Volume
from planner.model import Finding, Verdict
from planner.skin.ct import ct_body
from planner.skin.end_words import FACES, cut_words
from planner.skin.ends import (
    Constants,
    Measured,
    constants_of,
    measured_region,
    without_dark_fill,
)
from planner.skin.image import Found
from planner.skin.kernels import ImageArray
from planner.skin.mr import mr_body
from planner.skin.padding import Imaged, circle_of_ct, imaged_region

SKIN_UNSURE = "skin_unsure"
MIN_BODY_MM3 = 2e4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BodyMask:
    """A body mask and how far it can be trusted.

    Attributes
    ----------
    mask : Mask
        The body on the volume's grid; internal air is body.
    imaged : Mask
        Where the scanner measured for certain: not fill, nor a dark layer along the border,
        which may be body all the same. Give it to ``skin_entries``.
    method : str
        ``"MR sharpest boundary"``, ``"CT threshold"`` or ``"no air in view"``.
    contrast : float
        MR: tissue over air at the boundary, geometric mean; CT: difference in HU.
    air_level, body_level : float
        Median intensity of air and of the tissue behind the skin, in image units; NaN if unknown.
    unsure_mm3 : float
        Volume that another defensible threshold would have called air.
    body_frac : float
        Fraction of the imaged volume that is body.
    dark_layer_mm : float
        Thickness of an even dark layer before the skin that was found, which may be tissue; 0
        where there is none.
    unsure_mm : float
        Mean thickness of what another threshold would have called air, where that is much; else 0.
    cut_faces : tuple of str
        Faces of the volume (of its imaged part) that cut the body, of ``FACES``.
    warnings : tuple of str
        For the plan.
    """

    mask: Mask
    imaged: Mask
    method: str
    contrast: float
    air_level: float
    body_level: float
    unsure_mm3: float
    body_frac: float
    dark_layer_mm: float
    unsure_mm: float
    cut_faces: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is not known of the skin, for every path that enters through it."""
        if self.dark_layer_mm > 0:
            note = (
                "an even dark layer before the skin that was found may be tissue: skin and depth "
                "may be this much out; give a body mask, or plan on an image without suppressed fat"
            )
            return (_skin_unsure(self.dark_layer_mm, Verdict.UNKNOWN, note),)
        if self.unsure_mm > 0:
            note = (
                "so much near the skin, on average, is nearly as dark as air and was counted as "
                "body: look at the outline, or give a body mask"
            )
            return (_skin_unsure(self.unsure_mm, Verdict.CAUTION, note),)
        return ()


def _skin_unsure(measured_mm: float, verdict: Verdict, note: str) -> Finding:
    return Finding(
        constraint=SKIN_UNSURE,
        structure=None,
        measured=round(measured_mm, 1),
        required=None,
        unit="mm",
        verdict=verdict,
        note=note,
    )


def find_body(volume: Volume) -> BodyMask:
    """The patient's body in an image, internal air included, table and folds left out.

    Parameters
    ----------
    volume : Volume
        MR (any units, any offset, any contrast) or CT in HU. The modality is
        read from ``volume.source``, else judged from the values.

    Returns
    -------
    BodyMask
        When no air is in view the whole imaged region is body, with a warning.

    Raises
    ------
    MaskError
        If body and background cannot be told apart: constant image, noise only.

    Notes
    -----
    Method, error bound and failure modes: ``docs/skin.md``. Where the boundary
    is unsure the body is made larger, never smaller: depth is not understated,
    and air taken for tissue stays under one voxel at a visible boundary.
    """
    values = _finite(volume)
    imaged = imaged_region(values, volume.grid.spacing_kji_mm)
    constants = constants_of(values, volume.grid.spacing_kji_mm)
    raised = without_dark_fill(values, constants, volume.grid.spacing_kji_mm)
    found = _found(volume, raised, imaged)
    measured = _measured(volume, values, constants, found)
    if measured.fill is not None and np.any(measured.fill & imaged.region):
        # Once more without the fill, or what it opens (bowel gas at a cut) is outside air.
        imaged = Imaged(imaged.region & ~measured.fill, imaged.certain & ~measured.fill)
        found = _found(volume, values, imaged)
        measured = _measured(volume, values, constants, found)
    seen = measured.region
    inside = found.inside.astype(bool) & (seen | ~found.imaged)
    n_inside = int(np.count_nonzero(inside))
    if n_inside * volume.grid.voxel_volume_mm3 < MIN_BODY_MM3:
        raise MaskError(
            "no body was found in the image",
            seen=f"{n_inside * volume.grid.voxel_volume_mm3 / 1e3:.1f} mL",
            needed=f">= {MIN_BODY_MM3 / 1e3:.0f} mL",
            fix="Give a mask with the role body.",
        )
    cut = _cut_faces(inside, seen)
    return BodyMask(
        mask=Mask(grid=volume.grid, inside=inside),
        imaged=Mask(grid=volume.grid, inside=seen),
        method=found.method,
        contrast=found.contrast,
        air_level=found.air_level,
        body_level=found.body_level,
        unsure_mm3=found.unsure_mm3,
        body_frac=float(np.count_nonzero(inside & seen)) / max(int(np.count_nonzero(seen)), 1),
        dark_layer_mm=found.dark_layer_mm,
        unsure_mm=found.unsure_mm,
        cut_faces=cut,
        warnings=found.warnings + _constant_air_warning(measured) + _cut_warning(cut, volume.grid),
    )


def _found(volume: Volume, values: ImageArray, imaged: Imaged) -> Found:
    find = ct_body if _is_ct(volume, values) else mr_body
    return find(values, imaged, volume.grid)


def _measured(volume: Volume, values: ImageArray, constants: Constants, found: Found) -> Measured:
    inside = found.inside.astype(bool)
    spacing_mm = volume.grid.spacing_kji_mm
    return measured_region(values, constants, inside, found.imaged, spacing_mm)


def imaged_around(volume: Volume, body: Mask) -> Mask:
    """Where an image was measured, for a body that was given and not found in it.

    Parameters
    ----------
    volume : Volume
    body : Mask
        On the volume's grid.

    Returns
    -------
    Mask
        Everything, where the image holds no value or no variation to judge by.
    """
    everything = Mask(grid=volume.grid, inside=np.ones(volume.grid.shape_kji, dtype=bool))
    try:
        values = _finite(volume)
    except MaskError:
        return everything
    spacing_mm = volume.grid.spacing_kji_mm
    region = imaged_region(values, spacing_mm).region
    if _is_ct(volume, values):
        region = circle_of_ct(values, region)
    constants = constants_of(values, spacing_mm)
    measured = measured_region(values, constants, body.inside, region, spacing_mm)
    return Mask(grid=volume.grid, inside=measured.region)


def _finite(volume: Volume) -> ImageArray:
    values = np.ascontiguousarray(volume.values, dtype=np.float32)
    if volume.values.dtype.kind == "f":
        bad = ~np.isfinite(values)
        if bad.all():
            raise MaskError("the image has no finite value", where=volume.source.description)
        if bad.any():
            values = np.where(bad, values[~bad].min(), values)
    low, high = float(values.min()), float(values.max())
    if not high > low:
        raise MaskError(
            "no body can be told from the background: the image is constant",
            seen=low,
            where=volume.source.description or None,
            fix="Check the file, or give a mask with the role body.",
        )
    return values


def _is_ct(volume: Volume, values: ImageArray) -> bool:
    """Whether values are Hounsfield units: by modality, else by the values themselves."""
    modality = volume.source.modality.upper()
    if modality not in ("", "UNKNOWN", "OT"):
        return modality == "CT"
    some = values.ravel()[:: max(1, values.size // 200_000)]
    if some.min() > -150:
        return False
    soft = float(np.mean((some > -200) & (some < 200)))
    air = float(np.mean((some > -1100) & (some < -850)))
    return (some.min() <= -900 and air > 0.01 and soft > 0.02) or soft > 0.5


def _cut_faces(inside: NDArray[np.bool_], imaged: NDArray[np.bool_]) -> tuple[str, ...]:
    """Faces where the body reaches the end of what was imaged."""
    cut = []
    for axis in range(3):
        lines = np.moveaxis(inside, axis, 0)
        known = np.moveaxis(imaged, axis, 0)
        for at_end in (False, True):
            here, seen = (lines[::-1], known[::-1]) if at_end else (lines, known)
            first = np.argmax(seen, axis=0)
            at = np.take_along_axis(here, first[None], axis=0)[0] & seen.any(axis=0)
            if np.count_nonzero(at) > 0.002 * at.size:
                cut.append(FACES[2 * axis + int(at_end)])
    return tuple(cut)


def _constant_air_warning(measured: Measured) -> tuple[str, ...]:
    if not measured.is_air_constant:
        return ()
    return (
        "the air around the body is one constant value, as if its background had been removed: "
        "padding beside it cannot be told from air for certain; look at the entries in the image",
    )


def _cut_warning(cut: tuple[str, ...], grid: Grid) -> tuple[str, ...]:
    if not cut:
        return ()
    return (f"the image cuts the body at {cut_words(cut, grid)}: no skin entry there",)
