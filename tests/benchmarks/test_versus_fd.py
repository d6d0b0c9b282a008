"""What the pages of `versus_fd` and `real_scenes` are made of."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest

from benchmarks import bricks, real_scenes, versus_fd


def found(std: float, cpu: float) -> dict[str, Any]:
    return {"mean": 2.0, "std": std, "cpu": cpu, "terms": dict.fromkeys(versus_fd.TERMS, std / 2)}


def record(ours: float, theirs: float) -> dict[str, Any]:
    """A case in which one of ours takes as long as ten differences."""
    one = {"ours": found(ours, 1.0), "differences": found(theirs, 0.1), "full": found(theirs / 8, 6.4), "rounds": 8}
    return {"spp": {"16": one, "256": {k: one[k] for k in ("ours", "differences", "rounds")}}, "seconds": 1.0}


def test_ratios_are_of_variance_times_seconds() -> None:
    ratios = versus_fd.ratios(record(0.1, 1.0))
    assert ratios == pytest.approx({"16": 10.0, "16 to 1024": 10.0, "256": 10.0})


def test_requirements_hold_for_all_cases_and_their_mean() -> None:
    good, bad = record(0.05, 1.0), record(1.0, 1.0)
    assert versus_fd.result({"a": good, "b": good}, 2).met
    assert not versus_fd.result({"a": good}, 2).met  # a case is missing
    page = versus_fd.result({"a": good, "b": good, "c": bad}, 3)
    assert not page.met and page.data["below"]["16"] == ["c"]
    assert page.tables.index("| c |") < page.tables.index("| a |")  # the worst case comes first


def test_a_case_that_failed_has_a_line() -> None:
    assert "no end within" in versus_fd.result({"a": {"message": "no end within 9 s", "seconds": 9.0}}, 1).tables


def test_a_brick_is_a_closed_block_with_a_stud_through_its_top() -> None:
    vertices, faces = bricks.brick(0.8)
    block = faces[(faces < 8).all(1)]
    edges = np.sort(np.concatenate([block[:, [0, 1]], block[:, [1, 2]], block[:, [2, 0]]]), 1)
    assert len(block) == 12 and (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert vertices[8:, 2].min() < 0.8 < vertices[8:, 2].max()
    assert np.ptp(vertices[:8, 0]) == pytest.approx(1 - bricks.GAP)


def test_scenes_meet_requirements_still_and_moved() -> None:
    parts = {"table": {"host": 0.1}}
    call = {"cpu": 1.0, "wall": 1.0, "primals": 5.0, "host": 0.2, "parts": parts}
    good: dict[str, Any] = dict.fromkeys((*real_scenes.CALLS, "load", "primal", "first"), call)
    good |= {"shapes": 1, "faces": 12, "memory": 1}
    slow = {**good, "moved": {**call, "host": 0.5}}
    options = argparse.Namespace(side=128, spp=16, depth=4)
    assert real_scenes.result(dict.fromkeys(real_scenes.REQUIRED, good), options).met
    assert not real_scenes.result(dict.fromkeys(real_scenes.REQUIRED, slow), options).met
    assert not real_scenes.result({}, options).met
    refused = real_scenes.result({"bricks": {"refused": "SceneError: no | light"}}, options)
    assert "no / light" in refused.tables
