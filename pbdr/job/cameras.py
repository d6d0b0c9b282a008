"""Cameras of files as unknowns: they become sensors of the scene, `camera-000` for `view-000`, whose parameters have names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ..data import Frame
from ..errors import OptionError
from ..parameters.sensors import with_sensors
from ..scene import Scene
from .config import Job

PREFIX = "camera-"


def wanted(job: Job) -> bool:
    """Whether a variable of a job, whose cameras are those of files, may mean one of these: its pattern begins as they do."""
    if job.data.cameras == "scene":
        return False
    patterns: list[str] = []
    for variable in job.vars.values():
        for given in (variable.match, variable.raw):
            patterns += [] if given is None else [given] if isinstance(given, str) else given
    things = [pattern.split("/")[0].split(".")[0] for pattern in patterns if not pattern.startswith("!")]
    return any(thing.startswith(PREFIX) or fnmatch.fnmatchcase(f"{PREFIX}000", thing) for thing in things)


def inserted(scene: Scene, frames: Sequence[Frame], source: str) -> Scene:
    """Return the scene with the cameras of the frames in place of its own; the scene itself if they are its own.

    Raises OptionError for cameras that are sensors of another scene.
    """
    if all(isinstance(frame.sensor, int) for frame in frames):
        return scene
    if any(frame.camera is None for frame in frames):
        raise OptionError(
            f"cameras of {source} cannot be unknown: use a transforms.json or a COLMAP model, or leave them out"
        )
    return with_sensors(scene, {name(number): frame.camera.to_dict() for number, frame in enumerate(frames)})


def name(number: int) -> str:
    """Return the id of the sensor of view `number`."""
    return f"{PREFIX}{number:03d}"


def index(job: Job, scene: Scene, view: str) -> int | None:
    """Return the index of the sensor that a view was given by `inserted`; None if cameras are known."""
    if not wanted(job):
        return None
    ids = [str(sensor.id()) for sensor in scene.sensors]
    own = PREFIX + view.removeprefix("view-")
    return ids.index(own) if own in ids else None
