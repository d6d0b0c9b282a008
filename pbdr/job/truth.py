"""Targets that are rendered from a scene: by which sensors, by which integrator, and what else is seen besides radiance."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import encode_exr
from ..data.formats.mitsuba import ends
from ..data.pairing import described, match_names
from ..errors import DataError, OptionError
from ..inverse.losses import PLANES, get_losses
from ..scene import Scene, load_object
from ..seeds import hashed
from ..transport import media
from . import storage, warm
from .config import Job
from .results import write_png
from .rundir import RunDirectory

LANES = 1 << 22  # samples of one launch while rendering targets: bounds memory, not the result
TELL_SECONDS = 5.0  # between two messages


def image_size(sensor: Any) -> tuple[int, int]:
    """(width, height) of the image a sensor makes: its crop window."""
    size = sensor.film().crop_size()
    return int(size[0]), int(size[1])


def check_films(scene: Scene, sensors: Sequence[Any]) -> None:
    """Targets are RGB, so the films that are compared with them must be."""
    for number, sensor in enumerate(sensors):
        channels = int(sensor.film().base_channels_count())
        if channels not in (3, 4):
            raise DataError(
                f"{scene.source}: the film of sensor {number} has {channels} channel(s); set its pixel_format to rgb or rgba"
            )


def rendered(
    job: Job, scene: Scene, target: Scene, run: RunDirectory, progress: Callable[[str], None], camera_unknown: bool
) -> list[tuple[Path, Any, str, dict[str, Path]]]:
    """Targets by Mitsuba's `path`: (file, sensor that sees the estimate, what messages call the camera, files of planes) by view.

    They are kept as EXR in the run directory, and not rendered again after a resume.
    """
    told = 0.0
    found = []
    cameras = cameras_of_target(job, scene, target, progress, camera_unknown)
    for number, (sensor, estimate, label) in enumerate(cameras):
        path = run.images("target") / f"view-{number:03d}.exr"
        files = {plane: path.with_name(f"{path.stem}-{plane}.exr") for plane in channels_of(job)}
        if not all(file.is_file() for file in (path, *files.values())):
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                progress(f"rendering target {number + 1} of {len(cameras)}")
            seed = hashed(job.optim.seed, "target", number)
            image = render_path(target, sensor, job.data.target_spp, seed, job.render.integrator)
            if not np.isfinite(image).all():
                bad = int((~np.isfinite(image)).any(axis=2).sum())
                raise DataError(f"{job.data.target}: sensor {number} renders {bad} pixels that are not finite")
            for plane, values in planes_of(job, target, sensor, job.data.target_spp, seed).items():
                storage.write_bytes(files[plane], encode_exr(values[..., 0] if values.shape[2] == 1 else values))
            shown = image[..., :3]
            if job.data.background is not None and image.shape[2] == 4:  # as it is compared
                shown = shown + (1 - image[..., 3:]) * np.asarray(job.data.background, np.float32)
            write_png(path.with_suffix(".png"), shown)
            storage.write_bytes(path, encode_exr(image))
        found.append((path, estimate, label, files))
    return found


def channels_of(job: Job) -> dict[str, str]:
    """What a job compares besides radiance: plane → entry of `pathspace`'s option `aovs`."""
    chosen = warm.options(job)
    losses = [*([] if chosen is None else [chosen.loss]), *(loss for _, loss in get_losses(job.loss.terms))]
    found = {loss.plane: loss.channel() for loss in losses if loss.plane}
    if chosen is not None and found[chosen.loss.plane] != chosen.loss.channel():
        raise OptionError(
            f"[warm_start] shape = {chosen.shape!r}: the loss 'silhouette' is compared with another mask of the target; give both "
            "the same shape"
        )
    return found


