"""Scenes that are written down in any unit and about any origin, and the comparison of their derivatives.

Coordinates are multiples of 1/256, so that single precision holds them about any whole number below 65,536: what differs between
two origins is what renderers make of them, not the scene.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.replicas import mean_and_error

Array = NDArray[np.float64]
SIZE = 24  # pixels a side
BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], dtype=np.float64) / 4
BOX_SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
BOX_FACES = np.array([[q[0], q[i], q[i + 1]] for q in BOX_SIDES for i in (1, 2)])


@dataclass(frozen=True)
class Place:
    """Units and origin: x → origin + scale · x."""

    scale: float = 1.0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def point(self, *x: float) -> list[float]:
        """A point."""
        return (np.asarray(self.origin) + self.scale * np.asarray(x)).tolist()

    def pose(self, centre: Any = (0, 0, 0), x: Any = (1, 0, 0), y: Any = (0, 1, 0), z: Any = (0, 0, 1)) -> Any:
        """Transform of a shape whose axes are given."""
        import mitsuba as mi

        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * np.stack([x, y, z], 1)
        matrix[:3, 3] = self.point(*centre)
        return mi.ScalarTransform4f(matrix)

    def view(self, origin: Any, target: Any, up: Any = (0, 0, 1)) -> Any:
        """Transform of a camera or a spot light."""
        import mitsuba as mi

        return mi.ScalarTransform4f().look_at(self.point(*origin), self.point(*target), list(up))

    def camera(self, origin: Any = (0.5, -3, 2), target: Any = (0, 0, 0.25), fov: float = 40) -> dict[str, Any]:
        """A perspective camera."""
        film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
        clips = {"near_clip": 0.01 * self.scale, "far_clip": 1e4 * self.scale}
        return {"type": "perspective", "fov": fov, "to_world": self.view(origin, target), "film": film, **clips}

    def light(self, kind: str) -> dict[str, Any]:
        """A light, of the same radiance or irradiance in all units."""
        value = lambda *v: {"type": "rgb", "value": list(v)}  # noqa: E731
        strong = value(*(9 * self.scale**2 * np.array([1, 0.8, 0.6])))
        if kind == "area":
            turned = self.pose((1, 0, 2.5), (0.5, 0, 0), (0, -0.5, 0), (0, 0, -0.5))
            return {"type": "rectangle", "to_world": turned, "emitter": {"type": "area", "radiance": value(5, 4, 3)}}
        if kind == "point":
            return {"type": "point", "position": self.point(1, -0.5, 2.5), "intensity": strong}
        turned = self.view((1, -0.5, 2.5), (0, 0, 0.25), (0, 1, 0))
        if kind in ("spot", "hard spot"):
            beam = 30.0 if kind == "spot" else 19.9
            cutoff = 40.0 if kind == "spot" else 20.0
            return {"type": "spot", "to_world": turned, "intensity": strong, "cutoff_angle": cutoff, "beam_width": beam}
        if kind == "projector":
            import mitsuba as mi

            y, x = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
            texels = (9 * self.scale**2 * (1 + 0.5 * np.sin(x + 2 * y)))[..., None] * np.array([1, 0.8, 0.6])
            image = {"type": "bitmap", "data": mi.TensorXf(texels.astype(np.float32)), "raw": True, "format": "variant"}
            return {"type": "projector", "to_world": turned, "fov": 30.0, "irradiance": image}
        if kind == "directional":
            return {"type": "directional", "direction": [-0.5, 0.25, -1], "irradiance": value(2, 1.6, 1.2)}
        return {"type": "constant", "radiance": value(1, 0.8, 0.6)}

    def floor(self) -> dict[str, Any]:
        """A rectangle at z = 0."""
        return {"type": "rectangle", "to_world": self.pose(x=(3, 0, 0), y=(0, 3, 0)), "bsdf": paint(0.5, 0.6, 0.7)}

    def mesh(self, folder: Path, name: str, vertices: Any, faces: Any, **rest: Any) -> dict[str, Any]:
        """A flat-shaded mesh, by way of a file."""
        import mitsuba as mi

        made = mi.Mesh(name, len(vertices), len(faces))
        params = mi.traverse(made)
        placed = np.asarray(self.origin) + self.scale * np.asarray(vertices)
        params["vertex_positions"] = mi.Float(placed.astype(np.float32).ravel())
        params["faces"] = mi.UInt32(np.asarray(faces, np.uint32).ravel())
        params.update()
        made.write_ply(str(folder / f"{name}.ply"))
        return {"type": "ply", "filename": str(folder / f"{name}.ply"), "face_normals": True, **rest}

    def curve(self, folder: Path, kind: str, points: Any, **rest: Any) -> dict[str, Any]:
        """A curve shape through points (x, y, z, radius), by way of a file."""
        rows = np.asarray(points, dtype=np.float64) * self.scale + [*self.origin, 0]
        path = folder / f"{kind}.txt"
        path.write_text("\n".join(" ".join(repr(float(x)) for x in row) for row in rows) + "\n", encoding="utf-8")
        return {"type": kind, "filename": str(path), **rest}


#: Scales that are powers of two, one that is none, and origins as far as a thousand times the size of what moves.
PLACES = {
    "1": Place(),
    "2⁻¹⁰": Place(2.0**-10),
    "0.003": Place(0.003),
    "2¹⁰": Place(2.0**10),
    "x = 256": Place(1, (256, -128, 64)),
    "x = 1024": Place(1, (1024, -512, 256)),
}


def paint(*rgb: float) -> dict[str, Any]:
    """A diffuse material."""
    return {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(rgb)}}


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


@dataclass(frozen=True)
class Case:
    """`make` (place, folder, light) → shapes; `moving`: what moves, `along` a direction; lengths are radii for curves."""

    make: Callable[[Place, Path, str], dict[str, Any]]
    light: str
    moving: str
    along: tuple[float, float, float] = (1.0, 0.0, 0.5)
    depth: int = 3

    def scene(self, place: Place, folder: Path) -> Any:
        """The scene, loaded."""
        from pbdr.scene import load_scene

        shapes = self.make(place, folder, self.light)
        return load_scene({"type": "scene", "camera": place.camera(), "light": place.light(self.light), **shapes})

    def tangent(self, scene: Any, place: Place) -> Array:
        """Direction of the parameter that `moving` names: it moves by its own size, in any unit."""
        from pbdr.parameters import list_parameters

        (shape,) = [p.shape for p in list_parameters(scene) if p.name == self.moving]
        if self.moving.endswith("pose"):
            return place.scale * np.outer(self.along, [0, 0, 0, 1])
        row = [*self.along, 0.0] if self.moving.endswith("control_points") else [*self.along]  # their radii stay
        return np.tile(place.scale * np.asarray(row), int(np.prod(shape)) // len(row)).reshape(shape)


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
    "B-spline curve, area light": Case(curve("bsplinecurve"), "area", "thing/control_points"),
    "linear curve, point light": Case(curve("linearcurve"), "point", "thing/control_points"),
    "grid, area light": Case(grid, "area", "thing/pose"),
}

# ---------------------------------------------------------------------- comparison of two places

TERMS = ("interior", "primary", "direct", "indirect")
ALLOWED = 0.01  # of the largest term: what a term may differ by, beyond three standard errors of the difference
NOISE = 2.0  # factor by which the standard deviation of a term may grow


def adjoint() -> Array:
    """A smooth linear functional of the image."""
    y, x = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE), indexing="ij")
    waves = np.stack([np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y)], -1)
    return np.asarray((1 + 0.5 * waves) / SIZE**2)


def derivatives(case: Case, place: Place, replicas: int, spp: int, seed: int = 0, **options: Any) -> Array:
    """Replicas of every term, (N, 4)."""
    from pbdr.rendering import gradient
    from pbdr.seeds import hashed

    integrator = {"type": "pathspace", "max_depth": case.depth, **options}
    with tempfile.TemporaryDirectory() as folder:
        scene = case.scene(place, Path(folder))
    tangent, found = case.tangent(scene, place), []
    for replica in range(replicas):
        own = hashed(seed, "units", replica)
        one = gradient(scene, [case.moving], adjoint(), spp=spp, seed=own, integrator=integrator)
        found.append([float((getattr(one, t)[case.moving].astype(np.float64) * tangent).sum()) for t in TERMS])
    return np.array(found)


def compared(reference: Array, here: Array) -> dict[str, Any]:
    """Ratio to the reference by term, its standard error, the difference relative to the largest term, and the ratio of noises."""
    size = np.abs(reference.mean(0)).max()
    difference, error = mean_and_error(here - reference)
    mean, noise = reference.mean(0), reference.std(0, ddof=1)
    some = np.abs(mean) > 1e-4 * size
    return {
        "ratio": np.where(some, 1 + difference / np.where(some, mean, 1), 1),
        "ratio_error": np.where(some, error / np.where(some, np.abs(mean), 1), 0),
        "difference": difference / size,
        "difference_error": error / size,
        "noise": np.where(noise > 1e-3 * size, here.std(0, ddof=1) / np.where(noise > 0, noise, 1), 1),
    }


def right(one: dict[str, Any]) -> bool:
    """Whether the terms agree and are not much noisier."""
    beyond = np.abs(one["difference"]) - 3 * one["difference_error"]
    return bool((beyond < ALLOWED).all() and (np.asarray(one["noise"]) < NOISE).all())
