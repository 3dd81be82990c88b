"""Targets derived from anatomical labels: joints, foramina, discs, pedicles and others.

Each family has a module; names of all tools are understood in `planner.anatomy.names` alone.
"""

from planner.anatomy.registry import KINDS, find_region, parse_region

__all__ = ["KINDS", "find_region", "parse_region"]
