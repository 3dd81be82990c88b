"""Candidates from the skin to a target: traced, decided, scored, ranked, explained."""

from planner.search.options import SearchOptions, TableSide
from planner.search.planning import plan
from planner.search.session import PlanningSession

__all__ = ["PlanningSession", "SearchOptions", "TableSide", "plan"]
