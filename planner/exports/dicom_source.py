"""The DICOM series a plan was made on: what every DICOM export refers to and copies from.

Nothing is exported for images that are not those of the plan: series, frame of reference and
voxel content are compared first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import (
    ConfigError,
    InputError,
    MaskError,
    MixedFrameError,
    UnsupportedObjectError,
)
from planner.exports.plan_to_export import PlanToExport
from planner.geometry.digest import mask_sha256, volume_sha256
from planner.geometry.lattice import TransferMethod
from planner.geometry.volume import Volume
from planner.io.multiframe_header import ENHANCED_CLASSES
from planner.io.slice_header import SliceHeader
from planner.model.structures import StructureSet
from planner.verify import structures_as_planned

if TYPE_CHECKING:
    from planner.io.plan_document import PlanDocument

_GIVE_IMAGE = "Give the folder with the series the plan was made on: --image DIR."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceImages:
    """The images of a plan, known to be the ones it was made on.

    Attributes
    ----------
    volume : Volume
        LPS grid and values, as the plan was made on.
    slices : tuple of SliceHeader
        One for each k of the grid, in its order.
    header : pydicom Dataset
        Of the file of the first slice, without pixels, texts decoded.
    structures : StructureSet or None
        Those of the plan, where their files were given.
    """

    volume: Volume
    slices: tuple[SliceHeader, ...]
    header: Any
    structures: StructureSet | None = None

    @property
    def frame_of_reference_uid(self) -> str:
        """Of the patient coordinates of every point."""
        return str(self.volume.grid.frame.uid)

    @property
    def files(self) -> tuple[SliceHeader, ...]:
        """One header for each file (instance), in the order of k."""
        first: dict[str, SliceHeader] = {}
        for header in self.slices:
            first.setdefault(header.sop_instance_uid, header)
        return tuple(first.values())

    def frame_number(self, header: SliceHeader) -> int | None:
        """Frame of an enhanced object, counted from 1; None where the instance is one image."""
        is_enhanced = header.sop_class_uid in ENHANCED_CLASSES
        return header.frame + 1 if is_enhanced and header.frame is not None else None


def source_images(
    plan: PlanToExport,
    image: str | Path,
    structures: Sequence[str | Path] = (),
    **reading: Any,
) -> SourceImages:
    """The images a plan was made on, and its structures, each checked against the plan.

    Parameters
    ----------
    plan : PlanToExport
    image : str or Path
        Folder with the series (or a multi-frame file); other series in it are left alone.
    structures : sequence of str or Path
        Mask files the plan was made with; needed for zones of metal in a segmentation.
    reading
        Options of ``io.load_structures`` that those files need: ``label_names``,
        ``label_table``, ``mesh_frame``, ``fraction_threshold``.

    Raises
    ------
    MixedFrameError
        The plan's frame of reference is not known, or not that of the images.
    InputError
        It is another series or study, or its content is not what the plan saw.
    UnsupportedObjectError
        The image is no DICOM.
    MaskError
        A structure is not the one of the plan.
    """
    from planner.io.catalogue import read_catalogue
    from planner.io.image_file import is_image_file
    from planner.io.volume_choice import choose, existing_path
    from planner.io.volume_loader import load_volume

    document = plan.document
    where = existing_path(image)
    if where.is_file() and is_image_file(where):
        raise UnsupportedObjectError(
            "a DICOM export needs the DICOM images the plan was made on",
            seen="a NIfTI, NRRD or MetaImage file",
            needed="their folder: patient, study and frame of reference are copied from them",
            where=where.name,
            fix="Plan on the DICOM series, or export to another format.",
        )
    series = _series_of(document)
    catalogue = read_catalogue(where)
    _require_series(document, {e.first.series_instance_uid for e in catalogue.entries})
    volume = load_volume(where, series)
    entry = choose(catalogue, series, where)
    _check_images(document, volume)
    found = SourceImages(
        volume=volume, slices=entry.slices, header=_decoded_header(entry.slices[0].file)
    )
    if not structures:
        return found
    return with_structures(found, plan, _loaded_structures(document, volume, structures, reading))


def with_structures(
    source: SourceImages, plan: PlanToExport, structures: StructureSet
) -> SourceImages:
    """The source with the structures of the plan, in the roles it gave them.

    Raises
    ------
    MaskError
        If a structure of the plan is missing or its mask is another.
    """
    found = structures_as_planned(plan.document, structures)
    kept = []
    for record in plan.document.structures:
        if record.name not in found:
            raise MaskError(
                "a structure of the plan is not in the files",
                seen=", ".join(found) or "none",
                needed=record.name,
                where="--structures",
                fix="Give every mask file the plan was made with.",
            )
        structure = found[record.name].with_role(record.role, record.own_margin_mm)
        if mask_sha256(structure.mask) != record.sha256:
            raise MaskError(
                "the mask is not the one the plan was made with",
                seen=f"{structure.mask.n_voxels} voxels",
                needed=f"{record.voxels} voxels, sha256 {record.sha256[:12]}",
                where=record.name,
                fix="Give the file the plan was made with, or plan again.",
            )
        kept.append(structure)
    return replace(source, structures=StructureSet(grid=found.grid, structures=tuple(kept)))


def _series_of(document: PlanDocument) -> str:
    """The text that chooses the series of the plan, and its part."""
    uid, part = document.image.series_instance_uid, document.image.part
    if document.frame.frame_of_reference_uid is None:
        raise MixedFrameError(
            "the plan has no frame of reference, so nothing shows which study it belongs to",
            seen="frame_of_reference_uid null",
            needed="a plan made on a DICOM series that names its frame of reference",
        )
    if uid is None:
        raise InputError(
            "the plan was not made on a DICOM series",
            seen="series_instance_uid null",
            needed="a plan made on a DICOM series",
        )
    return uid if part is None else f"{uid}:{part}"


def _require_series(document: PlanDocument, found: set[str]) -> None:
    if document.image.series_instance_uid in found:
        return
    raise InputError(
        "the images given are not those of the plan: another series",
        seen=", ".join(sorted(found)[:3]) or "no image",
        needed=document.image.series_instance_uid,
        fix=_GIVE_IMAGE,
    )


def _check_images(document: PlanDocument, volume: Volume) -> None:
    frame, image = document.frame.frame_of_reference_uid, document.image
    is_same = frame is not None and volume.grid.frame.uid == frame
    if not is_same:
        raise MixedFrameError(
            "the plan and the images have different frames of reference: its points mean "
            "other places there",
            seen=volume.grid.frame.uid or "none in the images",
            needed=frame,
            fix=_GIVE_IMAGE,
        )
    study = volume.source.study_instance_uid
    if image.study_instance_uid is not None and study != image.study_instance_uid:
        raise InputError(
            "the images given are not those of the plan: another study",
            seen=study,
            needed=image.study_instance_uid,
            fix=_GIVE_IMAGE,
        )
    seen = volume_sha256(volume)
    if seen != image.sha256:
        raise InputError(
            "the images given are not those of the plan: their content is another",
            seen=f"sha256 {seen[:12]}",
            needed=f"sha256 {image.sha256[:12]}",
            fix=_GIVE_IMAGE,
        )


def _decoded_header(file: Path) -> Any:
    """The header of a file without pixels; without the error's own words, they may name."""
    import pydicom

    from planner.io.dicom_values import quiet_pydicom

    try:
        with quiet_pydicom():
            header = pydicom.dcmread(file, stop_before_pixels=True)
            header.decode()
    except Exception as error:
        raise InputError(
            "the header of the source images cannot be copied",
            seen=type(error).__name__,
            where=file.name,
            fix="Export the series again from the archive.",
        ) from error
    return header


def _loaded_structures(
    document: PlanDocument,
    volume: Volume,
    files: Sequence[str | Path],
    reading: Mapping[str, Any],
) -> StructureSet:
    """The structures in mask files; the roles that the user gave decide how they are sampled.

    A target that is covered became one after loading.
    """
    from planner.io import load_structures

    chosen: dict[str, Any] = {
        r.name: (r.role, r.own_margin_mm)
        for r in document.structures
        if r.role_from == "user" and (r.role.is_obstacle or r.method != TransferMethod.COVER)
    }
    was_accepted = any(r.frame_mismatch for r in document.structures)

    def loaded(roles: dict[str, Any]) -> StructureSet:
        return load_structures(
            list(files),
            like=volume,
            roles=roles,
            accept_frame_mismatch=was_accepted,
            **reading,
        )

    try:
        return loaded(chosen)
    except ConfigError:
        return loaded({})
