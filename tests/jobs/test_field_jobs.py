"""Jobs of radiance fields: fit, resume, eval, and what does not go together with a field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pbdr.errors import OptionError
from pbdr.job import preflight, runner
from pbdr.job.config import load_job
from pbdr.job.rundir import RunDirectory
from validation import own_section
from validation.command_line import run as command
from validation.own_section import Tiny

FIELD = """[field]
kind = { type = "voxels", resolution = 8, grids = 2 }
box = [[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]]
rays = 128
samples = 12
prior = { tv = 1e-3, distortion = 1e-3, entropy = 1e-3 }
"""


def field_job(tiny: Tiny, changes: dict[str, str] | None = None) -> Path:
    return own_section.job(tiny, FIELD, 24, 10, changes)


def test_a_field_is_fitted_resumed_and_scored(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run that is stopped half-way follows one that is not; `eval` scores what the run has found."""
    job, text = load_job(field_job(tiny), {"output.dir": str(tmp_path / "runs")})
    whole = runner.create(job, text)
    outcome = runner.run(whole)
    found = outcome.metrics
    assert outcome.exit_code == 0 and found["held_out"]["psnr"] > found["held_out"]["psnr_init"] + 3
    assert (whole.path / "images" / "final" / "view-000.png").is_file()
    half = runner.create(load_job(field_job(tiny), {"output.dir": str(tmp_path / "half"), "optim.steps": 24})[0], text)
    assert runner.run(half, own_section.Stops(9)).exit_code == runner.INTERRUPTED
    runner.run(RunDirectory.open(half.path))
    np.testing.assert_allclose(own_section.losses(half.path), own_section.losses(whole.path), rtol=2e-3)
    code, out, _ = command(capfd, "eval", str(whole.path), "--spp", "4", "--json")
    scores = json.loads(out)
    assert code == 0, out
    assert scores["images"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[field]", '[vars.a]\nmatch = "mat/base_color"\n[field]', "[vars] means nothing beside [field]"),
        ("steps = 24", "steps = 24\nviews_per_step = 3", "views_per_step means nothing beside [field]"),
        ('type = "voxels"', 'type = "voxel"', "Closest: voxels"),
        ("1.2]]", "1.2], [0, 0, 0]]", "[field] box"),
        ("tv = 1e-3", "tvv = 1e-3", "Closest: 'tv'"),
        ("[goal]", '[loss]\nimage = "ssim"\n[goal]', "a field is compared ray by ray"),
        ("rays = 128", "rays = 0", "[field] rays"),
        ("[[-1.2, -1.2, -1.2]", "[[1.4, -1.2, -1.2]", "the lower one first"),
    ],
    ids=lambda value: value[:14],
)
def test_mistakes_are_told(tiny: Tiny, old: str, new: str, told: str) -> None:
    path = field_job(tiny, {old: new})
    with pytest.raises(OptionError) as raised:
        preflight.check(load_job(path)[0])
    assert told in str(raised.value)
