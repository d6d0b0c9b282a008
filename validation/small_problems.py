"""Small problems with noisy images, whose truth is known: do the error bars of fits contain it as often as they say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZE = 16
#: Samples per pixel of the images: noise that error bars must be made of.
TARGET_SPP = 16


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `scene`: from values by name to a Mitsuba dictionary; `ranges`: of true values, by parameter name."""

    scene: Callable[[Mapping[str, Any]], dict[str, Any]]
    ranges: Mapping[str, tuple[float, float, int]]


def _camera(fov: float = 40.0) -> dict[str, Any]:
    import mitsuba as mi

    return {
        "type": "perspective",
        "fov": fov,
        "to_world": mi.ScalarTransform4f().look_at([2, 2, -5], [0, 0, 0], [0, 1, 0]),
        "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"},
    }


def _rgb(value: Any) -> dict[str, Any]:
    return {"type": "rgb", "value": [float(v) for v in value]}


def _floor() -> dict[str, Any]:
    import mitsuba as mi

    place = mi.ScalarTransform4f().translate([0, -1, 0]).rotate([1, 0, 0], -90).scale(6)
    return {"type": "rectangle", "to_world": place, "bsdf": {"type": "diffuse"}}


def _colors(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "scene", "camera": _camera(), "floor": _floor(),
        "sky": {"type": "constant", "radiance": _rgb(values["sky/radiance"])},
        "ball": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": _rgb(values["ball/base_color"])}},
    }  # fmt: skip


def _gloss(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "scene", "camera": _camera(),
        "sky": {"type": "constant", "radiance": _rgb([0.3, 0.3, 0.3])},
        "lamp": {"type": "point", "position": [2, 3, -4], "intensity": _rgb(values["lamp/intensity"])},
        "ball": {
            "type": "sphere",
            "bsdf": {
                "type": "principled", "base_color": _rgb([0.5, 0.3, 0.2]), "roughness": float(values["ball/roughness"][0]),
                "specular": 0.5,
            },
        },
    }  # fmt: skip


def _view(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "scene", "camera": _camera(float(values["camera/fov"][0])), "floor": _floor(),
        "sky": {"type": "constant", "radiance": _rgb([0.6, 0.8, 1.0])},
        "ball": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": _rgb(values["ball/base_color"])}},
    }  # fmt: skip


#: Colours and light; gloss and a lamp; the field of view and a colour, which has boundary terms.
KINDS = {
    "colours": Kind(_colors, {"ball/base_color": (0.2, 0.7, 3), "sky/radiance": (0.5, 1.2, 3)}),
    "gloss": Kind(_gloss, {"ball/roughness": (0.3, 0.7, 1), "lamp/intensity": (8.0, 20.0, 3)}),
    "view": Kind(_view, {"camera/fov": (35.0, 45.0, 1), "ball/base_color": (0.2, 0.7, 3)}),
}


def made(name: str, number: int, steps: int) -> tuple[Any, dict[str, float]]:
    """Return problem `number` of a kind, a `Problem` that starts within a tenth of the truth, and the true numbers by name."""
    from pbdr.inverse import Options, Problem, View
    from pbdr.job.views import render_path
    from pbdr.parameters import VariableSpec
    from pbdr.scene import load_scene
    from pbdr.seeds import hashed

    kind, chance = KINDS[name], np.random.default_rng(hashed(number, "coverage", name))
    truth = {key: chance.uniform(lo, hi, n) for key, (lo, hi, n) in kind.ranges.items()}
    start = {key: value * chance.uniform(0.9, 1.1, value.shape) for key, value in truth.items()}
    scene = load_scene(kind.scene(truth))
    tracer = {"type": "pathspace", "max_depth": 3}
    targets = [render_path(scene, scene.sensors[0], TARGET_SPP, hashed(number, "image", k), tracer) for k in range(2)]
    variables = {key.replace("/", "_"): VariableSpec(key) for key in truth}
    options = Options(steps=steps, spp=16, integrator=tracer, loss="l2", gauge=None, seed=number)
    views = [View(t[..., :3], name=str(k)) for k, t in enumerate(targets)]
    true = {
        f"{key}[{i}]" if len(value) > 1 else key: float(v) for key, value in truth.items() for i, v in enumerate(value)
    }
    return Problem(load_scene(kind.scene(start)), views, variables, options), true


def scores(name: str, number: int, steps: int) -> Iterator[tuple[str, float]]:
    """Yield (unknown, (truth − middle of its interval) / standard deviation) of problem `number` of a kind, fitted in `steps`."""
    from pbdr.inverse import fit
    from pbdr.inverse.identify import identify

    problem, true = made(name, number, steps)
    for bar in identify(problem, fit(problem).state, seed=number).bars:
        assert bar.value is not None
        yield bar.name, (true[bar.name] - bar.value - bar.offset) / bar.sd


def audited(name: str, number: int, steps: int) -> tuple[str, int]:
    """Return (what an audit after every step found wrong, or ""; audits until then) of problem `number` of a kind."""
    from pbdr.errors import GradientError
    from pbdr.inverse import fit
    from pbdr.inverse.warranty import Warranty

    problem, _ = made(name, number, steps)
    warranty = Warranty(problem)
    try:
        fit(problem, lambda state, info: warranty.audit(state))
    except GradientError as error:
        return str(error), warranty.count
    return "", warranty.count
