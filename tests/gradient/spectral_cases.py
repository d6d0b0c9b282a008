"""Gradients in the variant `llvm_ad_spectral`, against finite differences of Mitsuba's own `path` in that variant.

`test_spectral.py` runs this file in a process of its own: one process is one variant. Values of colours are coefficients of smooth
spectra here, so that tangents are relative to the value.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import ParameterError, SceneError
from pbdr.parameters import read
from pbdr.parameters.names import is_radiometric
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from pbdr.transport import spectra
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences, check, gradients, parameters
from validation.scenes import media, zoo
from validation.scenes.indirect import court, motion

T = mi.ScalarTransform4f
REPLICAS = 6


def test_the_variant():
    assert mi.is_spectral and not mi.is_polarized


def room(light, bsdf=None, ldsampler=True):
    """A cube on a floor with a pattern."""
    sampler = {"sampler": {"type": "ldsampler"}} if ldsampler else {}
    pose = T().translate([0.1, -0.2, 0.6]).rotate([0, 0, 1], 30).rotate([1, 0, 0], 20).scale(0.4)
    return load_scene({
        "type": "scene", "camera": zoo.camera(**sampler), "light": light,
        "block": {"type": "cube", "to_world": pose, "bsdf": bsdf or {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}},
        "floor": {"type": "rectangle", "to_world": T().scale(3),
                  "bsdf": {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9, raw=False)}},
    })  # fmt: skip


def area():
    return zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0, 20.0, 10.0)})


PAINT = {"type": "principled", **zoo.PAINT, "roughness": 0.4, "metallic": 0.3}
MEASURED = {"type": "diffuse", "reflectance": {"type": "spectrum", "value": [(400, 0.2), (550, 0.7), (700, 0.4)]}}
POINT = {"type": "point", "position": [1.5, -1, 3], "intensity": zoo.rgb(9.0, 7.0, 5.0)}
SKY = {"type": "constant", "radiance": zoo.rgb(0.5, 0.6, 0.7)}
UNEVEN = {"type": "diffuse", "reflectance": {"type": "spectrum", "value": [(400, 0.2), (500, 0.7), (700, 0.4)]}}
COPPER = {"type": "roughconductor", "alpha": 0.3, "material": "Cu"}

# (light, material of the block, parameter, step of the differences relative to the value, depth)
INTERIOR = {
    "principled": (area, PAINT, "block/base_color", 0.05, 3),
    "measured": (area, MEASURED, "block/base_color_values", 0.05, 3),
    "uneven": (area, UNEVEN, "block/base_color_values", 0.05, 2),
    "roughness": (lambda: POINT, COPPER, "block/roughness", 0.05, 2),
    "texture": (area, None, "floor/base_color", 0.02, 3),
    "area": (area, None, "light/radiance", 0.01, 3),
    "point": (lambda: POINT, None, "light/intensity", 0.02, 3),
    "sky": (zoo.sky, None, "light/radiance", 0.02, 2),
    "constant": (lambda: SKY, PAINT, "light/radiance", 0.05, 2),
}


SLOW = ("measured", "uneven", "texture", "point", "constant")


def marked(names, slow):
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


@pytest.mark.parametrize("name", marked(INTERIOR, SLOW))
def test_materials_and_lights(name):
    light, bsdf, parameter, step, depth = INTERIOR[name]
    scene = room(light(), bsdf)
    along = read(scene, parameters(scene, parameter)[parameter])
    exact = Differences(scene, parameter, along, step, spp=256, integrator={"type": "path", "max_depth": depth})
    weights = exact.signs()
    ours = gradients(scene, {parameter: along}, weights, spp=256, max_depth=depth)[parameter]
    check(ours, exact.replicas(weights, gap=0.03), max_relative_se=0.015)


MOVES = {"area": area, "directional": lambda: zoo.lamp(-0.5, 0.3, -1.2)}


@pytest.mark.parametrize("light", marked(MOVES, ["directional"]))
def test_a_moving_mesh(light):
    """Primary and direct boundary: without either, it is wrong."""
    scene = room(MOVES[light]())
    along = {"block/positions": np.tile([0.4, 0.3, -0.2], (24, 1))}
    exact = Differences(scene, *next(iter(along.items())), 0.02, spp=4096, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.03)
    ours = {
        terms: gradients(scene, along, weights, spp=256, max_depth=2, terms=terms)["block/positions"]
        for terms in (("interior", "primary"), ("direct",))
    }
    scale = abs(expected.mean())
    total = sum(ours.values())
    check(total, expected, max_relative_se=0.02)
    for without in ours.values():
        assert_differs(total - without - expected, 0.0, scale=scale, by=0.1)


SPOT = {"type": "spot", "to_world": T().look_at([-1, 0, 1.5], [1.5, 0, 0.9], [0, 0, 1]), "intensity": zoo.rgb(40.0, 30.0, 20.0),
        "cutoff_angle": 25.0}  # fmt: skip


@pytest.mark.slow
def test_indirect_light():
    """A gate that hides what a coloured wall reflects."""
    scene, tangent = court(SPOT), motion("low")
    weights = np.ones((zoo.SIZE, zoo.SIZE, 3)) * [1.0, 0.6, 0.3] / zoo.SIZE**2
    path = {"type": "path", "max_depth": 3}
    expected = Differences(scene, "low/pose", tangent, 0.02, spp=16384, integrator=path).replicas(weights, gap=0.05)
    options = {"spp": 16, "max_depth": 3, "n_indirect": 300_000}
    ours = gradients(scene, {"low/pose": tangent}, weights, **options)["low/pose"]
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=0.04)
    without = gradients(scene, {"low/pose": tangent}, weights, **options | {"n_indirect": 0})["low/pose"]
    assert_differs(without - expected, 0.0, scale=scale, by=0.5)


@pytest.mark.parametrize(("name", "term"), [("block/positions", t) for t in ("interior", "primary", "direct", "indirect")]
                         + [("floor/base_color", "interior"), ("light/radiance", "interior")])  # fmt: skip
def test_forward_is_the_transpose_of_reverse(name, term):
    scene = room(area(), PAINT, ldsampler=False)
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(zoo.SIZE, zoo.SIZE, 3)).astype(np.float32)
    integrator = {"type": "pathspace", "max_depth": 3, "adjoint_sampling": False}
    options = {"spp": 4, "seed": 3, "integrator": integrator, "terms": (term,)}
    reverse = getattr(gradient(scene, name, weights, **options), term)[name].astype(np.float64)
    along = rng.normal(size=reverse.shape)
    forward = derivative(scene, {name: along}, **options)[term].astype(np.float64)
    size = np.abs(reverse * along).sum()
    assert size > 0
    assert np.sum(weights * forward) == pytest.approx(np.sum(reverse * along), abs=2e-5 * size)


@pytest.mark.parametrize("name", marked(["principled", "copper"], ["copper"]))
def test_images(name):
    """Statistically as Mitsuba's `path`, channel by channel."""
    scene = room(area(), {"principled": PAINT, "copper": COPPER}[name], ldsampler=False)

    def means(kind, count):
        tracer = mi.load_dict({"type": kind, "max_depth": 4})
        render = lambda seed: np.array(mi.render(scene.mi, integrator=tracer, spp=256, seed=seed)).mean((0, 1))  # noqa: E731
        return replicas(render, count, kind)

    path = means("path", 8)
    difference = means("pathspace", 8) - path
    scale = path.mean()
    assert_agrees(difference, np.zeros(3), scale=scale, max_relative_se=0.005)
    assert_differs(difference + 0.03 * path, np.zeros(3), scale=scale, by=0.01)


