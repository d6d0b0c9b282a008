"""Scenes that hold every plugin Mitsuba ships and that needs no file from outside.

Each is small and sees many plugins at once, so that one gradient pass serves all their parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from validation.scenes import zoo

Dict = dict[str, Any]
T = zoo.T


def grey(value: float) -> Dict:
    """A diffuse material."""
    return {"type": "diffuse", "reflectance": zoo.rgb(value)}


def smooth(channels: int = 3) -> Dict:
    """A texture without jumps."""
    return zoo.texels(0.2, 0.8, channels, size=4, filter_type="bilinear")


def view(**rest: Any) -> Dict:
    """The zoo's camera with stratified samples."""
    return zoo.camera(sampler={"type": "stratified"}, **rest)


def floor(bsdf: Dict | None = None) -> Dict:
    """A floor that ends in view."""
    return {"type": "rectangle", "to_world": T().scale(2.5), "bsdf": bsdf or grey(0.5)}


def gallery(bsdfs: dict[str, Dict], lights: Dict, kind: str = "sphere") -> Dict:
    """A row of balls (or plates), one a material, before the camera."""
    scene: Dict = {"type": "scene", "camera": view(), **lights}
    columns = int(np.ceil(np.sqrt(len(bsdfs))))
    step = 2.2 / columns
    for k, (name, bsdf) in enumerate(bsdfs.items()):
        x, z = (k % columns - 0.5 * (columns - 1)) * step, (k // columns - 0.5 * (columns - 1)) * step + 0.5
        if kind == "sphere":
            shape: Dict = {"type": "sphere", "center": [x, 0, z], "radius": 0.42 * step}
        else:
            shape = {
                "type": "rectangle",
                "to_world": T().look_at([x, 0, z], [x + 0.5, -1.2, z + 0.4], [0, 0, 1]).scale(0.4 * step),
            }
        scene[name] = {**shape, "bsdf": bsdf}
    return scene


def coloured_quad(folder: Path) -> Dict:
    """A mesh with a colour attribute per vertex and one per face."""
    made = mi.Mesh("quad", 4, 2, has_vertex_texcoords=True)
    params = mi.traverse(made)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.5 + [0, 0.6, 0.9]
    corners[2:, 1] += 0.5
    params["vertex_positions"], params["faces"] = mi.Float(corners.ravel()), mi.UInt32([0, 1, 2, 0, 2, 3])
    params["vertex_texcoords"] = mi.Float([0, 0, 1, 0, 1, 1, 0, 1])
    params.update()
    made.add_attribute("vertex_color", 3, np.random.default_rng(1).uniform(0.2, 0.8, 12).astype(np.float32))
    made.write_ply(str(folder / "quad.ply"))
    paint = {
        "type": "twosided",
        "nested": {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}},
    }
    return {"type": "ply", "filename": str(folder / "quad.ply"), "bsdf": paint}


SUN = {"sun": zoo.lamp(-0.6, 0.9, -1)}
SKY = {"light": zoo.glow()}


def unit(*axis):
    """Mitsuba keeps a wrong inverse of rotations about axes that are not normalised."""
    return list(np.array(axis) / np.linalg.norm(axis))


def shapes(folder: Path) -> Dict:
    """Shapes with a silhouette of their own, apart from each other."""
    at = lambda x, y, z: T().translate([x, y, z])  # noqa: E731
    two = lambda v: {"type": "twosided", "nested": grey(v)}  # noqa: E731
    return {
        "type": "scene", "camera": view(), **SUN, "floor": floor(),
        "ball": {"type": "sphere", "center": [-0.8, -0.5, 0.3], "radius": 0.3, "bsdf": grey(0.7)},
        "plate": {"type": "rectangle", "to_world": at(0, -0.6, 0.5).rotate(unit(1, 0.4, 0), 50).scale(0.3), "bsdf": two(0.6)},
        "disk": {"type": "disk", "to_world": at(0.8, -0.5, 0.5).rotate(unit(1, -0.4, 0), 60).scale(0.3), "bsdf": two(0.8)},
        "pipe": {"type": "cylinder", "p0": [-0.9, 0.5, 0.8], "p1": [-0.4, 0.4, 1.3], "radius": 0.2, "bsdf": two(0.7)},
        "block": {"type": "cube", "to_world": at(0.9, 0.6, 1.1).rotate(unit(1, 1, 0.3), 40).scale(0.25), "bsdf": grey(0.6)},
        "quad": coloured_quad(folder),
    }  # fmt: skip


def textures(folder: Path) -> Dict:
    """Everything that can stand for a colour."""
    checker = {
        "type": "checkerboard",
        "color0": zoo.rgb(0.2, 0.3, 0.4),
        "color1": zoo.rgb(0.8, 0.6, 0.7),
        "to_uv": T().scale(3),
    }
    grid = np.random.default_rng(2).uniform(0.2, 0.8, (3, 3, 3, 3)).astype(np.float32)
    volume = {
        "type": "volume",
        "volume": {"type": "gridvolume", "grid": mi.VolumeGrid(grid), "to_world": T().translate([-2, -2, -2]).scale(4)},
    }
    constant = {"type": "volume", "volume": {"type": "constvolume", "value": 0.4}}
    sources = {
        "bitmap": smooth(), "turned": {**smooth(), "to_uv": T().rotate([0, 0, 1], 20)},
        "nearest": zoo.texels(0.2, 0.8, filter_type="nearest"),
        "checker": checker, "gridvolume": volume, "constvolume": constant, "srgb": {"type": "srgb", "color": [0.3, 0.5, 0.6]},
        "uniform": {"type": "uniform", "value": 0.4}, "rawconstant": {"type": "rawconstant", "value": [0.3, 0.5, 0.6]},
    }  # fmt: skip
    scene = gallery(
        {k: {"type": "twosided", "nested": {"type": "diffuse", "reflectance": v}} for k, v in sources.items()},
        SUN,
        "plate",
    )
    return {**scene, "quad": coloured_quad(folder)}


