"""Shapes and lights that move in fog, against differences of Mitsuba's `volpathmis`: outlines, shadows, shafts of light.

12 replicas on either side; they find an error of 13 times the noise that a comparison allows with a probability of 99 %.
"""

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr import rendering
from pbdr.boundary.edges import direct
from pbdr.parameters import list_parameters
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.media import fog
from validation.agreement import assert_differs
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import media, zoo

BULB = {"type": "point", "position": [0.4, -0.8, 2.2], "intensity": 6.0}
# Shape, light, medium, what moves.
CASES = {
    "absorbing, ball": ("sphere", BULB, media.fog(0.25, 0.0), "thing/pose"),
    "scattering, ball": ("sphere", BULB, media.fog(0.4, 0.95, media.forwards(0.3)), "thing/pose"),
    "ball under a lamp": ("sphere", None, media.fog(0.2, 0.95), "thing/pose"),
    "bulb": ("sphere", BULB, media.fog(0.4, 0.95), "lamp/position"),
    "lamp": ("cube", None, media.fog(0.3, 0.9), "lamp/pose"),
}  # fmt: skip


def scene(case):
    """A floor and a thing in fog, under a lamp or a bulb."""
    kind, light, air, _ = CASES[case]
    parts = media.scene(None, kind, {"type": "diffuse", "reflectance": zoo.rgb(0.7, 0.3, 0.2)})
    if kind == "cube":
        parts["thing"]["face_normals"] = (
            True  # where normals are interpolated, terms are wanted that do not know of fog
        )
    parts |= {"camera": zoo.camera(medium={"type": "ref", "id": "air"}), "air": air}
    return load_scene(parts if light is None else {**parts, "lamp": light})


def shifted(made, name):
    """Tangent: everything that has this name moves the same way."""
    shape = next(p.shape for p in list_parameters(made) if p.name == name)
    step = np.array([1, 0.3, 0.5])
    return np.column_stack([np.zeros((3, 3)), step]) if shape == (3, 4) else np.broadcast_to(step, shape).copy()


def compared(case, spp=512, count=12):
    """Totals of our gradient, and replicas of the differences."""
    made, name = scene(case), CASES[case][3]
    tangent = shifted(made, name)
    exact = Differences(
        made, name, tangent, 0.04, spp=1024, integrator={"type": "volpathmis", "max_depth": 2, "rr_depth": 50}
    )
    weights = exact.signs()
    ours = lambda: gradients(made, {name: tangent}, weights, spp=spp, count=count, max_depth=2)[name]  # noqa: E731
    return ours, exact.replicas(weights, gap=0.08, count=count)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_against_differences(case):
    ours, exact = compared(case)
    check(ours(), exact, max_relative_se=0.02)


@pytest.mark.slow
def test_every_part_is_needed(monkeypatch):
    """Negative controls: without the edges of shadows and shafts; without what the fog takes on the way to edges."""
    ours, exact = compared("scattering, ball")
    with monkeypatch.context() as patch:
        patch.setattr(direct.ShadowEdges, "draw", lambda self, context, count: iter(()))
        assert_differs(ours(), exact.mean(), by=0.05)
    with monkeypatch.context() as patch:
        patch.setattr(fog, "transmittance", lambda *_: mi.Spectrum(1))
        assert_differs(ours(), exact.mean(), by=0.05)


@pytest.mark.slow
def test_both_modes():
    made = scene("scattering, ball")
    tangent, weights = shifted(made, "thing/pose"), adjoint().astype(np.float32)
    options = {"spp": 16, "seed": 5, "integrator": {"type": "pathspace", "max_depth": 2, "adjoint_sampling": False}}
    reverse = gradient(made, "thing/pose", weights, **options).total["thing/pose"].astype(np.float64) * tangent
    image = sum(rendering.derivative(made, {"thing/pose": tangent}, **options).values())
    assert abs(np.sum(image * weights) - reverse.sum()) <= 1e-3 * np.abs(reverse).sum() != 0


def test_what_is_refused_in_fog():
    """Longer paths, the camera, the warp, mirrors, a second medium: each by name, before anything is rendered."""
    made = scene("scattering, ball")

    def refused(match, scene=made, name="thing/pose", **options):
        tracer = {"type": "pathspace", "max_depth": 2, **options}
        with pytest.raises(pbdr.errors.SceneError, match=match):
            gradient(scene, name, adjoint(), spp=1, integrator=tracer)

    refused("up to max_depth = 2", max_depth=3)
    refused("the camera may not", name="camera/pose")
    refused("boundary = 'edge'", boundary="warp")
    parts = media.scene(media.fog(), camera=zoo.camera(medium={"type": "ref", "id": "air"}), air=media.fog(0.1))
    refused("and no other", load_scene(parts), "lamp/pose")
    parts = media.scene(
        None, "sphere", {"type": "dielectric"}, camera=zoo.camera(medium={"type": "ref", "id": "air"}), air=media.fog()
    )
    refused("'thing' has delta lobes", load_scene(parts))
