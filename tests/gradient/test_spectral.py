"""The variant `llvm_ad_spectral`, in a process of its own: spectral_cases.py has the tests."""

import os
import subprocess
import sys
from pathlib import Path

import mitsuba as mi
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = "not slow"


def run(selection):
    """Run the tests of spectral_cases.py in the variant; their output, if one fails."""
    if "llvm_ad_spectral" not in mi.variants():
        pytest.skip("this Mitsuba has no llvm_ad_spectral")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", selection]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("spectral_cases.py"))],
        cwd=ROOT, env={**os.environ, "PBDR_VARIANT": "llvm_ad_spectral"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_quick():
    run(QUICK)


@pytest.mark.slow
def test_slow():
    run("slow")
