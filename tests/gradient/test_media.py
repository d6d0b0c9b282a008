"""Participating media: every gradient of a scene that has one is refused by name before anything is rendered, and images warn."""

import warnings

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import resolve
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from pbdr.transport.media import IncompleteImageWarning
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import zoo
from validation.scenes.small import everywhere, shift

T = mi.ScalarTransform4f
FOG = {"type": "homogeneous", "albedo": 0.0, "sigma_t": 1.0, "sample_emitters": False}
GLOW = {"type": "area", "radiance": 3.0}
LAMP = {**zoo.above(size=0.4), "emitter": GLOW}
NULL = {"type": "null"}
INTEGRATOR = {"type": "pathspace", "max_depth": 2}
BOX = T().translate([0, 0, 0.6]).scale(0.5)
# What has the medium, and where it is according to the message.
SCENES = {
    "sphere": ({"thing": {"type": "sphere", "radius": 0.6, "bsdf": NULL, "interior": FOG}}, "inside 'thing'"),
    "mesh": ({"thing": {"type": "cube", "to_world": BOX, "bsdf": NULL, "interior": FOG}}, "inside 'thing'"),
    "glass": ({"thing": {"type": "cube", "to_world": BOX, "bsdf": {"type": "roughdielectric"}, "interior": FOG}}, "inside 'thing'"),
    "cylinder": ({"thing": {"type": "cylinder", "radius": 0.3, "bsdf": NULL, "interior": FOG}}, "inside 'thing'"),
    "outside": ({"thing": {"type": "sphere", "radius": 0.6, "exterior": FOG}}, "around 'thing'"),
    "lamp": ({"thing": {**zoo.above("sphere"), "emitter": GLOW, "exterior": FOG}}, "around 'thing'"),
    "camera": ({"thing": {"type": "sphere", "radius": 0.6}, "camera": zoo.camera(medium=FOG)}, "around the sensor 'camera'"),
    "instance": ({
        "group": {"type": "shapegroup", "inner": {"type": "cube", "bsdf": NULL, "interior": FOG}},
        "thing": {"type": "instance", "to_world": BOX, "group": {"type": "ref", "id": "group"}},
    }, "inside 'group__inner'"),
    "grid": ({"thing": {"type": "cube", "to_world": BOX, "bsdf": NULL, "interior": {
        "type": "heterogeneous", "albedo": 0.2,
        "sigma_t": {"type": "gridvolume", "grid": mi.VolumeGrid(np.ones((2, 2, 2), np.float32))},
    }}}, "inside 'thing'"),
}  # fmt: skip
ROLES = [
    "thing/pose",
    "thing/positions",
    "camera/pose",
    "camera/fov",
    "lamp/pose",
    "lamp/radiance",
    "floor/base_color",
    "floor/pose",
]


def scene(case):
    """A floor, a lamp, a camera, and what has the medium."""
    parts = {
        "camera": zoo.camera(),
        "floor": {"type": "rectangle", "to_world": T().scale(3)},
        "lamp": LAMP,
    }
    return load_scene({"type": "scene", **parts, **SCENES[case][0]})


@pytest.mark.parametrize("case", SCENES)
def test_every_role_is_refused(case):
    """Whatever has a derivative: what bounds the medium, another shape, the camera, a light, a colour; in either mode."""
    made, where = scene(case), SCENES[case][1]
    tried = 0
    for name in ROLES:
        try:
            raw = resolve(made, name)[0].raw
        except pbdr.errors.ParameterError:
            continue
        for boundary in ("edge", "none"):
            tracer = {**INTEGRATOR, "boundary": boundary}
            with pytest.raises(pbdr.errors.SceneError, match=where) as caught:
                gradient(made, name, adjoint(), spp=1, integrator=tracer)
            assert raw in str(caught.value) and "media = 'ignore'" in str(caught.value)
            with pytest.raises(pbdr.errors.SceneError, match=where):
                derivative(made, {name: 1.0}, spp=1, integrator=tracer)
        tried += 1
    assert tried >= 6


def test_parameters_of_media_stay_refused():
    """Even where media are ignored: their derivative would be a silent zero."""
    made = scene("mesh")
    for options in ({}, {"media": "ignore"}):
        with pytest.raises(pbdr.errors.ParameterError, match="sigma_t"):
            gradient(made, "thing/sigma_t", adjoint(), spp=1, integrator={**INTEGRATOR, **options})


