"""The cases of `python -m benchmarks run`: what inverse rendering differentiates, from one colour to every vertex of a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation.cases import CASES as MATRIX
from validation.cases import Case, along, one
from validation.finite_differences import parameters
from validation.scenes import meshes, small, zoo
from validation.scenes.zoo import T

from . import bumpy
from .harness import ROOT

SPOT = ROOT.parent / "shared" / "data" / "spot" / "spot.obj"
LAMPS = 64  # of the case with many lights


@dataclass(frozen=True)
class SpeedCase:
    """A case of the matrix, at the sample counts of a step of an optimisation.

    spp      samples per pixel of one gradient
    fd_spp   of one image of the finite differences
    needs    a file without which the case is left out, or None
    """

    case: Case
    spp: int
    fd_spp: int
    needs: Path | None = None


CASES: dict[str, SpeedCase] = {}


def known(name: str, of: str, spp: int = 16, **changes: Any) -> None:
    """A case that the matrix has already."""
    CASES[name] = SpeedCase(replace(MATRIX[of], spp=spp, options={}, **changes), spp, MATRIX[of].fd_spp)


def new(
    name: str, feature: str, kind: str, make: Callable[[Path], Any], parameter: str, tangent: Any, *, spp: int = 16,
    needs: Path | None = None, **rest: Any,
) -> None:  # fmt: skip
    """A case of its own."""
    case = Case(feature, kind, make, parameter, tangent, (), spp=spp, **rest)
    CASES[name] = SpeedCase(case, spp, case.fd_spp, needs)


SIZE = 64  # pixels a side of scenes whose gradients have an interior only: launches would hide what samples cost


def walls(folder: Path) -> Any:
    """A Cornell box."""
    return load_scene(zoo.cornell(width=SIZE, height=SIZE))


def varnished(folder: Path) -> Any:
    """A painted ball on a floor under a lamp."""
    lamp = zoo.above(size=0.6, emitter={"type": "area", "radiance": zoo.rgb(20.0)})
    camera = zoo.camera(film=zoo.film(width=SIZE, height=SIZE), sampler={"type": "ldsampler"})
    return load_scene(zoo.scene(zoo.MATERIALS["principled"](), lamp, camera))


def under_the_sky(folder: Path) -> Any:
    """A grey ball on a floor under an environment of 512 texels."""
    camera = zoo.camera(film=zoo.film(width=SIZE, height=SIZE), sampler={"type": "ldsampler"})
    return load_scene(zoo.scene(None, zoo.sky(), camera))


def blob(times: int) -> Callable[[Path], Any]:
    """The bumpy ball of docs/theory.md, section 9, with 20 · 4^times faces, at 64²."""
    return lambda folder: bumpy.scene(bumpy.Blob.subdivided(times), folder, size=64)


def hidden(folder: Path) -> Any:
    """A ball of 20,480 faces above the camera's view: its shadow alone is seen."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=5)
    points = np.asarray(ball.vertices)
    radius = 0.4 * (1 + 0.1 * np.sin(9 * points[:, 0]) * np.sin(7 * points[:, 1] + 1))
    thing = small.mesh(folder, "ball", points * radius[:, None] + [0, 0, 1.6], ball.faces)
    lamp = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)})
    camera = zoo.camera(to_world=T().look_at([0, -0.6, 1.1], [0, 0.1, 0], [0, 0, 1]), fov=60)
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}}
    return load_scene({"type": "scene", "camera": camera, "lamp": lamp, "thing": thing, "floor": floor})


def lamps(folder: Path) -> Any:
    """Many small lamps of different brightness around a cube."""
    rng = np.random.default_rng(4)
    parts = {}
    for k in range(LAMPS):
        angle, height = 2 * np.pi * k / LAMPS, 1.5 + rng.uniform()
        pose = T().look_at([2 * np.cos(angle), 2 * np.sin(angle), height], [0, 0, 0.3], [0, 0, 1]).scale(0.05)
        light = {"type": "area", "radiance": zoo.rgb(float(rng.uniform(5, 60)))}
        parts[f"lamp{k}"] = {"type": "rectangle", "to_world": pose, "emitter": light}
    return meshes.scene(light=parts.pop("lamp0"), thing=meshes.box(0.6), **parts)


def glossy(folder: Path) -> Any:
    """A cube over a brushed floor, lit by way of a wall."""
    metal = {"type": "roughconductor", "material": "Al", "alpha": 0.15, "distribution": "ggx"}
    wall = {"type": "rectangle", "to_world": T().translate([0, 1.5, 1]).rotate([1, 0, 0], 90).scale(1.5)}
    lamp = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(20.0)})
    camera = zoo.camera()
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": metal}
    block = {"type": "cube", "to_world": T().translate([0, 0, 0.6]).rotate([0, 0, 1], 30).scale(0.3), "bsdf": zoo.GREEN}
    return load_scene({"type": "scene", "camera": camera, "lamp": lamp, "floor": floor, "wall": wall, "thing": block})


def spot(folder: Path) -> Any:
    """Spot, the cow, on a floor under a lamp: 5,856 triangles."""
    lamp = zoo.above(size=0.6, emitter={"type": "area", "radiance": zoo.rgb(20.0)})
    cow = {
        "type": "obj",
        "filename": str(SPOT),
        "face_normals": True,
        "to_world": T().translate([0, 0, 0.7]).rotate([1, 0, 0], 90).scale(0.8),
    }
    camera = zoo.camera(film=zoo.film(width=64, height=64))
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}}
    return load_scene({"type": "scene", "camera": camera, "lamp": lamp, "thing": cow, "floor": floor})


def growth(scene: Any, name: str) -> Any:
    """Every vertex away from the origin."""
    return np.asarray(read(scene, parameters(scene, name)[name]), dtype=np.float64)


new("albedo of a wall", "materials", "material", walls, "red/base_color", one, depth=4, step=0.05, fd_spp=256)
new("roughness", "materials", "material", varnished, "ball/roughness", one, depth=3, step=0.02, fd_spp=256)
new("environment texels", "environment", "light", under_the_sky, "light/radiance", one, depth=3, step=0.1, fd_spp=256)
known("area light, few triangles", "shadow of a moving block, area")
new(
    "area light, 20,480 triangles",
    "area light",
    "shape",
    hidden,
    "thing/positions",
    along(1, 0.3, 0.2),
    step=0.02,
    fd_spp=4096,
)
new("64 small lights", "area light", "shape", lamps, "thing/positions", along(1, 0.3, 0.2), step=0.02, fd_spp=4096)
known("textured environment", "shadow of a moving block, sky")
new(
    "primary visibility, 20,480 triangles",
    "flat-shaded mesh",
    "shape",
    blob(5),
    bumpy.POSITIONS,
    growth,
    step=0.01,
    fd_spp=1024,
)
new("glossy indirect light", "indirect light", "shape", glossy, "thing/positions", along(1, 0.3, 0.2), depth=3, step=0.02,
    fd_spp=8192)  # fmt: skip
new("bumpy mesh, global illumination", "indirect light", "shape", blob(3), bumpy.POSITIONS, growth, depth=3, step=0.01,
    fd_spp=2048)  # fmt: skip
known("behind glass", "ball behind glass", spp=64)
known("camera pose", "perspective: pose")
new(
    "every vertex of Spot",
    "flat-shaded mesh",
    "shape",
    spot,
    "thing/positions",
    growth,
    needs=SPOT,
    step=0.01,
    fd_spp=1024,
)
