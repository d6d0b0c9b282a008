"""The fit loop: it finds known values, resumes exactly, uses independent seeds, and stops when it should."""

import importlib
import json
from dataclasses import replace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import DataError, DivergedError, OptionError, ParameterError
from pbdr.inverse import (
    Options,
    Problem,
    State,
    View,
    estimate_lighting,
    estimate_materials,
    fit,
    init,
    render_view,
    step,
)
from pbdr.inverse.presets import Estimate
from pbdr.parameters import VariableSpec, list_parameters, read, traverse
from pbdr.scene import load_object, load_scene

PRB = {"type": "prb", "max_depth": 3}
T = mi.ScalarTransform4f
# `pbdr.inverse.fit` is the function; its module has the same name.
loop = importlib.import_module("pbdr.inverse.fit")
COLOR, SKY = np.array([0.2, 0.4, 0.7]), np.array([0.8, 0.9, 1.0])


def camera(x):
    return {
        "type": "perspective",
        "fov": 40,
        "to_world": T().look_at([x, 2, -5], [0, 0, 0], [0, 1, 0]),
        "film": {"type": "hdrfilm", "width": 16, "height": 12, "rfilter": {"type": "box"}},
    }


def make_scene(color=COLOR, sky=SKY):
    return load_scene(
        {
            "type": "scene",
            "left": camera(-2),
            "right": camera(2),
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": list(sky)}},
            "ball": {
                "type": "sphere",
                "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(color)}},
            },
            "floor": {
                "type": "rectangle",
                "to_world": T().translate([0, -1, 0]).rotate([1, 0, 0], -90).scale(6),
                "bsdf": {"type": "diffuse"},
            },
        }
    )


@pytest.fixture(scope="module")
def targets():
    scene = make_scene()
    return [np.array(mi.render(scene.mi, integrator=load_object(PRB), sensor=i, spp=512, seed=9 + i)) for i in (0, 1)]


def problem(targets, variables=None, **options):
    variables = variables or {"color": VariableSpec("ball/base_color", init=0.5, lr=0.03)}
    views = [View(image, index) for index, image in enumerate(targets)]
    return Problem(make_scene(), views, variables, Options(**{"steps": 60, "integrator": PRB, "spp": 8, **options}))


@pytest.mark.parametrize("loss", ["l1", "l2", "l2_dual", "relmse", "log"])
def test_the_colour_of_the_ball_is_found(targets, loss):
    result = fit(problem(targets, loss=loss, seed=3))
    np.testing.assert_allclose(result.values["ball/base_color"], COLOR, atol=0.035)
    assert result.reason == "steps" and len(result.losses) == 60
    np.testing.assert_allclose(
        np.array(traverse(result.scene)["ball.bsdf.reflectance.value"]).ravel(), result.values["ball/base_color"]
    )


def test_resuming_from_numpy_and_json_gives_the_same_sequence(targets):
    plan = {"resolution": ((0, 0.5), (4, 1.0)), "steps": 6, "seed": 1}
    variables = {
        "color": VariableSpec("ball/base_color", init=0.5, lr=0.03, map="sigmoid"),
        "sky": VariableSpec("sky/radiance", init=0.5, lr=0.03, texture=3, start=2, prior={"tv": 1e-3}, map="softplus"),
    }
    whole = fit(problem(targets, variables, **plan))
    half = problem(targets, variables, **plan)
    stopped = fit(half, callback=lambda state, info: state.step == 3)
    assert stopped.reason == "callback" and stopped.state.step == 3
    arrays, meta = stopped.state.to_arrays()
    meta = json.loads(json.dumps(meta))
    resumed = fit(problem(targets, variables, **plan), resume_state=State.from_arrays(arrays, meta))
    np.testing.assert_allclose([*stopped.losses, *resumed.losses], whole.losses, rtol=1e-4)
    for name, value in whole.values.items():
        np.testing.assert_allclose(resumed.values[name], value, rtol=1e-4, atol=1e-6)
    assert resumed.state.memory.t == whole.state.memory.t
    # Negative control: another seed takes another path.
    other = fit(problem(targets, variables, **{**plan, "seed": 2}))
    assert not np.allclose(other.losses, whole.losses, rtol=1e-4)


