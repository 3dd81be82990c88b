"""plan: one call from an image and a target to ranked paths, with a needle that is long enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from planner.geometry import Volume
from planner.model import Needle, PlanResult, PlanWarning, Protocol, StructureSet, TargetRegion
from planner.model.mr import MRAcquisition
from planner.progress import ProgressCallback
from planner.search.choices import longer_needle
from planner.search.session import PlanningSession


def plan(
    volume: Volume,
    target_lps_mm: ArrayLike | None,
    procedure: Protocol | str,
    structures: StructureSet | None = None,
    needle: Needle | str | None = None,
    mr: MRAcquisition | Mapping[str, object] | None = None,
    top: int = 10,
    *,
    region: TargetRegion | None = None,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> PlanResult:
    """Ranked, exact needle paths from the skin to a target; see ``PlanningSession``.

    Where no needle is named and the procedure's first is too short for any path, the shortest
    of its needles that is long enough is taken, with a warning.

    Examples
    --------
    >>> import planner                                            # doctest: +SKIP
    >>> volume = planner.load_volume("dicom/")                    # doctest: +SKIP
    >>> result = planner.plan(volume, (12.0, 40.5, -30.0),
    ...                       procedure="si_joint_injection", needle="22G-90")  # doctest: +SKIP
    """

    def planned(with_needle: Needle | str | None) -> PlanResult:
        session = PlanningSession(
            volume,
            structures,
            procedure=procedure,
            needle=with_needle,
            mr=mr,
            top=top,
            progress=progress,
            **options,
        )
        return session.plan(target_lps_mm, region=region)

    result = again = planned(needle)
    while needle is None and not again.trajectories:
        longer = longer_needle(again)
        if longer is None or not longer.length_mm > again.needle.length_mm:
            return result
        again = planned(longer)
    if again is result:
        return result
    message = (
        f"{result.needle.name}, the procedure's first needle, is too short here: "
        f"{again.needle.name} of its list is planned with. Another can be named (--needle)."
    )
    warning = PlanWarning(code="needle", message=message)
    return replace(again, warnings=(*again.warnings, warning))
