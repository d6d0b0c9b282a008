"""A small zoo of scenes for comparing primal images: one material, emitter, camera or option at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mitsuba as mi
import numpy as np

from validation.finite_differences import SIZE

T = mi.ScalarTransform4f
VIEW = T().look_at([0, -4, 1.8], [0, 0, 0.5], [0, 0, 1])
Dict = dict[str, Any]


def rgb(*value: float) -> Dict:
    """A colour, or a grey one of a single value."""
    return {"type": "rgb", "value": list(value) if len(value) > 1 else value[0]}


def texels(low: float, high: float, channels: int = 3, size: int = 8, **rest: Any) -> Dict:
    """A texture of random values: smooth enough for few samples, different everywhere."""
    values = np.random.default_rng(size * channels).uniform(low, high, (size, size, channels))
    return {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True, **rest}


def normals() -> Dict:
    """A normal map of random tilts."""
    values = np.array([0.5, 0.5, 1.0]) + np.random.default_rng(3).uniform(-0.1, 0.1, (8, 8, 3))
    return {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True}


def sky() -> Dict:
    """A smooth coloured environment, upright for a floor at z = 0."""
    u, v = np.linspace(0, 2 * np.pi, 32, endpoint=False), np.linspace(0, np.pi, 16)
    v, u = np.meshgrid(v, u, indexing="ij")
    values = np.stack([0.5 + 0.4 * np.sin(u + v), 0.5 + 0.4 * np.cos(2 * u), 0.6 + 0.3 * np.sin(2 * v)], -1)
    pose = T().rotate([1, 0, 0], 90)
    return {"type": "envmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "to_world": pose}


def film(**changes: Any) -> Dict:
    """A small film without a filter that overlaps pixels."""
    return {
        "type": "hdrfilm",
        "width": SIZE,
        "height": SIZE,
        "pixel_format": "rgb",
        "rfilter": {"type": "box"},
        **changes,
    }


def camera(kind: str = "perspective", film: Dict | None = None, **changes: Any) -> Dict:
    """A sensor that looks at the ball; `changes` override its properties."""
    lens = {} if kind == "orthographic" else {"fov": 35.0}
    return {"type": kind, "to_world": VIEW, "film": film or globals()["film"](), **lens, **changes}


def scene(bsdf: Dict | None = None, light: Dict | None = None, sensor: Dict | None = None) -> Dict:
    """A sphere of some material on a diffuse floor."""
    return {
        "type": "scene", "camera": sensor or camera(), "light": light or sky(),
        "ball": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6, "bsdf": bsdf or {"type": "diffuse"}},
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse", "reflectance": rgb(0.6, 0.5, 0.4)}},
    }  # fmt: skip


def lamp(*direction: float) -> Dict:
    """A distant light: images under it have no noise at max_depth 2 but that of the film, which the sampler spreads out."""
    return {"type": "directional", "direction": list(direction), "irradiance": rgb(3.0, 2.0, 1.0)}


def glow() -> Dict:
    """A sky that is dim towards the camera and bright behind the object."""
    u, v = np.linspace(0, 2 * np.pi, 32, endpoint=False), np.linspace(0, np.pi, 16)
    v, u = np.meshgrid(v, u, indexing="ij")
    values = np.stack([1.2 + np.sin(u + 0.3 * k) * np.sin(v) + 0.2 * np.cos(2 * v + k) for k in range(3)], -1)
    return {**sky(), "bitmap": mi.Bitmap(values.astype(np.float32))}


def alone(bsdf: Dict, shape: str, lights: Dict) -> Dict:
    """A ball, or a tilted plate that lets light through, with nothing but lights around it."""
    pose = T().look_at([0, 0, 0.5], [0.87, -0.5, 0.6], [0, 0, 1]).scale(0.9)
    ball = {"type": "sphere", "center": [0, 0, 0.5], "radius": 0.9}
    plate = {"type": "rectangle", "to_world": pose}
    chosen = {"ball": ball, "plate": plate}[shape]
    return {
        "type": "scene",
        "camera": camera(sampler={"type": "ldsampler"}),
        "ball": {**chosen, "bsdf": bsdf},
        **lights,
    }


def above(shape: str = "rectangle", size: float = 0.6, **rest: Any) -> Dict:
    """A light shape above the floor that looks at the ball."""
    return {"type": shape, "to_world": T().look_at([1.5, -1, 3], [0, 0, 0.5], [0, 0, 1]).scale(size), **rest}


def lamp_in_view(shape: str) -> Dict:
    """A light between the camera and the ball, closer than 1.7 to the camera."""
    pose = T().look_at([0.3, -2.9, 1.5], [0, 0, 0.5], [0, 0, 1]).scale(0.25)
    return {"type": shape, "to_world": pose, "emitter": {"type": "area", "radiance": rgb(40.0)}}


def block() -> Dict:
    """A turned cube where the ball is."""
    pose = T().translate([0, 0, 0.6]).rotate([0, 0, 1], 30).scale(0.4)
    return {"type": "cube", "to_world": pose, "bsdf": {"type": "diffuse"}}


def aimed(**rest: Any) -> Dict:
    """Properties of an emitter that looks at the ball."""
    return {"to_world": T().look_at([1.5, -1, 3], [0, 0, 0.5], [0, 0, 1]), **rest}


def cornell(**camera_film: Any) -> Dict:
    """Mitsuba's Cornell box with a small film."""
    box = mi.cornell_box()
    box["sensor"] |= {"film": film(**camera_film), "sampler": {"type": "stratified"}}
    box.pop("integrator", None)
    return box


