"""`pbdr eval`: measures measure. The truth as its own estimate is perfect, other views and other shapes are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, evaluation, lights
from pbdr.data import Camera, encode_exr, write_transforms
from pbdr.errors import DataError
from pbdr.evaluation import Shot, environment, images, shapes, surfaces
from pbdr.evaluation.align import factors
from pbdr.evaluation.images import Pair
from pbdr.scene import Scene, load_object, load_scene

Tiny = Callable[..., Path]
SPP, OPTIONS = 16, {"type": "path", "max_depth": 3}


def scene_of(roughness: float = 0.3, radius: float = 1.0, light: float = 1.0, color: str = "0.6,0.4,0.2") -> Scene:
    return load_scene(f"""<scene version="3.0.0">
      <emitter type="constant" id="sky"><rgb name="radiance" value="{light}"/></emitter>
      <bsdf type="principled" id="mat"><rgb name="base_color" value="{color}"/><float name="roughness" value="{roughness}"/></bsdf>
      <bsdf type="roughconductor" id="metal"><float name="alpha" value="{roughness**2}"/></bsdf>
      <shape type="sphere" id="ball"><float name="radius" value="{radius}"/><ref id="mat"/></shape>
      <shape type="cube" id="box"><transform name="to_world"><scale value="0.5"/><translate y="1.5"/></transform>
        <ref id="metal"/></shape>
      <sensor type="perspective"><film type="hdrfilm"/></sensor></scene>""")


def shots(image: Any = None) -> list[Shot]:
    cameras = [
        Camera.look_at(origin, [0, 0.5, 0], [0, 0, 1], 24, 24, np.radians(45)) for origin in ([5, 1, 1], [-3, 4, 2])
    ]
    return [
        Shot(f"v{i}", "all", sensor, sensor, image)
        for i, sensor in enumerate(load_object(c.to_dict()) for c in cameras)
    ]


def test_the_truth_as_its_own_estimate_is_perfect() -> None:
    """All but images, which have noise of their own, exactly; images, by the same numbers as their target, too."""
    truth = scene_of()
    found = evaluation.compared(truth, truth, shots(), OPTIONS, SPP, lambda _: None)
    assert found["images"]["groups"]["all"]["raw"]["psnr"] > 30
    plain = found["surfaces"]
    assert plain["covered"] == 1 and plain["albedo"]["rmse"] == 0 and plain["normal"]["mean"] == 0
    assert (
        plain["roughness"]["rmse"] == 0
        and plain["depth"]["absolute"] == 0
        and plain["roughness"]["pixels"] == plain["pixels"]
    )
    assert all(entry["f_score"] == 1 and entry["chamfer"] == 0 for entry in found["shapes"]["shapes"].values())
    assert found["environment"]["rmse"] == 0
    image = np.random.default_rng(0).uniform(size=(24, 24, 3)).astype(np.float32)
    perfect = images.scores([Pair("v", "all", image, image)])["groups"]["all"]["raw"]
    assert perfect["psnr"] == float("inf") and perfect["ssim"] == pytest.approx(1) and perfect.get("flip", 0.0) == 0


def test_each_error_is_seen_by_its_own_measure() -> None:
    """Roughness 0.5 for 0.3, a ball of 1.1 for 1, half the light, a factor of albedo: the numbers that these must give."""
    truth, views = scene_of(), shots()
    rough = surfaces.scores(*([surfaces.seen(s, v.sensor) for v in views] for s in (scene_of(roughness=0.5), truth)))
    assert rough["roughness"]["mae"] == pytest.approx(0.2, abs=1e-5) and rough["albedo"]["rmse"] == 0
    tinted = surfaces.scores(
        *([surfaces.seen(s, v.sensor) for v in views] for s in (scene_of(color="0.3,0.2,0.1"), truth))
    )
    assert tinted["albedo"]["rmse"] > 0.05 and tinted["albedo"]["rmse_aligned"] < 1e-6
    np.testing.assert_allclose(tinted["albedo"]["factors"], 2, rtol=1e-5)
    larger = scene_of(radius=1.1)
    deep = surfaces.scores(*([surfaces.seen(s, v.sensor) for v in views] for s in (larger, truth)))
    assert deep["covered"] < 1 and deep["depth"]["absolute"] > 0.03 and deep["normal"]["mean"] > 0.5
    found = shapes.scores(larger, truth)["shapes"]
    assert found["ball"]["chamfer"] == pytest.approx(0.1, rel=0.02) and found["ball"]["f_score"] < 0.01
    assert found["box"]["chamfer"] == 0
    dim = environment.scores(scene_of(light=0.5), truth)
    assert dim["rmse"] == pytest.approx(0.5) and dim["rmse_aligned"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(dim["factors"], 2, rtol=1e-5)


def test_swapped_views_are_bad_and_aligned_is_no_worse() -> None:
    truth, views = scene_of(), shots()
    swapped = [replace(views[0], true_sensor=views[1].sensor), replace(views[1], true_sensor=views[0].sensor)]
    found = evaluation.compared(truth, truth, swapped, OPTIONS, SPP, lambda _: None)
    good = evaluation.compared(truth, truth, views, OPTIONS, SPP, lambda _: None)
    bad, fine = (x["images"]["groups"]["all"] for x in (found, good))
    assert bad["raw"]["psnr"] < fine["raw"]["psnr"] - 10 and bad["raw"]["ssim"] < fine["raw"]["ssim"]
    assert found["surfaces"]["normal"]["mean"] > 20 and found["surfaces"]["covered"] < 0.95
    rng = np.random.default_rng(1)
    target = rng.uniform(0, 3, (16, 16, 3)).astype(np.float32)  # half of it is clipped
    pair = Pair("v", "all", target * np.array([0.5, 1.0, 2.0], np.float32), target)
    np.testing.assert_allclose(images.factors([pair]), [2.0, 1.0, 0.5], rtol=1e-3)
    assert images.scores([pair])["groups"]["all"]["aligned"]["psnr"] > 60


def test_the_best_factors_ignore_what_does_not_count() -> None:
    truth = np.random.default_rng(0).uniform(0.2, 1, (10, 3))
    value, weight = truth / [1, 2, 4], np.ones(10)
    value[0], weight[0] = 100, 0
    np.testing.assert_allclose(factors(value, truth, weight), [1, 2, 4])
    np.testing.assert_allclose(factors(0 * truth, truth), 1)


def test_other_light_tells_materials_apart() -> None:
    """Under the light of a map, a rough and a smooth material differ; the same ones do not. Lights of the scenes do not matter."""
    light = {"type": "envmap", "radiance": lights.FIVE["from +x"]["radiance"]}
    views = shots()[:1]
    same = evaluation.relit(scene_of(light=7.0), scene_of(), views, light, OPTIONS, 64, lambda _: None)
    other = evaluation.relit(scene_of(roughness=0.9), scene_of(), views, light, OPTIONS, 64, lambda _: None)
    assert same["groups"]["all"]["raw"]["psnr"] > other["groups"]["all"]["raw"]["psnr"] + 6
    with pytest.raises(DataError, match="neither an image nor a target"):
        evaluation.compared(scene_of(), None, views, OPTIONS, SPP, lambda _: None)


def test_the_command_scores_a_run(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Views of the run, other cameras, other light; all on disk; what was asked for and cannot be had is said."""
    job = tiny()
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs")]) in (0, 5)
    run = str(tmp_path / "runs" / "tiny")
    (tmp_path / "sky.exr").write_bytes(encode_exr(np.full((4, 8, 3), [0.2, 0.5, 1.0], np.float32)))
    capfd.readouterr()
    assert cli.main(["eval", run, "--json", "--relight", str(tmp_path / "sky.exr")]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {"held-out", "training"} == set(found["images"]["groups"]) and found["surfaces"]["albedo"]["rmse"] < 0.2
    assert (
        found["relight"]["sky"]["groups"]["held-out"]["raw"]["psnr"] > 15 and "aligned" in found["protocol"]["images"]
    )
    folder = Path(found["scores"]).parent
    assert len(list((folder / "images").glob("view-???.png"))) == 4 and (folder / "sky").is_dir()
    camera = Camera.look_at([3, 3, 1], [0, 0, 0], [0, 0, 1], 12, 12, np.radians(40))
    write_transforms(tmp_path / "new.json", [camera], ["nowhere.png"])
    assert cli.main(["eval", run, "--json", "--views", str(tmp_path / "new.json")]) == 0
    assert json.loads(capfd.readouterr().out)["images"]["views"][0]["view"] == "nowhere"
    assert cli.main(["eval", run, "--views", "target"]) == 2
    assert "no target scene with sensors" in capfd.readouterr().err
    stored = Path(found["run"]) / "job.toml"
    stored.write_text(stored.read_text().replace("init = 0.5", "init = 0.5\ntexture = 3"))
    assert cli.main(["eval", run]) == 3
    assert "of another problem or version" in capfd.readouterr().err


def test_exposures_of_a_run_count(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run with unknown exposures is scored at them: with all factors at 2 instead of 1, its images are twice as bright."""
    from pbdr.evaluation import _Seen
    from pbdr.job import estimate
    from pbdr.job.rundir import RunDirectory

    job = tiny({"[output]": '[exposure]\nlr = 1e-2\nfix = "first"\n\n[output]', "steps = 12": "steps = 2"})
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs")]) in (0, 5)
    loaded = estimate.load(RunDirectory.open(tmp_path / "runs" / "tiny"))
    key = next(key for key in loaded.latents if key.startswith("exposure:"))
    shot = Shot(key.removeprefix("exposure:"), "training", None, None, np.ones((2, 2, 3)))
    before = _Seen(loaded).exposure(shot, np.ones((2, 2, 3)))
    loaded.latents[key] = loaded.latents[key] + float(np.log(2))
    assert _Seen(loaded).exposure(shot, np.ones((2, 2, 3))) == pytest.approx(2 * before, rel=1e-5)
    assert _Seen(loaded).exposure(replace(shot, image=None), np.ones((2, 2, 3))) == 1.0
    assert _Seen(loaded).exposure(
        replace(shot, name="held out", image=3 * np.ones((2, 2, 3))), np.ones((2, 2, 3))
    ) == pytest.approx(3)
