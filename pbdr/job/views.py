"""From the [data] section to views: cameras of the scene or of files, images from disk or rendered, read when they are needed."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Cache, Frame, LoadedImage, Source, Streamed, find_images, formats, load_image, split_holdout
from ..data.cache import GIB
from ..data.formats.mitsuba import seen_by_sensors
from ..data.planes import load_depth, load_normal, partners
from ..errors import DataError, OptionError, closest
from ..inverse import View
from ..parameters import of_sensor, resolve
from ..scene import Scene, load_object, load_scene
from . import cameras, storage, truth
from .config import DataSection, Job
from .rundir import RunDirectory
from .truth import as_rgb, cameras_of_target, image_size, planes_of, render, render_path

__all__ = [
    "Dataset",
    "Shot",
    "as_rgb",
    "camera_unknowns",
    "cameras_of_target",
    "image_size",
    "load",
    "note",
    "planes_of",
    "render",
    "render_path",
    "rendered_sources",
    "source_of",
    "weights",
    "with_cameras",
]

OPAQUE = 0.999


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


@dataclass(frozen=True)
class Shot:
    """A frame, what is told of its image, and the files of its planes by name."""

    frame: Frame
    source: str
    planes: dict[str, Path] = field(default_factory=dict)


def load(
    job: Job, scene: Scene, run: RunDirectory | None, progress: Callable[[str], None], noted: bool = True
) -> Dataset:
    """Read or render every view of the job, and note in the run directory what each is. DataError or SceneError, naming the file.

    Without `run`, nothing is written, and targets cannot be rendered. With `noted` false, only what must be rendered is written.
    """
    source = source_of(job, scene, progress)
    target: Scene | None = None
    moved = camera_unknowns(job, scene)
    if job.data.target is None:
        shots = _photographed(job, scene, source)
    else:
        target = load_scene(
            job.data.target, define=job.data.target_define, sensor_required=False, clamp=job.scene.clamp
        )
        if run is None:
            raise DataError("targets are rendered into a run directory, and there is none")
        shots = [
            Shot(Frame(path, sensor=sensor, seen_by=label), f"{job.data.target}, {label}", files)
            for path, sensor, label, files in truth.rendered(job, scene, target, run, progress, bool(moved))
        ]
    views = [_view(f"view-{number:03d}", shot, source, job, scene) for number, shot in enumerate(shots)]
    sources = {view.name: shot.source for view, shot in zip(views, shots, strict=True)}
    seen_by = {view.name: shot.frame.seen_by for view, shot in zip(views, shots, strict=True)}
    weighed = weights(job, sources)
    views = [replace(view, weight=weighed.get(view.name, view.weight)) for view in views]
    training, held_out = split_holdout(views, job.data.holdout)
    data = Dataset(training, held_out, sources, target, seen_by)
    if run is not None and noted:
        note(run, data)
    return data


def with_cameras(job: Job, scene: Scene) -> Scene:
    """Return the scene in which the cameras of the job's files are sensors, if something of them is unknown; else the scene."""
    if not cameras.wanted(job):
        return scene
    return cameras.inserted(scene, formats.read(source_of(job, scene, lambda text: None)), job.data.cameras)


def source_of(job: Job, scene: Scene, progress: Callable[[str], None]) -> Source:
    """How the files of a job's data are read, with the cache that holds their images."""
    data = job.data
    cache: Cache[LoadedImage] = Cache(data.cache_gb * GIB, lambda image: image.nbytes)
    return Source(
        Path(data.cameras), data.images, data.color, data.layer, data.exif, data.missing, data.frame_masks, data.fov,
        scene.sensors, scene.source, progress, cache,
    )  # fmt: skip


def weights(job: Job, sources: Mapping[str, str]) -> dict[str, float]:
    """Weights of views by name, of which `sources` says what their images are; those that no pattern matches are left out.

    Raises OptionError for a pattern that matches none.
    """
    found: dict[str, float] = {}
    for pattern, weight in job.loss.views.items():
        chosen = [
            name for name, source in sources.items()
            if any(fnmatch.fnmatchcase(x, pattern) for x in (name, Path(source).name, Path(source).stem))
        ]  # fmt: skip
        if not chosen:
            names = [Path(source).name for source in sources.values()]
            hint = closest(pattern, [*sources, *names]) or list(sources)[:3]
            raise OptionError(f"[loss] views = {pattern!r} matches no view. Closest: {', '.join(hint)}")
        found |= dict.fromkeys(chosen, weight)
    return found


def rendered_sources(job: Job, labels: Sequence[str]) -> dict[str, str]:
    """What the images of `[data] target` are, by view; `labels` say which sensors see them."""
    return {f"view-{number:03d}": f"{job.data.target}, {label}" for number, label in enumerate(labels)}