def planes_of(job: Job, target: Scene, sensor: Any, spp: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """The planes (H, W, components) of a scene that the losses of a job compare, by name."""
    wanted = channels_of(job)
    if not wanted:
        return {}
    entries = ",".join(f"{plane}:{channel}" for plane, channel in wanted.items())
    tracer = load_object({"type": "pathspace", "max_depth": 1, "aovs": entries})
    image, first = whole(target, sensor, tracer, spp, hashed(seed, "planes")), int(sensor.film().base_channels_count())
    found = {}
    for plane in wanted:
        found[plane] = image[..., first : first + PLANES[plane][0]]
        first += PLANES[plane][0]
    return found


def cameras_of_target(
    job: Job, scene: Scene, target: Scene, progress: Callable[[str], None], camera_unknown: bool
) -> list[tuple[Any, Any, str]]:
    """(sensor that renders the target, sensor that renders the estimate, what messages call the first), view by view.

    The truth's sensors take the images. The estimate is seen by them, too, unless something of a camera is unknown: then by
    the sensors of the scene, as they are at the start. A truth without sensors is seen by those of the scene.
    """
    starts, truths = scene.sensors, target.sensors
    if not starts and not truths:
        raise DataError(f"neither {scene.source} nor {job.data.target} has a sensor")
    if not truths:
        check_films(scene, starts)
        return [(s, k, f"sensor {k} '{s.id()}' of {scene.source}") for k, s in enumerate(starts)]
    check_films(target, truths)
    labels = [f"sensor {k} '{s.id()}' of {job.data.target}" for k, s in enumerate(truths)]
    if not camera_unknown:
        if starts:
            seers = "the sensor" if len(truths) == 1 else f"the {len(truths)} sensors"
            progress(f"targets and estimates are seen by {seers} of {job.data.target}")
        return [(s, s, label) for s, label in zip(truths, labels, strict=True)]
    ids, others = [str(s.id()) for s in truths], [str(s.id()) for s in starts]
    if len(ids) != len(others):
        raise DataError(
            f"a camera is unknown, but {scene.source} has {len(others)} sensors ({ends(others)}), {job.data.target} {len(ids)} "
            f"({ends(ids)}); there must be one for each"
        )
    partners = match_names(ids, others)
    progress(
        "cameras are unknown; targets <- estimates: " + described([(ids[k], others[j]) for k, j in enumerate(partners)])
    )
    kinds = {(truth.class_name(), starts[j].class_name()) for truth, j in zip(truths, partners, strict=True)}
    for truth, start in sorted(kinds):
        if truth != start:
            progress(
                f"a {start} can only come near what a {truth} of {job.data.target} sees: give the scene sensors of its kind"
            )
    for label, truth, j in zip(labels, truths, partners, strict=True):
        if image_size(truth) != image_size(starts[j]):
            raise DataError(
                f"{label} has a film of {image_size(truth)}, sensor {j} of {scene.source} one of {image_size(starts[j])}"
            )
    return [(s, j, label) for s, j, label in zip(truths, partners, labels, strict=True)]


def render_path(scene: Scene, sensor: Any, spp: int, seed: int, integrator: Any) -> NDArray[np.float32]:
    """(H, W, 3 or 4) image by Mitsuba's own path tracer, of volumes where there are media.

    It has the depth and the emitter visibility of ``integrator``. That of a field, an object, renders it itself.
    """
    if not isinstance(integrator, dict):
        return render(scene, sensor, integrator, spp, seed)
    options: dict[str, Any] = {k: v for k, v in integrator.items() if k in ("max_depth", "rr_depth", "hide_emitters")}
    return render(scene, sensor, load_object({"type": media.reference(scene.mi, integrator), **options}), spp, seed)


def render(scene: Scene, sensor: Any, integrator: Any, spp: int, seed: int) -> NDArray[np.float32]:
    """(H, W, 3 or 4) linear image without extra channels or derivatives, in launches of bounded memory."""
    own = whole(scene, sensor, integrator, spp, seed)[..., : int(sensor.film().base_channels_count())]
    return np.ascontiguousarray(as_rgb(own, scene.source))


def whole(scene: Scene, sensor: Any, integrator: Any, spp: int, seed: int) -> NDArray[np.float32]:
    """(H, W, C) linear image with all channels and without derivatives, in launches of bounded memory."""
    import drjit as dr
    import mitsuba as mi

    width, height = image_size(sensor)
    launches = max(1, math.ceil(spp * width * height / LANES))
    total = np.zeros(1)
    with dr.suspend_grad():
        for launch in range(launches):
            share = spp * (launch + 1) // launches - spp * launch // launches
            if share:
                image = mi.render(scene.mi, sensor=sensor, integrator=integrator, spp=share, seed=hashed(seed, launch))
                total = total + share * np.array(image, dtype=np.float64)
    return np.ascontiguousarray(total / spp, dtype=np.float32)


def as_rgb(image: NDArray[Any], what: str) -> NDArray[Any]:
    """(H, W, C) as a film gives it → (H, W, 3), or (H, W, 4) with alpha; grey is repeated. DataError otherwise."""
    if image.ndim == 3 and image.shape[2] in (3, 4):
        return image
    if image.ndim == 3 and image.shape[2] in (1, 2):
        return np.concatenate([np.repeat(image[..., :1], 3, axis=2), image[..., 1:]], axis=2)
    raise DataError(f"{what}: the film has {image.shape[2]} channels; use pixel_format rgb, rgba or luminance")
