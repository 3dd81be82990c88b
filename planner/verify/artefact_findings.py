"""What the needle's artefact may hide: every finding about it is there, and right."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from planner.geometry import Mask
from planner.io.plan_document import (
    FindingRecord,
    NeedleArtefactRecord,
    PlanDocument,
    TrajectoryRecord,
)
from planner.model import Structure, StructureRole, StructureSet, Verdict
from planner.verify.ledger import Ledger

ROUNDING = 0.005 + 1e-6
TIE_MM = 1e-6
WATCHED = ("nerve", "vessel", "spinal_canal")
"""Classes whose distance to the needle a person wants to see on the image."""


def check_artefact_presence(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    structures: StructureSet,
    book: Ledger,
) -> None:
    """A path says of its target and of everything watched whether the artefact may hide it."""
    about = [f for f in trajectory.findings if f.constraint == "needle_artefact"]
    artefact = trajectory.needle_artefact
    if not isinstance(artefact, NeedleArtefactRecord):
        book.rule("findings about an artefact that is not known", len(about), 0, not about)
        return
    sized = [f for f in about if f.required is not None]
    of_target = [f for f in sized if f.structure is None]
    needed = int(_aimed_at(plan, structures) is not None)
    book.rule("findings hold whether the artefact may hide the target", len(of_target), needed,
              len(of_target) == needed)  # fmt: skip
    beyond_mm = artefact.width_max_mm / 2 - plan.needle.outer_diameter_mm / 2
    for structure in structures.structures:
        clearance_mm = trajectory.clearance_mm.get(structure.name)
        if structure.structure_class not in WATCHED or clearance_mm is None:
            continue
        n_held = sum(f.structure == structure.name for f in sized)
        is_near = not clearance_mm >= beyond_mm
        is_tie = abs(clearance_mm - beyond_mm) <= TIE_MM and n_held <= 1
        claim = f"findings hold that the artefact may hide '{structure.name}'"
        book.rule(claim, n_held, int(is_near), n_held == int(is_near) or is_tie)


def check_artefact_finding(
    claim: str,
    finding: FindingRecord,
    path: TrajectoryRecord,
    plan: PlanDocument,
    structures: StructureSet,
    book: Ledger,
) -> None:
    """What the artefact may hide: its numbers, and the verdict that follows."""
    artefact = path.needle_artefact
    if not isinstance(artefact, NeedleArtefactRecord):
        book.rule(f"{claim} is of a known artefact", False, True, False)
        return
    wanted = Verdict.CAUTION
    if finding.required is None:
        known = [
            round(number, 2)
            for number, is_told in (
                (artefact.tip_max_mm, artefact.blooms),
                (artefact.width_mm, not artefact.is_visible),
            )
            if is_told
        ]
        is_one = finding.measured in known
        book.rule(f"{claim}.measured", finding.measured, known, is_one)
    elif finding.structure is not None:
        needed = artefact.width_max_mm / 2 - plan.needle.outer_diameter_mm / 2
        book.close(f"{claim}.required", finding.required, needed, ROUNDING)
        clearance = path.clearance_mm.get(finding.structure)
        book.close(f"{claim}.measured", finding.measured, clearance, ROUNDING)
    else:
        wanted = _hidden_target(claim, finding, artefact, _aimed_at(plan, structures), book)
    is_kept = finding.verdict is wanted
    book.rule(f"{claim}.verdict", str(finding.verdict), str(wanted), is_kept)


def _hidden_target(
    claim: str,
    finding: FindingRecord,
    artefact: NeedleArtefactRecord,
    aimed_at: Structure | None,
    book: Ledger,
) -> Verdict:
    """The verdict of the target's size against the artefact's."""
    needed = artefact.width_max_mm / 2 + 2 * artefact.tip_max_mm
    book.close(f"{claim}.required", finding.required, needed, ROUNDING)
    size = None if aimed_at is None else widest_mm(aimed_at.mask)
    book.close(f"{claim}.measured", finding.measured, size, ROUNDING)
    if size is None or aimed_at is None or aimed_at.structure_class != "lesion":
        return Verdict.PASS
    if abs(size - needed) <= TIE_MM:
        return finding.verdict
    return Verdict.PASS if size >= needed else Verdict.CAUTION


def _aimed_at(plan: PlanDocument, structures: StructureSet) -> Structure | None:
    point = np.array(plan.target.point_lps_mm)
    targets = structures.with_role(StructureRole.TARGET)
    return next((s for s in targets if bool(s.mask.contains(point))), None)


def widest_mm(mask: Mask) -> float:
    """Diameter of the largest ball of voxel centres inside, less half a voxel on each side.

    By the nearest voxel outside: of those, the ones beside the mask are enough.
    """
    if not mask.inside.any():
        return 0.0
    inside = np.argwhere(mask.inside)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    block = np.pad(mask.inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], 1)
    around = ndimage.binary_dilation(block, np.ones((3, 3, 3))) & ~block
    spacing = mask.grid.spacing_kji_mm
    deepest = cKDTree(np.argwhere(around) * spacing).query(np.argwhere(block) * spacing)[0].max()
    return float(2.0 * deepest - spacing.min())
