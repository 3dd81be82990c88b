# make venv | demo | test | test-thorough | lint | bench | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
PYTEST_FLAGS ?= -n 2 --dist worksteal --durations 10
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: venv demo test test-thorough lint bench clean

venv: $(READY)

$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@

$(BENCH_READY): $(READY)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(READY)
	$(BIN)/needle-planner demo --out demo_out

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-thorough: $(READY)
	$(BIN)/python -m pytest $(PYTEST_FLAGS) -m thorough

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH_READY)
	PYTHONPATH=. $(BIN)/python -m benchmarks.run

clean:
	rm -rf demo_out bench_out .pytest_cache .mypy_cache .ruff_cache .hypothesis
