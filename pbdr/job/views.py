"""From the [data] section to views: cameras of the scene or of a transforms.json, images from disk or rendered."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import LoadedImage, encode_exr, encode_png, find_images, load_image, read_frames, split_holdout
from ..errors import DataError, OptionError, closest
from ..inverse import View
from ..parameters import of_sensor, resolve
from ..scene import Scene, load_object, load_scene
from ..seeds import hashed
from . import storage
from .config import DataSection, Job
from .pairing import SHOWN, described, match_names, pair
from .rundir import RunDirectory

LANES = 1 << 22  # samples of one launch while rendering targets: bounds memory, not the result
OPAQUE = 0.999
TELL_SECONDS = 5.0  # between two messages


@dataclass(frozen=True)
class Dataset:
    """Views in order of name, split; ``target`` is the scene that holds the true parameters, when there is one.

    By view, ``sources`` says what its image is, ``seen_by`` which camera it has.
    """

    training: list[View]
    held_out: list[View]
    sources: dict[str, str]
    target: Scene | None = None
    seen_by: dict[str, str] = field(default_factory=dict)

    @property
    def views(self) -> list[View]:
        """All views, in order of their names."""
        return sorted(self.training + self.held_out, key=lambda view: view.name)


def load(job: Job, scene: Scene, run: RunDirectory | None, progress: Callable[[str], None]) -> Dataset:
    """Read or render every view of the job, and note in the run directory what each is. DataError or SceneError, naming the file.

    Without `run`, nothing is written, and targets cannot be rendered.
    """
    target: Scene | None = None
    sources: dict[str, str] = {}
    moved = camera_unknowns(job, scene)
    if job.data.cameras != "scene":
        views, seen_by = _posed(job, sources, progress)
    elif job.data.images is not None:
        _check_films(scene, scene.sensors)
        views, seen_by = _given(job, scene, job.data.images, sources, run, progress)
    else:
        target = load_scene(
            str(job.data.target), define=job.data.target_define, sensor_required=False, clamp=job.scene.clamp
        )
        views, seen_by = _rendered(job, scene, target, run, progress, bool(moved))
        sources = {view.name: f"{job.data.target}, {seen_by[view.name]}" for view in views}
    training, held_out = split_holdout(_weighed(views, sources, job.loss.views), job.data.holdout)
    data = Dataset(training, held_out, sources, target, seen_by)
    if run is not None:
        note(run, data)
    return data


def _weighed(views: list[View], sources: dict[str, str], weights: Mapping[str, float]) -> list[View]:
    """Views with the weights of the patterns that match their name or that of their image. OptionError if one matches none."""
    found = {view.name: view for view in views}
    for pattern, weight in weights.items():
        chosen = [
            name for name in found
            if any(fnmatch.fnmatchcase(x, pattern) for x in (name, Path(sources[name]).name, Path(sources[name]).stem))
        ]  # fmt: skip
        if not chosen:
            names = [Path(sources[name]).name for name in found]
            hint = closest(pattern, [*found, *names]) or list(found)[:3]
            raise OptionError(f"[loss] views = {pattern!r} matches no view. Closest: {', '.join(hint)}")
        found |= {name: replace(found[name], weight=weight) for name in chosen}
    return list(found.values())


def note(run: RunDirectory, data: Dataset) -> None:
    """Write views.json: what each view is."""
    held = {view.name for view in data.held_out}
    entries = [
        {"view": v.name, "set": "held-out" if v.name in held else "training", "camera": data.seen_by[v.name],
         "image": data.sources.get(v.name, ""), "mask": v.mask is not None}
        for v in data.views
    ]  # fmt: skip
    storage.write_json(run.path / "views.json", {"views": entries})


def camera_unknowns(job: Job, scene: Scene) -> list[str]:
    """Names of the job's unknowns that belong to sensors of the scene. OptionError where no view is seen by these."""
    names = [
        parameter.name
        for variable in job.vars.values()
        for parameter in resolve(scene, variable.match, raw=variable.raw)
        if of_sensor(scene, parameter)
    ]
    if names and job.data.cameras != "scene":
        raise OptionError(
            f"{', '.join(names)} belongs to a sensor of {scene.source}, but images are seen by the cameras of {job.data.cameras}: "
            'use cameras = "scene", or leave this variable out'
        )
    return names