def test_a_checkpoint_of_another_problem_is_refused(targets):
    small = problem(targets)
    arrays, meta = init(small).to_arrays()
    other = problem(targets, {"sky": VariableSpec("sky/radiance")})
    with pytest.raises(DataError, match="another problem"):
        fit(other, resume_state=State.from_arrays(arrays, meta))
    with pytest.raises(DataError, match="version 7"):
        State.from_arrays(arrays, {**meta, "version": 7})
    del arrays["m/color:ball.bsdf.reflectance.value"]
    with pytest.raises(DataError, match=r"m/color.*missing"):
        State.from_arrays(arrays, meta)


def test_image_and_derivative_have_seeds_of_their_own(targets, monkeypatch):
    calls = []
    plain = loop.render_of

    def spy(problem, params, index, spp, spp_grad, seed, seed_grad):
        calls.append((seed, seed_grad))
        return plain(problem, params, index, spp, spp_grad, seed, seed_grad)

    monkeypatch.setattr(loop, "render_of", spy)
    two = problem(targets, views_per_step=2, loss="l2_dual", steps=3)
    state = init(two)
    for _ in range(3):
        state, _ = step(two, state)
    assert len(calls) == 12
    primal, gradient = [c[0] for c in calls], [c[1] for c in calls]
    assert len(set(primal)) == 12 and not set(primal) & set(gradient)
    assert len(set(gradient)) == 6  # the second image of l2_dual is not differentiated


def test_a_shared_seed_would_bias_the_gradient(targets):
    """At the true colour the expected gradient of the L2 loss is zero. A seed shared by image and derivative shifts it
    by the variance's own derivative; independent seeds do not. Replicas tell the two apart."""

    def slopes(shared):
        task = problem(targets, {"color": VariableSpec("ball/base_color")}, loss="l2", spp=1)
        bound, results = task.bound, []
        latents = bound.init()
        for replica in range(60):
            leaves = {k: mi.TensorXf(v) for k, v in latents.items()}
            dr.enable_grad(*leaves.values())
            params = bound.apply(leaves)
            seed = 1000 + 7 * replica
            image = mi.render(bound.scene.mi, params, integrator=task.integrator, spp=1, seed=seed, seed_grad=seed + 1)
            if shared:
                # The same samples for the residual as for the derivative.
                with dr.suspend_grad():
                    residual = mi.render(bound.scene.mi, integrator=task.integrator, spp=1, seed=seed + 1)
                dr.backward(dr.mean(2 * (residual - task.targets.radiance(0, image.shape)[0]) * image, axis=None))
            else:
                dr.backward(dr.mean(dr.square(image - task.targets.radiance(0, image.shape)[0]), axis=None))
            results.append(np.array(dr.grad(next(iter(leaves.values())))).sum())
        return np.mean(results), np.std(results) / np.sqrt(len(results))

    mean, error = slopes(shared=False)
    assert abs(mean) < 4 * error + 1e-4
    biased, spread = slopes(shared=True)
    assert biased > 5 * spread  # and the test would see the bias


def test_every_step_reports_what_it_did(targets):
    task = problem(
        targets,
        {
            "color": VariableSpec("ball/base_color", init=0.5, lr=0.03),
            "sky": VariableSpec("sky/radiance", init=0.5, lr=0.02, start=1),
        },
        steps=4,
        resolution=((0, 0.5), (2, 1.0)),
    )
    state = init(task)
    infos = []
    for _ in range(4):
        before = {k: np.array(v) for k, v in state.latents.items()}
        state, info = step(task, state)
        infos.append(info)
        moved = {k.split(":")[0] for k, v in state.latents.items() if not np.array_equal(np.array(v), before[k])}
        tint = set() if info.step == 0 else {"gauge:tint"}  # colour and light trade scale where both are unknown
        assert moved == ({"color"} if info.step == 0 else {"color", "sky"}) == set(info.gradient_norms) - tint
        assert tint <= set(info.gradient_norms)
        assert info.loss > 0 and info.seconds > 0 and not info.skipped
    assert [i.scale for i in infos] == [0.5, 0.5, 1.0, 1.0]
    assert [i.step for i in infos] == [0, 1, 2, 3] and state.step == 4
    assert sorted(infos[0].views + infos[1].views) == ["view-000", "view-001"]
    assert infos[0].learning_rates == {"color": 0.03, "sky": 0.02}
    assert infos[3].learning_rates["color"] < 0.03
    assert list(task.sensor(0).film().size()) == [16, 12]
    assert not any(dr.grad_enabled(v) for v in dict(traverse(task.bound.scene)).values() if dr.is_jit_v(v))
    assert render_view(task, state, 1, spp=2).shape == (12, 16, 3)


