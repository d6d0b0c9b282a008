"""Jobs of Gaussians: fit, resume, eval, export, and what does not go together with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians import at_random, read_ply, write_ply
from pbdr.job import preflight, runner
from pbdr.job.config import load_job
from pbdr.job.rundir import RunDirectory
from validation import own_section
from validation.command_line import run as command
from validation.own_section import Tiny

SECTION = """[gaussians]
box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]
count = 60
rate = 3.0
relocate = 10
"""


def gaussian_job(tiny: Tiny, changes: dict[str, str] | None = None) -> Path:
    return own_section.job(tiny, SECTION, 40, 5, changes)


@pytest.mark.slow
def test_gaussians_are_fitted_resumed_scored_and_exported(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that is stopped half-way follows one that is not; `eval` scores and `export` writes what the run has found."""
    job, text = load_job(gaussian_job(tiny), {"output.dir": str(tmp_path / "runs")})
    whole = runner.create(job, text)
    outcome = runner.run(whole)
    found = outcome.metrics
    assert outcome.exit_code == 0 and found["held_out"]["psnr"] > found["held_out"]["psnr_init"] + 2
    half = runner.create(load_job(gaussian_job(tiny), {"output.dir": str(tmp_path / "half")})[0], text)
    assert runner.run(half, own_section.Stops(15)).exit_code == runner.INTERRUPTED
    runner.run(RunDirectory.open(half.path))
    np.testing.assert_allclose(own_section.losses(half.path), own_section.losses(whole.path), rtol=2e-2)
    code, out, _ = command(capfd, "eval", str(whole.path), "--spp", "1", "--json")
    assert code == 0 and json.loads(out)["images"], out
    code, out, _ = command(capfd, "export", str(whole.path), "--json")
    assert code == 0 and json.loads(out)["formats"]["gaussians"]["check"]["ok"], out
    made = read_ply(whole.path / "export" / "gaussians.ply")
    assert len(made) == 60 and made.degree == 1
    code, _, told = command(capfd, "export", str(whole.path), "--format", "obj")
    assert code == 2 and "PLY file of 3DGS alone" in told
    again = gaussian_job(
        tiny,
        {"box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]\n": f'start = "{whole.path / "export" / "gaussians.ply"}"\n'},
    )
    prepared = preflight.check(load_job(again, {"output.dir": str(tmp_path / "more")})[0])
    assert prepared is not None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]\n", "", "give the box"),
        ("[[-1.2, -1.2, -1.2]", "[[1.2, -1.2, -1.2]", "lower corner"),
        ("count = 60", 'start = "none.ply"', "box is for random ones"),
        ("box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]", 'start = "none.ply"', "no such file"),
        (
            "[gaussians]",
            "[field]\nbox = [[-1, -1, -1], [1, 1, 1]]\n\n[gaussians]",
            r"\[gaussians\] means nothing beside \[field\]",
        ),
        ("[gaussians]", '[loss]\nimage = "l1"\n\n[gaussians]', r"\[loss\] means nothing beside \[gaussians\]"),
        ("steps = 40", 'steps = 40\nlr_decay = "none"', "lr_decay means nothing"),
        ("count = 60", "count = 0", "count"),
    ],
)
def test_what_does_not_go_together(tiny: Tiny, old: str, new: str, told: str) -> None:
    with pytest.raises((OptionError, DataError), match=told):
        job, _ = load_job(gaussian_job(tiny, {old: new}))
        preflight.check(job)


def test_a_file_to_start_from(tiny: Tiny) -> None:
    """Relative to the job; its number is its own, its degree the job's."""
    path = gaussian_job(tiny, {"box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]": 'start = "cloud.ply"'})
    write_ply(path.with_name("cloud.ply"), at_random(7, [0, 0, 0], [1, 1, 1], degree=3))
    from pbdr.job import gaussians

    made = gaussians.start(load_job(path)[0])
    assert len(made) == 7 and made.degree == 1
