"""Hard and narrow edges of the beams of spot lights: closed forms, and finite differences through a mirror."""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import ParameterError, SceneError
from pbdr.rendering import gradient
from pbdr.transport import cones
from validation.agreement import assert_agrees, assert_differs
from validation.derivatives import derivatives
from validation.finite_differences import Differences, check, gradients
from validation.scenes import zoo
from validation.scenes.small import T, diffuse, scene_of, shift

SIZE, HALF, HEIGHT = 48, 1.2, 2.0  # pixels small enough for their weights to be linear over the film
ALBEDO, INTENSITY = 0.6, 5.0
BEAMS = {"equal": (20.0, 20.0), "hard": (25.0, 20.0), "narrow": (19.0, 20.0), "tight": (19.999, 20.0)}


def lit(beam, cutoff, **rest):
    """A spot light that looks straight down at a floor, which an orthographic camera sees from above."""
    film = zoo.film(width=SIZE, height=SIZE)
    view = {"type": "orthographic", "to_world": T().look_at([0, 0, 3], [0, 0, 0], [0, 1, 0]).scale(HALF), "film": film}
    pose = T().look_at([0.1, 0, HEIGHT], [0.1, 0, 0], [0, 1, 0])
    spot = {
        "type": "spot",
        "to_world": pose,
        "intensity": zoo.rgb(INTENSITY),
        "cutoff_angle": cutoff,
        "beam_width": beam,
    }
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": diffuse(ALBEDO)}
    return scene_of(camera=view, light={**spot, **rest}, floor=floor)


def flux(beam, cutoff):
    """Integral of the radiance over the floor: it does not depend on the height of the light."""
    angles = np.radians(np.linspace(min(beam, cutoff), cutoff, 1001))
    return 2 * ALBEDO * INTENSITY * (1 - np.cos(angles).mean())


def uniform():
    return np.full((SIZE, SIZE, 3), (2 * HALF / SIZE) ** 2 / 3)


def slope():
    """Weights that make the image the first moment along x."""
    x = (np.arange(SIZE) + 0.5) / SIZE * 2 * HALF - HALF
    return uniform() * x[None, :, None]


def found(scene, name, tangent, weights, **options):
    options = {"spp": 2, "replica_count": 8, "terms": ("interior", "direct"), "max_depth": 2, **options}
    return derivatives(scene, {name: np.asarray(tangent)[None]}, weights, **options)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in ("hard", "tight") else k for k in BEAMS]
)
def test_flux_and_its_centre(kind, monkeypatch):
    """The flux stays when the light rises, its first moment follows the light; without borders both are wrong."""
    angles = BEAMS[kind]
    scene, scale = lit(*angles), flux(*angles)
    assert_agrees(
        found(scene, "light/pose", shift(0, 0, 1), uniform()).total[:, 0],
        0.0,
        scale=scale,
        max_relative_se=0.01,
        rounding=2e-3,
    )
    sideways = found(scene, "light/pose", shift(1, 0, 0), slope()).total[:, 0]
    side = np.sign(sideways.mean())  # of the film's x
    assert_agrees(sideways, side * scale, max_relative_se=0.01, rounding=5e-3)
    if kind in ("equal", "tight"):
        monkeypatch.setattr(cones.Cones, "of", staticmethod(lambda _: None))
        assert_differs(found(scene, "light/pose", shift(0, 0, 1), uniform()).total[:, 0], 0.0, scale=scale, by=0.1)


@pytest.mark.parametrize(
    ("kind", "role"), [("hard", "cutoff_angle"), ("narrow", "cutoff_angle"), ("narrow", "beam_width")]
)
def test_angles(kind, role):
    beam, cutoff = BEAMS[kind]
    step = 0.01
    ahead, behind = (
        flux(*((beam, cutoff + s) if role == "cutoff_angle" else (beam + s, cutoff))) for s in (step, -step)
    )
    samples = found(lit(beam, cutoff), f"light/{role}", [1.0], uniform()).total[:, 0]
    assert_agrees(samples, (ahead - behind) / (2 * step), max_relative_se=0.01, rounding=2e-3)


def test_kinks_and_the_warp_are_refused():
    options = {"spp": 4, "integrator": {"type": "pathspace", "max_depth": 2}}
    with pytest.raises(ParameterError, match=r"cutoff_angle.*is a kink.*a little apart"):
        gradient(lit(20.0, 20.0), "light/cutoff_angle", uniform(), **options)
    options["integrator"]["boundary"] = "warp"
    with pytest.raises(SceneError, match=r"spot 'light' has a hard edge"):
        gradient(lit(20.0, 20.0), "floor/pose", uniform(), **options)


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.0, 0.05])
def test_through_a_mirror(width):
    """A floor that rises below a textured beam, seen by way of a mirror, too."""
    values = np.random.default_rng(1).uniform(0.2, 0.9, (8, 8, 3)).astype(np.float32)
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values), "raw": True}
    pose = T().look_at([0.1, 0, HEIGHT], [0, 0, 0], [0, 1, 0])
    upright = T().translate([0, 1.2, 1]).rotate([1, 0, 0], 90).scale(1.2)
    scene = scene_of(
        camera=zoo.camera(to_world=T().look_at([0, -3, 3], [0, 0, 0], [0, 0, 1])),
        light={
            "type": "spot",
            "to_world": pose,
            "cutoff_angle": 20.0,
            "beam_width": 20.0 * (1 - width),
            "texture": texture,
        },
        floor={"type": "rectangle", "to_world": T().scale(3), "bsdf": diffuse(ALBEDO)},
        mirror={"type": "rectangle", "to_world": upright, "bsdf": {"type": "conductor"}},
    )
    tangent = shift(0, 0, 1)
    exact = Differences(scene, "floor/pose", tangent, 0.04, spp=1024, integrator={"type": "path", "max_depth": 3})
    weights = exact.signs()
    ours = gradients(scene, {"floor/pose": tangent}, weights, spp=64, max_depth=3)["floor/pose"]
    check(ours, exact.replicas(weights, gap=0.03), max_relative_se=0.015)
