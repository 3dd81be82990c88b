"""The gate of every export: which paths of a plan leave the program, and under what name.

A path whose verdict, or whose plan's verdict, is neither pass nor caution leaves only when
that is asked for, and is then called UNVERIFIED wherever it has a name or a description.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.errors import InputError
from planner.io.plan_document import RESEARCH_USE, PlanDocument, TrajectoryRecord
from planner.io.plan_file import load_plan
from planner.model import Verdict

SHORT_HASH = 12
"""Characters of the plan's SHA-256 that people read."""

LENGTH_TOL_MM = 0.01
"""The plan's lengths are not rounded: a larger difference is a plan changed by hand."""

MOST_MM = 10_000.0
"""No point of a patient in a scanner is further from its origin."""

_VERIFIED = (Verdict.PASS, Verdict.CAUTION)
_WITHOUT_CHECK = "--even-if-unknown (even_if_unknown=True)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanToExport:
    """A plan and those of its paths that are exported.

    Attributes
    ----------
    document : PlanDocument
        The whole plan; points are LPS mm.
    sha256 : str
        Of the bytes of plan.json, 64 hexadecimal digits.
    paths : tuple of TrajectoryRecord
        The chosen paths in the order of their ranks; at least one.
    is_unverified : bool
        Whether the verdict of a chosen path or of the plan is neither pass nor caution.
    left_out : tuple of TrajectoryRecord
        Paths that nobody chose away: left out for their verdict alone.
    """

    document: PlanDocument
    sha256: str
    paths: tuple[TrajectoryRecord, ...]
    is_unverified: bool
    left_out: tuple[TrajectoryRecord, ...] = ()

    @property
    def worst_verdict(self) -> Verdict:
        """The worst of the plan's verdict and those of the chosen paths."""
        return Verdict.worst([self.document.verdict, *(verdict_of(p) for p in self.paths)])

    def name_of(self, path: TrajectoryRecord) -> str:
        """``"path 1"``, or ``"UNVERIFIED path 1"``."""
        name = f"path {path.rank}"
        is_verified = _is_verified(path) and self.document.verdict in _VERIFIED
        return name if is_verified else f"UNVERIFIED {name}"

    def description_of(self, path: TrajectoryRecord) -> str:
        """One line: name, length, throw, verdict, least clearance, needle, study, research use."""
        document = self.document
        throw_mm = document.needle.throw_mm
        # Early: receivers cut long descriptions, and no line shows that the needle fires.
        fires = [f"fires {throw_mm:g} mm past the tip"] if throw_mm > 0 else []
        parts = [
            f"{self.name_of(path)}: {path.length_mm:.1f} mm from skin to tip",
            *fires,
            f"verdict {verdict_of(path)}",
        ]
        if document.verdict not in _VERIFIED:
            parts.append(f"plan verdict {document.verdict}")
        parts += [
            least_clearance(path),
            f"needle {document.needle.name}, procedure {document.procedure.id}",
            RESEARCH_USE.rstrip("."),
            f"plan {self.sha256[:SHORT_HASH]}",
            *self.place(),
        ]
        return one_line("; ".join(parts))

    def place(self) -> tuple[str, ...]:
        """Frame of reference and series in words, and masks of another frame if there are any."""
        document = self.document
        frame_uid = document.frame.frame_of_reference_uid
        series_uid = document.image.series_instance_uid
        others = [s.name for s in document.structures if s.frame_mismatch]
        words = [
            f"frame of reference {frame_uid or 'not stated'}",
            f"series {series_uid or 'not stated'}",
        ]
        if others:
            words.append(f"masks of another frame of reference accepted: {', '.join(others)}")
        return tuple(words)


def plan_to_export(
    plan_file: str | os.PathLike[str],
    *,
    ranks: tuple[int, ...] | None = None,
    even_if_unknown: bool = False,
) -> PlanToExport:
    """The plan in a file and the paths chosen of it.

    Parameters
    ----------
    plan_file : path
        A plan.json.
    ranks : tuple of int, optional
        Which paths; without it every path whose verdict is pass or caution, and the
        others too where ``even_if_unknown`` is given.
    even_if_unknown : bool
        Let paths and plans through whose verdict is neither pass nor caution.

    Raises
    ------
    InputError
        If the file is no valid plan, has no path, not the path asked for, a rank
        twice, a path that contradicts itself, or a verdict that is neither pass
        nor caution without ``even_if_unknown``.
    """
    name = os.fspath(plan_file)
    before = _sha256(Path(plan_file), name)
    document = load_plan(plan_file)
    if _sha256(Path(plan_file), name) != before:
        raise InputError("the plan file changed while it was read", where=name, fix="Try again.")
    require_consistent(document, name)
    paths = _chosen(document, ranks, even_if_unknown, name)
    refused = [p for p in paths if not _is_verified(p)]
    is_unverified = bool(refused) or document.verdict not in _VERIFIED
    if is_unverified and not even_if_unknown:
        seen = [f"plan {document.verdict}"]
        seen += [f"path {p.rank} {verdict_of(p)}" for p in refused]
        raise InputError(
            "what the planner could not verify is not exported",
            seen=", ".join(seen),
            needed="pass or caution",
            where=name,
            fix=f"Give what is missing and plan again; {_WITHOUT_CHECK} exports it all the "
            "same, with UNVERIFIED in its name.",
        )
    is_all = ranks is None
    return PlanToExport(
        document=document,
        sha256=before,
        paths=paths,
        is_unverified=is_unverified,
        left_out=tuple(p for p in document.trajectories if is_all and p not in paths),
    )


