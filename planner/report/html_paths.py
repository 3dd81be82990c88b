"""One path, and several side by side, as parts of the HTML report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.geometry.frames import FloatArray, orientation_letters, unit
from planner.model import Clearance, PlanResult, Trajectory, Verdict
from planner.report import mr_text
from planner.report.html_parts import Html, element, facts, joined, table, tag
from planner.report.style import VERDICT_COLOUR
from planner.report.text import least_room
from planner.report.views import ranked_clearances
from planner.report.wording import (
    angle_texts,
    clearance_verdict,
    compared,
    limit_text,
    number,
    point_text,
    towards,
)

NOTHING_MEASURED = (
    "No clearance was measured: no structure to avoid was given, so nothing was kept clear of."
)
PATHS_IN_MATRIX, STRUCTURES_IN_MATRIX = 6, 12
CLEARANCES_IN_FULL = 12
"""With a line each; of the others, when they pass, the number is enough."""

TOUCHING_MM = 1e-3
RAS_FROM_LPS = np.array([-1.0, -1.0, 1.0])


def path_numbers(result: PlanResult, path: Trajectory) -> Html:
    """Depth and angles in large figures, and the points in both coordinate systems."""
    angles = path.angles
    b0 = "unknown" if angles.b0_deg is None else f"{number(angles.b0_deg, 0)}°"
    tiles = [
        (f"Depth, {_to(result)}", f"{number(path.length_mm, 1)} mm"),
        ("In the axial plane", towards(angles.axial_deg, "L", "R")),
        ("Cranio-caudal", towards(angles.craniocaudal_deg, "H", "F")),
        ("To the skin's normal", f"{number(angles.skin_normal_deg, 0)}°"),
        ("To the main field", b0),
    ]
    places = [("Entry", path.entry_lps_mm), ("Tip", path.tip_lps_mm)]
    if result.needle.throw_mm > 0:
        places.append(("End of the throw", path.throw_end_lps_mm))
    miss_mm = float(np.linalg.norm(path.tip_lps_mm - result.target.point_lps_mm))
    is_point = result.target.region is None
    asked = "point asked for" if is_point else "preferred point of the region"
    rows = [(name, point_text(p), point_text(RAS_FROM_LPS * p)) for name, p in places]
    tile_row = element(
        "div",
        *(
            element("div", element("div", name, cls="label"), element("div", value, cls="value"),
                    cls="tile")
            for name, value in tiles
        ),
        cls="tiles",
    )  # fmt: skip
    note = element(
        "p",
        f"Angles in full: {', '.join(angle_texts(angles))}. The tip is {number(miss_mm, 1)} mm "
        f"from the {asked}. Room left of the needle's length: "
        f"{number(result.needle.length_mm - path.length_mm, 1)} mm.",
        cls="note",
    )
    coordinates = table(("Point", "LPS mm (DICOM)", "RAS mm (3D Slicer)"), rows)
    return joined([tile_row, coordinates, note])


def clearance_table(result: PlanResult, path: Trajectory) -> Html:
    """Every clearance against its margin, where it occurs, and the evidence of the margin."""
    evidence = {use.name: use.evidence for use in result.uses}
    columns = [
        "Structure",
        "Clearance mm",
        "Required mm",
        "Room mm",
        "Verdict",
        "Where on the needle",
        "LPS mm",
    ]
    if path.metal is not None:
        columns.append("As drawn mm")
    columns.append("Evidence")
    rows, others = [], []
    for place, item in enumerate(ranked_clearances(path)):
        measured, required = compared(item.clearance_mm, item.required_mm)
        verdict = clearance_verdict(path, item)
        if place >= CLEARANCES_IN_FULL and verdict is Verdict.PASS:
            others.append(f"{item.structure} {measured} ({limit_text(item.required_mm)})")
            continue
        row = [
            item.structure,
            measured,
            required,
            number(item.clearance_mm - item.required_mm, 2),
            tag(verdict),
            where_text(path, item),
            point_text(item.on_needle_lps_mm) if _is_placed(item) else "unknown",
        ]
        if path.metal is not None:
            row.append(mr_text.drawn_text(path, item))
        rows.append([*row, evidence.get(item.structure, "")])
    if not rows:
        return element("p", element("b", NOTHING_MEASURED))
    parts = [
        table(columns, rows, numeric=(1, 2, 3, 6, 7) if path.metal is not None else (1, 2, 3, 6))
    ]
    if others:
        told = f"With more room, all pass, clearance (required) mm: {'; '.join(others)}."
        parts.append(element("p", told, cls="note"))
    distance = mr_text.distance_note(path)
    parts.append(element("p", f"{distance[:1].upper()}{distance[1:]}.", cls="note"))
    return joined(parts)


def where_text(path: Trajectory, item: Clearance) -> str:
    """How deep on the needle a structure is nearest, to which side: ``"34 mm deep, to L"``."""
    if not _is_placed(item):
        return "unknown"
    direction = unit(path.tip_lps_mm - path.entry_lps_mm)
    depth_mm = float((item.on_needle_lps_mm - path.entry_lps_mm) @ direction)
    place = f"{number(depth_mm, 0)} mm deep"
    beyond_mm = depth_mm - path.length_mm
    if beyond_mm >= -0.5:
        place = "at the tip" if beyond_mm < 0.5 else f"{number(beyond_mm, 0)} mm past the tip"
    away: FloatArray = item.on_structure_lps_mm - item.on_needle_lps_mm
    if float(np.linalg.norm(away)) > TOUCHING_MM:
        place += f", to {orientation_letters(unit(away))}"
    return place


def _is_placed(item: Clearance) -> bool:
    return bool(np.all(np.isfinite([item.on_needle_lps_mm, item.on_structure_lps_mm])))


def _to(result: PlanResult) -> str:
    throw_mm = result.needle.throw_mm
    return f"fires {number(throw_mm, 0)} mm on" if throw_mm > 0 else "skin to tip"


def paths_table(result: PlanResult) -> Html:
    """Every path on one line."""
    rows = []
    for path in result.trajectories:
        worst = least_room(path)
        measured, required = ("none measured", "")
        if worst is not None:
            measured, required = compared(worst.clearance_mm, worst.required_mm)
        rows.append(
            (
                str(path.rank),
                tag(path.verdict),
                number(path.length_mm, 1),
                towards(path.angles.axial_deg, "L", "R"),
                towards(path.angles.craniocaudal_deg, "H", "F"),
                worst.structure if worst else "none given",
                measured,
                required,
                number(path.cost, 3),
                "yes" if path.is_pareto_optimal else "no",
                point_text(path.entry_lps_mm),
            )
        )
    columns = ("Path", "Verdict", "Depth mm", "Axial", "Cranio-caudal", "Least room to",
               "Clearance mm", "Required mm", "Cost", "Pareto", "Entry LPS mm")  # fmt: skip
    return table(columns, rows, numeric=(2, 6, 7, 8))


def matrix(result: PlanResult) -> Html:
    """The clearance of each path to each structure, the tightest of any path first."""
    paths = result.trajectories[:PATHS_IN_MATRIX]
    by_path = [{c.structure: c for c in path.clearances} for path in paths]
    least: dict[str, float] = {}
    for known in by_path:
        for name, item in known.items():
            room = item.clearance_mm - item.required_mm
            room = room if np.isfinite(room) else -np.inf
            least[name] = min(room, least.get(name, np.inf))
    names = sorted(least, key=lambda name: (least[name], name))
    rows: list[Sequence[str]] = []
    for name in names[:STRUCTURES_IN_MATRIX]:
        row = [_with_required(name, by_path)]
        for path, known in zip(paths, by_path, strict=True):
            if name not in known:
                row.append("not measured")
                continue
            verdict = clearance_verdict(path, known[name])
            colour = VERDICT_COLOUR[verdict]
            value = compared(known[name].clearance_mm, known[name].required_mm)[0]
            row.append(Html(f'<b style="color:{colour}">{element("span", value)}</b>'))
        rows.append(row)
    columns = ["Clearance mm to (required)", *(f"Path {path.rank}" for path in paths)]
    shown = table(columns, rows, numeric=range(1, len(columns)))
    if len(names) > STRUCTURES_IN_MATRIX:
        rest = f"{len(names) - STRUCTURES_IN_MATRIX} structures with more room are left out."
        return element("div", shown, element("p", rest, cls="note"))
    return element("div", shown)


def _with_required(name: str, by_path: Sequence[dict[str, Clearance]]) -> str:
    limits = {known[name].required_mm for known in by_path if name in known}
    return f"{name} ({limit_text(limits.pop())})" if len(limits) == 1 else name


def mr_section(result: PlanResult, path: Trajectory) -> list[str]:
    """What MR physics says of a path, and what another sequence would change."""
    rows = mr_text.path_facts(result, path)
    advice = mr_text.advice_rows(path)
    if not rows and not advice:
        return []
    parts: list[str] = [element("h3", f"MR physics of path {path.rank}"), facts(rows)]
    if advice:
        parts += [
            element("h3", "What another sequence would change"),
            table(mr_text.ADVICE_COLUMNS, advice, numeric=(2, 4, 5)),
        ]
    return parts


def planes_section(path: Trajectory) -> list[str]:
    """The scan planes to type in."""
    rows = mr_text.plane_rows(path)
    if not rows:
        return []
    return [
        element("h3", f"Scan planes to type in, path {path.rank}"),
        table(mr_text.PLANE_COLUMNS, rows),
    ]
