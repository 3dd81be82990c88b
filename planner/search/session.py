"""PlanningSession: keeps skin, fields and indices, so that a moved target costs milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import FrameMismatchError
from planner.geometry import ImageWarning, Volume
from planner.geometry.frames import FloatArray
from planner.geometry.threads import use_threads
from planner.geometry.walk import BodyWalker
from planner.model import (
    Candidates,
    Explanation,
    Needle,
    PlanResult,
    PlanWarning,
    Protocol,
    StructureSet,
    Target,
    TargetRegion,
    Trajectory,
    Verdict,
)
from planner.model.mr import MRAcquisition
from planner.model.mr_results import Bore
from planner.progress import ProgressCallback, no_progress
from planner.safety import CutFaces, FieldCache, resolve_obstacles
from planner.safety.terminal import with_terminal
from planner.search.choices import (
    check_names,
    chosen_needle,
    chosen_options,
    chosen_protocol,
    needle_warnings,
)
from planner.search.cost import total_cost
from planner.search.detail import DetailContext
from planner.search.evaluate import TracedObstacle, evaluate
from planner.search.explain import explain_nothing_feasible
from planner.search.gates import body_gates
from planner.search.limits import axis_limits
from planner.search.midline import IMAGE_CENTRE, Midline
from planner.search.mr_physics import MrPhysics, known_acquisitions
from planner.search.pairs import pairs_of, two_needle_warning
from planner.search.question import Question
from planner.search.ranking import candidates_of, ranked_trajectories, survivor_cost_terms
from planner.search.skin_side import SkinSide
from planner.search.target_place import check_target, chosen_target
from planner.search.timing import Stopwatch
from planner.search.tips import MOST_PAIRS, sampled_tips
from planner.search.way import Way, way_to

_REACH_FACTOR = 1.25
"""Skin up to a quarter beyond the needle's length is tried, so that an explanation
can say how much longer a needle would have to be."""


class PlanningSession:
    """One image, one set of structures, one procedure and needle; many targets.

    Parameters
    ----------
    volume : Volume
    structures : StructureSet, optional
        On the volume's grid (``load_structures(..., like=volume)``).
    procedure : Protocol or str
        A protocol or its id.
    needle : Needle or str, optional
        A needle or a catalogue name such as ``"22G-90"``; by default the
        procedure's first.
    throw_mm : float, optional
        How far the needle fires beyond the tip; by default the longer of the needle's own and
        the procedure's.
    mr : MRAcquisition or mapping, optional
        The acquisition, or values that override the image's header
        (``planner.physics.acquisition_overrides``).
    implants : mapping, optional
        Material by name of structures with role implant; others are of unknown metal.
    bore : Bore, optional
        The scanner's bore, where the needle is to go in inside it.
    **options
        See ``SearchOptions``.

    Raises
    ------
    ConfigError
        Unknown procedure, needle, option or structure name.
    FrameMismatchError
        If the structures are not on the volume's grid.
    MaskError
        If the body cannot be told from the background.
    """

    def __init__(
        self,
        volume: Volume,
        structures: StructureSet | None = None,
        *,
        procedure: Protocol | str,
        needle: Needle | str | None = None,
        throw_mm: float | None = None,
        mr: MRAcquisition | Mapping[str, object] | None = None,
        implants: Mapping[str, str] | None = None,
        bore: Bore | None = None,
        progress: ProgressCallback | None = None,
        **options: Any,
    ) -> None:
        self.volume = volume
        self.structures = structures or StructureSet(grid=volume.grid)
        if not self.structures.grid.is_close(volume.grid):
            raise FrameMismatchError(
                "the structures are not on the image's grid",
                seen=self.structures.grid.shape_kji,
                needed=volume.grid.shape_kji,
                fix="Load them with load_structures(..., like=volume).",
            )
        self.protocol = chosen_protocol(procedure)
        self.needle = chosen_needle(needle, self.protocol, throw_mm)
        self.options = chosen_options(options)
        check_names(self.options.forbidden_entry, self.structures)
        self._progress = progress or no_progress
        self._cache = FieldCache()
        self._clock = Stopwatch()
        plain = with_terminal(
            resolve_obstacles(self.structures, self.protocol, allow_bone=self.options.allow_bone),
            self.protocol,
        )
        with self._clock.stage("mr"), use_threads(self.options.threads):
            self._progress("MR physics", 0.0)
            self.physics = MrPhysics(
                volume,
                self.structures,
                plain,
                self.needle,
                known_acquisitions(volume, mr),
                implants or {},
                bore,
            )
            self._progress("MR physics", 1.0)
        self._obstacles = self.physics.obstacles
        with self._clock.stage("body"):
            self._skin = SkinSide(
                volume, self.structures, self.options, self._cache, self._progress
            )
        self.body, self.imaged = self._skin.body, self._skin.imaged
        self.body_source = self._skin.source
        self._obstacles = replace(
            self._obstacles, doubts=(*self._obstacles.doubts, *self._skin.findings)
        )
        self._cut_faces = CutFaces.of(self.body, self.imaged)
        self._walker = BodyWalker(self.body)
        self._midline = Midline(self.structures, self.body, self.imaged)

    def plan(
        self,
        target_lps_mm: ArrayLike | None = None,
        *,
        region: TargetRegion | None = None,
        progress: ProgressCallback | None = None,
    ) -> PlanResult:
        """Ranked needle paths to a target.

        Parameters
        ----------
        target_lps_mm : array_like, shape (3,), optional
            Where the tip is to be; LPS, mm.
        region : TargetRegion, optional
            Instead of a point: where the tip may be. Tip and entry are chosen together;
            level and side of the region choose the procedure's angles.
        progress : callable, optional
            Called with (stage, fraction).

        Returns
        -------
        PlanResult
            "No feasible path" is a result, with an explanation, not an error.

        Raises
        ------
        OutsideVolumeError
            If the target lies outside the image.
        TargetError
            If the target lies outside the body.
        """
        progress = progress or self._progress
        target = chosen_target(target_lps_mm, region, self.volume.grid, self.protocol)
        check_target(target, self.body, self.body_source)
        with use_threads(self.options.threads):
            return self._plan(target, progress)

    def _plan(self, target: Target, progress: ProgressCallback) -> PlanResult:
        clock = Stopwatch(self._clock.seconds)
        with clock.stage("rules"):
            midline = self._midline.at(target.point_lps_mm)
            known = None if midline[1] == IMAGE_CENTRE else midline[0]
            way = way_to(target, self.protocol, self.needle, self.structures, known)
            tips = target.point_lps_mm[None]
            if target.region is not None:
                tips = sampled_tips(target.region, way.protocol)
        with clock.stage("skin"):
            progress("finding the skin", 0.0)
            batch, forbidden, is_image_end = self._skin.candidates(
                tips, self._reach_mm, self.needle.throw_mm, MOST_PAIRS
            )
        with clock.stage("fields"):
            traced = self._traced(target, tips, progress)
        with clock.stage("search"):
            limits = axis_limits(
                batch,
                way.protocol,
                self.needle,
                down_lps=self.options.table_side.down_lps(self.volume.source.patient_position),
                forbidden=forbidden,
                is_image_end=is_image_end,
                bore=self.physics.bore,
                rules=way.rules,
            )
            gates = (*body_gates(self._walker, self.needle), *way.gates)
            found = evaluate(batch, limits, traced, gates, self.needle, progress)
        with clock.stage("rank"):
            progress("ranking", 0.0)
            context = self._context(target, way)
            terms = survivor_cost_terms(context, batch, found)
            trajectories = ranked_trajectories(context, batch, found, terms, self.options)
            progress("ranking", 1.0)
        explanation: tuple[Explanation, ...] = ()
        if not trajectories:
            with clock.stage("explain"):
                progress("explaining", 0.0)
                question = Question(
                    batch=batch,
                    tips_lps_mm=tips,
                    limits=limits,
                    traced=traced,
                    cache=self._cache,
                    gates=gates,
                    body_mask=self.body,
                    needle=self.needle,
                    protocol=way.protocol,
                    nearest_skin_mm=self._skin.nearest_mm(target.point_lps_mm),
                )
                explanation = (*way.explanation, *explain_nothing_feasible(question))
                explanation += self.physics.what_would_free(target)
                progress("explaining", 1.0)
        return self._result(
            target,
            way,
            candidates_of(batch, found, total_cost(terms, way.protocol)),
            trajectories,
            explanation,
            known,
            clock,
        )

    def _result(
        self,
        target: Target,
        way: Way,
        candidates: Candidates,
        trajectories: tuple[Trajectory, ...],
        explanation: tuple[Explanation, ...],
        midline_l_mm: float | None,
        clock: Stopwatch,
    ) -> PlanResult:
        pairs = pairs_of(trajectories, way.protocol.two_needles, self.needle)
        return PlanResult(
            volume=self.volume,
            structures=self.structures,
            protocol=way.protocol,
            needle=self.needle,
            target=target,
            midline_l_mm=midline_l_mm,
            uses=self._obstacles.uses,
            candidates=candidates,
            trajectories=trajectories,
            pairs=pairs,
            verdict=trajectories[0].verdict if trajectories else Verdict.FAIL,
            explanation=explanation,
            warnings=(
                *self._warnings(target),
                *two_needle_warning(way.protocol, trajectories, pairs),
            ),
            seconds=clock.seconds,
            options=self._told(),
            acquisitions=self.physics.acquisitions,
            implants=self.physics.implants,
            metal=self.physics.map,
            bore=self.physics.bore,
            body=self.body,
            body_source=self.body_source,
            imaged=self.imaged,
        )

    @property
    def _reach_mm(self) -> float:
        return self.needle.length_mm * _REACH_FACTOR

    def _traced(
        self, target: Target, tips_lps_mm: FloatArray, progress: ProgressCallback
    ) -> tuple[TracedObstacle, ...]:
        spread = float(np.linalg.norm(tips_lps_mm - target.point_lps_mm, axis=1).max())
        reach = self._reach_mm + self.needle.throw_mm + spread
        items = []
        for done, obstacle in enumerate(self._obstacles.obstacles):
            progress("distance fields", done / len(self._obstacles.obstacles))
            field = self._cache.trace_target(
                obstacle, self.needle.radius_mm, target.point_lps_mm, reach
            )
            items.append(TracedObstacle(obstacle=obstacle, target=field))
        progress("distance fields", 1.0)
        return tuple(items)

    def _context(self, target: Target, way: Way) -> DetailContext:
        return DetailContext(
            protocol=way.protocol,
            way=way,
            needle=self.needle,
            obstacles=self._obstacles,
            cache=self._cache,
            grid=self.volume.grid,
            body=self._walker,
            cut_faces=self._cut_faces,
            midline=self._midline.at(target.point_lps_mm),
            target=target,
            physics=self.physics,
        )

    def _warnings(self, target: Target) -> tuple[PlanWarning, ...]:
        volume = self.volume
        found = [
            PlanWarning(code=ImageWarning.code_of(text), message=str(text))
            for text in volume.source.warnings
        ]
        found += [PlanWarning(code="structure", message=text) for text in self.structures.warnings]
        found += [PlanWarning(code="body", message=text) for text in self._skin.warnings]
        is_auto = self.options.table_side.value == "auto"
        if is_auto and volume.source.patient_position.down_lps is None:
            message = (
                "The patient position is not known: the side lying on the table is not "
                "excluded. Say which it is (--table-side)."
            )
            found.append(PlanWarning(code="table_side", message=message))
        found += [
            PlanWarning(code="missing_structure", message=f.note) for f in self._obstacles.missing
        ]
        found += needle_warnings(self.needle, self.protocol)
        return (*found, *self.physics.warnings(target))

    def _told(self) -> dict[str, object]:
        options = self.options
        return {
            "top": options.top,
            "min_separation_mm": options.min_separation_mm,
            "entry_spacing_mm": options.entry_spacing_mm,
            "table_side": str(options.table_side),
            "forbidden_entry": list(options.forbidden_entry),
            "allow_bone": options.allow_bone,
        }
