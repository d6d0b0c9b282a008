"""The configurations Mitsuba 3 tests its own differentiable integrators with, at Mitsuba's thresholds; with our own scenes.

Mitsuba's test (src/integrators/tests/test_ad_integrators.py) has a list of situations, each with three thresholds: mean and
largest error of the derivative image in forward mode, relative to max(|reference|, 0.2), and the error of the derivative of the
image's mean in reverse mode. Here are the same situations, in scenes of our own, the ones that it has commented out included. The
references are finite differences of Mitsuba's `path` with common random numbers. Where edges move, derivatives are proportional to
the resolution: there the 0.2 shrinks with it (but for the four configurations of COARSE), so that a small image is no easier
than Mitsuba's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest
import trimesh

from pbdr.errors import SceneError
from pbdr.parameters import read, traverse, write
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from pbdr.seeds import hashed
from validation.agreement import Array
from validation.finite_differences import parameters
from validation.scenes import small, zoo

T = mi.ScalarTransform4f
Tangents = dict[str, Callable[[Array], Array]]
FLOOR = 0.2  # Mitsuba's: smaller derivatives count as this large
SIDE = T().translate([1.3, 0.1, 1.1]).rotate([0, 1, 0], -90)  # out of view, looking at the wall


# ---------------------------------------------------------------------- parts of scenes


def camera(size: int, **film: Any) -> dict[str, Any]:
    smooth = {"type": "gaussian", "stddev": 0.5}
    film = {"width": size, "height": size, "rfilter": smooth, "sample_border": True, **film}
    pose = T().look_at([0, 0, 4], [0, 0, 0], [0, 1, 0])
    return zoo.camera(to_world=pose, fov=40.0, film=zoo.film(**film), sampler={"type": "ldsampler"})


def grey(value: float = 0.5) -> dict[str, Any]:
    return {"type": "diffuse", "reflectance": zoo.rgb(value)}


def wall(**rest: Any) -> dict[str, Any]:
    return {"type": "rectangle", "bsdf": grey(), **rest}


def knob() -> dict[str, Any]:
    return {"type": "sphere", "center": [0.1, -0.05, 0], "radius": 0.3, "bsdf": grey()}


def shining(*radiance: float) -> dict[str, Any]:
    return {"emitter": {"type": "area", "radiance": zoo.rgb(*radiance)}}


def sky(radiance: float = 1.0) -> dict[str, Any]:
    return {"type": "constant", "radiance": zoo.rgb(radiance)}


def ball(folder: Path, name: str, centre: Any, radius: float, **rest: Any) -> dict[str, Any]:
    """A smooth-shaded mesh of a sphere."""
    made = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    mesh = mi.Mesh(name, len(made.vertices), len(made.faces), has_vertex_normals=True)
    params = mi.traverse(mesh)
    params["vertex_positions"] = (radius * made.vertices + centre).astype(np.float32).ravel()
    params["faces"] = made.faces.astype(np.uint32).ravel()
    params["vertex_normals"] = made.vertices.astype(np.float32).ravel()
    params.update()
    mesh.write_ply(str(folder / f"{name}.ply"))
    return {"type": "ply", "filename": str(folder / f"{name}.ply"), **rest}


def plate(folder: Path, name: str, frame: Array, **rest: Any) -> dict[str, Any]:
    return small.quad(folder, name, frame, **rest)


def textured(folder: Path) -> dict[str, Any]:
    """A plate that fills the view, with a smooth picture."""
    corners = np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]], np.float64)
    values = np.random.default_rng(5).uniform(0.1, 0.4, (16, 16, 3)) + np.linspace(0, 0.5, 16)[None, :, None]
    picture = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True, "wrap_mode": "clamp"}
    return small.mesh(
        folder, "picture", corners, small.QUAD, texcoords=[[0, 0], [1, 0], [1, 1], [0, 1]],
        bsdf={"type": "diffuse", "reflectance": picture},
    )  # fmt: skip


# ---------------------------------------------------------------------- directions in which parameters change


def ones(value: Array) -> Array:
    return np.ones(value.shape)


def across(value: Array) -> Array:
    """Along x: vertices of a mesh, or the origin of a pose."""
    return small.shift(1, 0, 0) if value.shape == (3, 4) else small.everywhere(1, 0, 0, vertices=len(value))


def growing(value: Array) -> Array:
    return np.asarray(value, dtype=np.float64)


def turning(value: Array) -> Array:
    """About the y axis, by radians: normals, or a pose about its own origin."""
    turn = np.array([[0, 0, 1.0], [0, 0, 0], [-1, 0, 0]])
    if value.shape == (3, 4):
        return np.column_stack([turn @ value[:, :3], np.zeros(3)])
    return np.asarray(value @ turn.T)


# ---------------------------------------------------------------------- the configurations


@dataclass(frozen=True)
class Configuration:
    """`mean`, `largest`, `backward`: Mitsuba's thresholds; `resolution`: Mitsuba's; the rest is ours."""

    scene: Callable[[Path], dict[str, Any]]
    tangents: Tangents
    depth: int = 2
    mean: float = 0.05
    largest: float = 0.5
    backward: float = 0.05
    resolution: int = 128
    scaled: bool = False  # what counts as small is smaller here than in Mitsuba's test
    step: float = 0.02
    size: int = 16
    spp: int = 256
    reference_spp: int = 1024
    film: dict[str, Any] = field(default_factory=dict)
    slow: bool = True

    @property
    def floor(self) -> float:
        """What smaller derivatives count as."""
        return FLOOR * self.size / self.resolution if self.scaled else FLOOR


BASIC = {
    "diffuse albedo": Configuration(
        lambda f: {"wall": wall(), "knob": knob(), "light": sky()}, {"wall/base_color": ones}, slow=False
    ),
    "diffuse albedo, indirect": Configuration(
        lambda f: {
            "wall": wall(), "knob": knob(), "light": sky(3.0),
            "green": {"type": "rectangle", "to_world": SIDE, "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.1, 0.9, 0.1)}},
        },
        {"green/base_color": ones}, depth=3, slow=False,
    ),
    "radiance of an area light": Configuration(
        lambda f: {"wall": wall(bsdf=grey(0.9)), "knob": knob(), "light": {"type": "rectangle", "to_world": SIDE, **shining(3)}},
        {"light/radiance": ones}, slow=False,
    ),
    "radiance of a visible area light": Configuration(
        lambda f: {"light": {"type": "rectangle", **shining(1)}}, {"light/radiance": ones}, slow=False
    ),
    "intensity of a point light": Configuration(
        lambda f: {
            "wall": wall(bsdf=grey(0.9)), "knob": knob(),
            "light": {"type": "point", "position": [1.3, 0.1, 1.1], "intensity": zoo.rgb(5.0)},
        },
        {"light/intensity": ones},
    ),
    "radiance of a constant sky": Configuration(
        lambda f: {"wall": wall(), "knob": knob(), "light": sky()}, {"light/radiance": ones}
    ),
    "radiance of an environment map": Configuration(
        lambda f: {"wall": wall(), "knob": knob(), "light": zoo.sky()}, {"light/radiance": ones}
    ),
    "crop window": Configuration(
        lambda f: {"wall": wall(), "light": sky()}, {"wall/base_color": ones}, size=32, resolution=64, slow=False,
        film={"crop_width": 16, "crop_height": 16, "crop_offset_x": 16, "crop_offset_y": 10},
    ),
    "shading normals turn": Configuration(
        lambda f: {
            "wall": {**ball(f, "dome", [0, 0, -1.2], 1.8), "bsdf": grey()},
            "light": {"type": "rectangle", "to_world": SIDE, **shining(3)},
        },
        {"wall/normals": turning}, mean=0.02, largest=0.3, spp=4096, reference_spp=8192,
    ),
}  # fmt: skip

UPRIGHT = small.pose(
    (0.75, 0, 0.1), x=(0.8, 0.1, 0), y=(-0.1, 0.7, 0)
)  # reaches out of view: else the mean would not change
LAMP = [3.2, 0.3, 3.4]


def self_shadow(f: Path) -> dict[str, Any]:
    red = {"type": "point", "position": [-4, 0.2, 6], "intensity": zoo.rgb(5.0, 0.0, 0.0)}
    fin = small.pose((0.2, 0, 0.5), x=(0, 0, -0.45), y=(0, 0.8, 0), z=(1, 0, 0))
    floor = small.pose((0.8, 0, 0), x=(1.2, 0, 0), y=(0, 1, 0))
    return {
        "plane": plate(f, "plane", floor, bsdf=grey()), "fin": plate(f, "fin", fin, bsdf=grey()),
        "sun": red, "light": sky(0.1),
    }  # fmt: skip


def glossy(f: Path) -> dict[str, Any]:
    metal = {"type": "roughconductor", "alpha": 0.05}
    floor = T().translate([0, -0.8, -0.5]).rotate([1, 0, 0], -50).scale(3)
    orange = {"type": "diffuse", "reflectance": zoo.rgb(1.0, 0.5, 0.0)}
    return {
        "floor": {"type": "rectangle", "to_world": floor, "bsdf": metal},
        "ball": ball(f, "ball", [0.9, 0.3, 0.8], 0.5, bsdf=orange), "light": sky(),
    }  # fmt: skip


def occluded(f: Path, light: dict[str, Any], receiver: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "wall": receiver or wall(),
        "occluder": ball(f, "occluder", [1.6, 0.15, 1.7], 0.3, bsdf=grey()),
        "light": light,
    }


def lamp(f: Path) -> dict[str, Any]:
    """Without the interpolated normals that Mitsuba's own configuration has: light of such meshes is refused (below)."""
    return ball(f, "lamp", LAMP, 0.15, face_normals=True, **shining(100))


