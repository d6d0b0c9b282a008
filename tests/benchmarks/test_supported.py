"""docs/reference/supported.md is what its generator makes of the recorded matrix, and the tests it names exist."""

from __future__ import annotations

import functools
import importlib.util
import itertools
from pathlib import Path
from typing import Any

import pytest

from benchmarks import matrix, supported
from benchmarks.harness import ROOT
from validation.cases import CASES, FEATURES


def test_the_page_is_what_the_generator_makes() -> None:
    assert supported.PAGE.read_text(encoding="utf-8") == supported.made(), "run python -m benchmarks.supported"


def identifiers(function: Any) -> set[str]:
    """What may stand in brackets behind the name of a parametrised test; pytest lists the last decorator's values first."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    choices = []
    for mark in marks:
        values = [getattr(value, "values", value) for value in mark.args[1]]
        choices.append(["-".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values])
    return {"-".join(parts) for parts in itertools.product(*choices)} if choices else set()


@functools.cache
def module(path: str) -> Any:
    """The module of a file of tests; pytest has not imported it, unless it runs these tests as well."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec and spec.loader, path
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def missing(test: str) -> str:
    """Why a test's id leads nowhere; empty if it exists."""
    path, _, rest = test.partition("::")
    name, _, parameters = rest.removesuffix("]").partition("[")
    function = getattr(module(path), name, None)
    if function is None:
        return f"{test}: no such test"
    return f"{test}: no such parameters" if parameters and parameters not in identifiers(function) else ""


def test_every_named_test_exists() -> None:
    assert [words for case in CASES.values() for test in case.tests if (words := missing(test))] == []
    assert missing("tests/gradient/test_emitters.py::test_emitter[point-none]")
    assert missing("tests/gradient/test_emitters.py::test_nothing")
    assert {case.feature for case in CASES.values()} == set(FEATURES)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((1.0, 0.005), matrix.RIGHT),
        ((1.015, 0.001), matrix.RIGHT),
        ((1.04, 0.02), matrix.RIGHT),
        ((1.04, 0.005), matrix.WRONG),
        ((-1.0, 0.1), matrix.WRONG),
        ((1.0, 0.1), matrix.UNDECIDED),
        ((float("nan"), 0.1), matrix.WRONG),
    ],
)
def test_verdicts(ours: tuple[float, float], expected: str) -> None:
    assert matrix.judged(*ours, 1.0, 0.005)["verdict"] == expected