def test_masked_pixels_do_not_count(targets):
    mask = np.ones((12, 16), np.float32)
    mask[:, 8:] = 0
    wrong = targets[0].copy()
    wrong[:, 8:] = 50.0
    variables = {"color": VariableSpec("ball/base_color", init=0.5, lr=0.03)}
    for plan in (((0, 1.0),), ((0, 0.25),)):
        options = Options(steps=2, integrator=PRB, spp=8, resolution=plan)
        losses = [
            fit(Problem(make_scene(), [View(image, 0, mask)], variables, options)).losses
            for image in (wrong, targets[0])
        ]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_the_gauge_holds_at_every_step_and_the_product_is_found(targets):
    variables = {
        "color": VariableSpec(["ball/base_color", "floor/base_color"], init=0.3, lr=0.03),
        "sky": VariableSpec("sky/radiance", init=0.5, lr=0.03, map="exp"),
    }
    scene = make_scene()
    white = {"color": variables["color"], "sky": variables["sky"]}
    views = [View(image, index) for index, image in enumerate(targets)]
    task = Problem(
        scene, views, white,
        Options(steps=5, integrator=PRB, spp=8, gauge="mean_luminance(*/base_color) = 0.4"),
    )  # fmt: skip

    def check(state, info):
        values = task.bound.numpy(state.latents)
        luminance = values["ball/base_color"] @ [0.212671, 0.715160, 0.072169]
        assert (luminance + values["floor/base_color"][0]) / 2 == pytest.approx(0.4, abs=2e-3)

    fit(task, check)


@pytest.mark.parametrize("rate", [0.01, None])
def test_the_tint_is_found_by_its_own_step(targets, rate):
    """The sky is seen, so that its colour is known; all other variables may hardly move. Without the step, the tint stays wrong."""
    scene, wrong = make_scene(), np.array([1.2, 1.0, 0.8])
    true = {p.name: np.asarray(read(scene, p)) for p in list_parameters(scene)}
    start = true["ball/base_color"] / wrong
    variables = {
        "ball": VariableSpec("ball/base_color", init=start, lr=1e-6, map="sigmoid"),
        "sky": VariableSpec("sky/radiance", init=true["sky/radiance"] * wrong, lr=1e-6, map="exp"),
    }
    rule = f"mean_luminance(ball/base_color) = {float(start @ [0.212671, 0.715160, 0.072169])}"
    views = [View(image, index) for index, image in enumerate(targets)]
    options = Options(steps=80, integrator=PRB, spp=8, gauge=rule, gauge_lr=rate, loss="l2")
    found = fit(Problem(scene, views, variables, options)).values["sky/radiance"] / true["sky/radiance"]
    off = np.abs(found / found[1] - 1).max()
    assert off < 0.05 if rate else off > 0.15  # a quarter of where it starts


@pytest.mark.parametrize(("nonfinite", "max_skips", "steps"), [("skip", 2, 3), ("stop", 2, 1)])
def test_non_finite_steps_move_nothing_and_stop_the_run(targets, nonfinite, max_skips, steps):
    variables = {"sky": VariableSpec("sky/radiance", init=3e38)}
    task = problem(targets, variables, loss="l2", nonfinite=nonfinite, max_skips=max_skips)
    infos = []
    with pytest.raises(DivergedError, match=r"the loss.*not finite.*max_skips = 2") as caught:
        fit(task, lambda state, info: infos.append(info))
    assert caught.value.exit_code == 4
    # The last one raises instead of reporting.
    assert len(infos) == steps - 1 and all(i.skipped and "loss" in i.reason for i in infos)


def test_a_skipped_step_changes_neither_values_nor_moments(targets):
    task = problem(targets, {"sky": VariableSpec("sky/radiance", init=3e38)}, loss="l2")
    before = init(task)
    after, info = step(task, before)
    assert info.skipped and after.skipped == 1 and after.step == 1 and after.memory.t == before.memory.t
    for key, value in before.latents.items():
        np.testing.assert_array_equal(np.array(after.latents[key]), np.array(value))


