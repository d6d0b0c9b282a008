"""One Mitsuba variant for the whole session, chosen by pbdr.backend before anything imports Mitsuba; `--without NAME`."""

import contextlib
import gc
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("PBDR_COMPILE", "quick")  # most tests run a kernel once
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its idle threads spin

import pytest

pytest.register_assert_rewrite("validation")  # what fails there shows its values, as in a test

from pbdr import backend
from tests import slow_cases
from tests.suite_cost import SuiteCost
from validation.switches import SWITCHES

backend.activate()

import drjit as dr

# Workers of pytest-xdist share the cores; a pool of all cores in each would only get in the others' way.
# Fewer than two threads, and Mitsuba hangs when it writes an EXR file.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
dr.set_thread_count(max(2, (os.cpu_count() or 1) // WORKERS))

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--without`; workers of pytest-xdist are told its values."""
    parser.addoption(
        "--without", action="append", default=[], choices=list(SWITCHES), metavar="NAME",
        help="run without a part of the sampling, may be given repeatedly: "
        + "; ".join(f"{name} ({switch.label})" for name, switch in SWITCHES.items()),
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Switch off what `--without` names, for tests that do not set the option themselves."""
    stack = contextlib.ExitStack()
    config.add_cleanup(stack.close)
    if not hasattr(config, "workerinput"):  # one process sums up for all workers
        config.pluginmanager.register(SuiteCost())
    for name in config.getoption("without"):
        stack.enter_context(SWITCHES[name].off())


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is off."""
    return [f"without {name}: {SWITCHES[name].label}" for name in config.getoption("without")]


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what only `make test-all` runs; skip tests that are about what is off."""
    slow_cases.mark(items)
    for item in items:
        for name in (name for marker in item.iter_markers("needs") for name in marker.args):
            if name not in SWITCHES:
                raise pytest.UsageError(f"{item.nodeid} needs '{name}'; known: {', '.join(SWITCHES)}")
            if name in config.getoption("without"):
                item.add_marker(pytest.mark.skip(reason=f"is about {name}, which --without switches off"))


def pytest_collection_finish() -> None:
    """What exists now lives as long as the process: collections before every test (below) need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Meshes, environment maps and photographs beside the checkout; tests that need them skip without."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def scenes_of_earlier_tests_are_gone() -> None:
    """Dr.Jit 1.5.0 compiles calls of shapes for every shape of the process, and writes some functions twice if there are many: then
    LLVM refuses the kernel and the process ends. Scenes that only cycles keep alive would add to them."""
    gc.collect()