def test_media():
    """Light through a slab: its derivative in σ_t falls as e^(−σ)."""
    adjoint = np.full((2, 2, 3), 1 / 12, np.float32)
    made, clear = (media.slab(media.fog(sigma, 0.0), light=media.behind()) for sigma in (1.3, 0.0))

    def estimate(seed):
        options = {"spp": 4096, "seed": seed, "integrator": {"type": "pathspace", "max_depth": 2}}
        both = [gradient(scene, "slab/sigma_t", adjoint, **options).total["slab/sigma_t"].sum() for scene in (made, clear)]
        return float(both[0] / both[1])

    assert_agrees(replicas(estimate, 8, "slab"), np.exp(-1.3), max_relative_se=0.02)


def test_albedo():
    """The extra channel as Mitsuba's `aov` has it."""
    scene = room(area(), PAINT)
    values = [
        np.array(mi.render(scene.mi, integrator=mi.load_dict(tracer), spp=256, seed=1))[..., -3:]
        for tracer in ({"type": "aov", "aovs": "a:albedo"}, {"type": "pathspace", "aovs": "albedo", "max_depth": 1})
    ]
    assert values[1].mean((0, 1)) == pytest.approx(values[0].mean((0, 1)), rel=0.01)
    assert values[0].mean() > 0.2


def test_adjoint_colours():
    """`from_rgb` is the transpose of `to_rgb` at every wavelength."""
    rng = np.random.default_rng(2)
    wavelengths, spectrum = (
        mi.Spectrum([mi.Float(x) for x in rng.uniform(a, b, (4, 50))]) for a, b in ((380, 800), (0, 1))
    )
    adjoint = mi.Color3f(*[mi.Float(x) for x in rng.normal(size=(3, 50))])
    forth = np.array(sum(a * b for a, b in zip(adjoint, spectra.to_rgb(spectrum, wavelengths), strict=True)))
    back = np.array(sum(a * b for a, b in zip(spectrum, spectra.from_rgb(adjoint, wavelengths), strict=True)))
    assert np.abs(forth).max() > 0 and np.abs(forth - back).max() < 1e-5 * np.abs(forth).max()


def test_wavelengths_of_measured_spectra_are_refused():
    """Their derivative was 2.8 % off finite differences (23 standard errors)."""
    scene = room(area(), UNEVEN)
    size = [int(n) for n in scene.mi.sensors()[0].film().crop_size()]
    with pytest.raises(ParameterError, match="wavelengths of a measured spectrum"):
        gradient(scene, "block/base_color_wavelengths", np.ones((size[1], size[0], 3)), spp=1)


def test_other_films_are_refused():
    film = {
        "type": "specfilm",
        "width": 8,
        "height": 8,
        "band": {"type": "spectrum", "value": [(400, 0.5), (700, 1.0)]},
    }
    scene = load_scene(zoo.scene(sensor=zoo.camera(film=film)))
    with pytest.raises(SceneError, match=r"SpecFilm.*hdrfilm"):
        render(scene, spp=1)
    with pytest.raises(SceneError, match=r"SpecFilm.*hdrfilm"):
        derivative(scene, {"floor/base_color": 1.0}, spp=1)


def test_parameters():
    """Colours are coefficients of spectra without bounds; what is a number keeps its range, as do measured spectra."""
    found = parameters(room(area(), PAINT)) | parameters(room(area(), MEASURED))
    assert found["block/roughness"].bounds == (0.01, 1.0)
    for name in ("block/base_color", "floor/base_color", "light/radiance"):
        assert found[name].bounds == (-np.inf, np.inf), name
    assert found["block/base_color_values"].bounds == (0.0, 1.0)
    assert is_radiometric(found["block/base_color_values"].raw) and is_radiometric("light.emitter.radiance.d65.values")
