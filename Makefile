# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs first; see tools/setup.py.
PYTHON ?= python3
BIN := .venv/bin
# Arguments for pytest, for example: make test PYTEST_ARGS="tests/unit -x"
PYTEST_ARGS ?=
# Options for Sphinx, for example: make docs SPHINXOPTS="-D nb_execution_mode=off"
SPHINXOPTS ?=

.NOTPARALLEL:
.PHONY: help setup demo test test-all docs lint format clean

help:
	@echo "make demo    set up, then estimate material and light of a generated scene and write a report"
	@echo "make test    set up with the test tools, then run the tests"
	@echo "make setup   set up only: .venv, dependencies, LLVM"
	@echo "make test-all  all tests, the slow ones too"
	@echo "make docs    build the documentation into docs/_build/html; the pages run what they show"
	@echo "make lint    ruff, mypy and the import contract"
	@echo "make format  let ruff format the code"
	@echo "make clean   remove .venv and caches"

setup:
	@$(PYTHON) tools/setup.py

demo: setup
	@$(BIN)/pbdr demo

# One worker per core: a kernel that aborts its process then fails one test and not the run. Tests of one file
# share a worker, and so its compiled kernels.
test:
	@$(PYTHON) tools/setup.py --with dev --with torch
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow" $(PYTEST_ARGS)

test-all:
	@$(PYTHON) tools/setup.py --with dev --with torch
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

# The results of cells are kept below docs/_build until the code changes.
docs:
	@$(PYTHON) tools/setup.py --with docs
	@$(BIN)/python -m sphinx -W --keep-going -q -b html $(SPHINXOPTS) docs docs/_build/html
	@echo "open docs/_build/html/index.html"

lint:
	@$(PYTHON) tools/setup.py --with dev
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format:
	@$(PYTHON) tools/setup.py --with dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf .venv build docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
