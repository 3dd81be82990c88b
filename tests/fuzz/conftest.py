"""The worker process that takes the hostile files, and the good files they are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.corpus import Seed, seeds
from tests.fuzz.guard import Guard


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """One worker process for all tests of a process."""
    with Guard(tmp_path_factory.mktemp("fuzz")) as guard:
        yield guard


@pytest.fixture(scope="session")
def corpus(guard: Guard) -> dict[str, Seed]:
    """The seeds by name."""
    return seeds(guard.folder / "corpus")


@pytest.fixture
def good(guard: Guard) -> Path:
    """The folder of the seeds."""
    return guard.folder / "corpus"
