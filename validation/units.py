"""Scenes that are written down in any unit and about any origin, and the comparison of their derivatives.

Coordinates are multiples of 1/256, so that single precision holds them about any whole number below 65,536: what differs between
two origins is what renderers make of them, not the scene.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.replicas import mean_and_error

Array = NDArray[np.float64]
SIZE = 24  # pixels a side


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

    def camera(self, near: float = 0.01, origin: Any = (0.5, -3, 2), target: Any = (0, 0, 0.25)) -> dict[str, Any]:
        """A perspective camera; `near`: distance of the plane in front of which it sees nothing."""
        film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
        clips = {"near_clip": near * self.scale, "far_clip": 1e4 * self.scale}
        return {"type": "perspective", "fov": 40.0, "to_world": self.view(origin, target), "film": film, **clips}

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
        """A mesh, by way of a file; flat-shaded unless `rest` says otherwise."""
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


FAR = PLACES["x = 1024"]


def paint(*rgb: float) -> dict[str, Any]:
    """A diffuse material."""
    return {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(rgb)}}


@dataclass(frozen=True)
class Case:
    """`make` (place, folder, light) → shapes; `moving`: what moves, `along` a direction; lengths are radii for curves.

    `near`: the camera's near plane; `refused`: in units in which the scene is smaller than this, pathspace says so instead;
    `alike`: whether hits are the same in all units but for the exponents of numbers; `far`: how far from the origin it is
    compared; where that is less than 1024, details are so small that a warning tells of x = 1024.
    """

    make: Callable[[Place, Path, str], dict[str, Any]]
    light: str
    moving: str
    along: tuple[float, float, float] = (1.0, 0.0, 0.5)
    depth: int = 3
    near: float = 0.01
    refused: float = 0.0
    alike: bool = True
    far: float = 1024.0

    @property
    def distant(self) -> Place:
        """The farthest origin about which it is compared."""
        return Place(1, (self.far, -self.far / 2, self.far / 4))

    def scene(self, place: Place, folder: Path) -> Any:
        """The scene, loaded."""
        from pbdr.scene import load_scene

        shapes = self.make(place, folder, self.light)
        camera, light = place.camera(self.near), place.light(self.light)
        return load_scene({"type": "scene", "camera": camera, "light": light, **shapes})

    def tangent(self, scene: Any, place: Place) -> Array:
        """Direction of the parameter that `moving` names: it moves by its own size, in any unit."""
        from pbdr.parameters import list_parameters

        (shape,) = [p.shape for p in list_parameters(scene) if p.name == self.moving]
        if self.moving.endswith("pose"):
            return place.scale * np.outer(self.along, [0, 0, 0, 1])
        row = [*self.along, 0.0] if self.moving.endswith("control_points") else [*self.along]  # their radii stay
        return np.tile(place.scale * np.asarray(row), int(np.prod(shape)) // len(row)).reshape(shape)


# ---------------------------------------------------------------------- comparison of two places

TERMS = ("interior", "primary", "direct", "indirect")
ALLOWED = 0.01  # of the largest term: what a term may differ by, beyond three standard errors of the difference
NOISE = 2.0  # factor by which the standard deviation of a term may grow


def adjoint() -> Array:
    """A smooth linear functional of the image."""
    y, x = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE), indexing="ij")
    waves = np.stack([np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y)], -1)
    return np.asarray((1 + 0.5 * waves) / SIZE**2)


def refuses(case: Case, place: Place) -> bool:
    """Whether pathspace refuses the derivative and says that units are too large for the scene."""
    from pbdr.errors import SceneError

    try:
        derivatives(case, place, 1, 1)
    except SceneError as error:
        return "Scale the whole scene up" in str(error)
    return False


def tells(case: Case, place: Place) -> bool:
    """Whether pathspace warns that coordinates have too few digits there."""
    from pbdr.transport.support import IncompleteGradientWarning

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        derivatives(case, place, 1, 1)
    return any(issubclass(w.category, IncompleteGradientWarning) and "'thing' lies" in str(w.message) for w in told)


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
