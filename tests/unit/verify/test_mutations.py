"""Every claim of a plan file, changed one at a time, is caught.

The plan beside metal, with a guiding sequence and a bore, holds every kind of claim. Each leaf
of its plan.json is changed by little, in both directions; what may go unnoticed is listed in
``ALLOWED`` with its reason, and nothing else is. What does not change from one mutation to the
next (images, masks, fields) is computed once and remembered.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import planner.verify.artefact as artefact_module
import planner.verify.inputs as inputs_module
import planner.verify.metal as metal_module
import planner.verify.metal_paths as metal_paths_module
import planner.verify.verifying as verifying_module
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import PlanResult
from planner.model.mr_results import Bore
from planner.verify import verify_plan
from planner.verify.exact import Skin, VoxelBoxes
from tests.metal_plan import KNOWN, metal_plan, metal_scene
from tests.unit.verify.phantom_plan import make_result

HEADER = {
    "field_t": 1.5,
    "bandwidth_hz_per_px": 300.0,
    "echo_time_ms": 40.0,
    "repetition_time_ms": 2500.0,
}
SMALL = 0.06
"""Millimetres, degrees, ...: above every rounding, below what matters in the room."""

_USER = "given by the user or a default: nothing in the image to compare it with"
_OTHER = "advice on other sequences: a second route through every one of them is not there"
_PROVENANCE = "where a mask is from, in words; the mask itself is held by its hash"
ALLOWED = {
    "created_utc": "a time",
    "software.*": "which program wrote it",
    "frame.label": "a name for people; the frame is its UID",
    "image.n_files": "files may be split otherwise; the content is held by its hash",
    "needle.name": "a name; the sizes decide",
    "target.name": "a name; the point decides",
    "target.midline_l_mm": "the patient's middle is not looked for a second time",
    "search.seconds.*": "how long it took",
    "options.*": "what was asked of the search, which is not run again",
    "structures.*.source": _PROVENANCE,
    "structures.*.tool": _PROVENANCE,
    "structures.*.label_value": _PROVENANCE,
    "structures.*.segment_name": _PROVENANCE,
    "structures.*.role_from": _PROVENANCE,
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
}
"""Held by the gap to another point: changed by this much."""

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
        return [
            value.replace("depth 58", "depth 51"),
            value.replace("21 degrees", "12 degrees"),
            value.replace("towards", "away from"),
            value.replace("no cranial or caudal tilt", "9 degrees caudal"),
        ]
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


@pytest.fixture(scope="module", autouse=True)
def _remember() -> Iterator[None]:
    """Every kernel is run on the plan itself first; a mutation that moves a needle runs it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs_module, "mask_sha256", remembered(inputs_module.mask_sha256, _ids))
        patch.setattr(inputs_module, "volume_sha256", remembered(inputs_module.volume_sha256, _ids))
        import planner.skin as skin_module

        patch.setattr(skin_module, "imaged_around", remembered(skin_module.imaged_around, _ids))
        patch.setattr(
            verifying_module, "unseen_boxes", remembered(verifying_module.unseen_boxes, _ids)
        )
        patch.setattr(Skin, "of", staticmethod(remembered(Skin.of, _ids)))
        patch.setattr(VoxelBoxes, "of", staticmethod(remembered(VoxelBoxes.of, _ids)))
        nearest = VoxelBoxes.nearest_to_segment
        patch.setattr(
            VoxelBoxes,
            "nearest_to_segment",
            remembered(nearest, lambda boxes, a, b: (id(boxes), tuple(a), tuple(b))),
        )
        patch.setattr(
            verifying_module,
            "metal_truth",
            remembered(verifying_module.metal_truth, _acquisition_key),
        )
        patch.setattr(
            metal_module.MetalTruth,
            "offset_ppm",
            remembered(
                metal_module.MetalTruth.offset_ppm,
                lambda truth, points: (id(truth), np.asarray(points).tobytes()),
            ),
        )
        patch.setattr(
            metal_paths_module,
            "touches_swept",
            remembered(
                metal_module.touches_swept,
                lambda mask, kji, offset, sequences: (
                    id(mask), kji.tobytes(), offset.tobytes(), id(sequences),
                ),
            ),
        )  # fmt: skip
        for module in (artefact_module, __import__("planner.verify.claims", fromlist=["x"]),
                       __import__("planner.verify.mr_inputs", fromlist=["x"])):  # fmt: skip
            patch.setattr(
                module, "materials_of", remembered(artefact_module.materials_of, lambda n: n)
            )
        yield


def _planned() -> PlanResult:
    volume, structures = metal_scene()
    volume = replace(volume, source=replace(volume.source, mr=HEADER))
    said = {key: value for key, value in KNOWN.items() if key not in HEADER}
    return metal_plan(
        "stainless steel",
        scene=(volume, structures),
        mr={**said, "guidance.like": "planning", "guidance.bandwidth_hz_per_px": 200.0},
        bore=Bore(radius_mm=350.0, centre_lp_mm=(3.0, -4.0)),
        top=1,
    )


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return _planned()


@pytest.fixture(scope="module")
def content(result: PlanResult) -> dict[str, Any]:
    return plan_document(result).to_json_dict()


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


