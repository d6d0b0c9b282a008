"""Participating media: what moves anything in a scene that has one is refused by name before anything is rendered."""

import warnings

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import list_parameters, resolve
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import media, zoo
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
MOTIONS = ["thing/pose", "thing/positions", "camera/pose", "camera/fov", "lamp/pose", "floor/pose"]


def scene(case):
    """A floor, a lamp, a camera, and what has the medium."""
    parts = {
        "camera": zoo.camera(),
        "floor": {"type": "rectangle", "to_world": T().scale(3)},
        "lamp": LAMP,
    }
    return load_scene({"type": "scene", **parts, **SCENES[case][0]})


@pytest.mark.parametrize("case", SCENES)
def test_every_motion_is_refused(case):
    """What bounds the medium and bends light or shines, another shape, the camera, a light; in either mode."""
    made, where = scene(case), SCENES[case][1]
    tried = 0
    fog = case == "camera"  # there, shapes and lights may move: tests/gradient/test_media_motion.py
    bends_nothing = SCENES[case][0]["thing"].get("bsdf") is NULL  # tests/gradient/test_media_interfaces.py
    for name in (name for name in MOTIONS if not (bends_nothing and name.startswith("thing"))):
        if fog and not name.startswith("camera"):
            continue
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
    assert tried >= (2 if fog else 4)


QUICK = ("camera", "instance", "grid")


@pytest.mark.parametrize("case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in SCENES])
def test_what_moves_nothing_is_not_refused(case):
    made = scene(case)
    for name in ("thing/radiance" if case == "lamp" else "lamp/radiance", "floor/base_color"):
        found = gradient(made, name, adjoint(), spp=4, integrator=INTEGRATOR).total[name]
        assert np.isfinite(found).all() and found.any()


def test_parameters_of_ignored_media_are_refused():
    """Their derivative would be a silent zero."""
    made = scene("mesh")
    with pytest.raises(pbdr.errors.ParameterError, match=r"sigma_t.*media = 'ignore'"):
        gradient(made, "thing/sigma_t", adjoint(), spp=1, integrator={**INTEGRATOR, "media": "ignore"})


def test_other_parameters_of_media_are_refused():
    fibres = {"type": "gridvolume", "grid": mi.VolumeGrid(np.ones((2, 2, 2, 6), np.float32))}
    for phase, key in (({"type": "sggx", "S": fibres}, "S.data"), ({"type": "tabphase", "values": "1, 2"}, "values")):
        block = {"type": "cube", "to_world": BOX, "bsdf": NULL, "interior": {**FOG, "phase": phase}}
        made = load_scene({"type": "scene", "camera": zoo.camera(), "lamp": LAMP, "thing": block})
        name = next(p.name for p in list_parameters(made) if p.raw.endswith(key))
        with pytest.raises(pbdr.errors.ParameterError, match=r"of media, sigma_t, .*phase_g have one"):
            gradient(made, name, adjoint(), spp=1, integrator=INTEGRATOR)


def test_edges_of_beams_are_refused():
    """They shine through media, too."""
    spot = {"type": "spot", "to_world": T().look_at([0, 0, 3], [0, 0, 0], [0, 1, 0])}
    made = load_scene(media.scene(media.fog(), torch=spot))
    for name in ("torch/cutoff_angle", "torch/beam_width"):
        with pytest.raises(pbdr.errors.SceneError, match="inside 'thing'"):
            gradient(made, name, adjoint(), spp=1, integrator=INTEGRATOR)


def test_recordings_are_not_for_media():
    with pytest.raises(pbdr.errors.SceneError, match=r"replay.*inside 'thing'"):
        gradient(scene("mesh"), "lamp/radiance", adjoint(), spp=1, integrator={**INTEGRATOR, "replay": True})


def test_ignored_media_leave_the_surfaces():
    """As in Mitsuba's `path`, which has no media."""
    made = scene("mesh")
    alone = np.array(render(made, spp=64, integrator={**INTEGRATOR, "media": "ignore"}))
    plain = np.array(mi.render(made.mi, integrator=mi.load_dict({"type": "path", "max_depth": 2}), spp=64))
    traced = np.array(render(made, spp=64, integrator=INTEGRATOR))
    assert abs(alone.mean() / plain.mean() - 1) < 0.03 < abs(alone.mean() / traced.mean() - 1)


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
    job = '[scene]\nfile = "scene.xml"\n[data]\ntarget = "scene.xml"\n[optim]\nsteps = 2\n[vars.c]\nmatch = "ball/pose"\n'
    for name, tracer in (("refused", integrator), ("ignored", integrator.replace(" }", ', media = "ignore" }'))):
        (tmp_path / f"{name}.toml").write_text(f'version = 1\nname = "j"\n{job}[render]\nintegrator = {tracer}\n')
    with pytest.raises(pbdr.errors.SceneError, match=r"inside 'slab'.*ball\.to_world"):
        preflight.check(load_job(tmp_path / "refused.toml", {})[0])
    preflight.check(load_job(tmp_path / "ignored.toml", {})[0])
    for name in ("slab/positions", "slab/sigma_t"):  # borders that bend nothing, and coefficients, are no motion
        text = (tmp_path / "refused.toml").read_text().replace("ball/pose", name)
        (tmp_path / "allowed.toml").write_text(text)
        preflight.check(load_job(tmp_path / "allowed.toml", {})[0])
