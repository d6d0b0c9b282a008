"""Several losses, planes, weights of views and exposures in the fit loop and in jobs."""

import json
from dataclasses import replace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr
from pbdr import cli
from pbdr.errors import DataError, OptionError
from pbdr.inverse import Options, Problem, State, View, exposure, fit, init, render_view, step
from pbdr.job import metrics
from pbdr.job.config import parse_job
from pbdr.parameters import VariableSpec
from pbdr.scene import load_scene
from pbdr.srgb import linear_to_srgb

T = mi.ScalarTransform4f
PATHSPACE = {"type": "pathspace", "max_depth": 2}
PRB = {"type": "prb", "max_depth": 2}
SIZE = 8


def scene(fov=40.0, grey=0.0, sky=0.0):
    """A ball seen by two cameras; without light, images are black."""
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgb", "rfilter": {"type": "box"}}
    cameras = {
        f"eye-{i}": {
            "type": "perspective", "fov": fov, "film": film,
            "to_world": T().look_at([x, 2, -5], [0, 0, 0], [0, 1, 0]),
        }
        for i, x in enumerate((-2, 2))
    }  # fmt: skip
    return load_scene(
        {
            "type": "scene",
            **cameras,
            "ball": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": grey}}},
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": sky}},
        }
    )


@pytest.fixture(scope="module")
def planes():
    """What two cameras of 45 degrees see, apart from black."""
    channels = {**PATHSPACE, "aovs": "mask(ball),depth,sh_normal"}
    images = [np.array(pbdr.render(scene(45.0), sensor=i, spp=2048, integrator=channels)) for i in (0, 1)]
    return [{"silhouette": x[..., 3], "depth": x[..., 4:5], "normal": x[..., 5:8]} for x in images]


def outlined(planes, loss, **options):
    views = [View(np.zeros((SIZE, SIZE, 3)), i, planes=plane) for i, plane in enumerate(planes)]
    given = {"steps": 6, "spp": 4, "views_per_step": 2, "integrator": PATHSPACE, "loss": loss, **options}
    return Problem(scene(), views, {"lens": VariableSpec("eye-*/fov", lr=0.8, map="clamp")}, Options(**given))


def test_planes_move_a_camera_that_sees_black(planes):
    terms = [{"type": "silhouette", "shape": "ball"}, {"type": "depth", "weight": 0.1}, {"type": "normal", "weight": 0.1}]
    task = outlined(planes, terms)
    assert task.channels == ["mask(ball)", "depth", "sh_normal"]
    found = fit(task)  # by `lm`, which moves cameras unless something else is said
    assert all(44.6 < float(fov[0]) < 45.4 for fov in found.values.values())
    assert render_view(task, found.state, 0, spp=1).shape == (SIZE, SIZE, 3)
    # By `adam`, from the gradient of the same losses: it is on its way.
    (key, lens) = next(iter(task.variables.items()))
    slow = fit(replace(task, variables={key: replace(lens, optimiser="adam")}))
    assert all(41.5 < float(fov[0]) < 48 for fov in slow.values.values())
    # Negative control: radiance alone says nothing.
    with dr.suspend_grad():
        assert float(np.abs(render_view(task, found.state, 0, spp=4)).max()) == 0


def test_what_planes_need(planes):
    for loss, views, options, error, message in (
        ("depth", [{}], {}, DataError, "the loss 'depth' needs its depth"),
        ("depth", [{"depth": np.zeros((SIZE, SIZE))}], {}, DataError, "holds no measurement"),
        ("normal", [{"normal": np.zeros((SIZE, SIZE))}], {}, DataError, "has shape"),
        ("silhouette", [{"silhouette": np.full((SIZE, SIZE), np.nan)}], {}, DataError, "non-finite"),
        ("silhouette", planes, {"integrator": PRB}, OptionError, "extra channels of 'pathspace'"),
    ):
        with pytest.raises(error, match=message):
            task = outlined(views, loss, **options)
            fit(task)


@pytest.fixture(scope="module")
def lit():
    """Two images of a lit ball."""
    bright = scene(grey=0.4, sky=1.0)
    return [np.array(pbdr.render(bright, sensor=i, spp=256, integrator={"type": "path", "max_depth": 2})) for i in (0, 1)]


def exposed(lit, factors, weights=(1.0, 1.0), grey=0.2, **options):
    views = [View(f * x, i, weight=w) for i, (x, f, w) in enumerate(zip(lit, factors, weights, strict=True))]
    given = {"steps": 80, "spp": 4, "integrator": PRB, "loss": "l2_dual", "views_per_step": 2, **options}
    ball = VariableSpec("ball/base_color", init=grey, lr=0.03, map="clamp")
    return Problem(scene(grey=0.4, sky=1.0), views, {"ball": ball}, Options(**given))


def test_weights_of_losses_and_views_multiply(lit):
    """One step at fixed seeds: losses are added, views are averaged."""

    def loss(weights, terms):
        return step(*(lambda task: (task, init(task)))(exposed(lit, (1, 1), weights, loss=terms)))[1].loss

    first, second = (loss((w, 3 - w), "l1") for w in (1.0, 2.0))
    assert loss((1.5, 1.5), "l1") == pytest.approx((first + second) / 2, rel=1e-5) and abs(first / second - 1) > 1e-3
    two = loss((1, 1), [{"type": "l1", "weight": 0.25}, {"type": "l2", "weight": 3}])
    assert two == pytest.approx(0.25 * loss((1, 1), "l1") + 3 * loss((1, 1), "l2"), rel=1e-5)