GROUPS = {
    "identity": ("schema", "research_use", "created", "software", "frame", "image", "procedure"),
    "needle, target, body": ("needle", "target", "body", "bore", "implants", "explanation"),
    "structures": ("structures",),
    "mr": ("mr",),
    "search": ("search", "options", "verdict", "warnings"),
    "ends": tuple(
        f"trajectories.0.{key}"
        for key in ("entry", "tip", "throw", "skin_normal", "length", "rank", "verdict", "words")
    ),
    "cost and angles": tuple(f"trajectories.0.{key}" for key in ("cost", "angles", "bore")),
    "clearances": ("trajectories.0.clearance",),
    "findings": ("trajectories.0.findings",),
    "metal": ("trajectories.0.susceptibility",),
    "artefact": ("trajectories.0.needle_artefact", "trajectories.0.candidate",
                 "trajectories.0.is_pareto", "trajectories.0.risk"),
    "planes": ("trajectories.0.scan_planes",),
}  # fmt: skip


def test_the_plan_itself_is_confirmed(result, content):
    assert is_confirmed(result, content)


def test_every_leaf_is_in_a_group(content):
    prefixes = tuple(prefix for group in GROUPS.values() for prefix in group)
    left = [name_of(p) for p, _ in leaves(content) if not name_of(p).startswith(prefixes)]
    assert left == []


def test_every_allowance_is_of_a_leaf(content):
    used = Counter(
        known for known in ALLOWED for p, _ in leaves(content) if fnmatch(name_of(p), known)
    )
    assert [known for known in ALLOWED if not used[known]] == []


def test_what_decides_is_never_allowed(content):
    """Numbers of the path, verdicts and hashes are not on the list, whatever it says."""
    deciding = {"verdict", "measured", "required", "clearance_mm", "sha256", "entry_lps_mm",
                "tip_lps_mm", "length_mm", "margin_mm", "hard", "role"}  # fmt: skip
    for path, _ in leaves(content):
        if deciding & set(path) and "advice" not in path and path[-1] != "file_sha256":
            assert reason_of(path) is None, name_of(path)


@pytest.mark.parametrize("group", GROUPS)
def test_changed_claim_is_caught(result, content, group):
    missed = unnoticed(result, content, GROUPS[group])
    assert not missed, "\n".join(missed)


# --- claims taken out, and the limits of what is allowed: on the phantom without metal ----------

_RESULT = make_result()
_SHORT = replace(_RESULT, trajectories=_RESULT.trajectories[:1])
_PLAN = plan_document(_SHORT).to_json_dict()


@pytest.mark.parametrize("key", ["clearances", "findings"])
def test_claim_taken_out_is_caught(key: str) -> None:
    """Except findings on the needle itself, which the other claims repeat."""
    for index, record in enumerate(_PLAN["trajectories"][0][key]):
        if record["structure"] is None:
            continue
        content = copy.deepcopy(_PLAN)
        del content["trajectories"][0][key][index]
        assert not is_confirmed(_SHORT, content)


def test_structure_taken_out_is_caught() -> None:
    for index in range(len(_PLAN["structures"])):
        content = copy.deepcopy(_PLAN)
        del content["structures"][index]
        assert not is_confirmed(_SHORT, content)


def test_clearance_rounded_up_is_caught_and_down_is_not() -> None:
    exact = _PLAN["trajectories"][0]["clearance_mm"]["L5 root"]
    up = copy.deepcopy(_PLAN)
    down = copy.deepcopy(_PLAN)
    for content, value in ((up, exact + 0.01), (down, exact)):
        path = content["trajectories"][0]
        path["clearance_mm"]["L5 root"] = value
        path["clearances"][0]["clearance_mm"] = value
        path["findings"][0]["measured"] = value
    assert not is_confirmed(_SHORT, up)
    assert is_confirmed(_SHORT, down)


# --- tampering is not disagreement ----------------------------------------------------------------


def outcome(result: PlanResult, content: dict[str, Any]) -> tuple[bool, bool, bool]:
    plan = PlanDocument.model_validate_json(json.dumps(content))
    report = verify_plan(plan, result.volume, result.structures, protocol=result.protocol)
    return report.ok, report.inputs_differ, report.numbers_differ


def test_another_image_or_mask_is_told_from_another_number() -> None:
    assert outcome(_SHORT, _PLAN) == (True, False, False)
    number = copy.deepcopy(_PLAN)
    number["trajectories"][0]["angles"]["axial_deg"] += 1.0
    assert outcome(_SHORT, number) == (False, False, True)
    for path in (("image", "sha256"), ("structures", 1, "sha256"), ("procedure", "sha256")):
        assert outcome(_SHORT, set_at(_PLAN, path, "0" * 64)) == (False, True, False)


def test_nothing_to_check_confirms_nothing() -> None:
    from planner.verify import VerificationReport

    assert not VerificationReport(checks=()).ok


def test_a_needle_of_an_unknown_metal_is_told_and_not_a_crash(result, content) -> None:
    strange = set_at(content, ("needle", "material"), "unobtainium")
    ok, _, numbers_differ = outcome(result, strange)
    assert (ok, numbers_differ) == (False, True)