def test_patience_and_time_stop_the_run(targets):
    still = {"color": VariableSpec("ball/base_color", init=list(COLOR), lr=1e-9)}
    result = fit(problem(targets, still, steps=200, patience=5))
    assert result.reason == "patience" and 5 <= len(result.losses) < 200
    late = replace(init(problem(targets)), seconds=61.0)
    result = fit(problem(targets, max_minutes=1.0), resume_state=late)
    assert result.reason == "max_minutes" and len(result.losses) == 1


def test_presets(targets):
    options = Options(steps=40, integrator=PRB, spp=8, views_per_step=2)
    scene = make_scene(color=(0.5, 0.5, 0.5))
    found = estimate_materials(scene, targets, match="ball/base_color", options=options)
    assert isinstance(found, Estimate) and len(found.losses) == 40
    np.testing.assert_allclose(found.values["ball/base_color"], COLOR, atol=0.05)
    light = estimate_lighting(make_scene(sky=(0.5, 0.5, 0.5)), targets, lr=0.1, options=options)
    np.testing.assert_allclose(light.values["sky/radiance"], SKY, atol=0.08)
    textured = estimate_lighting(make_scene(), targets, texture=3, tv=1e-3, options=replace(options, steps=1))
    assert textured.values["sky/radiance"].shape == (3, 6, 3)
    with pytest.raises(ParameterError, match="match"):
        estimate_materials(bare(), targets[:1])
    with pytest.raises(DataError, match="2 images"):
        estimate_materials(scene, targets, sensors=[0])


def bare():
    camera_only = {"type": "scene", "camera": camera(0), "sky": {"type": "constant"}}
    return load_scene(camera_only)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": np.zeros((12, 16))}, DataError, r"\(height, width, 1 or 3\), got \(12, 16\)"),
        ({"target": np.zeros((16, 12, 3))}, DataError, "12x16 pixels, its sensor 16x12"),
        ({"target": np.full((12, 16, 3), np.nan)}, DataError, "576 non-finite"),
        ({"mask": np.ones((3, 3))}, DataError, r"mask has shape \(3, 3\)"),
        ({"mask": np.zeros((12, 16))}, DataError, "above 0"),
    ],
)
def test_unusable_views_are_refused(targets, change, error, message):
    view = replace(View(targets[0], 0, name="front"), **change)
    with pytest.raises(error, match=f"front: .*{message}"):
        Problem(make_scene(), [view], {"color": VariableSpec("ball/base_color")}, Options(integrator=PRB))
    with pytest.raises(DataError, match="no view"):
        Problem(make_scene(), [], {"color": VariableSpec("ball/base_color")}, Options(integrator=PRB))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l3"}, "l1"),
        ({"lr_decay": "cosin"}, "cosine"),
        ({"steps": 0}, "steps"),
        ({"spp": 0}, "spp"),
        ({"views_per_step": 0}, "views_per_step"),
        ({"nonfinite": "ignore"}, "skip"),
        ({"patience": 0}, "patience"),
        ({"max_minutes": -1.0}, "max_minutes"),
        ({"resolution": ((1, 1.0),)}, "resolution"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Options(**options)


def test_total_variation_needs_a_texture(targets):
    with pytest.raises(ParameterError, match="texture"):
        problem(targets, {"color": VariableSpec("ball/base_color", prior={"tv": 1e-3})})


def test_the_default_integrator_finds_a_texture_and_a_sky_together(targets):
    """`pathspace`, several variables, a promoted texture: what a job does, in small."""
    variables = {
        "color": VariableSpec("ball/base_color", init=0.5, lr=0.04, texture=4, prior={"tv": 1e-4}),
        "sky": VariableSpec("sky/radiance", init=0.5, lr=0.05, map="softplus"),
    }
    task = problem(targets, variables, integrator=None, steps=80, views_per_step=2, loss="l2")
    result = fit(task)
    assert result.values["ball/base_color"].shape == (4, 4, 3)
    np.testing.assert_allclose(result.values["sky/radiance"], SKY, atol=0.08)
    assert np.mean(result.losses[-5:]) < 0.1 * result.losses[0]
