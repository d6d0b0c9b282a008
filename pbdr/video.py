"""Videos of an estimate: the camera goes around it, or the light does."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import lights
from .data import Camera
from .errors import DataError, OptionError
from .export import views_of
from .export.asset import View, read_asset
from .export.proof import resized
from .job import storage, views
from .job.estimate import Estimate
from .parameters.recipe import with_values
from .scene import Scene, load_object
from .seeds import hashed
from .srgb import linear_to_srgb

KINDS = ("turntable", "relight")
CODECS = ("libx264", "mpeg4")


@dataclass(frozen=True)
class Film:
    """What is made: number of frames of one turn, frames a second, pixels along the longer side, samples per pixel."""

    frames: int = 48
    fps: int = 24
    size: int = 256
    spp: int = 32

    def check(self) -> None:
        """Raise OptionError for numbers that make no video."""
        for name, least in (("frames", 2), ("fps", 1), ("size", 16), ("spp", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"--{name} {getattr(self, name)}: at least {least} is needed")
        if importlib.util.find_spec("av") is None:
            raise OptionError("videos need another package: pip install 'pbdr[video]'")


def make(
    estimate: Estimate,
    kind: str,
    film: Film,
    hdri: Path | None,
    path: Path,
    tell: Callable[[str], None],
    view: str = "",
) -> Path:
    """Write a video of an estimate; returns its path. Raises OptionError, DataError."""
    film.check()
    if estimate.job.own and (kind == "relight" or hdri is not None):
        raise OptionError("the run is of a field or of Gaussians, which no light falls on: make a turntable, without --hdri")
    found, lost = views_of(estimate, path.parent)
    if not found:
        raise DataError(f"no camera is a pinhole or a lens of OpenCV's: {'; '.join(lost)}")
    names = [one.name for one in found]
    if view and view not in names:
        raise OptionError(f"--view {view}: there is no such view; there are {', '.join(names[:8])}")
    camera = resized(found[names.index(view) if view else 0].camera, film.size)
    camera = resized_even(camera)
    light = None if hdri is None else lights.from_file(hdri)
    options = estimate.integrator
    with tempfile.TemporaryDirectory() as temporary:
        scene = with_values(estimate.scene, estimate.variables.moved, Path(temporary))
        asset = read_asset(scene, found)
        axis = np.array([0.0, 0.0, 1.0]) if asset.up == "z" else np.array([0.0, 1.0, 0.0])
        if kind == "relight" and light is None:
            if asset.environment is None:
                raise OptionError("the scene has no environment that could turn: give one with --hdri FILE")
            light = {
                "type": "envmap",
                "radiance": asset.environment.radiance,
                "to_world": homogeneous(asset.environment.to_world),
            }
        scenes = _scenes(scene, kind, light, axis, film.frames)
        turned = (
            turntable(camera, centre(found, scene), axis, film.frames)
            if kind == "turntable"
            else [camera] * film.frames
        )
        images = _rendered(scenes, turned, film, options, tell)
        return encode(path, images, film.fps)


def _scenes(scene: Scene, kind: str, light: dict[str, Any] | None, axis: Any, frames: int) -> Iterator[Scene]:
    """The scene of every frame."""
    if light is None:
        yield from [scene] * frames
        return
    still = lights.relit(scene, light) if kind == "turntable" else None
    for frame in range(frames):
        if still is not None:
            yield still
            continue
        turn = homogeneous(rotation(axis, 2 * np.pi * frame / frames))
        yield lights.relit(scene, {**light, "to_world": turn @ np.asarray(light.get("to_world", np.eye(4)))})


def _rendered(
    scenes: Iterator[Scene], cameras: Sequence[Camera], film: Film, options: Any, tell: Callable[[str], None]
) -> Iterator[NDArray[np.uint8]]:
    for number, (scene, camera) in enumerate(zip(scenes, cameras, strict=True)):
        tell(f"frame {number + 1} of {film.frames}")
        sensor = load_object(camera.to_dict())
        image = views.render_path(scene, sensor, film.spp, hashed(0, "video", number), options)[..., :3]
        yield np.rint(np.clip(linear_to_srgb(np.nan_to_num(image)), 0, 1) * 255).astype(np.uint8)


def turntable(camera: Camera, middle: NDArray[np.float64], axis: NDArray[np.float64], frames: int) -> list[Camera]:
    """The camera on its way around a point, about an axis, back to where it was."""
    found = []
    for frame in range(frames):
        turn = rotation(axis, 2 * np.pi * frame / frames)
        pose = camera.to_world.copy()
        pose[:3, :3] = turn @ pose[:3, :3]
        pose[:3, 3] = middle + turn @ (pose[:3, 3] - middle)
        found.append(replace(camera, to_world=pose))
    return found


def centre(found: Sequence[View], scene: Scene) -> NDArray[np.float64]:
    """The point nearest to the axes of all cameras; the centre of the shapes where these are parallel."""
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    for view in found:
        forward = view.camera.to_world[:3, 2]
        off = np.eye(3) - np.outer(forward, forward)
        matrix += off
        right += off @ view.camera.to_world[:3, 3]
    if np.linalg.cond(matrix) < 1e3:
        return np.asarray(np.linalg.solve(matrix, right))
    box = scene.mi.bbox()
    return 0.5 * (np.array(box.min, dtype=np.float64) + np.array(box.max, dtype=np.float64)).reshape(3)


def rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """(3, 3) rotation about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def homogeneous(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) of a (3, 3) matrix."""
    result = np.eye(4)
    result[:3, :3] = matrix
    return result


def resized_even(camera: Camera) -> Camera:
    """The camera with its width and height cut to even numbers, which video codecs ask for."""
    return replace(
        camera, width=max(2, camera.width - camera.width % 2), height=max(2, camera.height - camera.height % 2)
    )


def encode(path: Path, images: Iterator[NDArray[np.uint8]], fps: int) -> Path:
    """Write (H, W, 3) sRGB images as an MP4 file, to a temporary name first."""
    import av

    known = av.codecs_available
    codec = next(name for name in CODECS if name in known)
    with storage.reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{storage.TEMPORARY}{path.name}")
        stream: Any = None
        with av.open(str(temporary), "w", format="mp4") as container:
            for image in images:
                if stream is None:
                    stream = container.add_stream(codec, rate=fps)
                    stream.height, stream.width, stream.pix_fmt = image.shape[0], image.shape[1], "yuv420p"
                    if codec == "libx264":
                        stream.options = {"crf": "16"}
                    else:
                        stream.bit_rate = 8_000_000
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode() if stream is not None else ():
                container.mux(packet)
        temporary.replace(path)
    return path
