"""SliceHeader: what a file says about one image plane, read once, without its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.io.mr_header import MrValue

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How the pixels of one plane are stored.

    Attributes
    ----------
    rows, columns : int
        Of the plane: of one frame, or of one tile of a mosaic.
    n_frames : int
        Frames in the file, all of the same size.
    tiles_per_side : int
        A mosaic picture has so many tiles in a row and in a column; else 1.
    offset : int or None
        Position of the first pixel byte of the file (of the inflated file, when
        it is deflated); None when the pixels are compressed or big-endian.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    samples_per_pixel: int
    photometric: str
    is_lossy: bool
    slope: float
    intercept: float
    has_lut: bool
    offset: int | None
    n_frames: int = 1
    tiles_per_side: int = 1

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of one frame of the file: the whole picture of a mosaic."""
        return self.rows * self.tiles_per_side, self.columns * self.tiles_per_side

    @property
    def frame_bytes(self) -> int:
        """Bytes that one uncompressed frame of the file takes."""
        rows, columns = self.frame_shape
        return rows * columns * self.samples_per_pixel * self.bits_allocated // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceHeader:
    """One image plane: identity, geometry, what may tell it from its siblings, pixels.

    A plane is a classic single-slice file, one frame of an enhanced object, or one
    tile of a mosaic.

    Attributes
    ----------
    file : Path
    name : str
        Path relative to the scanned folder, with forward slashes; for a plane of
        several in its file also which one, counted from 1.
    frame : int or None
        Frame or tile of its file, counted from 0; None for a classic file.
    refusal : str
        Why the whole file gives no planes; ``""`` when it does.
    notes : tuple of str
        Harmless but notable; told in a warning.
    patient_key : str
        Hash of the Patient ID (of name and birth date where there is none); only for
        telling patients apart.
    position_lps_mm, row_column_axes_lps, pixel_spacing_ji_mm
        Image Position, Image Orientation (row direction, then column direction)
        and Pixel Spacing (between rows, between columns); None when absent.
    layout : PixelLayout or None
        None when the file holds no image.
    faults : tuple of str
        What keeps this slice from being used.
    """

    file: Path
    name: str
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    patient_key: str
    modality: str
    series_number: int | None
    description: str
    image_type: tuple[str, ...]
    patient_position: str
    n_frames: int
    position_lps_mm: tuple[float, ...] | None
    row_column_axes_lps: tuple[float, ...] | None
    pixel_spacing_ji_mm: tuple[float, ...] | None
    gantry_tilt_deg: float | None
    b_value_s_per_mm2: float | None
    gradient_direction: tuple[float, ...] | None
    echo_time_ms: float | None
    echo_number: int | None
    inversion_time_ms: float | None
    flip_angle_deg: float | None
    image_kind: str
    temporal_position: int | None
    trigger_time_ms: float | None
    acquisition_number: int | None
    acquisition_time: str
    mr: Mapping[str, MrValue]
    layout: PixelLayout | None
    faults: tuple[str, ...]
    stack_id: str = ""
    frame: int | None = None
    refusal: str = ""
    notes: tuple[str, ...] = ()
