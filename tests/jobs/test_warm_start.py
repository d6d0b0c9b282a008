"""A job with [warm_start]: it begins near the truth, whose masks are rendered for it, and its mistakes are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pbdr.errors import OptionError
from pbdr.job import preflight, runner
from pbdr.job.config import load_job
from pbdr.job.truth import channels_of

SCENE = """<scene version="3.0.0">
  <shape type="cube" id="slab"><transform name="to_world"><scale x="0.5" y="0.2" z="0.3"/><translate {at}/></transform>
    <emitter type="area"><rgb name="radiance" value="1"/></emitter></shape>
  {sensors}
</scene>
"""
SENSOR = """<sensor type="perspective" id="camera-{i}"><float name="fov" value="45"/>
    <transform name="to_world"><lookat origin="{eye}" target="0, 0, 0" up="0, 0, 1"/></transform>
    <film type="hdrfilm"><integer name="width" value="16"/><integer name="height" value="16"/>
      <string name="pixel_format" value="rgb"/><rfilter type="box"/></film>
  </sensor>"""
SENSORS = "\n".join(SENSOR.format(i=i, eye=eye) for i, eye in enumerate(("0, -4, 1", "4, 0.5, 1")))
JOB = """version = 1
name = "warm"
[scene]
file = "scene.xml"
[data]
target = "truth.xml"
target_spp = 64
[render]
integrator = { type = "pathspace", max_depth = 1 }
spp = 4
[optim]
steps = 1
[warm_start]
steps = 60
lr = 0.1
resolution = 16
[vars.slab]
match = "slab/positions"
map = "rigid"
optimiser = "adam"
[output]
eval_spp = 4
error_bars = false
[guard]
audit = false
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for name, at in (("scene", 'x="0.9" y="0.3" z="0.9"'), ("truth", "")):
        (tmp_path / f"{name}.xml").write_text(SCENE.format(at=at, sensors=SENSORS))
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return path


def middle(folder: Path, name: str) -> np.ndarray:
    import trimesh

    return np.asarray(trimesh.load(folder / f"{name}.ply", process=False).vertices).mean(axis=0)


@pytest.mark.slow
def test_a_run_begins_near_the_truth(job, tmp_path):
    """One step of the fit is left: the way there is the warm start's. The log says how well outlines match, and where it began."""
    loaded, source = load_job(job, {"output.dir": str(tmp_path / "runs")})
    run = runner.run(runner.create(loaded, source), prepared=preflight.check(loaded)).run
    found = run.path / "eval" / "parameters" / "slab-positions"
    assert np.linalg.norm(middle(found, "init")) > 1.2 and np.linalg.norm(middle(found, "estimate")) < 0.25
    assert "warm start: 60 steps of soft silhouettes" in (run.path / "log.txt").read_text()
    assert (run.path / "images" / "target" / "view-000-silhouette.exr").is_file()


def test_masks_are_rendered_for_it(job):
    loaded, _ = load_job(job, {})
    assert channels_of(loaded) == {"silhouette": "mask"}
    one, _ = load_job(job, {"warm_start.shape": "slab"})
    assert channels_of(one) == {"silhouette": "mask(slab)"}
    both, _ = load_job(job, {"warm_start.shape": "slab", "loss.silhouette": 1.0})
    with pytest.raises(OptionError, match="compared with another mask"):
        channels_of(both)


def test_its_mistakes_leave_no_run(job):
    """A shape that is not there is found before anything is rendered."""
    loaded, _ = load_job(job, {"warm_start.shape": "slap"})
    with pytest.raises(OptionError, match=r"no shape 'slap'\. Closest: slab"):
        preflight.check(loaded)


def test_its_keys_are_checked(job):
    with pytest.raises(OptionError, match="warm_start"):
        load_job(job, {"warm_start.tries": 0})
