"""How good an estimate is: its images, surfaces, shapes and light against a truth, and both under other light.

Every number is given raw and, where scale may be unobservable, aligned; `PROTOCOLS` says in words what each means.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import lights
from ..data import encode_png
from ..data.formats.transforms import read_cameras
from ..errors import DataError, OptionError
from ..inverse import exposure
from ..job import evaluate, metrics, storage, views
from ..job.estimate import Estimate
from ..job.results import slug
from ..parameters.recipe import with_values
from ..scene import Scene, load_object, load_scene, sensor_of
from ..seeds import hashed
from . import environment, images, shapes, surfaces
from .images import Pair

TRAINING = 16  # training views that are scored, at most
TARGET = "target"  # in place of a file: the sensors of the target scene

PROTOCOLS: dict[str, Any] = {
    "images": {**images.PROTOCOLS, "exposure": metrics.EXPOSURE_PROTOCOL}, "surfaces": surfaces.PROTOCOLS,
    "shapes": shapes.PROTOCOL, "environment": environment.PROTOCOL,
    "relight": "both scenes with one environment map in place of all their own lights, seen by the same cameras; measures as"
    " of images",
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One camera: a sensor that sees the estimate, one that sees the truth, and the image that was taken, where there is one.

    `time` is what functions of time get.
    """

    name: str
    group: str
    sensor: Any
    true_sensor: Any
    image: Any = None
    mask: Any = None
    time: float = 0.0


@dataclass(frozen=True)
class Request:
    """What is asked for.

    target   scene file of the truth; None: the job's, if it has one
    views    a transforms.json, or TARGET; None: the views of the job
    relight  environment maps
    spp      samples per pixel
    """

    target: Path | None = None
    views: str | None = None
    relight: Sequence[Path] = field(default_factory=tuple)
    spp: int = 64


def evaluate_run(
    estimate: Estimate, request: Request, tell: Callable[[str], None] = lambda _: None, folder: Path | None = None
) -> dict[str, Any]:
    """Score the estimate of a run, and write scores.json, images and heat maps to `folder` (RUN/eval/scores); returns the scores.

    Raises DataError, SceneError, OptionError for what is missing.
    """
    folder = estimate.run.path / "eval" / "scores" if folder is None else folder
    if estimate.job.own:
        _check_field(request)
    truth = None if estimate.job.own else _truth(estimate, request)
    shots = _shots(estimate, request, truth, tell)
    loaded = [(path, lights.from_file(path)) for path in request.relight]  # before anything is rendered
    result: dict[str, Any] = {
        "run": str(estimate.run.path), "step": estimate.step, "truth": None if truth is None else truth.source,
        "spp": request.spp, "protocol": PROTOCOLS,
    }  # fmt: skip
    options = estimate.integrator
    result |= compared(estimate.scene, truth, shots, options, request.spp, tell, folder, _Seen(estimate))
    if loaded:
        with tempfile.TemporaryDirectory() as temporary:
            rebuilt = with_values(estimate.scene, estimate.variables.moved, Path(temporary))
            result["relight"] = {
                slug(path.stem): relit(
                    rebuilt, truth, shots, light, options, request.spp, tell, folder / slug(path.stem)
                )
                for path, light in loaded
            }
    storage.write_json(folder / "scores.json", result)
    return result


def _check_field(request: Request) -> None:
    """Raise OptionError for what a field cannot be asked: it has no surfaces, and no light falls on it."""
    for option, given in (("--target", request.target), ("--views", request.views), ("--relight", request.relight)):
        if given:
            raise OptionError(
                f"{option}: the run is of a radiance field or of Gaussians, of which the images of the job's views are scored, "
                "and nothing else"
            )


class _Seen:
    """What differs from view to view of a run: the time of the scene, and the exposure of its images."""

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate

    def move(self, shot: Shot) -> None:
        """Write the values at the time of a view into the scene."""
        if self.estimate.variables.timed:
            self.estimate.variables.apply(self.estimate.latents, time=shot.time)

    def exposure(self, shot: Shot, image: Any) -> float:
        """The factor of an image that was taken; 1 for cameras that are asked about."""
        if shot.image is None:
            return 1.0
        return exposure.of_view(self.estimate.latents, shot.name, image, shot.image, shot.mask)


