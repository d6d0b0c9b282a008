"""What a run says about its own result: image and parameter errors, coverage, masks, goals, saved parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli
from pbdr.data import LoadedImage, load_image
from pbdr.errors import DataError
from pbdr.inverse import View
from pbdr.job import coverage, evaluate, metrics, results, views
from pbdr.job.config import DataSection
from pbdr.parameters import list_parameters, read
from pbdr.scene import load_scene

Tiny = Callable[..., Path]


def test_psnr_follows_its_protocol() -> None:
    target = np.full((2, 2, 3), 0.21404114)  # encoded: 0.5
    image = np.full((2, 2, 3), 0.31854678)  # encoded: 0.6
    assert metrics.psnr(image, target) == pytest.approx(20.0, abs=1e-3)
    assert metrics.psnr(target, target) == float("inf")
    assert np.isnan(metrics.psnr(np.full((2, 2, 3), np.nan), target))  # never laundered
    assert metrics.psnr(100 * np.ones((2, 2, 3)), np.ones((2, 2, 3))) > 200  # both clip to white
    mask = np.array([[1.0, 0.0], [0.0, 0.0]])
    spoiled = target.copy()
    spoiled[1, 1] = 1.0
    assert metrics.psnr(spoiled, target, mask) == float("inf")


def test_weighted_rmse_and_best_scale() -> None:
    truth = np.random.default_rng(0).uniform(0.2, 1.0, (4, 4, 3))
    estimate = truth / 2
    estimate[0] = 9.0
    weight = np.ones((4, 4))
    weight[0] = 0
    assert metrics.best_scale(estimate, truth, weight) == pytest.approx(2.0)
    assert metrics.rmse(2 * estimate, truth, weight) == pytest.approx(0.0, abs=1e-12)
    assert metrics.rmse(np.zeros(3), np.full(3, 0.5)) == pytest.approx(0.5)


def test_environment_weights_are_solid_angles() -> None:
    weight = metrics.environment_weight(64, 128)
    assert weight.sum() * (np.pi / 64) ** 2 == pytest.approx(4 * np.pi, rel=1e-3)


def test_truth_at_the_estimates_resolution() -> None:
    fine = np.random.default_rng(1).uniform(size=(8, 8, 3))
    coarse = metrics.match_size(fine, (4, 4, 3))
    assert coarse is not None
    np.testing.assert_allclose(coarse[0, 0], fine[:2, :2].mean(axis=(0, 1)))
    constant = metrics.match_size(np.array([0.1, 0.2, 0.3]), (2, 2, 3))
    assert constant is not None and constant.shape == (2, 2, 3)
    assert metrics.match_size(fine, (5, 5, 3)) is None and metrics.match_size(np.zeros((3, 4)), (3, 3)) is None


def textured_sphere() -> dict[str, Any]:
    import mitsuba as mi

    texture = {"type": "bitmap", "data": mi.TensorXf(np.full((16, 32, 3), 0.5, np.float32)), "raw": True}
    sensor = {
        "type": "perspective", "fov": 40, "to_world": mi.ScalarTransform4f().look_at([4, 0, 0], [0, 0, 0], [0, 0, 1]),
        "film": {"type": "hdrfilm", "width": 32, "height": 32, "rfilter": {"type": "box"}},
    }  # fmt: skip
    ball = {"type": "sphere", "mat": {"type": "diffuse", "reflectance": texture}}
    return {"type": "scene", "sky": {"type": "constant"}, "camera": sensor, "ball": ball}


def test_coverage_is_the_side_that_faces_the_camera() -> None:
    """From distance 4 the cap of a unit sphere with cos > 1/4 about +x is visible, minus its foreshortened rim."""
    scene = load_scene(textured_sphere())
    parameter = next(p for p in list_parameters(scene) if p.role == "base_color")
    before = read(scene, parameter)
    seen = coverage.seen(scene, parameter, [View(np.zeros((32, 32, 3), np.float32), 0)])
    assert seen is not None and seen.shape == (16, 32) and set(np.unique(seen)) == {0, 1}
    v, u = np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(32) + 0.5) / 32, indexing="ij")
    facing = np.sin(np.pi * v) * np.cos(2 * np.pi * u)  # x of the sphere's point: u is the azimuth from +x
    assert (seen[facing < 0.1] == 0).all() and (seen[facing > 0.6] == 1).all()
    np.testing.assert_array_equal(read(scene, parameter), before)
    roughness = next(p for p in list_parameters(scene) if p.role == "radiance")
    assert coverage.seen(scene, roughness, []) is None


def loaded(alpha: float | None) -> LoadedImage:
    rgb = np.full((2, 2, 3), 0.25, np.float32)
    return LoadedImage(Path("a.png"), rgb, None if alpha is None else np.full((2, 2), alpha, np.float32))


def test_masks_and_background() -> None:
    def view(image: LoadedImage, **data: Any) -> tuple[Any, Any]:
        return views._composed(image, DataSection(cameras="transforms.json", **data))

    assert view(loaded(0.5))[1] is None
    soft = view(loaded(0.5), mask="alpha")[1]
    assert soft is not None and soft[0, 0] == 0.5
    np.testing.assert_allclose(view(loaded(0.5), background=(1.0, 0.0, 0.0))[0][0, 0], [0.75, 0.25, 0.25])
    for image, data, message in (
        (loaded(None), {"mask": "alpha"}, "needs an alpha channel"),
        (loaded(None), {"background": (1.0, 1.0, 1.0)}, "has no alpha channel"),
        (loaded(0.0), {"mask": "alpha"}, "is zero wherever"),
        (loaded(0.5), {"mask": "opaque"}, "is zero wherever"),
    ):
        with pytest.raises(DataError, match=message):
            view(image, **data)


def test_shown_and_scored_views() -> None:
    made = [View(np.zeros((1, 1, 3), np.float32), i, None, f"view-{i:03d}") for i in range(30)]
    data = views.Dataset(made[5:], made[:5], {})
    assert len(evaluate.shown(data)) == 4 and len({v.name for v in evaluate.shown(data)}) == 4
    names = {v.name for v in evaluate.scored(data, 3, evaluate.shown(data))}
    assert {v.name for v in made[:5]} <= names and len(names) <= 5 + 3 + 2


def test_loss_change_sees_a_plateau_and_a_fall() -> None:
    assert evaluate.loss_change([1.0] * 50) == pytest.approx(0.0)
    assert evaluate.loss_change(list(np.exp(-np.arange(50) / 10))) == pytest.approx(np.exp(-1) - 1)
    assert evaluate.loss_change([1.0] * 5) is None


def test_a_run_keeps_its_estimate_as_files(tiny: Tiny, tmp_path: Path) -> None:
    """The texture that the report shows is on disk in full precision, with what the JSON says about it."""
    job = tiny({"match = ": "texture = 4\nmatch = ", "init = 0.5": "init = 0.5\nprior = { tv = 1e-3 }"})
    code = cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs"), "--json"])
    run = next((tmp_path / "runs" / "tiny").iterdir())
    entry = json.loads((run / "eval" / "parameters.json").read_text())["parameters"][0]
    folder = run / "eval" / "parameters" / results.slug(entry["name"])
    estimate, truth = load_image(folder / "estimate.exr").rgb, load_image(folder / "target.exr").rgb
    assert estimate.shape == (4, 4, 3) and np.allclose(truth, [0.8, 0.4, 0.2], atol=1e-6)
    weight = load_image(folder / "seen.png", "linear").rgb[..., 0] > 0.9
    expected = metrics.rmse(estimate, truth, weight.astype(float))
    assert entry["rmse"] == pytest.approx(expected, rel=1e-4)
    measured = json.loads((run / "eval" / "metrics.json").read_text())
    assert (code == 0) == (expected <= 0.05) == measured["goals"][0]["met"]
    rows = (run / "eval" / "per_view.csv").read_text().splitlines()
    assert rows[0].startswith("view,set,psnr_init,psnr,source,ssim") and len(rows) == 5 and "held-out" in rows[1]


def test_grey_films_are_refused_by_name(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = tiny()
    scene = tmp_path / "scene.xml"
    scene.write_text(scene.read_text().replace('value="rgb"', 'value="luminance"'))
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs")]) == 3
    assert "set its pixel_format to rgb or rgba" in capfd.readouterr().err
