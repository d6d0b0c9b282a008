"""Switches of the sampling: what they change, for how long, and `pytest --without NAME`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pbdr.pathspace.options import PathspaceOptions
from pbdr.scene import load_object
from validation.switches import SWITCHES, Switch


def found(target: str) -> Any:
    """What a module holds under a dotted name."""
    with mock.patch(target) as _:
        pass  # raises where there is no such name
    module, _, name = target.rpartition(".")
    return getattr(sys.modules[module], name)


def tracer(**options: Any) -> PathspaceOptions:
    return load_object({"type": "pathspace", **options}).options


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_what_it_names_and_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    switch = SWITCHES[name]
    assert bool(switch.options) != bool(switch.patches)
    on, before = tracer(), {target: found(target) for target in switch.patches}
    with switch.off():
        off = tracer()
        assert all(found(target) is value for target, value in switch.patches.items())
    if name not in request.config.getoption("without"):
        assert all(getattr(on, key) != value for key, value in switch.options.items())
        assert all(before[target] != value for target, value in switch.patches.items())
    assert {key: getattr(off, key) for key in vars(on)} == {**vars(on), **switch.options}
    assert tracer() == on and all(found(target) is value for target, value in before.items())


def test_an_integrator_keeps_its_own_options() -> None:
    with SWITCHES["guiding"].off(), SWITCHES["sequence"].off():
        assert (tracer().guiding, tracer().sequence) == ("none", "independent")
        assert tracer(guiding="edges").guiding == "edges"
        assert not tracer().follows_adjoint


def test_a_misspelt_target_is_noticed() -> None:
    with pytest.raises(AttributeError), Switch("", patches={"pbdr.pathspace.plugin.UNIFORM_LOBES": 0.0}).off():
        pass


# ---------------------------------------------------------------------- pytest --without


def test_this_session_has_the_options_asked_for(request: pytest.FixtureRequest) -> None:
    for name in request.config.getoption("without"):
        switch = SWITCHES[name]
        assert switch.options.items() <= vars(tracer()).items()
        assert all(found(target) is value for target, value in switch.patches.items())


def session(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, without the caches and results of this one."""
    own = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(own, cwd=root, capture_output=True, text=True, check=False)


def test_unknown_names_are_refused_with_the_known_ones(root: Path) -> None:
    done = session(root, "tests/unit/test_switches.py", "--without", "nonsense")
    assert done.returncode == 4
    assert "nonsense" in done.stderr and all(name in done.stderr for name in SWITCHES)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_tests_run_without_guiding_and_those_about_it_are_skipped(root: Path, workers: str) -> None:
    """In the process itself, and in a worker of pytest-xdist."""
    here = "tests/unit/test_switches.py::test_this_session_has_the_options_asked_for"
    done = session(root, here, "tests/gradient/test_guiding.py", "-n", workers, "--without", "guiding")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is about guiding, which --without switches off" in done.stdout
    assert re.search(r"\b1 passed, \d+ skipped in", done.stdout), done.stdout