def compared(
    scene: Scene, truth: Scene | None, shots: Sequence[Shot], options: dict[str, Any], spp: int,
    tell: Callable[[str], None], folder: Path | None = None, seen: _Seen | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Scores of a scene against its images, and against the truth where there is one. `seen`: what a run knows of its views."""
    pairs, ours = [], []
    for shot in shots:
        tell(f"rendering {shot.name}")
        target = shot.image
        if target is None:
            if truth is None:
                raise DataError(f"{shot.name}: there is neither an image nor a target scene to compare with")
            target = _image(truth, shot.true_sensor, options, spp, "truth", shot.name)
        if seen is not None:
            seen.move(shot)
        image = _image(scene, shot.sensor, options, spp, "estimate", shot.name)
        image = image if seen is None else image * seen.exposure(shot, image)
        pairs.append(Pair(shot.name, shot.group, image, target, shot.mask))
        if truth is not None:
            ours.append(surfaces.seen(scene, shot.sensor))
    result: dict[str, Any] = {"images": images.scores(pairs)}
    if folder is not None:
        _write(folder / "images", pairs)
    if truth is not None:
        tell("comparing surfaces, shapes and light")
        result["surfaces"] = surfaces.scores(ours, [surfaces.seen(truth, shot.true_sensor) for shot in shots])
        result["shapes"] = shapes.scores(scene, truth)
        result["environment"] = environment.scores(scene, truth)
    return result


def relit(
    scene: Scene, truth: Scene | None, shots: Sequence[Shot], light: dict[str, Any], options: dict[str, Any], spp: int,
    tell: Callable[[str], None], folder: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Scores of a scene (with its values in its recipe) against the truth, both under one light; without a truth, images alone."""
    ours = lights.relit(scene, light)
    theirs = None if truth is None else lights.relit(truth, light)
    pairs = []
    for shot in shots:
        tell(f"rendering {shot.name} under other light")
        image = _image(ours, shot.sensor, options, spp, "relit", shot.name)
        target = None if theirs is None else _image(theirs, shot.true_sensor, options, spp, "relit truth", shot.name)
        if target is None and folder is not None:
            storage.write_bytes(folder / f"{shot.name}.png", encode_png(image))
        elif target is not None:
            pairs.append(Pair(shot.name, shot.group, image, target))
    if folder is not None:
        _write(folder, pairs)
    return images.scores(pairs) if pairs else {"images": str(folder)}


def _image(scene: Scene, sensor: Any, options: dict[str, Any], spp: int, *names: str) -> Any:
    image = views.render_path(scene, sensor, spp, hashed(0, "scores", *names), options)[..., :3]
    if not np.isfinite(image).all():
        raise DataError(f"{scene.source}: {names[-1]} renders pixels that are not finite")
    return image


def _write(folder: Path, pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        storage.write_bytes(folder / f"{pair.name}.png", encode_png(pair.image))
        storage.write_bytes(folder / f"{pair.name}-target.png", encode_png(pair.target))
        heat = images.heat_map(pair)
        if heat is not None:
            storage.write_bytes(folder / f"{pair.name}-flip.png", heat)


def _truth(estimate: Estimate, request: Request) -> Scene | None:
    data = estimate.job.data
    if request.target is not None:
        return load_scene(request.target, sensor_required=False)
    if data.target is None:
        return None
    return load_scene(data.target, define=data.target_define, sensor_required=False, clamp=estimate.job.scene.clamp)


def _shots(estimate: Estimate, request: Request, truth: Scene | None, tell: Callable[[str], None]) -> list[Shot]:
    if request.views == TARGET:
        if truth is None or not truth.sensors:
            raise OptionError(
                f"--views {TARGET}: there is no target scene with sensors; give --target SCENE.xml, or a "
                f"transforms.json"
            )
        return [Shot(str(sensor.id()), "target's sensors", sensor, sensor) for sensor in truth.sensors]
    if request.views is not None:
        if truth is None:
            raise OptionError(f"--views {request.views}: there is no truth to see there; give --target SCENE.xml")
        found = []
        for name, camera in read_cameras(request.views):
            sensor = load_object(camera.to_dict())
            found.append(Shot(slug(name), "views given", sensor, sensor))
        return found
    data = estimate.views(tell)
    held = {view.name for view in data.held_out}
    own = estimate.job.data.target
    cameras = {}
    if own is not None and truth is not None and request.target is None:
        unknown = bool(views.camera_unknowns(estimate.job, estimate.scene))
        rows = views.cameras_of_target(estimate.job, estimate.scene, truth, lambda _: None, unknown)
        cameras = {f"view-{number:03d}": row[0] for number, row in enumerate(rows)}
    shots = []
    for view in evaluate.scored(data, TRAINING, ()):
        sensor = sensor_of(estimate.scene, view.sensor)
        mask = None if view.mask is None else np.asarray(view.mask)
        group = "held-out" if view.name in held else "training"
        shots.append(
            Shot(view.name, group, sensor, cameras.get(view.name, sensor), np.asarray(view.target), mask, view.time)
        )
    return shots
