"""From the [data] section to views: cameras of the scene or of a transforms.json, images from disk or rendered."""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import LoadedImage, encode_exr, encode_png, load_image, read_frames, split_holdout
from ..errors import DataError
from ..inverse import View
from ..scene import Scene, load_object, load_scene
from ..seeds import hashed
from . import storage
from .config import DataSection, Job
from .rundir import RunDirectory

LANES = 1 << 22  # samples of one launch while rendering targets: bounds memory, not the result
OPAQUE = 0.999
TELL_SECONDS = 5.0  # between two messages


@dataclass(frozen=True)
class Dataset:
    """Views in order of name, split; ``target`` is the scene that holds the true parameters, when there is one."""

    training: list[View]
    held_out: list[View]
    sources: dict[str, str]
    target: Scene | None = None

    @property
    def views(self) -> list[View]:
        """All views, in order of their names."""
        return sorted(self.training + self.held_out, key=lambda view: view.name)


def load(job: Job, scene: Scene, run: RunDirectory, progress: Callable[[str], None]) -> Dataset:
    """Read or render every view of the job. DataError or SceneError, naming the file."""
    target: Scene | None = None
    sources: dict[str, str] = {}
    if job.data.cameras == "scene":
        _check_films(scene)
    if job.data.cameras != "scene":
        views = []
        for number, (frame, image) in enumerate(read_frames(job.data.cameras, job.data.color)):
            name = f"view-{number:03d}"
            sources[name] = str(frame.path)
            views.append(_view(name, load_object(frame.camera.to_dict()), image, job.data))
    elif job.data.images is not None:
        views = _given(job, scene, job.data.images, sources)
    else:
        target = load_scene(str(job.data.target), define=job.data.target_define, sensor_required=False)
        views = _rendered(job, scene, target, run, progress)
        sources = {view.name: f"{job.data.target}, sensor {view.sensor}" for view in views}
    training, held_out = split_holdout(views, job.data.holdout)
    return Dataset(training, held_out, sources, target)


def film_size(sensor: Any) -> tuple[int, int]:
    """(width, height) of the image a sensor makes: its crop window."""
    size = sensor.film().crop_size()
    return int(size[0]), int(size[1])


def _check_films(scene: Scene) -> None:
    """Targets are RGB, so the films that are compared with them must be."""
    for number, sensor in enumerate(scene.sensors):
        channels = int(sensor.film().base_channels_count())
        if channels not in (3, 4):
            raise DataError(
                f"{scene.source}: the film of sensor {number} has {channels} channel(s); set its pixel_format to rgb or rgba"
            )


def _view(name: str, sensor: Any, image: LoadedImage, data: DataSection) -> View:
    rgb, alpha = image.rgb, image.alpha
    if data.background is not None:
        if alpha is None:
            raise DataError(f"{image.path}: [data] background is set, but the image has no alpha channel")
        rgb = (rgb + (1.0 - alpha[..., None]) * np.asarray(data.background, np.float32)).astype(np.float32)
    if data.mask == "none":
        return View(rgb, sensor, None, name)
    if alpha is None:
        raise DataError(f'{image.path}: [data] mask = "{data.mask}" needs an alpha channel, which the image has not')
    mask = alpha if data.mask == "alpha" else (alpha >= OPAQUE).astype(np.float32)
    if not (mask > 0).any():
        raise DataError(f"{image.path}: the alpha channel is zero everywhere, so that no pixel counts")
    return View(rgb, sensor, mask, name)


def _given(job: Job, scene: Scene, pattern: str, sources: dict[str, str]) -> list[View]:
    files = [Path(p) for p in sorted(glob.glob(pattern))]
    if len(files) != len(scene.sensors):
        raise DataError(
            f"[data] images = '{pattern}' finds {len(files)} files, the scene has {len(scene.sensors)} sensors"
        )
    views = []
    for number, (path, sensor) in enumerate(zip(files, scene.sensors, strict=True)):
        image = load_image(path, job.data.color)
        if image.size != film_size(sensor):
            width, height = film_size(sensor)
            raise DataError(
                f"{path}: {image.size[0]} x {image.size[1]} pixels, but sensor {number} of {scene.source} "
                f"has a film of {width} x {height}"
            )
        name = f"view-{number:03d}"
        sources[name] = str(path)
        views.append(_view(name, number, image, job.data))
    return views


def _rendered(job: Job, scene: Scene, target: Scene, run: RunDirectory, progress: Callable[[str], None]) -> list[View]:
    """Targets by Mitsuba's `path`. They are kept as EXR in the run directory and read back after a resume."""
    views, told = [], 0.0
    for number, sensor in enumerate(scene.sensors):
        name = f"view-{number:03d}"
        path = run.images("target") / f"{name}.exr"
        if not path.is_file():
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                progress(f"rendering target {number + 1} of {len(scene.sensors)}")
            seed = hashed(job.optim.seed, "target", number)
            image = render_path(target, sensor, job.data.target_spp, seed, job.render.integrator)
            if not np.isfinite(image).all():
                bad = int((~np.isfinite(image)).any(axis=2).sum())
                raise DataError(f"{job.data.target}: sensor {number} renders {bad} pixels that are not finite")
            storage.write_bytes(path, encode_exr(image))
            storage.write_bytes(path.with_suffix(".png"), encode_png(image[..., :3]))
        views.append(_view(name, number, load_image(path), job.data))
    return views


def render_path(scene: Scene, sensor: Any, spp: int, seed: int, integrator: dict[str, Any]) -> NDArray[np.float32]:
    """(H, W, 3 or 4) image by Mitsuba's own path tracer, with the depth and emitter visibility of ``integrator``."""
    options: dict[str, Any] = {k: v for k, v in integrator.items() if k in ("max_depth", "rr_depth", "hide_emitters")}
    return render(scene, sensor, load_object({"type": "path", **options}), spp, seed)


def render(scene: Scene, sensor: Any, integrator: Any, spp: int, seed: int) -> NDArray[np.float32]:
    """(H, W, 3 or 4) linear image, without derivatives, in launches of bounded memory."""
    import drjit as dr
    import mitsuba as mi

    width, height = film_size(sensor)
    launches = max(1, math.ceil(spp * width * height / LANES))
    total = np.zeros(1)
    with dr.suspend_grad():
        for launch in range(launches):
            share = spp * (launch + 1) // launches - spp * launch // launches
            if share:
                image = mi.render(scene.mi, sensor=sensor, integrator=integrator, spp=share, seed=hashed(seed, launch))
                total = total + share * as_rgb(np.array(image, dtype=np.float64), scene.source)
    return np.ascontiguousarray(total / spp, dtype=np.float32)


def as_rgb(image: NDArray[Any], what: str) -> NDArray[Any]:
    """(H, W, C) as a film gives it → (H, W, 3), or (H, W, 4) with alpha; grey is repeated. DataError otherwise."""
    if image.ndim == 3 and image.shape[2] in (3, 4):
        return image
    if image.ndim == 3 and image.shape[2] in (1, 2):
        return np.concatenate([np.repeat(image[..., :1], 3, axis=2), image[..., 1:]], axis=2)
    raise DataError(f"{what}: the film has {image.shape[2]} channels; use pixel_format rgb, rgba or luminance")