def note(run: RunDirectory, data: Dataset) -> None:
    """Write views.json: what each view is."""
    held = {view.name for view in data.held_out}
    entries = [
        {"view": v.name, "set": "held-out" if v.name in held else "training", "camera": data.seen_by[v.name],
         "image": data.sources.get(v.name, ""), "mask": v.mask is not None, "planes": sorted(v.planes)}
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
    if names and job.data.cameras != "scene" and not cameras.wanted(job):
        raise OptionError(
            f"{', '.join(names)} belongs to a sensor of {scene.source}, but images are seen by the cameras of {job.data.cameras}: "
            'use cameras = "scene", or leave this variable out'
        )
    return names


def _photographed(job: Job, scene: Scene, source: Source) -> list[Shot]:
    """Images that are files, with their cameras, masks and planes."""
    data = job.data
    if data.cameras == "scene":
        truth.check_films(scene, scene.sensors)
        frames = seen_by_sensors(source, scene.sensors, scene.source)
    else:
        frames = formats.read(source)
    images = [frame.path for frame in frames]
    if data.masks is not None:
        named = [frame.path.name for frame in frames if frame.mask is not None]
        if named:
            raise DataError(
                f"[data] masks = {data.masks!r}, but frames name masks of their own ({named[0]}): leave one of them out, these by "
                "frame_masks = false"
            )
        masks = partners(images, find_images(data.masks), f"[data] masks = {data.masks!r}")
        frames = [replace(frame, mask=mask) for frame, mask in zip(frames, masks, strict=True)]
    planes: list[dict[str, Path]] = [{} for _ in frames]
    for plane, pattern in (("depth", data.depth), ("normal", data.normal)):
        if pattern is not None:
            files = partners(images, find_images(pattern), f"[data] {plane} = {pattern!r}")
            for own, file in zip(planes, files, strict=True):
                own[plane] = file
    masked = sum(frame.mask is not None for frame in frames)
    if masked:
        source.tell(f"{masked} of {len(frames)} frames have a mask file, which is used")
    _tell_orientation(source, images)
    return [Shot(frame, str(frame.path), own) for frame, own in zip(frames, planes, strict=True)]


def _view(name: str, shot: Shot, source: Source, job: Job, scene: Scene) -> View:
    """A view whose arrays are read when they are needed; here once, to check them."""
    frame, data = shot.frame, job.data

    def load() -> LoadedImage:
        return source.load(frame.path, frame.mask)

    image = load()
    shape = image.rgb.shape
    mask = _composed(image, data)[1]
    sensor = cameras.index(job, scene, name) if frame.sensor is None else frame.sensor
    sensor = load_object(frame.camera.to_dict()) if sensor is None else sensor
    seer = scene.sensors[sensor] if isinstance(sensor, int) else sensor
    planes: dict[str, Any] = {
        plane: _plane(plane, file, seer, job, shape[:2], frame.path) for plane, file in shot.planes.items()
    }
    if "silhouette" not in planes and (image.alpha is not None or image.mask is not None):
        planes["silhouette"] = Streamed(shape[:2], lambda: _outline(load()))
    return View(
        Streamed(shape, lambda: _composed(load(), data)[0]),  # type: ignore[arg-type]
        sensor,
        None if mask is None else Streamed(shape[:2], lambda: _composed(load(), data)[1]),  # type: ignore[arg-type, return-value]
        name,
        planes,
    )


def _outline(image: LoadedImage) -> NDArray[Any]:
    """What the object covers: the image's alpha, or its mask where it has none."""
    found = image.alpha if image.alpha is not None else image.mask
    assert found is not None
    return found


def _composed(image: LoadedImage, data: DataSection) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """(target, mask or None) of an image, as the job says. Raises DataError where it lacks what that needs."""
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
    return rgb, mask


def _plane(plane: str, file: Path, sensor: Any, job: Job, size: tuple[int, ...], image: Path) -> Streamed:
    """A plane that is read when it is needed; here once, to check its size."""
    depths = plane == "depth" and job.data.target is None

    def read() -> NDArray[Any]:
        if plane == "normal" and job.data.target is None:
            return load_normal(file)
        if not depths:
            found = load_image(file).rgb
            return found if plane == "normal" else found[..., 0]
        depth = load_depth(file, job.data.depth_scale)
        if job.data.depth_kind == "z" and depth.shape == size:
            depth = depth / cosines(sensor, size)
        return depth

    shape = read().shape
    if shape[:2] != size:
        raise DataError(f"{file}: {shape[1]} x {shape[0]} pixels, but the image {image} {size[1]} x {size[0]}")
    return Streamed(shape, read)


def cosines(sensor: Any, size: tuple[int, ...]) -> NDArray[np.float32]:
    """(H, W) cosines of the angles between the rays through pixel centres and the axis of a sensor: z over distance."""
    import mitsuba as mi

    height, width = size
    y, x = (np.ravel(grid) for grid in np.mgrid[:height, :width])
    at = mi.Point2f(mi.Float((x + 0.5) / width), mi.Float((y + 0.5) / height))
    ray, _ = sensor.sample_ray(0.0, 0.5, at, mi.Point2f(0.5))
    forward = np.array(sensor.world_transform().matrix, dtype=np.float64).reshape(4, 4)[:3, 2]
    directions = np.array(ray.d).reshape(3, -1)
    return np.asarray((forward / np.linalg.norm(forward)) @ directions, np.float32).reshape(height, width)


def _tell_orientation(source: Source, images: Sequence[Path]) -> None:
    turned = [path for path in images if source.orientations[path] != 1]
    if turned:
        what = (
            "turned as it says"
            if source.exif == "apply"
            else 'ignored: pixels are as stored; [data] exif = "apply" turns them'
        )
        first = f"{turned[0].name}: {source.orientations[turned[0]]}"
        source.tell(f"{len(turned)} of {len(images)} images have an EXIF orientation ({first}), {what}")
