"""The target region of a plan file: what is told of it, and its voxels derived again."""

from __future__ import annotations

import numpy as np

from planner.errors import InputError
from planner.geometry import FrameId, Grid, Mask
from planner.geometry.digest import mask_sha256
from planner.io.plan_document import PlanDocument
from planner.model import StructureSet, TargetRegion

GIVEN_REGION = "region:"
"""Before the name of a structure whose mask is the target region."""

FINDING = "target_region"
"""The finding of a path that carries a warning of the region: older files had them only there."""


def region_of(plan: PlanDocument, structures: StructureSet | None) -> TargetRegion | None:
    """The region that a plan file tells of, for texts and pictures; None for a point.

    Parameters
    ----------
    plan : PlanDocument
    structures : StructureSet or None
        The masks of the plan, read again. Without them the region's mask is a stand-in of
        one voxel.

    Raises
    ------
    AnatomyError
        If the masks do not carry the region.
    InputError
        If what they carry is not, voxel by voxel, the region of the plan.
    TargetError
        If the file tells of a region that cannot be.
    """
    record = plan.target.region
    if record is None:
        return None
    notes = [f.note for t in plan.trajectories for f in t.findings if f.constraint == FINDING]
    return TargetRegion(
        name=record.name,
        mask=_one_voxel_at(plan) if structures is None else region_mask(plan, structures),
        centre_lps_mm=np.array(plan.target.point_lps_mm),
        axis_lps=None if record.axis_lps is None else np.array(record.axis_lps),
        plane_normal_lps=None
        if record.plane_normal_lps is None
        else np.array(record.plane_normal_lps),
        level=record.level,
        side=record.side,
        measures=dict(record.measures),
        words=record.words,
        warnings=tuple(dict.fromkeys([*record.warnings, *notes])),
    )


def region_mask(plan: PlanDocument, structures: StructureSet) -> Mask:
    """The region derived again from the masks of the plan: these very voxels, or an error.

    Raises
    ------
    AnatomyError
        If the masks do not carry the region.
    InputError
        If what they carry is not, voxel by voxel, the region of the plan; or it has none.
    """
    from planner.anatomy import find_region

    record = plan.target.region
    if record is None:
        raise InputError("the target of the plan is a point, not a region", seen=plan.target.name)
    name = record.name.removeprefix(GIVEN_REGION)
    if name != record.name and name in structures:
        mask = structures[name].mask
    else:
        mask = find_region(record.name, structures).mask
    if mask_sha256(mask) != record.sha256:
        raise InputError(
            "the target region that is derived from these masks is not the one of the plan",
            seen=f"SHA-256 {mask_sha256(mask)[:16]}...",
            needed=f"{record.sha256[:16]}...",
            where=record.name,
            fix="Plan again, or leave the image and the masks out: then no picture is drawn.",
        )
    return mask


def _one_voxel_at(plan: PlanDocument) -> Mask:
    """A stand-in for the region's mask, at the preferred tip."""
    lps_from_kji = np.eye(4)
    lps_from_kji[:3, 3] = plan.target.point_lps_mm
    frame = FrameId(plan.frame.frame_of_reference_uid, plan.frame.label)
    grid = Grid(shape_kji=(1, 1, 1), lps_from_kji=lps_from_kji, frame=frame)
    return Mask(grid=grid, inside=np.ones((1, 1, 1), np.bool_))