@pytest.mark.parametrize("start", [0.1, *(pytest.param(x, marks=pytest.mark.slow) for x in (0.3, 0.5, 0.7, 0.9))])
def test_exposures_and_albedo_are_found(lit, start):
    """From five starts: factors 1.5 and 1/1.5, whose geometric mean is 1, and the albedo that they leave."""
    result = fit(exposed(lit, (1.5, 1 / 1.5), grey=start, exposure_lr=0.03, seed=int(10 * start)))
    factors = exposure.factors(result.state.latents)
    assert factors == {"view-000": pytest.approx(1.5, rel=0.03), "view-001": pytest.approx(1 / 1.5, rel=0.03)}
    assert np.prod(list(factors.values())) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(result.values["ball/base_color"], 0.4, atol=0.03)


@pytest.mark.slow
def test_exposures_that_are_taken_for_known_spoil_the_albedo(lit):
    """Negative control; and what `fix` keeps."""
    factors = (1.0, 0.6)
    known = fit(exposed(lit, factors, steps=30)).values["ball/base_color"].mean()
    result = fit(exposed(lit, factors, grey=0.3, exposure_lr=0.03, exposure_fix="first"))
    found, albedo = exposure.factors(result.state.latents), result.values["ball/base_color"].mean()
    assert found["view-000"] == 1 and found["view-001"] == pytest.approx(0.6, rel=0.03)
    assert abs(albedo - 0.4) < 0.03 and abs(known - 0.4) > 0.06
    arrays, meta = result.state.to_arrays()
    assert exposure.factors(State.from_arrays(arrays, meta).latents) == found
    with pytest.raises(OptionError, match="exposure_fix = 'last'"):
        Options(exposure_fix="last")


def test_the_best_factor_of_a_view_without_one():
    rng = np.random.default_rng(0)
    image, mask = rng.uniform(0, 1, (5, 4, 3)), rng.uniform(0, 1, (5, 4)) > 0.3
    target = np.where(mask[..., None], 0.7 * image, 9)
    latents = exposure.init(["a"])
    assert exposure.of_view(latents, "b", image, target, mask) == pytest.approx(0.7)
    assert exposure.of_view(latents, "a", image, target, mask) == 1 == exposure.of_view({}, "b", image, target, mask)


def test_ssim_and_flip_of_images():
    rng = np.random.default_rng(1)
    target = rng.uniform(0, 1, (20, 24, 3))
    image = np.clip(target + rng.normal(0, 0.1, target.shape), 0, 2)
    mask = np.ones((20, 24))
    mask[:, :12] = 0
    assert metrics.ssim(target, target) == pytest.approx(1, abs=1e-6)
    assert metrics.ssim(np.where(mask[..., None] > 0, target, 5), target, mask) == pytest.approx(1, abs=1e-6)
    skimage = pytest.importorskip("skimage.metrics", reason="compares with scikit-image, of the extra dev")
    codes = [np.clip(linear_to_srgb(x), 0, 1) for x in (image, target)]
    _, full = skimage.structural_similarity(
        *codes, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=2, full=True
    )
    assert metrics.ssim(image, target) == pytest.approx(full.mean(), abs=1e-4)
    pytest.importorskip("flip_evaluator", reason="needs the extra eval")
    assert metrics.flip(target, target) == 0
    whole, half = metrics.flip(image, target), metrics.flip(np.where(mask[..., None] > 0, image, 5), target, mask)
    assert 0.05 < whole < 0.5 and half == pytest.approx(whole, rel=0.2)


JOB = 'version = 1\nname = "a"\n[scene]\nfile = "s.xml"\n[data]\ncameras = "t.json"\n[vars.x]\nmatch = "a/b"\n[loss]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("silhouet = 1.0", "[loss] has no key 'silhouet'. Closest: 'silhouette'"),
        ("silhouette = -1.0", "weight = -1.0"),
        ("ssim = { wieght = 1.0 }", "no option 'wieght'"),
        ('image = ["l1", "l3"]', "not one of the choices"),
        ('image = [{ type = "l1", weight = -1 }]', "weight = -1"),
        ("image = []", "the list is empty"),
        ('views = { "a*" = 0 }', "[loss.views] a*"),
    ],
)
def test_a_wrong_loss_section_is_told(text, message):
    with pytest.raises(OptionError) as caught:
        parse_job(JOB + text, "job.toml")
    assert message in str(caught.value) and str(caught.value).startswith("job.toml")


def test_the_losses_of_a_job_are_added():
    job = parse_job(JOB + 'image = ["l1", { type = "ssim", weight = 0.2 }]\nsilhouette = 0.5\ndepth = 0.0', "job.toml")
    assert job.loss.terms == ["l1", {"type": "ssim", "weight": 0.2}, {"type": "silhouette", "weight": 0.5}]
    assert parse_job(JOB, "job.toml", {"loss.log": 0.1}).loss.terms == ["auto", {"type": "log", "weight": 0.1}]


def test_a_job_with_unknown_exposures_says_them(tiny, tmp_path, capfd):
    job = tiny({"[goal]": '[loss]\nviews = { "view-001" = 0.5 }\n[exposure]\nlr = 0.02\n[goal]'})
    code = cli.main(["fit", str(job), "--output.dir", str(tmp_path / "r"), "--goal.rmse", "{}"])
    assert code == 0, capfd.readouterr().err
    (found,) = (tmp_path / "r").glob("tiny/*/eval/metrics.json")
    result = json.loads(found.read_text())
    assert set(result["exposures"]) == {"view-001", "view-002", "view-003"}
    assert np.prod(list(result["exposures"].values())) == pytest.approx(1, rel=1e-4)
    assert "fits best" in result["protocol"]["psnr"] and 0 < result["held_out"]["ssim"] <= 1
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "r"), "--loss.views", '{ "r_*" = 2.0 }']) == 2
    assert "[loss] views = 'r_*' matches no view" in capfd.readouterr().err
