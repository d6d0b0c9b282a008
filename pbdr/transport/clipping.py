"""Near and far planes of sensors: which of them cut something that is seen to move, and where on them the film looks.

A plane that cuts a surface open shows a section: a curve at which radiance jumps, although no edge of the scene is there
(boundary/edges/clipped.py). Where nothing that moves reaches a plane, which is nearly always, nothing of this is computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.transport import camera
from pbdr.transport.eye import Eye

NEAR, FAR = "near", "far"
BORDER = 32  # points a side of the film at which the window on a plane is found
MARGIN = 1.02  # by how much it is widened: the border's image may bulge between these points
PROBES = 64  # rays a side of the film that look for surfaces before the near sphere of a fisheye


@dataclass
class Window:
    """Circle on a plane across the axis, in the sensor's frame: all that the film shows of the plane lies in it."""

    x: Any
    y: Any
    radius: Any

    @staticmethod
    def of(eye: Eye, film: Any, depth: float) -> Window:
        """On the plane at `depth`."""
        image = eye.border(film, BORDER)
        if eye.distant:
            place, spread = mi.Point2f(-image.x, -image.y), mi.Float(0)
        else:
            towards = eye.lens.direction(image)
            scale = depth / dr.maximum(towards.z, 1e-3)
            place = mi.Point2f(-towards.x * scale, -towards.y * scale)
            spread = eye.radius * dr.abs(1 - depth / eye.focus) if eye.has_aperture else mi.Float(0)
        low, high = [dr.min(place[i]) for i in range(2)], [dr.max(place[i]) for i in range(2)]
        middle = [0.5 * (a + b) for a, b in zip(low, high, strict=True)]
        half = [0.5 * (b - a) for a, b in zip(low, high, strict=True)]
        return Window(middle[0], middle[1], MARGIN * (dr.sqrt(half[0] * half[0] + half[1] * half[1]) + spread))


def depth_of(eye: Eye, plane: str) -> float:
    """Distance of a plane along the axis."""
    return eye.near if plane == NEAR else eye.far


def planes(sensor: Any, shapes: Iterable[Any]) -> frozenset[str]:
    """The planes that may cut one of these shapes within the view; for fisheyes, whose planes are spheres, too."""
    if sensor.class_name() not in camera.SUPPORTED:
        return frozenset()
    frame = np.linalg.inv(np.array(dr.detach(sensor.world_transform()).matrix, np.float64).reshape(4, 4, -1)[..., 0])
    boxes = [_corners(shape.bbox()) @ frame[:3, :3].T + frame[:3, 3] for shape in shapes]
    fisheye = _is_fisheye(sensor)
    found = set()
    for plane, depth in ((NEAR, float(sensor.near_clip())), (FAR, float(sensor.far_clip()))):
        along = [np.linalg.norm(box, axis=1) if fisheye else box[:, 2] for box in boxes]
        reaching = [
            box for box, z in zip(boxes, along, strict=True) if z.max() >= depth and (fisheye or z.min() <= depth)
        ]
        if reaching and (fisheye or _in_view(sensor, reaching, depth)):
            found.add(plane)
    return frozenset(found)


def _corners(box: Any) -> Any:
    low, high = np.array(box.min, np.float64).ravel(), np.array(box.max, np.float64).ravel()
    return np.array([[(low, high)[(k >> i) & 1][i] for i in range(3)] for k in range(8)])


def _in_view(sensor: Any, boxes: list[Any], depth: float) -> bool:
    window = Window.of(Eye.of(sensor), sensor.film(), depth)
    x, y, radius = (float(np.ravel(np.array(v))[0]) for v in (window.x, window.y, window.radius))
    centre = np.array([x, y])
    for box in boxes:
        low, high = box.min(0)[:2], box.max(0)[:2]
        if np.linalg.norm(np.clip(centre, low, high) - centre) <= radius:
            return True
    return False


def _is_fisheye(sensor: Any) -> bool:
    return bool(sensor.class_name() == camera.DISTORTED_CAMERA and sensor.model.wide)


def cut_by_spheres(scene: Any, sensor: Any, found: frozenset[str]) -> str:
    """Of a fisheye's `planes`, the first one that cuts a surface, "" if none does: there is no boundary term for spheres."""
    if not found or not _is_fisheye(sensor):
        return ""
    if FAR in found:
        return FAR
    width, height = camera.film_size(sensor.film())
    x0, y0 = camera.film_origin(sensor.film())
    x, y = np.meshgrid(
        (np.arange(PROBES) + 0.5) / PROBES * width + x0, (np.arange(PROBES) + 0.5) / PROBES * height + y0
    )
    with dr.suspend_grad():
        ray = mi.Ray3f(camera.ray_through(sensor, mi.Point2f(aligned(x.ravel()), aligned(y.ravel()))))
        ray.o = ray.o - ray.d * float(sensor.near_clip())
        ray.maxt = mi.Float(float(sensor.near_clip()))
        return NEAR if dr.any(scene.ray_test(ray)) else ""
