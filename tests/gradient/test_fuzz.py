"""Random scenes: refused by name, or equal to finite differences; forward equals reverse. `benchmarks fuzz` tries hundreds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from validation import random_scenes
from validation.random_problems import FAILED, REFUSED, RIGHT, Problem, confirmed, examine, settled, verdict
from validation.random_scenes import Numbers, Structure, frame
from validation.strategies import numbers, structures

#: Cheap: few kernels, and light without noise. The scenes of the default run share them.
CHEAP = replace(Structure.of(0), light="directional", sensor="perspective", role="shape", choice=0, depth=2)
SEEDS = (1, 2)


def test_random_scenes_are_right() -> None:
    drawn = [Numbers(seed, plain=frozenset({"flaw"})) for seed in SEEDS]  # meshes with flaws have kernels of their own
    found = [examine(CHEAP, one, 0.5) for one in drawn]
    assert FAILED not in [record["verdict"] for record in found], found
    assert [record["verdict"] for record in found].count(RIGHT) >= 1, found
    # Negative control: without its boundary terms, the gradient is wrong.
    without = [examine(CHEAP, one, 0.5, boundary="none")["verdict"] for one in drawn[:1]]
    assert without == [FAILED]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(structures(), numbers())
def test_any_scene_is_refused_or_right(structure: Structure, drawn: Numbers) -> None:
    found = examine(structure, drawn, 2.0)
    assert found["verdict"] != FAILED or confirmed(structure, drawn, found)["verdict"] != FAILED


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(numbers())
def test_numbers_stay_what_they_are(drawn: Numbers) -> None:
    assert 1e-3 <= frame(drawn).unit <= 1e3
    again = Numbers(drawn.seed, drawn.given)
    assert drawn.uniform("size", 0.25, 0.6, 0.5) == again.uniform("size", 0.25, 0.6, 0.5)
    assert Numbers(0, drawn.given, frozenset({"size"})).uniform("size", 0.25, 0.6, 0.5) == 0.5


def test_structures_hold_every_kind_of_plugin() -> None:
    drawn = [Structure.of(k) for k in range(44)]
    for name, kinds in (
        ("shape", random_scenes.SHAPES),
        ("light", random_scenes.LIGHTS),
        ("role", random_scenes.ROLES),
    ):
        assert {getattr(one, name) for one in drawn} == set(kinds)
    assert len({one.material for one in drawn}) >= 14 and {one.depth for one in drawn} == {2, 3}


def test_a_wrong_number_is_refused_by_name(tmp_path: Path) -> None:
    record = examine(
        replace(CHEAP, shape="sdfgrid", light="constant"), Numbers(1, plain=frozenset({"unit", "origin"})), no_such=1
    )
    assert record["verdict"] == REFUSED and "no_such" in record["why"]
    assert Problem(CHEAP, Numbers(1), tmp_path).parameter.name == "thing/positions"


@pytest.mark.parametrize(
    ("mean", "error", "slack", "expected"),
    [
        (1.0, 0.01, 0, RIGHT),
        (1.1, 0.01, 0, FAILED),
        (1.1, 0.01, 0.09, "noisy"),
        (1.1, 0.1, 0, "noisy"),
        (float("inf"), 0, 0, FAILED),
    ],
)
def test_verdicts(mean: float, error: float, slack: float, expected: str) -> None:
    assert verdict(mean, error, 1.0, 0.001, slack)["verdict"] == expected


@pytest.mark.parametrize(
    ("second", "reference", "expected"),
    [
        (FAILED, 1.1, FAILED),  # wrong
        (REFUSED, 1.1, REFUSED),
        (RIGHT, 1.1, RIGHT),  # the first differences were truncated
        (RIGHT, 1.01, "noisy"),  # both have the same reference: one of them was bad luck
        ("noisy", 1.1, "noisy"),
    ],
)
def test_a_second_look(second: str, reference: float, expected: str) -> None:
    first = {"verdict": FAILED, "why": "1.1 instead of 1", "reference": [1.0, 0.01]}
    found = settled(first, {"verdict": second, "reference": [reference, 0.01]})
    assert found["verdict"] == expected and ("why" in found) == (expected != RIGHT)
    crashed = {"verdict": FAILED, "why": "not finite"}
    assert settled(crashed, {"verdict": RIGHT, "reference": [1.0, 0.01]})["verdict"] == "noisy"