def filters(folder: Path) -> Dict:
    """Plates before a sky: what polarises light in variants that know of it."""
    made = {"polarizer": {"type": "polarizer"}, "retarder": {"type": "retarder"}}
    made["circular"] = {"type": "circular"}
    return gallery(made, SKY, "plate")


def hair(folder: Path) -> Dict:
    """A thick fibre."""
    rod = {"type": "cylinder", "p0": [-1, 0, 0.3], "p1": [1, 0.2, 0.8], "radius": 0.4, "bsdf": {"type": "hair"}}
    return {"type": "scene", "camera": view(), **SUN, "rim": zoo.lamp(0.3, 1, -0.3), "rod": rod}


def lights(folder: Path) -> Dict:
    """Emitters that test_emitters.py does not have."""
    facing = T().look_at([0.3, 0.2, 2], [0, 0, 0], [0, 1, 0]).scale(0.7)
    return {
        "type": "scene", "camera": view(), "floor": floor(), "ball": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6},
        "beam": {"type": "rectangle", "to_world": facing, "emitter": {"type": "directionalarea", "radiance": zoo.rgb(3.0)}},
        "white": {"type": "point", "position": [-2, -2, 2], "intensity": {"type": "d65", "scale": 2.0}},
    }  # fmt: skip


def seen_by(sensor: Dict) -> Callable[[Path], Dict]:
    """The zoo's ball before this sensor."""

    def make(folder: Path) -> Dict:
        scene = {**zoo.scene(), **SUN, "camera": {**sensor, "sampler": {"type": "stratified"}}}
        scene["floor"]["to_world"] = T().translate([1.6, 0, 0]).scale(1.8)  # nothing is symmetric
        scene.pop("light")
        return scene

    return make


def medium(folder: Path) -> Dict:
    """Media and phase functions."""
    scene = zoo.scene(bsdf={"type": "null"})
    scene["ball"]["interior"] = {
        "type": "homogeneous", "albedo": zoo.rgb(0.7), "sigma_t": zoo.rgb(1.0), "phase": {"type": "hg", "g": 0.3},
    }  # fmt: skip
    return scene


def group(folder: Path) -> Dict:
    """An instance; turned, since faces that are seen edge-on have one-sided derivatives."""
    turned = T().rotate([0.6, 0, 0.8], 25).scale(0.3)
    inner = {"type": "shapegroup", "inner": {"type": "cube", "to_world": turned, "bsdf": grey(0.6)}}
    return {
        "type": "scene", "camera": view(), **SUN, "floor": floor(), "group": inner,
        "copy": {"type": "instance", "to_world": T().translate([0.3, 0, 0.6]), "group": {"type": "ref", "id": "group"}},
    }  # fmt: skip


def beside(kind: str) -> Callable[[Path], Dict]:
    """A shape of this kind above a floor."""

    def make(folder: Path) -> Dict:
        scene = {"type": "scene", "camera": view(), **SUN, "floor": floor()}
        if kind == "sdfgrid":
            x, y, z = np.meshgrid(*[np.linspace(-1, 1, 8)] * 3, indexing="ij")
            grid = (np.sqrt(x**2 + y**2 + z**2) - 0.6)[..., None].astype(np.float32)
            other: Dict = {"type": "sdfgrid", "grid": mi.TensorXf(grid), "to_world": T().translate([-0.5, -0.5, 0.2])}
        elif kind == "ellipsoids" or kind == "ellipsoidsmesh":
            centers = mi.TensorXf(np.array([[0, 0, 0.6]], np.float32))
            scales = mi.TensorXf(np.array([[0.3, 0.4, 0.5]], np.float32))
            turns = mi.TensorXf(np.array([[0, 0, 0, 1]], np.float32))
            other = {"type": kind, "centers": centers, "scales": scales, "quaternions": turns}
        else:
            path = folder / "curve.txt"
            path.write_text("\n".join(f"{0.3 * k - 1} 0.1 {0.2 * k + 0.2} 0.1" for k in range(6)))
            other = {"type": kind, "filename": str(path)}
        return {**scene, "other": {**other, "bsdf": grey(0.6)}}

    return make


POINT = zoo.film(width=1, height=1)
LENS: Dict = {"aperture_radius": 0.1, "focus_distance": 4.0}
SCENES: dict[str, Callable[[Path], Dict]] = {
    "shapes": shapes,
    "textures": textures,
    "filters": filters,
    "hair": hair,
    "lights": lights,
    "thinlens": seen_by(zoo.camera("thinlens", **LENS)),
    "orthographic": seen_by(zoo.camera("orthographic", to_world=zoo.VIEW.scale(1.5))),
    "perspective": seen_by(zoo.camera(principal_point_offset_x=0.05)),
    "distant": seen_by({"type": "distant", "direction": [0, 0.7, -1], "film": POINT}),
    "radiancemeter": seen_by({"type": "radiancemeter", "origin": [0, -3, 1.5], "direction": [0, 1, -0.4], "film": POINT}),
    "medium": medium,
    "instance": group,
    **{kind: beside(kind) for kind in ("sdfgrid", "ellipsoids", "ellipsoidsmesh", "bsplinecurve", "linearcurve")},
}  # fmt: skip
