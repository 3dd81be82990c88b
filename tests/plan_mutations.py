"""Every leaf of a plan file changed by little, in both directions; what may go unnoticed, and why.

What does not change from one mutation to the next (images, masks, fields) is computed once and
remembered.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import planner.skin as skin_module
import planner.verify.artefact as artefact_module
import planner.verify.claims as claims_module
import planner.verify.inputs as inputs_module
import planner.verify.metal as metal_module
import planner.verify.metal_paths as metal_paths_module
import planner.verify.mr_inputs as mr_inputs_module
import planner.verify.verifying as verifying_module
import planner.verify.way as way_module
from planner.io.plan_document import PlanDocument
from planner.model import PlanResult
from planner.verify import verify_plan
from planner.verify.exact import Skin, VoxelBoxes

SMALL = 0.06
"""Millimetres, degrees, ...: above every rounding, below what matters in the room."""

_USER = "given by the user or a default: nothing in the image to compare it with"
_OTHER = "advice on other sequences: a second route through every one of them is not there"
_PROVENANCE = "where a mask is from, in words; the mask itself is held by its hash"
ALLOWED = {
    "warnings.*": "sentences for people, as every report of verify says",
    "created_utc": "a time",
    "software.*": "which program wrote it",
    "frame.label": "a name for people; the frame is its UID",
    "image.n_files": "files may be split otherwise; the content is held by its hash",
    "needle.name": "a name of no catalogue says nothing, and is told; one of the catalogue is held",
    "search.seconds.*": "how long it took",
    "options.*": "how the search was run, which is not run again; what was asked for is held by "
    "tests/unit/verify/test_consistent_lies.py",
    "structures.*.source": _PROVENANCE,
    "structures.*.tool": _PROVENANCE,
    "structures.*.label_value": _PROVENANCE,
    "structures.*.segment_name": _PROVENANCE,
    "structures.*.role_from": "the user's word for a role is told beside the verdict, and held to "
    "what was asked for by tests/unit/verify/test_consistent_lies.py",
    "structures.*.file_sha256": _PROVENANCE,
    "mr.*slice_thickness_mm": _USER,
    "mr.*readout_pixel_mm": _USER,
    "mr.*phase_pixel_mm": _USER,
    "mr.*rf_bandwidth_hz": _USER,
    "mr.*distortion_corrected": _USER,
    "mr.*metal_reduction": _USER,
    "mr.*metal_reduction_hint": _USER,
    "mr.*is_isotropic_readout": _USER,
    "mr.acquisition": _USER,
    "mr.guidance.acquisition": _USER,
    "mr.*sequence": _USER,
    "mr.guidance.field_t": _USER,
    "mr.guidance.echo_time_ms": _USER,
    "mr.guidance.repetition_time_ms": _USER,
    "mr.*sources.*": "words behind the kind of source, which is checked",
    "trajectories.*.candidate": "an index into arrays that are not in the file",
    "trajectories.*.is_pareto_optimal": "of all candidates, which are not in the file",
    "trajectories.*.findings.*.note": "a sentence; the numbers beside it are checked",
    "trajectories.*.advice.*.change": _OTHER,
    "trajectories.*.advice.*.room_mm": _OTHER,
    "trajectories.*.advice.*.void_mm": _OTHER,
    "trajectories.*.advice.*.structure": _OTHER,
    "trajectories.*.advice.*.target_shift_mm": _OTHER,
    "trajectories.*.advice.*.verdict": _OTHER,
}
LOOSE = {
    "trajectories.*.target_shift.readout_mm": 0.4,
    "trajectories.*.target_shift.slice_mm": 0.4,
    "trajectories.*.largest_shift_mm": 0.4,
    "mr.*bandwidth_hz_per_px": 1.3,
    "mr.field_t": 0.8,
}
"""Bounded from below by dipoles, or rounded in headers: changed by this factor."""

LARGER = {
    "trajectories.*.clearances.*.on_structure_lps_mm.*": 1.0,
    "target.midline_l_mm": 7.0,
}
"""Held by the gap to another point, or by anatomy drawn in voxels: changed by this much."""

SIDES = (
    ("left", "right"),
    ("right", "left"),
    ("towards", "away from"),
    ("away from", "towards"),
    ("cranial", "caudal"),
    ("caudal", "cranial"),
    ("no cranial or caudal tilt", "9 degrees caudal"),
    ("midline (", "midline (not "),
)
VERDICTS = ("pass", "caution", "unknown", "fail")
ROLES = ("avoid", "bone", "implant", "body", "target", "allowed")
Path = tuple[str | int, ...]


def name_of(path: Path) -> str:
    return ".".join(map(str, path))


def reason_of(path: Path) -> str | None:
    return next((why for known, why in ALLOWED.items() if fnmatch(name_of(path), known)), None)


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def wrong_values(path: Path, value: Any) -> list[Any]:
    key = path[-1]
    factor = next((f for known, f in LOOSE.items() if fnmatch(name_of(path), known)), None)
    if factor is not None:
        return [value * factor]
    if key == "verdict":
        return [v for v in VERDICTS if v != value]
    if key == "role":
        return [v for v in ROLES if v != value]
    if key == "orientation":
        return [f"{value} > S 3.0", "T > C 45.0"]
    if key == "words":
        return wrong_words(value)
    if isinstance(value, str):
        return ["0" * 64 if len(value) == 64 else f"{value[:1]}?{value}", "other"]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        by = next((b for known, b in LARGER.items() if fnmatch(name_of(path), known)), SMALL)
        return [value + by, value - by]
    assert value is None
    return [1.5, 2, "other", True, [0.0, 0.0, 1.0], [0.0, 0.0]]


def wrong_words(words: str) -> list[str]:
    """A sentence with each number and each side changed, and with a seal before and after it."""
    numbers = list(re.finditer(r"\d+(?= (?:mm|degree))", words))
    return [
        *(f"{words[: n.start()]}{int(n[0]) + 1}{words[n.end() :]}" for n in numbers),
        *(words.replace(a, b) for a, b in SIDES if a in words),
        f"verified: {words}",
        f"{words}, verified",
        "",
    ]


def set_at(content: Any, path: Path, value: Any) -> Any:
    changed = copy.copy(content)
    if len(path) == 1:
        changed[path[0]] = value
    else:
        changed[path[0]] = set_at(content[path[0]], path[1:], value)
    return changed


def remembered(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    answers: dict[Any, Any] = {}

    def asked(*args: Any, **kwargs: Any) -> Any:
        place = key(*args, **kwargs)
        if place not in answers:
            # the arguments are kept too, so that an id is not given to another object
            answers[place] = (function(*args, **kwargs), args)
        return answers[place][0]

    return asked


def _ids(*args: Any, **kwargs: Any) -> tuple[int, ...]:
    return tuple(map(id, args))


def _acquisition_key(plan: PlanDocument, structures: Any) -> str:
    mr = None if plan.mr is None else plan.mr.model_dump_json()
    return f"{mr}{[i.model_dump_json() for i in plan.implants]}"


def _field_key(truth: metal_module.MetalTruth, points: np.ndarray) -> tuple[object, ...]:
    """The offset in ppm depends on the dipoles and on B0, not on the sequences."""
    bodies = tuple(hash((p.tobytes(), s.tobytes())) for p, s in truth.bodies)
    near = float(truth.near_mm)
    return bodies, truth.b0_lps.tobytes(), near, np.asarray(points).tobytes()


def _swept_key(mask: Any, kji: Any, offset: Any, sequences: Any) -> tuple[object, ...]:
    return id(mask), kji.tobytes(), offset.tobytes(), id(sequences)


@contextmanager
def remembering() -> Iterator[None]:
    """Every kernel is run on the plan itself first; a mutation that moves a needle runs it anew."""
    nearest = VoxelBoxes.nearest_to_segment
    with pytest.MonkeyPatch.context() as patch:
        by_id = (
            (inputs_module, "mask_sha256"),
            (inputs_module, "volume_sha256"),
            (verifying_module, "unseen_boxes"),
            (way_module, "mask_sha256"),
            (way_module, "_complement"),
        )
        for module, name in by_id:
            patch.setattr(module, name, remembered(getattr(module, name), _ids))
        around = remembered(skin_module.imaged_around, lambda v, b: (id(v), b.inside.tobytes()))
        patch.setattr(skin_module, "imaged_around", around)
        for kind in (Skin, VoxelBoxes):
            patch.setattr(kind, "of", staticmethod(remembered(kind.of, _ids)))
        of_segment = remembered(nearest, lambda boxes, a, b: (id(boxes), tuple(a), tuple(b)))
        patch.setattr(VoxelBoxes, "nearest_to_segment", of_segment)
        find = remembered(way_module.find_region, lambda name, found: (name, id(found)))
        patch.setattr(way_module, "find_region", find)
        truth = remembered(verifying_module.metal_truth, _acquisition_key)
        patch.setattr(verifying_module, "metal_truth", truth)
        offset = remembered(metal_module.MetalTruth.offset_ppm, _field_key)
        patch.setattr(metal_module.MetalTruth, "offset_ppm", offset)
        swept = remembered(metal_module.touches_swept, _swept_key)
        patch.setattr(metal_paths_module, "touches_swept", swept)
        materials = remembered(artefact_module.materials_of, lambda name: name)
        for module in (artefact_module, claims_module, mr_inputs_module):
            patch.setattr(module, "materials_of", materials)
        yield


def is_confirmed(result: PlanResult, content: dict[str, Any]) -> bool:
    """Whether a plan file is read and every claim of it confirmed."""
    try:
        plan = PlanDocument.model_validate_json(json.dumps(content))
    except ValidationError:
        return False  # load_plan refuses it
    return verify_plan(plan, result.volume, result.structures, protocol=result.protocol).ok


def unnoticed(result: PlanResult, content: dict[str, Any], prefixes: tuple[str, ...]) -> list[str]:
    """Changes of the leaves under the prefixes that nobody noticed and nobody allowed."""
    missed = []
    for path, value in leaves(content):
        if not name_of(path).startswith(prefixes) or reason_of(path) is not None:
            continue
        for wrong in wrong_values(path, value):
            if wrong != value and is_confirmed(result, set_at(content, path, wrong)):
                missed.append(f"{name_of(path)}: {value!r} -> {wrong!r}")
    return missed
