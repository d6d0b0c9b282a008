"""Replayed gradient passes (`replay = true`) are those that tracing gives, while everything that may change does."""

import dataclasses
import gc
import warnings

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
import trimesh

from pbdr.aligned import on_device
from pbdr.errors import OptionError, SceneError
from pbdr.parameters import read, resolve, traverse, write
from pbdr.parameters.attach import attached
from pbdr.pathspace import replay, twins
from pbdr.pathspace.passes import GradientPass
from pbdr.scene import integrator_of, load_object, load_scene
from validation.finite_differences import adjoint
from validation.scenes import zoo
from validation.scenes.small import mesh

T = mi.ScalarTransform4f
CLOSE = 1e-5  # of the largest entry: sums in another order
CALLS = 6  # recorded, then replayed; the second, third and fifth are compared with traced ones as well
BLOCK = trimesh.creation.box((0.6, 0.5, 0.6), trimesh.transformations.translation_matrix([0.5, 0, 0.5]))


def made(folder, **parts):
    """A block and a ball over a floor, under a lamp, through a box filter."""
    camera = zoo.camera(film=zoo.film(rfilter={"type": "box"}), sampler={"type": "independent"})
    lamp = {"type": "area", "radiance": zoo.rgb(12.0)}
    return load_scene({
        "type": "scene", "camera": camera,
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.5)}},
        "block": mesh(folder, "block", np.asarray(BLOCK.vertices), BLOCK.faces),
        "ball": {"type": "sphere", "center": [-0.6, 0.1, 0.5], "radius": 0.35, "bsdf": {"type": "roughconductor", "alpha": 0.3}},
        "lamp": {"type": "rectangle", "to_world": T().translate([0, 0, 3]).rotate([1, 0, 0], 180), "emitter": lamp},
        **parts,
    })  # fmt: skip


SUN = {"type": "directional", "direction": [0.3, 0.2, -1], "irradiance": zoo.rgb(2.0)}
BULB = {"type": "point", "position": [1, -1, 2], "intensity": zoo.rgb(4.0)}
SKY = {"type": "constant", "radiance": zoo.rgb(0.5)}
TEXTURED = {
    "type": "rectangle",
    "to_world": T().scale(3),
    "bsdf": {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.8)},
}
SMOOTH = {"type": "cube", "to_world": T().translate([0.5, 0, 0.5]).scale(0.3)}
SPOT = {"type": "spot", "to_world": T().look_at([1, -1, 3], [0, 0, 0], [0, 1, 0]), "intensity": zoo.rgb(5.0)}
PAINT = {"type": "principled", "base_color": zoo.rgb(0.4), "roughness": 0.4}
CASES = {  # parts, attached parameters, depth
    "vertices": ({}, ("block/positions",), 3),
    "poses of all kinds of shapes": ({
        "can": {"type": "cylinder", "p0": [0, 0.9, 0.2], "p1": [0, 0.9, 0.8], "radius": 0.2},
        "plate": {"type": "disk", "to_world": T().translate([0.2, -0.8, 0.4]).scale(0.25)},
    }, ("ball/pose", "can/pose", "plate/pose", "lamp/pose"), 2),
    "materials and lights": ({}, ("floor/base_color", "ball/roughness", "lamp/radiance"), 3),
    "principled": ({"ball": {"type": "sphere", "center": [-0.6, 0.1, 0.5], "radius": 0.35, "bsdf": PAINT}},
                   ("ball/roughness", "ball/base_color", "ball/pose"), 3),
    "vertices under a sky, a bulb, a spot and the sun":
        ({"sun": SUN, "bulb": BULB, "sky": SKY, "spot": SPOT}, ("block/positions", "sky/radiance"), 2),
    "texels and vertices over them": ({"floor": TEXTURED}, ("floor/base_color", "block/positions"), 3),
    "environment": ({"sky": zoo.sky()}, ("sky/radiance", "block/positions"), 2),
    "camera": ({}, ("camera/pose", "camera/fov"), 3),
    "interpolated normals": ({"block": SMOOTH}, ("block/positions",), 3),
}  # fmt: skip


