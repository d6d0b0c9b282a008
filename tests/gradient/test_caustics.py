"""Edges that a surface sees in mirrors and through glass: a floor that is lit by way of a mirror or through glass alone.

What a plane mirror shows is another scene behind it, without a mirror: direct light in that one, with hardly any noise, is the
reference for the light that comes by way of the mirror.
"""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np
import pytest

from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from pbdr.transport import emission
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import adjoint, gradients, parameters
from validation.scenes.zoo import film, rgb

T = mi.ScalarTransform4f
SILVER = {"type": "conductor", "material": "none"}
BLACK = {"type": "diffuse", "reflectance": rgb(0.0)}
HIGH, TILT = np.array([-0.4, 0, 1.5]), 10.0  # of the mirror
LAMP = T().translate([-0.6, 0, 0.2]).scale(0.5)
BOX = T().translate([-0.7, 0.1, 0.8]).rotate([0.6, 0, 0.8], 30).scale(0.25)
SHIFT = np.array([0.5, 0.2, 0.3])
VIEW = T().look_at([0.7, -3, 1.0], [0.7, 0, 0], [0, 0, 1])
UPWARDS = T().look_at([0.3, -3, 1.0], [0.3, -2.3, 1.55], [0, 0, 1])


def court(view: Any = VIEW, **shapes: Any) -> Any:
    """The camera sees the floor and nothing else (looking upwards: in the mirror)."""
    return load_scene({
        "type": "scene",
        "camera": {"type": "perspective", "fov": 25, "film": film(), "to_world": view},
        "floor": {"type": "rectangle", "to_world": T().scale(4), "bsdf": {"type": "diffuse"}},
        **shapes,
    })  # fmt: skip


def lamp(pose: Any = LAMP) -> dict[str, Any]:
    """It shines upwards, away from the floor."""
    emitter = {"type": "area", "radiance": rgb(20.0)}
    return {"type": "rectangle", "to_world": pose, "bsdf": BLACK, "emitter": emitter}


def box(pose: Any = BOX) -> dict[str, Any]:
    return {"type": "cube", "to_world": pose, "bsdf": BLACK}


def mirrored(view: Any = VIEW) -> Any:
    """Light comes by way of the mirror, past the box; the mirror's border lies out of the way."""
    pose = T().translate(HIGH).rotate([0, 1, 0], 180 - TILT).scale(3)
    return court(view, lamp=lamp(), box=box(), mirror={"type": "rectangle", "to_world": pose, "bsdf": SILVER})


def unfolded(step: float, thing: str, upwards: bool = False) -> Any:
    """The same with what the mirror shows behind it, in place of the mirror; `thing` has moved by `step`.

    Looking `upwards`, the camera's own image is there that sees what the camera sees in the mirror.
    """
    move = {name: T().translate(step * SHIFT * (name == thing)) for name in ("lamp", "box", "mirror")}
    angle = np.radians(TILT)
    normal = np.array([np.sin(angle), 0, -np.cos(angle)])
    at = HIGH + step * SHIFT * (thing == "mirror")
    flip = np.eye(4)
    flip[:3, :3] -= 2 * np.outer(normal, normal)
    flip[:3, 3] = 2 * normal * (normal @ at)
    image = T(flip)
    return court(
        view=image @ UPWARDS if upwards else VIEW, lamp=lamp(image @ move["lamp"] @ LAMP),
        image=box(image @ move["box"] @ BOX), box=box(move["box"] @ BOX),
        body={"type": "rectangle", "to_world": move["lamp"] @ LAMP, "bsdf": BLACK},
    )  # fmt: skip


def render(scene: Any, depth: int, spp: int, seed: int = 0) -> Any:
    path = mi.load_dict({"type": "path", "max_depth": depth})
    return np.array(mi.render(scene.mi, integrator=path, spp=spp, seed=seed)).astype(np.float64)


STEP = 0.04
REPLICAS = 6
NOISE = 0.05  # of the derivative; what is tested is most of it, or more
COUNT = {"box": 300_000, "lamp": 600_000, "mirror": 1_500_000}


