"""Enhanced multi-frame objects seen as classic slices: one set of classic values for each frame.

The values come from the frame's own functional groups, else from the shared ones, else
from the top level of the object; they get the attribute and the encoding they have in a
classic file, so everything behind reads one vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from planner.io.dicom_values import DicomTag, RawElements
from planner.io.functional_groups import FunctionalGroups, GroupTag

ENHANCED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR",
}

MAX_FRAMES = 32_768
"""Most frames in one object; more would take longer than ten seconds to check."""

_POSITION = DicomTag.ImagePositionPatient


@dataclass(frozen=True, slots=True)
class Frames:
    """The classic values of every frame, in file order; ``refusal`` says why there are none.

    ``notes`` are harmless but notable.
    """

    elements: tuple[RawElements, ...]
    refusal: str = ""
    notes: tuple[str, ...] = ()


def frames_of(top: RawElements, groups: FunctionalGroups | None) -> Frames:
    """The classic values of each frame of an enhanced object, or why it must be refused.

    Parameters
    ----------
    top : RawElements
        The attributes outside the functional groups, ``GroupTag`` ones included.
    groups : FunctionalGroups or None
        None when the object has none at all.
    """
    try:
        n_frames = top.integer(DicomTag.NumberOfFrames) or 1
    except ValueError as error:
        return Frames((), f"NumberOfFrames cannot be read: {error}")
    if not 1 <= n_frames <= MAX_FRAMES:
        return Frames((), f"NumberOfFrames is {n_frames}: 1 to {MAX_FRAMES} are possible")
    groups = groups or FunctionalGroups({}, ())
    per_frame = groups.per_frame or ({},) * n_frames
    if len(per_frame) != n_frames:
        return Frames(
            (),
            f"NumberOfFrames is {n_frames}, but the header describes {len(per_frame)} frames: "
            "which frame lies where is not certain",
        )
    n_placed = sum(_POSITION in own for own in per_frame)
    if n_frames > 1 and n_placed < n_frames and _POSITION not in groups.shared:
        return Frames((), _unplaced(n_frames, n_placed, has_top=_POSITION in top.by_tag))
    base = {**top.by_tag, **groups.shared}
    classic = _Classic(top.is_little_endian)
    frames = [classic.of({**base, **own}) for own in per_frame]
    kinds = {kind for frame in frames if (kind := _not_a_plane(frame))}
    if kinds:
        return Frames((), f"its frames are no plane sections ({', '.join(sorted(kinds))})")
    return Frames(
        tuple(replace(top, by_tag=frame) for frame in frames),
        notes=_top_level_notes(top, groups.shared, per_frame),
    )


def _not_a_plane(frame: Mapping[int, bytes]) -> str:
    """What says that the pixels of a frame do not lie in its plane: projections, renderings."""
    properties = frame.get(GroupTag.VolumetricProperties, b"").strip(b" \0")
    technique = frame.get(GroupTag.VolumeBasedCalculationTechnique, b"").strip(b" \0")
    if properties in (b"SAMPLED", b"DISTORTED"):
        return f"VolumetricProperties {properties.decode()}"
    if technique not in (b"", b"NONE", b"MPR"):
        shown = technique.decode("ascii", "replace")
        return f"VolumeBasedCalculationTechnique {shown if shown.isprintable() else 'unknown'}"
    return ""


def _top_level_notes(
    top: RawElements, shared: Mapping[int, bytes], per_frame: Sequence[Mapping[int, bytes]]
) -> tuple[str, ...]:
    named = ", ".join(
        tag.name
        for tag in (DicomTag.ImageOrientationPatient, DicomTag.PixelSpacing)
        if tag in top.by_tag and tag not in shared and not all(tag in own for own in per_frame)
    )
    if not named:
        return ()
    return (f"{named} taken from the top level of a multi-frame object, where it does not belong",)


def _unplaced(n_frames: int, n_placed: int, *, has_top: bool) -> str:
    only = "; the one at the top level of the object cannot be that of all" if has_top else ""
    return (
        f"{n_frames - n_placed} of {n_frames} frames have no ImagePositionPatient "
        f"of their own{only}"
    )


_CONVERSIONS: tuple[tuple[GroupTag, DicomTag, str], ...] = (
    (GroupTag.FrameType, DicomTag.ImageType, "CS"),
    (GroupTag.PulseSequenceName, DicomTag.SequenceName, "SH"),
    (GroupTag.EffectiveEchoTime, DicomTag.EchoTime, "FD"),
    (GroupTag.InversionTimes, DicomTag.InversionTime, "FD"),
    (GroupTag.TransmitterFrequency, DicomTag.ImagingFrequency, "FD"),
    (GroupTag.NominalCardiacTriggerDelayTime, DicomTag.TriggerTime, "FD"),
    (GroupTag.TemporalPositionIndex, DicomTag.TemporalPositionIdentifier, "UL"),
    (GroupTag.FrameAcquisitionNumber, DicomTag.AcquisitionNumber, "US"),
    (GroupTag.RFEchoTrainLength, DicomTag.EchoTrainLength, "US"),
    (GroupTag.FrameReferenceDateTime, DicomTag.AcquisitionTime, "DT"),
    (GroupTag.FrameAcquisitionDateTime, DicomTag.AcquisitionTime, "DT"),
)
"""Enhanced attribute, the classic one it stands for, its encoding; a later row wins."""


class _Classic:
    """Rewrites enhanced attributes under their classic tags, in the classic encoding."""

    def __init__(self, is_little_endian: bool) -> None:
        self._is_little_endian = is_little_endian
        self._known: dict[tuple[GroupTag, bytes], bytes] = {}

    def of(self, by_tag: Mapping[int, bytes]) -> dict[int, bytes]:
        """The elements with the classic ones added; an enhanced value replaces a classic one."""
        found = dict(by_tag)
        for source, target, encoding in _CONVERSIONS:
            value = by_tag.get(source)
            if not value:
                continue
            if encoding in ("FD", "UL", "US"):
                value = self._as_text(source, value, encoding)
            if value:
                found[target] = value
        _complete_sequence(found)
        _complete_encoding(found)
        return found

    def _as_text(self, tag: GroupTag, value: bytes, encoding: str) -> bytes:
        key = (tag, value)
        if key not in self._known:
            try:
                numbers = self._numbers(tag, value, encoding)
            except ValueError:
                numbers = None
            # several (inversion times of one frame) are not one number
            only = set(numbers or ())
            self._known[key] = repr(only.pop()).encode() if len(only) == 1 else b""
        return self._known[key]

    def _numbers(self, tag: GroupTag, value: bytes, encoding: str) -> tuple[float, ...] | None:
        raw = RawElements({tag: value}, self._is_little_endian)
        if encoding == "FD":
            return raw.floats(tag, "d")
        return raw.longs(tag) if encoding == "UL" else raw.shorts(tag)


def _complete_sequence(found: dict[int, bytes]) -> None:
    """Scanning Sequence (SE, GR, EP, IR) from the flags of an enhanced object."""
    if not found.get(DicomTag.ScanningSequence):
        echo = found.get(GroupTag.EchoPulseSequence, b"").strip(b" \0")
        kinds = {b"SPIN": [b"SE"], b"GRADIENT": [b"GR"], b"BOTH": [b"SE", b"GR"]}.get(echo, [])
        for tag, kind in (
            (GroupTag.EchoPlanarPulseSequence, b"EP"),
            (GroupTag.InversionRecovery, b"IR"),
        ):
            if kinds and found.get(tag, b"").strip(b" \0") == b"YES":
                kinds.append(kind)
        if kinds:
            found[DicomTag.ScanningSequence] = b"\\".join(kinds)


def _complete_encoding(found: dict[int, bytes]) -> None:
    """Phase encoding direction in the classic words, and the acquired matrix along it."""
    traversal = found.get(GroupTag.GeometryOfKSpaceTraversal, b"").strip(b" \0")
    direction = found.get(DicomTag.InPlanePhaseEncodingDirection, b"").strip(b" \0")
    if direction == b"COLUMN":
        direction = b"COL"
    if direction not in (b"ROW", b"COL") or traversal not in (b"", b"RECTILINEAR"):
        # no one readout axis (radial, spiral): nothing is stated rather than a wrong axis
        found.pop(DicomTag.InPlanePhaseEncodingDirection, None)
        return
    found[DicomTag.InPlanePhaseEncodingDirection] = direction
    frequency = found.get(GroupTag.MRAcquisitionFrequencyEncodingSteps, b"")[:2]
    phase = found.get(GroupTag.MRAcquisitionPhaseEncodingStepsInPlane, b"")[:2]
    if len(frequency) == len(phase) == 2 and not found.get(DicomTag.AcquisitionMatrix):
        none = bytes(2)
        matrix = (
            (none, frequency, phase, none)
            if direction == b"ROW"
            else (frequency, none, none, phase)
        )
        found[DicomTag.AcquisitionMatrix] = b"".join(matrix)
