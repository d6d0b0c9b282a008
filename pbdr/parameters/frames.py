"""Where a pose turns about, along which axes, and which length its steps are measured in, so that units and origin do not matter.

A camera turns about what it sees. Turned about itself, a small turn and a small step to the side move the picture alike, and an
optimiser cannot tell them apart; turned about what it sees, the picture stays where it is and shows another side. Then the entries
of a step do nearly independent things, and 1 in each of them moves the picture by about as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.parameters.names import Parameter, owner_of
from pbdr.parameters.values import read
from pbdr.scene import mitsuba_scene

Vector = NDArray[np.float64]

GRID = 16  # rays a side of the film that look how far away things are


@dataclass(frozen=True)
class Frame:
    """`pivot` (3,) in the world, `axes` (3, 3) whose columns are unit vectors, `unit` a length of the scene."""

    pivot: Vector
    axes: Vector
    unit: float


def of_pose(scene: Any, parameter: Parameter) -> Frame:
    """Return the frame of a pose.

    | whose pose | pivot | unit |
    |---|---|---|
    | sensor | on its axis, as far away as the median of what it sees | that distance |
    | shape, instance | centre of its bounding box | half the diagonal of the box |
    | spot light, projector | on its axis, where that meets the scene | that distance |
    | other lights, and where nothing is met | its own position | half the scene's diagonal |

    The axes are those of the pose, turned into the world.
    """
    pose = read(scene, parameter)
    axes, at = nearest_rotation(pose[:, :3]), pose[:, 3]
    forward = axes[:, 2] * np.sign(pose[:, 2] @ axes[:, 2] or 1.0)
    owner = owner_of(scene, parameter)
    if isinstance(owner, mi.Shape):
        return of_box(*_corners([owner]), axes)
    if isinstance(owner, mi.Sensor):
        distance = _seen(mitsuba_scene(scene), owner, at, forward)
        return Frame(at + distance * forward, axes, distance)
    beam = owner is not None and mi.has_flag(owner.flags(), mi.EmitterFlags.DeltaPosition)
    reach = _met(mitsuba_scene(scene), at, forward) if beam else None
    return Frame(at, axes, scene_size(scene)) if reach is None else Frame(at + reach * forward, axes, reach)


def of_box(low: Vector, high: Vector, axes: Vector | None = None) -> Frame:
    """Return the frame of an object with this bounding box; axes of the world by default."""
    size = float(0.5 * np.linalg.norm(high - low))
    usable = np.isfinite(size) and size > 0
    return Frame(
        0.5 * (low + high) if usable else np.zeros(3), np.eye(3) if axes is None else axes, size if usable else 1.0
    )


def scene_size(scene: Any) -> float:
    """Return half the diagonal of the box around all shapes; 1 without any."""
    return of_box(*_corners(mitsuba_scene(scene).shapes())).unit


def nearest_rotation(matrix: Vector) -> Vector:
    """Return the orthogonal matrix nearest to a (3, 3) one: its polar factor."""
    u, _, v = np.linalg.svd(matrix)
    return np.asarray(u @ v)


def _corners(shapes: Any) -> tuple[Vector, Vector]:
    boxes = [shape.bbox() for shape in shapes]
    boxes = [box for box in boxes if box.valid()]
    if not boxes:
        return np.zeros(3), np.zeros(3)
    low, high = (
        np.array([np.array(getattr(b, end), dtype=np.float64).ravel() for b in boxes]) for end in ("min", "max")
    )
    return low.min(axis=0), high.max(axis=0)


def _seen(scene: Any, sensor: Any, at: Vector, forward: Vector) -> float:
    """Median distance along the axis of what the rays of a sensor meet; else the distance or the size of the scene."""
    side = (np.arange(GRID) + 0.5) / GRID
    u, v = np.meshgrid(side, side)
    with dr.suspend_grad():
        position = mi.Point2f(mi.Float(aligned(u.ravel())), mi.Float(aligned(v.ravel())))
        ray, _ = sensor.sample_ray(0.0, 0.5, position, mi.Point2f(0.5))
        hit = scene.ray_intersect_preliminary(ray)
        point = np.array(ray.o + ray.d * dr.select(hit.is_valid(), hit.t, 0), dtype=np.float64).reshape(3, -1).T
        depth = ((point - at) @ forward)[np.array(hit.is_valid())]
        depth = depth[depth > 0]
    if len(depth):
        return float(np.median(depth))
    low, high = _corners(scene.shapes())
    ahead = float((0.5 * (low + high) - at) @ forward)
    size = of_box(low, high).unit
    return ahead if ahead > size else size


def _met(scene: Any, at: Vector, forward: Vector) -> float | None:
    """Distance at which a ray along the axis meets the scene, or None."""
    with dr.suspend_grad():
        hit = scene.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(at.tolist()), mi.Vector3f(forward.tolist())))
        distance, valid = float(hit.t[0]), bool(hit.is_valid()[0])
    return distance if valid and np.isfinite(distance) and distance > 0 else None
