"""Cameras of a transforms.json as unknowns: they have names, share what they are told to share, and move."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pbdr.data import Camera, encode_png, write_transforms
from pbdr.errors import OptionError, ParameterError
from pbdr.inverse import Problem, fit
from pbdr.job import preflight, statement
from pbdr.job.config import Job, load_job

CHANGES = {
    'cameras = "scene"\ntarget = "truth.xml"\ntarget_spp = 64\nholdout = "every:4"': 'cameras = "transforms.json"'
}
CHANGES |= {'type = "prb", max_depth = 3': 'type = "pathspace", max_depth = 2'}
CHANGES |= {
    "[goal]\nrmse = { albedo = 0.05 }\n": "",
    "init = 0.5\nbounds = [0.0, 1.0]\nlr = 0.05\n": "",
    "steps = 12": "steps = 1",
}


def job(tiny: Callable[..., Path], variables: str) -> Job:
    """The tiny job with three images of a transforms.json."""
    path = tiny({**CHANGES, '[vars.albedo]\nmatch = "mat/base_color"': variables})
    frames = []
    for number, angle in enumerate((0.0, 1.0, 2.0)):
        eye = [4 * np.cos(angle), 4 * np.sin(angle), 1]
        camera = Camera.look_at(eye, [0, 0, 0], [0, 0, 1], 12, 12, np.radians(40))
        image = np.full((12, 12, 3), 0.2 + 0.1 * number, np.float32)
        (path.parent / f"{number}.png").write_bytes(encode_png(image))
        frames.append(camera)
    write_transforms(path.parent / "transforms.json", frames, [f"{number}.png" for number in range(3)])
    return load_job(path)[0]


def problem(given: Job) -> Problem:
    prepared = preflight.check(given)
    assert prepared.data is not None
    return statement.problem(given, prepared.scene, prepared.data)


def test_poses_and_a_shared_focal_length(tiny: Callable[..., Path]) -> None:
    variables = '[vars.pose]\nmatch = "camera-*/pose"\n[vars.focal]\nmatch = "camera-*/fov"\nshare = true'
    stated = problem(job(tiny, variables))
    assert [view.sensor for view in stated.views] == [0, 1, 2] and len(stated.bound.latents) == 4
    before, after = stated.bound.numpy(stated.bound.init()), fit(stated).values
    assert set(after) == {f"camera-00{k}/{role}" for k in range(3) for role in ("pose", "fov")}
    assert sum(np.abs(after[name] - before[name]).max() > 1e-5 for name in after) >= 2
    assert len({float(after[f"camera-00{k}/fov"][0]) for k in range(3)}) == 1


def test_a_glob_of_other_things_leaves_cameras_known(tiny: Callable[..., Path]) -> None:
    stated = problem(job(tiny, '[vars.albedo]\nmatch = "mat/base_color"'))
    assert not any(isinstance(view.sensor, int) for view in stated.views)


def test_what_is_refused(tiny: Callable[..., Path]) -> None:
    with pytest.raises(ParameterError, match="poses cannot be shared"):
        preflight.check(job(tiny, '[vars.pose]\nmatch = "camera-*/pose"\nshare = true'))
    with pytest.raises(ParameterError, match="camera-007/pose"):
        preflight.check(job(tiny, '[vars.pose]\nmatch = "camera-007/pose"'))
    given = job(tiny, '[vars.focal]\nmatch = "camera-*/fov"\nshare = true')
    path = Path(given.data.cameras)
    document = json.loads(path.read_text())
    document["frames"][1]["fl_x"] = document["frames"][1]["fl_y"] = 30.0
    path.write_text(json.dumps(document))
    with pytest.raises((ParameterError, OptionError), match="differ at the start"):
        preflight.check(given)
