"""What `python -m benchmarks fuzz` counts, and which scenes it takes up next."""

from __future__ import annotations

from argparse import Namespace

import pytest

from benchmarks import fuzz
from benchmarks.fuzz import result, work
from validation.random_problems import FAILED, NO_REFERENCE, REFUSED, RIGHT


def test_requirements_count_what_is_decided() -> None:
    right = {
        f"0-{k}": {"verdict": RIGHT, "bias": 0.0, "bias_error": 0.01, "seconds": 1.0, "parameter": "a"}
        for k in range(500)
    }
    assert result(right).met
    refused = {f"1-{k}": {"verdict": REFUSED, "why": "x", "seconds": 1.0} for k in range(400)}
    assert not result({**right, **refused}).met
    assert not result({**right, "2-0": {"verdict": FAILED, "why": "x", "seconds": 1.0, "commit": "c"}}).met
    crashed = {**right["0-0"], "was": "crashed: exit code -11", "commit": "c"}
    found = result({**right, "0-0": crashed})
    assert not found.met and "0-0 of these crashed once" in found.tables
    assert result({**right, "0-0": {**crashed, "verdict": NO_REFERENCE}}).met
    assert result({**right, "0-0": {**crashed, "was": "1 instead of 2"}}).met
    options = Namespace(retry=False, first=0, structures=1, seed=0, batch=510)
    assert next(work(right, options)) == (0, list(range(500, 510)))


@pytest.mark.parametrize("reference", ["", "exit code -11: x"])
@pytest.mark.parametrize("ours", ["", "exit code -6: y"])
def test_only_a_reference_that_crashes_alone_is_no_failure(monkeypatch, reference: str, ours: str) -> None:
    ends = {"reference": reference, "ours": ours}
    monkeypatch.setattr(fuzz, "apart", lambda module, words, limit: ({}, ends[words[-1]]))
    record = fuzz.whose(30, 4, "exit code -11: z")
    assert record["verdict"] == (NO_REFERENCE if reference and not ours else FAILED)
    assert ("exit code -11" in record["why"]) and "\n" not in record["why"]