DISCONTINUOUS = {
    "diffuse ball moves under a sky": Configuration(
        lambda f: {"ball": ball(f, "ball", [1.0, 0, 0], 0.9, bsdf=grey()), "light": sky()}, {"ball/positions": across},
        mean=0.04, largest=0.6, backward=0.25,
    ),
    "diffuse rectangle moves under a sky": Configuration(
        lambda f: {"plate": plate(f, "plate", UPRIGHT, bsdf=grey()), "light": sky()}, {"plate/positions": across},
        mean=0.02, largest=0.5, backward=0.25, slow=False,
    ),
    "shining rectangle moves": Configuration(
        lambda f: {"light": plate(f, "light", UPRIGHT, **shining(1))},
        {"light/positions": across}, mean=0.03, largest=1.0, backward=0.2,
    ),
    "shining ball moves": Configuration(
        lambda f: {"light": ball(f, "light", [1.1, 0, 0], 0.8, **shining(1))}, {"light/positions": across},
        mean=0.08, largest=2.0, backward=0.15, slow=False,
    ),
    "shining ball grows": Configuration(
        lambda f: {"light": ball(f, "light", [0, 0, 0], 0.9, **shining(1))}, {"light/positions": growing}, depth=3,
        mean=0.08, largest=0.5, backward=0.1,
    ),
    "textured plane moves": Configuration(
        lambda f: {"plane": textured(f), "light": sky()}, {"plane/positions": across}, mean=0.1, largest=56.0, resolution=64
    ),
    "occluder moves before an area light": Configuration(
        lambda f: occluded(f, lamp(f)), {"occluder/positions": across}, mean=0.02, largest=0.8, backward=0.25,
    ),
    "occluder moves before a point light": Configuration(
        lambda f: occluded(f, {"type": "point", "position": LAMP, "intensity": zoo.rgb(10.0)}), {"occluder/positions": across},
        mean=0.02, largest=0.8, backward=0.25,
    ),
    "shadow receiver moves under a sky": Configuration(
        lambda f: occluded(f, sky(), plate(f, "wall", small.pose(), bsdf=grey())), {"wall/positions": across},
        mean=0.02, largest=0.5, backward=0.25,
    ),
    "shadow receiver moves under an area light": Configuration(
        lambda f: occluded(f, lamp(f), plate(f, "wall", small.pose(), bsdf=grey())), {"wall/positions": across},
        mean=0.02, largest=0.5, backward=0.25,
    ),
    "plane and fin move, shadow on themselves": Configuration(
        self_shadow, {"plane/positions": across, "fin/positions": across}, depth=3, mean=0.06, largest=0.7, backward=0.35,
    ),
    "ball moves above a glossy floor": Configuration(
        glossy, {"ball/positions": across}, depth=3, mean=0.25, largest=5.0, backward=0.2, resolution=32,
    ),
}  # fmt: skip

