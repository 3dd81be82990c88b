"""Files in and out: images, masks, target points, plans, markups.

The names are imported on first use: a plan can be read without DICOM.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "load_volume": "planner.io.volume_loader",
    "inspect_path": "planner.io.inspection",
    "load_plan": "planner.io.plan_file",
    "plan_document": "planner.io.plan_file",
    "save_plan": "planner.io.plan_file",
    "load_structures": "planner.io.structures",
    "parse_role": "planner.io.structures",
    "read_target_point": "planner.io.markups",
    "save_markups": "planner.io.markups",
}

__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from planner.io.inspection import inspect_path as inspect_path
    from planner.io.markups import read_target_point as read_target_point
    from planner.io.markups import save_markups as save_markups
    from planner.io.plan_file import load_plan as load_plan
    from planner.io.plan_file import plan_document as plan_document
    from planner.io.plan_file import save_plan as save_plan
    from planner.io.structures import load_structures as load_structures
    from planner.io.structures import parse_role as parse_role
    from planner.io.volume_loader import load_volume as load_volume


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'planner.io' has no attribute '{name}'")
