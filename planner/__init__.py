"""MR needle planner: straight needle paths for MR-guided musculoskeletal procedures.

Research use only; not a medical device. Coordinates are DICOM patient
coordinates (LPS) in millimetres; arrays are [k, j, i].

The public names are imported on first use, so that ``import planner`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load_volume": "planner.io",
    "load_structures": "planner.io",
    "save_plan": "planner.io",
    "load_plan": "planner.io",
    "plan": "planner.search",
    "PlanningSession": "planner.search",
    "exact_clearance_mm": "planner.geometry.clearance",
    "verify_plan": "planner.verify",
    "find_body": "planner.skin",
    "find_region": "planner.anatomy",
    "load_protocol": "planner.protocols",
    "parse_needle": "planner.protocols",
    "Grid": "planner.geometry",
    "Volume": "planner.geometry",
    "Mask": "planner.geometry",
    "PlanResult": "planner.model",
    "Trajectory": "planner.model",
    "Verdict": "planner.model",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from planner.anatomy import find_region as find_region
    from planner.geometry import Grid as Grid
    from planner.geometry import Mask as Mask
    from planner.geometry import Volume as Volume
    from planner.geometry.clearance import exact_clearance_mm as exact_clearance_mm
    from planner.io import load_plan as load_plan
    from planner.io import load_structures as load_structures
    from planner.io import load_volume as load_volume
    from planner.io import save_plan as save_plan
    from planner.model import PlanResult as PlanResult
    from planner.model import Trajectory as Trajectory
    from planner.model import Verdict as Verdict
    from planner.protocols import load_protocol as load_protocol
    from planner.protocols import parse_needle as parse_needle
    from planner.search import PlanningSession as PlanningSession
    from planner.search import plan as plan
    from planner.skin import find_body as find_body
    from planner.verify import verify_plan as verify_plan


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in {"geometry", "io", "model", "protocols", "report", "safety", "search", "skin"}:
        return importlib.import_module(f"planner.{name}")
    raise AttributeError(f"module 'planner' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