def steps(scene, names, integrator, change=None, calls=CALLS):
    """Gradients of `calls` calls, parameters changing in between; `change(params, k)` changes something else, too."""
    weights, rng, found = mi.TensorXf(adjoint().astype(np.float32)), np.random.default_rng(2), []
    chosen = {name: resolve(scene, name)[0] for name in names}
    params = traverse(scene)
    start = {name: np.array(read(scene, p), dtype=np.float64) for name, p in chosen.items()}
    for k in range(calls):
        for name, p in chosen.items():
            moved = start[name] * (1 + 0.05 * k)
            if name.endswith(("positions", "pose")):
                moved = start[name].copy()
                moved[..., -1] += 0.02 * k  # of poses, the origin; of vertices, z
            if name.endswith("positions"):
                moved[:, 0] *= 1 + 0.01 * rng.uniform()
            write(params, p, mi.TensorXf(moved.astype(np.float32)))
        if change is not None:
            change(params, k)
        params.update()
        with attached(scene.mi, chosen) as leaves:
            integrator.backward_terms(scene.mi, weights * (1 + 0.1 * k), 0, 7 + k, 16)
            found.append(leaves.gradients())
    return found


def compared(folder, parts, names, depth, change=None):
    """(Largest relative difference between replayed and traced gradients, recordings made, replays)."""
    integrators = [integrator_of(None, {"type": "pathspace", "max_depth": depth, "replay": on}) for on in (False, True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", replay.ReplayWarning)
        traced, replayed = (steps(made(folder, **parts), names, one, change) for one in integrators)
    gaps = [
        np.abs(a[name] - b[name]).max() / np.abs(a[name]).max()
        for a, b in zip(traced, replayed, strict=True)
        for name in names
    ]
    known = integrators[1].recordings.known.values()
    return max(gaps), sum(r.frozen.n_recordings for r in known), sum(r.calls for r in known)


@pytest.mark.parametrize("case", CASES)
def test_replays_are_what_tracing_gives(tmp_path, case):
    parts, names, depth = CASES[case]
    gap, recordings, calls = compared(tmp_path, parts, names, depth)
    assert gap < CLOSE
    assert calls == CALLS and recordings <= 3


def test_through_an_image_and_a_loss(tmp_path):
    """As optimisations ask: parameters made of others, `mi.render`, a loss, `dr.backward`."""
    names, found = ("block/positions", "ball/pose", "floor/base_color"), []
    for on in (False, True):
        scene = made(tmp_path)
        integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": on})
        params, chosen, gradients = traverse(scene), {name: resolve(scene, name)[0] for name in names}, []
        start = {name: mi.TensorXf(np.array(read(scene, p))) for name, p in chosen.items()}
        for k in range(CALLS):
            leaves = {name: mi.TensorXf(value) for name, value in start.items()}
            for name, leaf in leaves.items():
                dr.enable_grad(leaf)
                write(params, chosen[name], leaf if name == "ball/pose" else leaf * dr.opaque(mi.Float, 1 + 0.02 * k))
            params.update()
            image = mi.render(scene.mi, params, integrator=integrator, spp=16, seed=k, seed_grad=100 + k)
            dr.backward(dr.mean(dr.square(image - 0.3), axis=None))
            gradients.append({name: np.array(dr.grad(leaf)) for name, leaf in leaves.items()})
        found.append(gradients)
    gaps = [np.abs(a[n] - b[n]).max() / np.abs(a[n]).max() for a, b in zip(*found, strict=True) for n in names]
    assert max(gaps) < CLOSE and not integrator.recordings.distrusted


def brighter(params, k):
    params["lamp.emitter.radiance.value"] = mi.Color3f(12 + 3 * k)


def aside(params, k):
    params["camera.to_world"] = mi.Transform4f().look_at([0.05 * k, -4, 3], [0, 0, 0.4], [0, 0, 1])


def narrower(params, k):
    params["camera.x_fov"] = mi.Float(40 - 2 * k)


@pytest.mark.parametrize("change", [brighter, aside, narrower])
def test_what_changes_without_derivatives_is_followed(tmp_path, change):
    gap, recordings, _ = compared(tmp_path, {}, ("block/positions",), 2, change)
    assert gap < CLOSE and recordings <= 3


def test_a_stale_recording_is_found_out(tmp_path, monkeypatch):
    """A pass that depends on what no recording knows, here the number of calls: a check says so, and calls are traced after it."""
    original, passes = GradientPass.backward, []

    def counting(self, scene, sensor, given):
        passes.append(1)
        return original(self, scene, sensor, dataclasses.replace(given, adjoint=given.adjoint * len(passes)))

    monkeypatch.setattr(GradientPass, "backward", counting)
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": True})
    with pytest.warns(replay.ReplayWarning, match="differs from a traced one"):
        steps(made(tmp_path), ("block/positions",), integrator)
    assert integrator.recordings.distrusted


def test_most_calls_trace_nothing(tmp_path, monkeypatch):
    """Replays do not enter the pass."""
    entered = []
    original = GradientPass.backward
    monkeypatch.setattr(GradientPass, "backward", lambda self, *args: entered.append(1) or original(self, *args))
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": True})
    steps(made(tmp_path), ("block/positions",), integrator, calls=16)
    assert len(entered) <= 2 + 2 * 4  # recordings; in place of replays 1, 2, 4 and 8, and to compare with them


def test_nothing_is_collected_while_a_pass_is_recorded(tmp_path, monkeypatch):
    """Cycles that hold arrays made of NumPy's: freed in the middle of a recording, they would end the process."""
    original, collecting = GradientPass.backward, []
    monkeypatch.setattr(
        GradientPass, "backward", lambda self, *args: collecting.append(gc.isenabled()) or original(self, *args)
    )
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": True})
    steps(made(tmp_path), ("block/positions",), integrator, calls=1)
    assert collecting == [False] and gc.isenabled()


GLASS = {"type": "sphere", "bsdf": {"type": "dielectric"}}
REFUSED = {
    "filter": ({"camera": zoo.camera(film=zoo.film(rfilter={"type": "gaussian"}))}, "block/positions", "gaussian"),
    "lens": ({"camera": zoo.camera(type="thinlens", aperture_radius=0.1, focus_distance=4.0)}, "block/positions", "thin"),
    "parameter": ({"ball": {"type": "sphere", "bsdf": {"type": "roughconductor", "alpha": 0.3}}}, "ball/k", "k.value"),
    "checkerboard": ({"floor": {"type": "rectangle", "bsdf": {"type": "diffuse", "reflectance": {"type": "checkerboard"}}}},
                     "block/positions", "checkerboard"),
    "nearest": ({"floor": {"type": "rectangle",
                           "bsdf": {"type": "diffuse", "reflectance": zoo.texels(0, 1, filter_type="nearest")}}},
                "block/positions", "jump inside faces"),
    "glass": ({"ball": GLASS}, "block/positions", "mirrors, glass"),
    "instance": ({"group": {"type": "shapegroup", "one": {"type": "cube"}},
                  "floor": {"type": "instance", "shown": {"type": "ref", "id": "group"}}}, "block/positions", "instances"),
    "light": ({"spot": {"type": "projector", "irradiance": zoo.texels(0.2, 0.8)}}, "block/positions", "projector"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_scenes_that_cannot_be_replayed_are_refused_by_name(tmp_path, case):
    parts, name, word = REFUSED[case]
    scene = made(tmp_path, **parts)
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": True})
    with pytest.raises(SceneError, match=rf"(?i)replay = true: .*{word}.*Leave the option out"):
        steps(scene, (name,), integrator, calls=1)


@pytest.mark.parametrize(
    "options", [{"boundary": "warp"}, {"sequence": "independent"}, {"aovs": "depth"}, {"replay": 1}]
)
def test_options_that_do_not_go_together_are_refused(options):
    with pytest.raises(OptionError, match="replay"):
        integrator_of(None, {"type": "pathspace", "replay": True, **options})


# ---------------------------------------------------------------------- several cameras, images, replay = "auto"


def views(scene, number):
    """So many cameras around the scene, each with a film of its own and another field of view."""
    film = zoo.film(rfilter={"type": "box"})
    places = [(3 * np.sin(0.7 * k), -3.5 * np.cos(0.7 * k), 2 + 0.2 * k) for k in range(number)]
    return [
        load_object({
            "type": "perspective", "fov": 35.0 + 3 * k, "film": film, "sampler": {"type": "independent"},
            "to_world": T().look_at(list(place), [0, 0, 0.4], [0, 0, 1]),
        })
        for k, place in enumerate(places)
    ]  # fmt: skip


def rounds(folder, replay, number=3, count=3):
    """Images and gradients of `count` steps with several cameras in each; and the integrator."""
    scene = made(folder)
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": replay, "guiding": "none"})
    sensors, params, found = views(scene, number), traverse(scene), []
    parameter = resolve(scene, "block/positions")[0]
    start = np.array(read(scene, parameter), dtype=np.float64)
    for step in range(count):
        leaf = on_device(mi.TensorXf((start + [0, 0, 0.01 * step]).astype(np.float32)))
        dr.eval(leaf)
        dr.enable_grad(leaf)
        write(params, parameter, leaf)
        params.update()
        images = [
            mi.render(
                scene.mi,
                params,
                sensor=s,
                integrator=integrator,
                spp=16,
                seed=10 * step + k,
                seed_grad=1000 + 10 * step + k,
            )
            for k, s in enumerate(sensors)
        ]
        dr.backward(sum(dr.mean(dr.square(image - 0.3), axis=None) for image in images))
        found += [np.array(dr.grad(leaf)), *(np.array(dr.detach(image)) for image in images)]
    return found, integrator


@pytest.mark.parametrize("replay", [pytest.param(True, marks=pytest.mark.slow), "auto"])
def test_one_recording_does_for_all_cameras(tmp_path, replay):
    """Images and gradients of several cameras in a step are those of tracing, from two recordings."""
    traced, _ = rounds(tmp_path, False)
    replayed, integrator = rounds(tmp_path, replay)
    for a, b in zip(traced, replayed, strict=True):
        assert np.abs(a - b).max() <= CLOSE * np.abs(a).max()
    assert len(integrator.recordings.known) == 2 and not integrator.recordings.distrusted
    assert np.abs(traced[1] - traced[2]).max() > 0.1 * np.abs(traced[1]).max()  # the cameras do not see the same


@pytest.mark.slow
def test_negative_control_a_twin_that_does_not_follow(tmp_path, monkeypatch):
    """Were the camera no input of the recording, all views would be what the first one saw."""
    traced, _ = rounds(tmp_path, False, count=1)
    original = twins.Twin.follow
    monkeypatch.setattr(twins.Twin, "follow", lambda self, arrays: None if self.indices else original(self, arrays))
    monkeypatch.setattr(replay.Recordings, "_judge", lambda *_: None)
    replayed, _ = rounds(tmp_path, True, count=1)
    assert np.abs(traced[2] - replayed[2]).max() > 0.1 * np.abs(traced[2]).max()


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_auto_traces_what_cannot_be_replayed(tmp_path, case):
    parts, name, _ = REFUSED[case]
    gradients = []
    for on in (False, "auto"):
        scene = made(tmp_path, **parts)
        integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": on, "guiding": "none"})
        gradients.append(steps(scene, (name,), integrator, calls=2)[-1][name])
    assert not integrator.recordings.known
    assert np.abs(gradients[0] - gradients[1]).max() <= CLOSE * np.abs(gradients[0]).max()


def test_auto_records_nothing_in_a_single_call(tmp_path):
    integrator = integrator_of(None, {"type": "pathspace", "max_depth": 2, "replay": "auto"})
    steps(made(tmp_path), ("block/positions",), integrator, calls=1)
    assert all(one.frozen.n_recordings == 0 for one in integrator.recordings.known.values())