CAMERA = {
    "camera moves": Configuration(
        lambda f: {"ball": ball(f, "ball", [1.0, 0, 0], 0.9, bsdf=grey()), "light": sky()}, {"camera/pose": across},
        mean=0.3, largest=1.6, backward=1.3, resolution=16,
    ),
    "camera turns": Configuration(
        lambda f: {"ball": ball(f, "ball", [1.0, 0, 0], 0.9, bsdf=grey()), "light": sky()}, {"camera/pose": turning},
        mean=0.3, largest=1.6, backward=1.3, resolution=16, step=0.01,
    ),
}  # fmt: skip
MANY = {"spp": 4096, "reference_spp": 16384}
# Where interiors are noisy, or derivatives tiny beside the edges' own: Mitsuba's 0.2 as it is.
COARSE = {
    "diffuse ball moves under a sky", "shadow receiver moves under a sky", "plane and fin move, shadow on themselves",
    "ball moves above a glossy floor",
}  # fmt: skip
MOVING = {
    name: Configuration(**{**vars(c), **MANY, "scaled": name not in COARSE})
    for name, c in {**DISCONTINUOUS, **CAMERA}.items()
}
CONFIGURATIONS = {**BASIC, **MOVING}


# ---------------------------------------------------------------------- measuring


def built(name: str, folder: Path) -> tuple[Configuration, Any, dict[str, Array]]:
    """Configuration, scene and tangents of its parameters."""
    chosen = CONFIGURATIONS[name]
    scene = load_scene({"type": "scene", "camera": camera(chosen.size, **chosen.film), **chosen.scene(folder)})
    tangents = {
        key: along(read(scene, parameters(scene, key)[key]).astype(np.float64))
        for key, along in chosen.tangents.items()
    }
    return chosen, scene, tangents


