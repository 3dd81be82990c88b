"""Every exception and warning class of the package. Imports nothing of ours."""

from __future__ import annotations

from typing import Any


class PlannerError(Exception):
    """Base of every error the planner raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, one sentence without a final full stop.
    seen, needed : object, optional
        The value found and the value required.
    where : str, optional
        The file, UID, option or argument concerned.
    fix : str, optional
        What the user can do.
    """

    def __init__(
        self,
        what: str,
        *,
        seen: Any = None,
        needed: Any = None,
        where: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.seen = seen
        self.needed = needed
        self.where = where
        self.fix = fix
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [self.what]
        if self.seen is not None:
            parts.append(f"seen: {self.seen}")
        if self.needed is not None:
            parts.append(f"needed: {self.needed}")
        if self.where is not None:
            parts.append(f"in: {self.where}")
        text = "; ".join(parts)
        return f"{text}. {self.fix}" if self.fix else text


class InputError(PlannerError, ValueError):
    """The user's input cannot be used as it is."""


class DicomTagError(InputError):
    """A DICOM attribute is missing or has a value that cannot be used."""


class SeriesGeometryError(InputError):
    """The slices of a series do not form one regular volume."""


class SeriesChoiceError(InputError):
    """More than one volume, or none, answers to what was asked for."""


class MixedFrameError(InputError):
    """Objects that must share a frame of reference do not."""


class UnsupportedObjectError(InputError):
    """A file is of a kind this version does not read."""


class MaskError(InputError):
    """A segmentation mask cannot be used."""


class TargetError(InputError):
    """The target is not where a needle tip could be placed."""


class AnatomyError(TargetError):
    """A target cannot be derived from the anatomical labels that are there."""


class ConfigError(InputError):
    """A protocol, needle, role or other setting is unknown or invalid."""


class OutputError(InputError):
    """A result cannot be written where the user asked for it."""


class GeometryError(PlannerError, ValueError):
    """A geometric precondition does not hold."""


class FrameMismatchError(GeometryError):
    """Two objects live in different (or unknown) frames of reference."""


class GridMismatchError(GeometryError):
    """Two arrays are not sampled on the same grid."""


class DegenerateGeometryError(GeometryError):
    """A transform, direction or segment has no usable size or is not finite."""


class OutsideVolumeError(GeometryError):
    """A point that must lie in the imaged volume does not."""


class PlannerWarning(UserWarning):
    """Something deviates harmlessly; recorded in the plan."""