def test_images_warn_and_are_those_of_surfaces():
    made = scene("mesh")
    with pytest.warns(IncompleteImageWarning, match="inside 'thing'.*volpath"):
        image = np.array(render(made, spp=1, integrator=INTEGRATOR))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = np.array(render(made, spp=1, integrator={**INTEGRATOR, "media": "ignore"}))
    assert np.array_equal(image, alone)


def test_scenes_without_media_are_left_alone():
    """Negative control: neither a warning nor a refusal."""
    plain = load_scene(
        {"type": "scene", "camera": zoo.camera(), "lamp": LAMP, "thing": {"type": "cube", "to_world": BOX}}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render(plain, spp=1, integrator=INTEGRATOR)
    assert np.isfinite(
        gradient(plain, "thing/base_color", adjoint(), spp=1, integrator=INTEGRATOR).total["thing/base_color"]
    ).all()


def test_the_option_is_checked():
    with pytest.raises(RuntimeError, match="media = 'none'"):
        mi.load_dict({"type": "pathspace", "media": "none"})


def test_what_is_refused_is_not_zero():
    """A closed form: light e^(−σd) through a slab of thickness d, seen straight on; of the surfaces alone, the derivative is 0."""
    slab = lambda half: {"type": "cube", "to_world": T().scale([3, 3, half]), "bsdf": NULL, "interior": FOG}  # noqa: E731
    eye = zoo.camera("orthographic", to_world=T().look_at([0, 0, 4], [0, 0, 0], [0, 1, 0]).scale(0.5))
    sky = {"type": "constant", "radiance": 1.0}
    through = {}
    for half in (0.49, 0.51):
        made = load_scene({"type": "scene", "camera": eye, "sky": sky, "thing": slab(half)})
        tracer = mi.load_dict({"type": "volpath", "max_depth": 6})
        through[half] = float(np.mean(np.array(mi.render(made.mi, integrator=tracer, spp=1024, seed=1))))
    slope = (through[0.51] - through[0.49]) / 0.04
    assert abs(slope + np.exp(-1.0)) < 0.05
    alone = gradient(made, "thing/positions", adjoint(), spp=4, integrator={**INTEGRATOR, "media": "ignore"})
    assert not np.any(alone.total["thing/positions"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sphere", "cube"])
def test_borders_of_null_surfaces(kind):
    """Surfaces that let everything pass count as vertices, as in Mitsuba's `path`: paths through them end one vertex earlier."""
    thing = {"type": kind, "to_world": T().translate([0, 0, 0.7]).rotate([1, 0, 0], 20).scale(0.5), "bsdf": NULL}
    made = load_scene({
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "sun": zoo.lamp(-0.3, 0.2, -1),
        "floor": {"type": "rectangle", "to_world": T().scale(3)}, "thing": thing,
    })  # fmt: skip
    name = "thing/positions" if kind == "cube" else "thing/pose"
    tangent = everywhere(1, 0, 0, vertices=24) if kind == "cube" else shift(1, 0, 0)
    exact = Differences(made, name, tangent, 0.02, spp=1024, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    found = gradients(made, {name: tangent}, weights, spp=256, max_depth=2)[name]
    check(found, exact.replicas(weights, gap=0.05), max_relative_se=0.03)


def test_jobs_refuse_before_they_begin(tmp_path):
    """No run directory is made, and nothing rendered."""
    from pbdr.job import preflight
    from pbdr.job.config import load_job

    film = "<film type='hdrfilm'><integer name='width' value='8'/><integer name='height' value='8'/></film>"
    slab = "<bsdf type='null'/><medium type='homogeneous' name='interior'/>"
    (tmp_path / "scene.xml").write_text(
        f"<scene version='3.0.0'><emitter type='constant'/><sensor type='perspective'>{film}</sensor>"
        f"<shape type='cube' id='slab'>{slab}</shape><shape type='sphere' id='ball'><bsdf type='diffuse'/></shape></scene>"
    )
    integrator = '{ type = "pathspace" }'
    job = '[scene]\nfile = "scene.xml"\n[data]\ntarget = "scene.xml"\n[optim]\nsteps = 2\n[vars.c]\nmatch = "ball/base_color"\n'
    for name, tracer in (("refused", integrator), ("ignored", integrator.replace(" }", ', media = "ignore" }'))):
        (tmp_path / f"{name}.toml").write_text(f'version = 1\nname = "j"\n{job}[render]\nintegrator = {tracer}\n')
    with pytest.raises(pbdr.errors.SceneError, match=r"inside 'slab'.*ball\.bsdf\.reflectance"):
        preflight.check(load_job(tmp_path / "refused.toml", {})[0])
    preflight.check(load_job(tmp_path / "ignored.toml", {})[0])
