"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import planner

OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
LEAST_EXAMPLES = 8
"""Fewer would mean that the examples are not found."""


def _module_names() -> list[str]:
    found = pkgutil.walk_packages(planner.__path__, prefix="planner.", onerror=lambda _: None)
    return sorted(m.name for m in found if not m.name.endswith("__main__"))


def _examples(name: str) -> list[doctest.DocTest]:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if (error.name or "planner").split(".")[0] == "planner":
            raise
        pytest.skip(f"needs {error.name}")
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, name)
    return [test for test in tests if test.examples]


@pytest.mark.parametrize("name", ["planner", *_module_names()])
def test_examples_run(name: str):
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    report: list[str] = []
    for test in _examples(name):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_examples_are_found():
    examples = [e for name in _module_names() for test in _examples(name) for e in test.examples]
    run = [e for e in examples if doctest.SKIP not in e.options]
    assert len(run) >= LEAST_EXAMPLES


def test_a_wrong_example_is_noticed():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(wrong, out=lambda _: None)
    assert runner.failures == 1