def reference(name: str, chosen: Configuration, scene: Any, tangents: dict[str, Array]) -> Array:
    """Derivative image (H, W, C) by differences of `path`, extrapolated from two steps."""
    params, path = traverse(scene), mi.load_dict({"type": "path", "max_depth": chosen.depth})
    listed = {key: parameters(scene, key)[key] for key in tangents}
    start = {key: read(None, p, params).astype(np.float64) for key, p in listed.items()}

    def image(offset: float) -> Array:
        for key, p in listed.items():
            write(params, p, mi.TensorXf((start[key] + offset * tangents[key]).astype(np.float32)))
        params.update()
        seed = hashed(0, "configuration", name)
        return np.array(mi.render(scene.mi, integrator=path, spp=chosen.reference_spp, seed=seed)).astype(np.float64)

    try:
        whole, half = ((image(h) - image(-h)) / (2 * h) for h in (chosen.step, 0.5 * chosen.step))
    finally:
        image(0.0)
    return (4 * half - whole) / 3


def errors(name: str, folder: Path, terms: tuple[str, ...] | None = None) -> tuple[Configuration, float, float, float]:
    """Configuration, mean and largest error in forward mode, error in reverse mode."""
    chosen, scene, tangents = built(name, folder)
    exact = reference(name, chosen, scene, tangents)
    options: dict[str, Any] = {"integrator": {"type": "pathspace", "max_depth": chosen.depth}, "spp": chosen.spp}
    options |= {} if terms is None else {"terms": terms}
    ours = sum(x.astype(np.float64) for x in derivative(scene, tangents, seed=hashed(1, name), **options).values())
    difference = np.abs(ours - exact) / np.maximum(np.abs(exact), chosen.floor)
    adjoint = np.full(exact.shape, 1 / exact.size)
    found = gradient(scene, list(tangents), adjoint, seed=hashed(2, name), **options).total
    along = sum(float(np.sum(found[key].astype(np.float64) * t)) for key, t in tangents.items())
    backward = abs(along - exact.mean()) / max(abs(exact.mean()), 1e-4)
    return chosen, float(difference.mean()), float(difference.max()), backward


CASES = [pytest.param(n, marks=pytest.mark.slow) if c.slow else n for n, c in CONFIGURATIONS.items()]


@pytest.mark.parametrize("name", CASES)
def test_configuration(name, tmp_path):
    chosen, mean, largest, backward = errors(name, tmp_path)
    assert mean <= chosen.mean, f"mean error {mean:.3g}"
    assert largest <= chosen.largest, f"largest error {largest:.3g}"
    assert backward <= chosen.backward, f"reverse mode {backward:.3g}"


def test_lamps_with_interpolated_normals_are_refused(tmp_path):
    """Their light jumps where the interpolated normal turns away from what they light."""
    light = {**lamp(tmp_path), "face_normals": False}
    scene = load_scene({"type": "scene", "camera": camera(16), **occluded(tmp_path, light)})
    with pytest.raises(SceneError, match="interpolated normals"):
        gradient(scene, "occluder/positions", np.ones((16, 16, 3)), spp=1)


WITHOUT = {
    "diffuse rectangle moves under a sky": ("interior",),
    "radiance of an area light": ("primary",),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_thresholds_tell(name, tmp_path):
    """Negative control: with a term left out, the same thresholds are missed."""
    chosen, mean, largest, backward = errors(name, tmp_path, WITHOUT[name])
    assert mean > chosen.mean and largest > chosen.largest and backward > chosen.backward
