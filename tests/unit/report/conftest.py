"""Plans of the synthetic phantom, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest

from planner.model import PlanResult
from tests.plan_factory import make_result

_cached = lru_cache(maxsize=None)(make_result)


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., PlanResult]:
    """``make_result`` that remembers its answers; results are frozen."""
    return _cached


@pytest.fixture(scope="session")
def plan_result(plan_of: Callable[..., PlanResult]) -> PlanResult:
    return plan_of("oblique")


@pytest.fixture(scope="session")
def hopeless_result(plan_of: Callable[..., PlanResult]) -> PlanResult:
    """A search that found nothing."""
    return plan_of("axial", False)


@pytest.fixture(scope="session")
def unknown_result(plan_of: Callable[..., PlanResult]) -> PlanResult:
    """A plan in which something required could not be checked."""
    return plan_of("axial", unknown=True, throw_mm=10.0)