METAL = {"eta": rgb(0.4, 0.6, 0.9), "k": rgb(1.6, 2.0, 2.4)}
PAINT = {"base_color": rgb(0.7, 0.5, 0.2)}
GREEN = {"type": "diffuse", "reflectance": rgb(0.2, 0.7, 0.3)}
MATERIALS: dict[str, Callable[[], Dict]] = {
    "diffuse": lambda: {"type": "diffuse", "reflectance": texels(0.1, 0.9)},
    "dielectric": lambda: {"type": "dielectric", "int_ior": 1.5},
    "thindielectric": lambda: {"type": "thindielectric", "int_ior": 1.5},
    "roughdielectric": lambda: {"type": "roughdielectric", "int_ior": 1.5, "alpha": 0.3},
    "smoothdielectric": lambda: {"type": "smoothdielectric", "int_ior": 1.4, "specular_transmittance": rgb(0.9, 0.8, 0.7)},
    "conductor": lambda: {"type": "conductor", **METAL},
    "roughconductor": lambda: {"type": "roughconductor", "alpha": 0.3, "distribution": "ggx", **METAL},
    "roughconductor-beckmann": lambda: {
        "type": "roughconductor", "alpha_u": 0.2, "alpha_v": 0.4, "distribution": "beckmann", **METAL,
    },
    "plastic": lambda: {"type": "plastic", "int_ior": 1.5},
    "roughplastic": lambda: {"type": "roughplastic", "alpha": 0.2},
    "pplastic": lambda: {"type": "pplastic", "alpha": 0.2},
    "principled": lambda: {
        "type": "principled", **PAINT, "roughness": 0.4, "metallic": 0.3, "clearcoat": 0.3, "sheen": 0.4, "anisotropic": 0.2,
        "spec_tint": 0.3, "flatness": 0.2, "clearcoat_gloss": 0.4, "sheen_tint": 0.3, "specular": 0.5, "spec_trans": 0.1,
    },
    "principled-transmission": lambda: {
        "type": "principled", **PAINT, "roughness": 0.4, "spec_trans": 0.6, "eta": 1.4, "metallic": 0.2, "clearcoat": 0.2,
        "clearcoat_gloss": 0.4, "sheen": 0.3, "sheen_tint": 0.3, "anisotropic": 0.2, "spec_tint": 0.3, "flatness": 0.2,
    },
    "principledthin": lambda: {
        "type": "principledthin", **PAINT, "roughness": 0.4, "spec_trans": 0.3, "diff_trans": 0.6, "eta": 1.5, "anisotropic": 0.2,
        "sheen": 0.3, "sheen_tint": 0.3, "spec_tint": 0.3, "flatness": 0.2,
    },
    "twosided": lambda: {"type": "twosided", "nested": {"type": "plastic"}},
    "blend": lambda: {"type": "blendbsdf", "weight": 0.3, "a": GREEN, "b": {"type": "roughconductor", "alpha": 0.2, **METAL}},
    "mask": lambda: {"type": "mask", "opacity": texels(0.2, 0.9, 1), "nested": GREEN},
    "normalmap": lambda: {"type": "normalmap", "normalmap": normals(), "nested": {"type": "roughconductor", "alpha": 0.3, **METAL}},
    "bumpmap": lambda: {"type": "bumpmap", "arbitrary": texels(0.2, 0.8, 1), "scale": 0.1, "nested": GREEN},
}  # fmt: skip

EMITTERS: dict[str, Callable[[], Dict]] = {
    "constant": lambda: {"type": "constant", "radiance": rgb(0.5, 0.6, 0.7)},
    "area": lambda: above(emitter={"type": "area", "radiance": rgb(9.0)}),
    "area-textured": lambda: above(emitter={"type": "area", "radiance": texels(2, 12)}),
    "area-sphere": lambda: {
        "type": "sphere", "center": [1.5, -1, 3], "radius": 0.4, "emitter": {"type": "area", "radiance": rgb(9.0)},
    },
    "point": lambda: {"type": "point", "position": [1.5, -1, 3], "intensity": rgb(9.0, 7.0, 5.0)},
    "spot": lambda: aimed(type="spot", intensity=rgb(12.0), cutoff_angle=30.0, beam_width=20.0, texture=texels(0.5, 1.5)),
    "directional": lambda: {"type": "directional", "direction": [-0.5, 0.4, -1], "irradiance": rgb(2.0)},
    "projector": lambda: aimed(type="projector", fov=40.0, irradiance=texels(2, 12)),
    "sunsky": lambda: {"type": "sunsky", "sun_direction": [0.4, -0.3, 1.0], "turbidity": 3.0},
}  # fmt: skip
