"""One Mitsuba variant for the whole session, chosen by pbdr.backend before anything imports Mitsuba."""

import gc
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

from pbdr import backend

backend.activate()

import drjit as dr

# Workers of pytest-xdist share the cores; a pool of all cores in each would only get in the others' way.
# Fewer than two threads, and Mitsuba hangs when it writes an EXR file.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
dr.set_thread_count(max(2, (os.cpu_count() or 1) // WORKERS))

ROOT = Path(__file__).resolve().parent.parent


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