def _posed(job: Job, sources: dict[str, str], progress: Callable[[str], None]) -> tuple[list[View], dict[str, str]]:
    """Views of a transforms.json."""
    data = job.data
    frames = read_frames(
        data.cameras,
        data.color,
        missing=data.missing,
        exif=data.exif,
        layer=data.layer,
        masks=data.frame_masks,
        tell=progress,
    )
    _tell_orientation([image for _, image in frames], data, progress)
    views, seen_by = [], {}
    for number, (frame, image) in enumerate(frames):
        name = f"view-{number:03d}"
        sources[name] = str(frame.path)
        seen_by[name] = f"frame of {data.cameras}"
        views.append(_view(name, load_object(frame.camera.to_dict()), image, data))
    masks = sum(frame.mask is not None for frame, _ in frames)
    if masks:
        progress(f"{masks} of {len(frames)} frames have a mask file, which is used")
    return views, seen_by


def _tell_orientation(images: Sequence[LoadedImage], data: DataSection, progress: Callable[[str], None]) -> None:
    found = [image for image in images if image.orientation != 1]
    if found:
        what = (
            "turned as it says"
            if data.exif == "apply"
            else 'ignored: pixels are as stored; [data] exif = "apply" turns them'
        )
        first = f"{found[0].path.name}: {found[0].orientation}"
        progress(f"{len(found)} of {len(images)} images have an EXIF orientation ({first}), {what}")


def image_size(sensor: Any) -> tuple[int, int]:
    """(width, height) of the image a sensor makes: its crop window."""
    size = sensor.film().crop_size()
    return int(size[0]), int(size[1])


def _check_films(scene: Scene, sensors: Sequence[Any]) -> None:
    """Targets are RGB, so the films that are compared with them must be."""
    for number, sensor in enumerate(sensors):
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
    mask = image.mask
    if data.mask != "none":
        if alpha is None:
            raise DataError(
                f'{image.path}: [data] mask = "{data.mask}" needs an alpha channel, which the image has not'
            )
        opaque = alpha if data.mask == "alpha" else (alpha >= OPAQUE).astype(np.float32)
        mask = opaque if mask is None else opaque * mask
        if not (mask > 0).any():
            raise DataError(f"{image.path}: the alpha channel is zero wherever a pixel may count, so that none does")
    return View(rgb, sensor, mask, name)


def _given(
    job: Job,
    scene: Scene,
    pattern: str,
    sources: dict[str, str],
    run: RunDirectory | None,
    progress: Callable[[str], None],
) -> tuple[list[View], dict[str, str]]:
    """Views whose images are files, one for each sensor of the scene."""
    found = find_images(pattern)
    ids = [str(sensor.id()) for sensor in scene.sensors]
    if len(found) != len(ids):
        raise DataError(
            f"[data] images = '{pattern}' finds {len(found)} files ({_ends([f.name for f in found])}), "
            f"{scene.source} has {len(ids)} sensors ({_ends(ids)}); there must be one image for each"
        )
    files, rule = pair(ids, found)
    pairs = [(name, file.name) for name, file in zip(ids, files, strict=True)]
    progress(f"images and sensors paired by {rule}: {described(pairs)}")
    if run is not None and len(pairs) > SHOWN:
        run.log(f"all pairs: {described(pairs, None)}")
    images = [load_image(path, job.data.color, layer=job.data.layer, exif=job.data.exif) for path in files]
    _tell_orientation(images, job.data, progress)
    views, seen_by = [], {}
    for number, (image, sensor) in enumerate(zip(images, scene.sensors, strict=True)):
        width, height = image_size(sensor)
        if image.size != (width, height):
            hint = ""
            if image.orientation >= 5 and image.size == (height, width):
                other = "ignore" if job.data.exif == "apply" else "apply"
                hint = f'. They are exchanged by its EXIF orientation {image.orientation}: [data] exif = "{other}"'
            raise DataError(
                f"{image.path}: {image.size[0]} x {image.size[1]} pixels, but sensor {number} ('{ids[number]}') of {scene.source} "
                f"has a film of {width} x {height}{hint}"
            )
        name = f"view-{number:03d}"
        sources[name] = str(image.path)
        seen_by[name] = f"sensor {number} '{ids[number]}' of {scene.source}"
        views.append(_view(name, number, image, job.data))
    return views, seen_by


