"""Does a DICOM mask belong to the image? Its frame of reference and references against the image's.

Positions can be compared only within one frame of reference. A mask of another one is
refused, unless the user accepts it (``--accept-frame-mismatch``); then plan and exports say so.
"""

from __future__ import annotations

from planner.errors import MaskError
from planner.geometry import Volume
from planner.io.stored_file import ImageReferences, StoredFile


def refers_to(references: ImageReferences, image: Volume) -> bool:
    """Whether the file names the image's series or one of its instances."""
    source = image.source
    if source.series_instance_uid in references.series_instance_uids:
        return True
    return bool(references.sop_instance_uids & source.sop_instance_uids)


def frame_mismatch(stored: StoredFile, image: Volume, *, is_accepted: bool) -> str | None:
    """What does not agree, as the words to keep in the plan; None where the frames agree.

    Raises
    ------
    MaskError
        If they do not agree and that is not accepted.
    """
    references = stored.references
    if references is None:
        return None
    mask_uid, image_uid = references.frame_of_reference_uid, image.grid.frame.uid
    if mask_uid is None:
        if not (references.series_instance_uids or references.sop_instance_uids):
            return None
        if refers_to(references, image):
            return None
        what = "it states no frame of reference and refers to another series than the image"
    elif image_uid is None:
        if refers_to(references, image):
            return None
        what = f"its frame of reference is {mask_uid}, the image states none"
    elif mask_uid == image_uid:
        return None
    else:
        what = f"its frame of reference is {mask_uid}, the image's is {image_uid}"
    if is_accepted:
        return what
    raise MaskError(
        f"the {stored.kind} is not in the image's frame of reference",
        seen=what,
        needed="the same FrameOfReferenceUID" if image_uid else "a reference to the image's series",
        where=stored.file,
        fix="Use a mask of this study, or register the two. If you know that the two frames are "
        "the same place, say --accept-frame-mismatch (accept_frame_mismatch=True): the plan "
        "will say so.",
    )


def reference_notes(stored: StoredFile, image: Volume) -> list[str]:
    """What is worth saying of a file that does agree."""
    references = stored.references
    if references is None or refers_to(references, image):
        return []
    if references.series_instance_uids or references.sop_instance_uids:
        return [
            f"{stored.file}: drawn on another series than the image (same frame of reference): "
            "the patient may have moved between them"
        ]
    return []