def verdict_of(path: TrajectoryRecord) -> Verdict:
    """The worst of the path's verdict and its findings': a summary may not be better."""
    return path.worst_verdict


def least_clearance(path: TrajectoryRecord) -> str:
    """The smallest clearance and its structure, in words."""
    if not path.clearance_mm:
        return "no clearance measured"
    structure = min(path.clearance_mm, key=lambda name: path.clearance_mm[name])
    return f"least clearance {path.clearance_mm[structure]:.2f} mm to {structure}"


def region_words(plan: PlanToExport) -> str:
    """The target region, how it was found, and what to look at; empty where it is a point."""
    region = plan.document.target.region
    if region is None:
        return ""
    parts = [region.name, region.words or "the mask of that structure"]
    parts += ["the tip may lie anywhere in it", *(f"LOOK AT IT: {w}" for w in region.warnings)]
    return one_line("; ".join(parts))


def one_line(text: str) -> str:
    """The text without line breaks and control characters: names come from others' files."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _is_verified(path: TrajectoryRecord) -> bool:
    return verdict_of(path) in _VERIFIED


def _sha256(path: Path, name: str) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            "the plan file cannot be read", seen=error.strerror or str(error), where=name
        ) from error


def require_consistent(document: PlanDocument, name: str) -> None:
    """Refuse a plan that contradicts itself where an export would carry the contradiction.

    Raises
    ------
    InputError
    """
    ranks = [path.rank for path in document.trajectories]
    if len(set(ranks)) != len(ranks):
        raise InputError("two paths of the plan have one rank", seen=ranks, where=name)
    _require_in_reach(document, name)
    for path in document.trajectories:
        found = _contradiction(document, path)
        if found is not None:
            what, seen = found
            raise InputError(
                f"path {path.rank} {what}",
                seen=seen,
                where=name,
                fix="It was changed by hand or is damaged: plan again.",
            )


def _require_in_reach(document: PlanDocument, name: str) -> None:
    """Squares of numbers beyond any patient overflow: nothing could be compared with them."""
    points = [document.target.point_lps_mm]
    for path in document.trajectories:
        points += [path.entry_lps_mm, path.tip_lps_mm, path.throw_end_lps_mm]
    furthest_mm = max(abs(value) for point in points for value in point)
    is_in_reach = furthest_mm <= MOST_MM
    if not is_in_reach:
        raise InputError(
            "a point of the plan lies beyond any patient",
            seen=f"{furthest_mm:g} mm",
            needed=f"at most {MOST_MM:g} mm",
            where=name,
            fix="It was changed by hand or is damaged: plan again.",
        )


def _contradiction(document: PlanDocument, path: TrajectoryRecord) -> tuple[str, str] | None:
    """What the numbers of a path contradict, and how; None where they agree."""
    entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
    length_mm = math.dist(entry, tip)
    is_length = abs(length_mm - path.length_mm) <= LENGTH_TOL_MM
    if not is_length:
        seen = f"{length_mm:.2f} mm from entry to tip, length_mm {path.length_mm:.2f}"
        return "is not as long as the plan says", seen
    throw_mm = document.needle.throw_mm
    gap_mm = math.dist(path.throw_end_lps_mm, tip + (throw_mm / length_mm) * (tip - entry))
    is_throw = gap_mm <= LENGTH_TOL_MM
    if not is_throw:
        return "does not fire where the needle does", f"throw_end_lps_mm {gap_mm:.2f} mm off"
    told = {record.structure: record.clearance_mm for record in path.clearances}
    if told != path.clearance_mm or len(told) != len(path.clearances):
        names = sorted(
            name
            for name in {*told, *path.clearance_mm}
            if told.get(name) != path.clearance_mm.get(name)
        )
        return "has two clearances to one structure", one_line(", ".join(names) or "one twice")
    miss_mm = math.dist(tip, document.target.point_lps_mm)
    # A region has no one point: the distance to its preferred one is told, and decides nothing.
    is_aim = document.target.region is not None or (
        abs(miss_mm - path.tip_to_target_mm) <= LENGTH_TOL_MM
    )
    if not is_aim:
        seen = f"{miss_mm:.2f} mm, tip_to_target_mm {path.tip_to_target_mm:.2f}"
        return "is not as far from the target as the plan says", seen
    return None


def _chosen(
    document: PlanDocument, ranks: tuple[int, ...] | None, even_if_unknown: bool, name: str
) -> tuple[TrajectoryRecord, ...]:
    by_rank = {path.rank: path for path in document.trajectories}
    if not by_rank:
        raise InputError(
            "the plan has no path to export",
            seen=f"verdict {document.verdict}",
            where=name,
            fix="The 'explanation' in the file says what was in the way.",
        )
    if ranks is None:
        verified = [rank for rank in by_rank if _is_verified(by_rank[rank])]
        # Without a verified path the refusal below names those that are there.
        wanted = sorted(by_rank if even_if_unknown or not verified else verified)
    else:
        wanted = sorted(set(ranks))
    missing = [rank for rank in wanted if rank not in by_rank]
    if missing or not wanted:
        raise InputError(
            "the plan does not have the path asked for",
            seen=", ".join(map(str, missing)) or "no number",
            needed=f"one of {', '.join(map(str, sorted(by_rank)))}",
            where=name,
        )
    return tuple(by_rank[rank] for rank in wanted)
