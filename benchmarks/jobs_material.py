"""Jobs about materials and lights: colours, roughness and environment of textured meshes from twelve small images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import material_scene
from .jobs_case import Case, Limit, fit
from .material_scene import BOB, SPOT, Thing


def _job(thing: Thing, light_known: bool, start: int, folder: Path) -> Mapping[str, float]:
    text = material_scene.write(thing, folder, start, light_known=light_known)
    return figures(thing, fit(text, folder), folder)


def figures(thing: Thing, found: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Errors of a run: held-out images, roughness, albedo where two views see it, and images under a light that no view shows."""
    text = (Path(found["run"]) / "eval" / "parameters.json").read_text(encoding="utf-8")
    parameters = {entry["name"]: entry for entry in json.loads(text)["parameters"]}
    albedo = parameters["thing/base_color"]
    return {
        "held-out PSNR": found["held_out"]["psnr"],
        "relit PSNR": relit(thing, Path(found["run"]), folder),
        "roughness error": abs(parameters["thing/roughness"]["estimate"] - thing.roughness),
        "albedo RMSE": albedo["rmse"],
        "albedo scale": albedo["best_scale"],
    }


def relit(thing: Thing, run: Path, folder: Path) -> float:
    """Mean PSNR of the held-out views, true and estimated material both lit by an environment that no image shows."""
    import pbdr
    from pbdr.data import load_image
    from pbdr.job import metrics
    from pbdr.job.views import render_path
    from pbdr.parameters import Variables, VariableSpec

    sky = material_scene.environment(material_scene.UNSEEN, 1.0)
    values = run / "eval" / "parameters"
    color = load_image(values / "thing-base_color" / "estimate.exr").rgb
    roughness = float((values / "thing-roughness" / "estimate.csv").read_text(encoding="utf-8"))
    images = []
    for name, grey, rough in (("relit-truth", None, thing.roughness), ("relit", 0.5, roughness)):
        path = folder / f"{name}.xml"
        path.write_text(material_scene.scene(thing, sky, grey, rough), encoding="utf-8")
        scene = pbdr.load_scene(path)
        if grey is not None:
            spec = VariableSpec("thing/base_color", texture=color.shape[:2], init=color)
            variables = Variables(scene, {"color": spec})
            variables.apply(variables.init())
            scene = variables.scene
        tracer = {"type": "path", "max_depth": material_scene.DEPTH, "hide_emitters": True}
        held = range(0, material_scene.VIEWS, material_scene.HOLDOUT)
        images.append([render_path(scene, scene.sensors[k], 256, k, tracer) for k in held])
    scores = [metrics.psnr(b[..., :3], a[..., :3], a[..., 3]) for a, b in zip(*images, strict=True)]
    return float(np.mean(scores))


_JOINT = (
    Limit("held-out PSNR", 30, "dB", at_least=True),
    Limit("relit PSNR", 28, "dB", at_least=True),
    Limit("roughness error", 0.05),
)
_KNOWN = (Limit("albedo RMSE", 0.03), Limit("roughness error", 0.02))

CASES = (
    Case(
        "material-light-bob", "albedo texture, roughness and environment of Bob under lamps, from grey", _JOINT, 5,
        partial(_job, BOB, False),
    ),
    Case(
        "material-light-spot", "albedo texture, roughness and environment of Spot in a flat, from grey",
        (Limit("held-out PSNR", 35, "dB", at_least=True),), 5, partial(_job, SPOT, False),
    ),
    Case(
        "material-bob", "albedo texture and roughness of Bob, the light being known, from grey", _KNOWN, 5,
        partial(_job, BOB, True),
    ),
)  # fmt: skip
