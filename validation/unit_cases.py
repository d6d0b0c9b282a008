"""What is looked at in other units and about other origins: one case of every kind of term."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation.units import Case, Place, paint

BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], dtype=np.float64) / 4
BOX_SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
BOX_FACES = np.array([[q[0], q[i], q[i + 1]] for q in BOX_SIDES for i in (1, 2)])

RED = paint(0.7, 0.3, 0.2)
TUBE = [(-0.5, -0.25, 0.25, 0.09375), (-0.25, 0, 0.5, 0.09375), (0.25, 0, 0.25, 0.125), (0.5, 0.25, 0.5, 0.09375),
        (0.75, 0, 0.5, 0.0625)]  # fmt: skip
ROD = [(-0.5, 0.5, 0.25, 0.125), (0, 0.625, 0.5, 0.0625), (0.5, 0.5, 0.25, 0.09375)]


def box(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A box that stands on a floor."""
    return {"floor": place.floor(), "thing": place.mesh(folder, "box", BOX, BOX_FACES, bsdf=RED)}


def plates(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """Two rectangles: one leans on the floor, with an edge in it."""
    wall = place.pose((0, 0.25, 0.375), (0.5, 0, 0), (0, 0.25, 0.375), (0, -0.75, 0.5))
    return {"floor": place.floor(), "thing": {"type": "rectangle", "to_world": wall, "bsdf": RED}}


def rounds(kind: str) -> Callable[[Place, Path, str], dict[str, Any]]:
    """A sphere, a cylinder or a disk above a floor."""

    def make(place: Place, folder: Path, light: str) -> dict[str, Any]:
        frame = {
            "sphere": ((0, 0, 0.5), (0.375, 0, 0), (0, 0.375, 0), (0, 0, 0.375)),
            "cylinder": ((-0.25, 0, 0.375), (0, 0.25, 0), (0, 0, 0.25), (0.75, 0, 0)),
            "disk": ((0, 0, 0.5), (0.5, 0, 0), (0, 0.375, 0.25), (0, -0.25, 0.375)),
        }[kind]
        return {"floor": place.floor(), "thing": {"type": kind, "to_world": place.pose(*frame), "bsdf": both(RED)}}

    return make


def both(bsdf: dict[str, Any]) -> dict[str, Any]:
    """The same on both sides of a surface."""
    return {"type": "twosided", "bsdf": bsdf}


def curve(kind: str) -> Callable[[Place, Path, str], dict[str, Any]]:
    """A curve shape above a floor."""

    def make(place: Place, folder: Path, light: str) -> dict[str, Any]:
        points = TUBE if kind == "bsplinecurve" else ROD
        return {"floor": place.floor(), "thing": place.curve(folder, kind, points, bsdf=RED)}

    return make


def grid(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A ball of signed distances above a floor."""
    import mitsuba as mi

    axis = np.linspace(-0.5, 0.5, 9)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    values = np.sqrt(x * x + 1.2 * y * y + z * z) - 0.34 + 0.03 * x
    shape = {"type": "sdfgrid", "grid": mi.TensorXf(values[..., None].astype(np.float32)), "normals": "analytic"}
    return {"floor": place.floor(), "thing": {**shape, "to_world": place.pose((-0.5, -0.5, 0.0)), "bsdf": RED}}


def smooth(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A ball of 128 faces with interpolated normals above a floor: shading horizons, terminators."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
    faces = corners[[[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]]
    for _ in range(2):
        a, b, c = faces.transpose(1, 0, 2)
        ab, bc, ca = a + b, b + c, c + a
        faces = np.concatenate([np.stack(f, 1) for f in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
        faces /= np.linalg.norm(faces, axis=2, keepdims=True)
    points = np.round(256 * (0.375 * faces.reshape(-1, 3) + [0, 0, 0.5])) / 256
    vertices, index = np.unique(points, axis=0, return_inverse=True)
    ball = place.mesh(folder, "ball", vertices, index.reshape(-1, 3), face_normals=False, bsdf=RED)
    return {"floor": place.floor(), "thing": ball}


def tiles(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A box on a floor with a checkerboard."""
    import mitsuba as mi

    dark, bright = ({"type": "rgb", "value": v} for v in ([0.2, 0.3, 0.4], [0.8, 0.6, 0.7]))
    texture = {"type": "checkerboard", "color0": dark, "color1": bright, "to_uv": mi.ScalarTransform4f().scale(5)}
    floor = place.floor() | {"bsdf": {"type": "diffuse", "reflectance": texture}}
    return {"floor": floor, "thing": place.mesh(folder, "box", BOX, BOX_FACES, bsdf=RED)}


def mirror(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A box on a floor before a mirror."""
    glass = place.pose((-0.75, 0.5, 0.5), (0.5, 0.5, 0), (0, 0, 0.75), (0.5, -0.5, 0))
    wall = {"type": "rectangle", "to_world": glass, "bsdf": both({"type": "conductor", "material": "none"})}
    return {**box(place, folder, light), "mirror": wall}


def instance(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """An instance of a box above a floor, turned about the vertical axis."""
    inner = place.mesh(folder, "box", BOX, BOX_FACES, bsdf=RED)
    inner["to_world"] = place.pose().inverse()  # a group has coordinates of its own
    frame = place.pose((0, 0, 0.25), (0.75, 0.5, 0), (-0.5, 0.75, 0))
    shown = {"type": "instance", "to_world": frame, "group": {"type": "ref", "id": "group"}}
    return {"floor": place.floor(), "group": {"type": "shapegroup", "inner": inner}, "thing": shown}


def seam(place: Place, folder: Path, light: str) -> dict[str, Any]:
    """A sphere above a floor, with a texture that jumps where its coordinates start again, in view."""
    import mitsuba as mi

    ramp = np.linspace([0.1, 0.3, 0.9], [0.9, 0.2, 0.1], 8, dtype=np.float32)
    image = {"type": "bitmap", "data": mi.TensorXf(np.tile(ramp, (4, 1, 1))), "raw": True, "wrap_mode": "clamp"}
    turned = place.pose((0, 0, 0.5), (0, -0.375, 0), (0.375, 0, 0), (0, 0, 0.375))
    paint_ = {"type": "diffuse", "reflectance": image}
    return {"floor": place.floor(), "thing": {"type": "sphere", "to_world": turned, "bsdf": paint_}}


CASES = {
    "box, area light": Case(box, "area", "thing/positions"),
    "box, point light": Case(box, "point", "thing/positions"),
    "box, environment": Case(box, "environment", "thing/positions"),
    "floor below the box, area light": Case(box, "area", "floor/pose"),
    "plates in contact, directional light": Case(plates, "directional", "thing/pose"),
    "plates in contact, spot light": Case(plates, "spot", "thing/pose"),
    "floor below the box, projector": Case(box, "projector", "floor/pose"),
    "floor below the box, hard spot": Case(box, "hard spot", "floor/pose"),
    "camera, box, area light": Case(box, "area", "camera/pose"),
    "lamp, box": Case(box, "area", "light/pose"),
    "sphere, area light": Case(rounds("sphere"), "area", "thing/pose"),
    "cylinder, point light": Case(rounds("cylinder"), "point", "thing/pose"),
    "disk, directional light": Case(rounds("disk"), "directional", "thing/pose"),
    "B-spline curve, area light": Case(curve("bsplinecurve"), "area", "thing/control_points", alike=False, far=256),
    "linear curve, point light": Case(curve("linearcurve"), "point", "thing/control_points", refused=0.004, far=256),
    "grid, area light": Case(grid, "area", "thing/pose", far=64),
    "smooth mesh, directional light": Case(smooth, "directional", "thing/positions"),
    "checkerboard below the box, point light": Case(tiles, "point", "floor/pose"),
    "box in a mirror, area light": Case(mirror, "area", "thing/positions"),
    "instance of a box, area light": Case(instance, "area", "thing/pose"),
    "seam of a sphere, directional light": Case(seam, "directional", "thing/pose"),
    "box cut by the near plane, area light": Case(box, "area", "thing/positions", near=3.375),
}