def _ends(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{names[0]}, {names[1]}, ..., {names[-1]}"


def _rendered(
    job: Job,
    scene: Scene,
    target: Scene,
    run: RunDirectory | None,
    progress: Callable[[str], None],
    camera_unknown: bool,
) -> tuple[list[View], dict[str, str]]:
    """Targets by Mitsuba's `path`. They are kept as EXR in the run directory and read back after a resume."""
    if run is None:
        raise DataError("targets are rendered into a run directory, and there is none")
    told = 0.0
    views, seen_by = [], {}
    cameras = cameras_of_target(job, scene, target, progress, camera_unknown)
    for number, (sensor, estimate, label) in enumerate(cameras):
        name = f"view-{number:03d}"
        path = run.images("target") / f"{name}.exr"
        if not path.is_file():
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                progress(f"rendering target {number + 1} of {len(cameras)}")
            seed = hashed(job.optim.seed, "target", number)
            image = render_path(target, sensor, job.data.target_spp, seed, job.render.integrator)
            if not np.isfinite(image).all():
                bad = int((~np.isfinite(image)).any(axis=2).sum())
                raise DataError(f"{job.data.target}: sensor {number} renders {bad} pixels that are not finite")
            storage.write_bytes(path, encode_exr(image))
            storage.write_bytes(path.with_suffix(".png"), encode_png(image[..., :3]))
        seen_by[name] = label
        views.append(_view(name, estimate, load_image(path), job.data))
    return views, seen_by


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
        _check_films(scene, starts)
        return [(s, k, f"sensor {k} '{s.id()}' of {scene.source}") for k, s in enumerate(starts)]
    _check_films(target, truths)
    labels = [f"sensor {k} '{s.id()}' of {job.data.target}" for k, s in enumerate(truths)]
    if not camera_unknown:
        if starts:
            progress(f"targets and estimates are seen by the {len(truths)} sensors of {job.data.target}")
        return [(s, s, label) for s, label in zip(truths, labels, strict=True)]
    ids, others = [str(s.id()) for s in truths], [str(s.id()) for s in starts]
    if len(ids) != len(others):
        raise DataError(
            f"a camera is unknown, but {scene.source} has {len(others)} sensors ({_ends(others)}), {job.data.target} {len(ids)} "
            f"({_ends(ids)}); there must be one for each"
        )
    partners = match_names(ids, others)
    progress(
        "cameras are unknown; targets <- estimates: " + described([(ids[k], others[j]) for k, j in enumerate(partners)])
    )
    for label, truth, j in zip(labels, truths, partners, strict=True):
        if image_size(truth) != image_size(starts[j]):
            raise DataError(
                f"{label} has a film of {image_size(truth)}, sensor {j} of {scene.source} one of {image_size(starts[j])}"
            )
    return [(s, j, label) for s, j, label in zip(truths, partners, labels, strict=True)]


def render_path(scene: Scene, sensor: Any, spp: int, seed: int, integrator: dict[str, Any]) -> NDArray[np.float32]:
    """(H, W, 3 or 4) image by Mitsuba's own path tracer, with the depth and emitter visibility of ``integrator``."""
    options: dict[str, Any] = {k: v for k, v in integrator.items() if k in ("max_depth", "rr_depth", "hide_emitters")}
    return render(scene, sensor, load_object({"type": "path", **options}), spp, seed)


def render(scene: Scene, sensor: Any, integrator: Any, spp: int, seed: int) -> NDArray[np.float32]:
    """(H, W, 3 or 4) linear image without extra channels or derivatives, in launches of bounded memory."""
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
                own = np.array(image, dtype=np.float64)[..., : int(sensor.film().base_channels_count())]
                total = total + share * as_rgb(own, scene.source)
    return np.ascontiguousarray(total / spp, dtype=np.float32)


def as_rgb(image: NDArray[Any], what: str) -> NDArray[Any]:
    """(H, W, C) as a film gives it → (H, W, 3), or (H, W, 4) with alpha; grey is repeated. DataError otherwise."""
    if image.ndim == 3 and image.shape[2] in (3, 4):
        return image
    if image.ndim == 3 and image.shape[2] in (1, 2):
        return np.concatenate([np.repeat(image[..., :1], 3, axis=2), image[..., 1:]], axis=2)
    raise DataError(f"{what}: the film has {image.shape[2]} channels; use pixel_format rgb, rgba or luminance")
