"""Real input: albedo texture, roughness and environment of a textured mesh, estimated from 12 images by a normal job.

The targets come from Mitsuba's own `path`; the job starts from a grey texture under a grey environment that no image
shows. Scored on four held-out views and against the true texture.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import spot_scene
from .harness import ROOT, Result, table

PSNR = 32.0  # dB, held out
RMSE = 0.06  # albedo, after scale alignment
MINUTES = 20.0
SEEN = 2  # views that see a texel that counts
ALBEDO = "spot/base_color"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument(
        "--small", action="store_true", help="a quarter of the size and of the steps, to try things out"
    )


def run(options: argparse.Namespace) -> Result:
    """Prepare, fit in a process of its own, compare."""
    setting = spot_scene.Setting(seed=options.seed)
    if options.small:
        setting = replace(setting, size=128, target_spp=128, texels=128, steps=setting.steps // 4)
    folder = (options.out / "spot_material_light").resolve()
    start = time.perf_counter()
    job = spot_scene.prepare(folder, setting, PSNR)
    data: dict[str, Any] = {"setting": vars(setting), "seconds_targets": time.perf_counter() - start}
    data |= _fit(job)
    evaluation = json.loads((Path(data["run"]) / "eval" / "metrics.json").read_text(encoding="utf-8"))
    data |= {key: evaluation[key] for key in ("held_out", "training", "protocol", "steps")}
    data["seconds_in_steps"] = evaluation["seconds"]
    data["albedo"] = albedo(Path(data["run"]), folder)
    estimate = float((Path(data["run"]) / "eval/parameters/spot-roughness/estimate.csv").read_text(encoding="utf-8"))
    data["roughness"] = {"estimate": estimate, "truth": spot_scene.ROUGHNESS}
    data["checks"] = {
        f"held-out PSNR ≥ {PSNR:g} dB": data["held_out"]["psnr"] >= PSNR,
        f"scale-aligned albedo RMSE ≤ {RMSE:g}": data["albedo"]["rmse_aligned"] <= RMSE,
        f"fit ≤ {MINUTES:g} minutes": data["minutes_wall"] <= MINUTES,
    }
    for key in ("run", "report"):
        data[key] = os.path.relpath(data[key], options.out)
    return Result("spot_material_light", data, _markdown(data), all(data["checks"].values()))


def _fit(job: Path) -> dict[str, Any]:
    """`pbdr fit`: wall and processor time from the start of the process to its end, evaluation included."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "pbdr.cli", "fit", str(job), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 5):
        raise RuntimeError(f"pbdr fit ended with exit code {done.returncode}: {done.stdout.strip()[-500:]}")
    record = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "run": record["run"], "report": record["report"], "verdict": record["verdict"], "exit_code": done.returncode,
        "minutes_wall": seconds / 60, "minutes_processor": processor / 60, "load_average_after": os.getloadavg()[0],
    }  # fmt: skip


def albedo(run: Path, folder: Path) -> dict[str, Any]:
    """Error of the estimated texture on the texels that enough training views see.

    Albedo times light is what images show: the strength of the light is open, and one common factor is taken out first. The error
    with a factor for each channel, as other estimates are often scored, is given too. The truth is averaged down to the resolution
    of the estimate.
    """
    import pbdr
    from pbdr.data import load_image, read_frames, split_holdout
    from pbdr.inverse import View
    from pbdr.job import coverage, metrics
    from pbdr.parameters import read
    from pbdr.parameters.textures import with_textures
    from pbdr.scene import load_object

    estimate = load_image(run / "eval" / "parameters" / "spot-base_color" / "estimate.exr").rgb
    scene = pbdr.load_scene(folder / "truth.xml", sensor_required=False)
    parameter = _parameter(scene)
    truth = metrics.match_size(np.asarray(read(scene, parameter)), estimate.shape)
    assert truth is not None
    scene = with_textures(scene, {parameter.raw: estimate.shape[:2]})
    parameter = _parameter(scene)
    views = [View(i.rgb, load_object(f.camera.to_dict())) for f, i in read_frames(folder / "transforms.json")]
    training, _ = split_holdout(views, f"every:{spot_scene.HOLDOUT}")
    seen = coverage.seen(scene, parameter, training)
    assert seen is not None
    weight: NDArray[np.float64] = (seen >= SEEN).astype(np.float64)
    common = metrics.best_scale(estimate, truth, weight)
    scales = [metrics.best_scale(estimate[..., [c]], truth[..., [c]], weight) for c in range(3)]
    return {
        "texels": list(estimate.shape[:2]),
        "share_of_texels_that_count": float(weight.mean()),
        "scale_by_channel": scales,
        "scale": common,
        "rmse_aligned": metrics.rmse(common * estimate, truth, weight),
        "rmse_aligned_by_channel": metrics.rmse(np.array(scales) * estimate, truth, weight),
        "rmse": metrics.rmse(estimate, truth, weight),
        "rmse_of_best_grey": metrics.rmse(_grey(truth, weight), truth, weight),
    }


def _parameter(scene: Any) -> Any:
    from pbdr.parameters import list_parameters

    return next(p for p in list_parameters(scene) if p.name == ALBEDO)


def _grey(truth: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """What the start would score: a constant, scaled as well as can be."""
    return np.broadcast_to(np.average(truth.reshape(-1, 3), axis=0, weights=weight.ravel()), truth.shape)


def _markdown(data: dict[str, Any]) -> str:
    rows = [
        ["held-out PSNR, 4 views", f"{data['held_out']['psnr']:.2f} dB", f"{data['held_out']['psnr_init']:.2f} dB"],
        ["training PSNR, 12 views", f"{data['training']['psnr']:.2f} dB", f"{data['training']['psnr_init']:.2f} dB"],
        [
            "albedo RMSE, scale-aligned",
            f"{data['albedo']['rmse_aligned']:.4f}",
            f"{data['albedo']['rmse_of_best_grey']:.4f}",
        ],
        ["albedo RMSE, one factor a channel", f"{data['albedo']['rmse_aligned_by_channel']:.4f}", ""],
        ["albedo RMSE, as it is", f"{data['albedo']['rmse']:.4f}", ""],
        ["roughness (truth {truth:g})".format(**data["roughness"]), f"{data['roughness']['estimate']:.3f}", "0.5"],
        ["fit, wall", f"{data['minutes_wall']:.1f} min", ""],
        ["fit, processor time of all cores", f"{data['minutes_processor']:.1f} min", ""],
    ]
    checks = "; ".join(f"{name}: {'yes' if met else '**no**'}" for name, met in data["checks"].items())
    setting, found = data["setting"], data["albedo"]
    factors = ", ".join(f"{factor:.3f}" for factor in found["scale_by_channel"])
    counted = f"those that at least {SEEN} training views see ({found['share_of_texels_that_count']:.0%} of the atlas)"
    return (
        f"Spot under {spot_scene.ENVIRONMENT}, {setting['size']}², targets at {setting['target_spp']} spp; {data['steps']} steps "
        f"of {setting['views_per_step']} views, {setting['spp']} spp. {checks}.\n\n"
        f"{table(['', 'estimate', 'grey start'], rows)}\n\n"
        f"PSNR: {data['protocol']['psnr']}; {data['protocol']['spp']} spp. Albedo: linear, {found['texels'][0]}² texels, "
        f"{counted}; factor taken out: {found['scale']:.3f}, or {factors} by channel."
    )
