"""What the doctor of captures looks at, from a job's scene and views."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.doctor import Capture, Shot
from ..data.sensors import camera_of
from ..inverse import View
from ..parameters import list_parameters, read
from ..scene import Scene, sensor_of
from ..seeds import hashed

POINTS = 8000  # on the surfaces of the scene, together
LEAST = 60  # of one shape


def capture_of(
    scene: Scene, views: Iterable[View], sources: dict[str, str], training: set[str], starts: dict[str, NDArray[Any]], color: str,
    exposures_unknown: bool = False,
) -> Capture:  # fmt: skip
    """The views of a job, and the scene as it is now. `starts`: images of it by view; `training`: names of the fitted views."""
    shots = [
        Shot.of(
            view.name, np.asarray(view.target), mask=None if view.mask is None else np.asarray(view.mask),
            suffix=Path(sources.get(view.name, "")).suffix,
            camera=camera_of(sensor_of(scene, view.sensor)), start=starts.get(view.name), training=view.name in training,
        )
        for view in views
    ]  # fmt: skip
    points, normals, labels = surface(scene)
    skies = {p.name: np.asarray(read(scene, p)) for p in list_parameters(scene) if p.kind == "environment"}
    return Capture(shots, points, normals, labels, color, scene.notes, skies, exposures_unknown)


def _number(value: Any) -> float:
    return float(np.array(value).reshape(-1)[0])


def surface(scene: Scene, count: int = POINTS) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Random points on the scene's surfaces, in proportion to their areas, their normals, and the names of their shapes.

    Shapes that emit light, and kinds that Mitsuba draws no points of, are left out.
    """
    import mitsuba as mi

    shapes = []
    for shape in scene.mi.shapes():
        try:
            area = 0.0 if shape.is_emitter() or shape.is_sensor() else _number(shape.surface_area())
        except RuntimeError:  # not implemented for this kind
            continue
        if 0 < area < np.inf:
            shapes.append((shape, area))
    total = sum(area for _, area in shapes)
    points, normals, labels = [np.zeros((0, 3))], [np.zeros((0, 3))], []
    for number, (shape, area) in enumerate(shapes):
        random = np.random.default_rng(hashed(0, "surface", number))
        sample = random.uniform(size=(2, max(LEAST, round(count * area / total))))
        try:
            found = shape.sample_position(0.0, mi.Point2f(sample.astype(np.float32)))
        except RuntimeError:
            continue
        place = np.array(found.p).T
        points.append(place)
        normals.append(np.array(found.n).T)
        labels += [str(shape.id())] * len(place)
    return np.concatenate(points), np.concatenate(normals), labels