def unfolded_replicas(thing: str, upwards: bool = False) -> Any:
    """Finite differences, extrapolated, of the scene without a mirror (N,)."""

    def estimate(seed: int) -> list[float]:
        slopes = []
        for h in (STEP, 0.5 * STEP):
            pair = [render(unfolded(sign * h, thing, upwards), 2, 1024, seed) for sign in (1, -1)]
            slopes.append(float(((pair[0] - pair[1]) * adjoint()).sum()) / (2 * h))
        return slopes

    samples = replicas(estimate, REPLICAS, "unfolded", thing)
    noise = (samples[:, 1] - samples[:, 0]).std(ddof=1) / np.sqrt(REPLICAS)
    assert abs(np.diff(samples.mean(0))[0]) < 0.02 * abs(samples.mean()) + 5 * noise
    return (4 * samples[:, 1] - samples[:, 0]) / 3


def shift(scene: Any, name: str) -> Any:
    """The object moves by SHIFT."""
    tangent = np.zeros(parameters(scene, name)[name].shape)
    if name.endswith("pose"):
        tangent[:3, 3] = SHIFT
    else:
        tangent[:] = SHIFT
    return tangent


@pytest.mark.parametrize(
    "thing", ["box", pytest.param("lamp", marks=pytest.mark.slow), pytest.param("mirror", marks=pytest.mark.slow)]
)
def test_by_way_of_a_plane_mirror(thing):
    """A blocker between lamp and mirror, the lamp, and the mirror itself."""
    scene = mirrored()
    name = "box/positions" if thing == "box" else f"{thing}/pose"
    tangents = {name: shift(scene, name)}
    expected = unfolded_replicas(thing)
    options = {"max_depth": 3, "n_indirect": COUNT[thing], "n_direct": 0, "n_primary": 0}
    ours = gradients(scene, tangents, adjoint(), spp=64, count=REPLICAS, **options)[name]
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=NOISE)
    without = gradients(scene, tangents, adjoint(), spp=64, count=REPLICAS, max_depth=3, boundary="none")[name]
    assert_differs(without - expected, 0.0, scale=scale, by=0.3)


@pytest.mark.slow
def test_seen_in_the_mirror_itself():
    """The camera sees the floor in the mirror, by way of which the light comes: neither paths from it nor walks to it see that."""
    scene, name = mirrored(UPWARDS), "box/positions"
    tangents = {name: shift(scene, name)}
    expected = unfolded_replicas("box", upwards=True)
    options = {"max_depth": 4, "n_direct": 0, "n_primary": 20_000}
    ours = gradients(scene, tangents, adjoint(), spp=16, count=REPLICAS, n_indirect=200_000, **options)[name]
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=NOISE)
    without = gradients(scene, tangents, adjoint(), spp=16, count=REPLICAS, n_indirect=0, **options)[name]
    assert_differs(without - expected, 0.0, scale=scale, by=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_techniques_agree(monkeypatch, share):
    """Light past the edge that is found from the edge, from the light, or by both: the same expectation."""
    scene, tangents = mirrored(), {"box/positions": None}
    tangents = {name: shift(scene, name) for name in tangents}
    options = {"max_depth": 3, "n_direct": 0, "n_primary": 0, "terms": ("indirect",)}
    reference = gradients(scene, tangents, adjoint(), spp=4, n_indirect=300_000, **options)["box/positions"]
    monkeypatch.setattr(emission, "share_of_lights", lambda *_: mi.Float(share))
    other = gradients(scene, tangents, adjoint(), spp=4, n_indirect=1_000_000, **options)["box/positions"]
    scale = abs(reference.mean())
    assert_agrees(other - reference, 0.0, scale=scale, max_relative_se=NOISE)
    assert_differs(0.8 * reference, reference.mean(), scale=scale, by=0.1)


def test_forward_and_reverse_agree():
    scene = mirrored()
    name = "mirror/pose"
    tangents = {name: shift(scene, name)}
    options = {"spp": 4, "seed": 3, "terms": ("indirect",)}
    options |= {"integrator": {"type": "pathspace", "max_depth": 3, "n_indirect": 30_000}}
    reverse = gradient(scene, name, adjoint(), **options).total[name]
    forward = derivative(scene, tangents, **options)["indirect"]
    expected = float(np.sum(reverse * tangents[name]))
    assert abs(expected) > 0
    assert float(np.sum(forward.astype(np.float64) * adjoint())) == pytest.approx(expected, rel=1e-3)
