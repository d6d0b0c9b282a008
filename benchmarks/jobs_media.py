"""Jobs about participating media: tomography, a plume, and a liquid. Scenes are those of examples/jobs, larger."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .harness import ROOT
from .jobs_case import Case, Limit, fit

JOBS = ROOT / "examples" / "jobs"
BODY, PLUME = (16, 64, 64), (24, 16, 16)  # cells (Z, Y, X)
DENSITY = 2.0  # σ of the phantom where it is 1
DETECTOR = 96  # pixels across the phantom
LIQUID = {"cup/sigma_t": 2.5, "cup/albedo": 0.85, "cup/phase_g": 0.6}


def _made() -> Any:
    """The program that makes the files of these example jobs."""
    spec = importlib.util.spec_from_file_location("make_media", JOBS / "make_media.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text(job: str, changes: Mapping[str, str]) -> str:
    """A job of examples/jobs with lines replaced: beginning of a line → the line."""
    lines = (JOBS / job / "job.toml").read_text(encoding="utf-8").splitlines()
    for start, line in changes.items():
        matching = [k for k, old in enumerate(lines) if old.startswith(start)]
        assert len(matching) == 1, f"{job}: {len(matching)} lines begin with {start!r}"
        lines[matching[0]] = line
    return "\n".join([*lines, ""])


def _grid(found: Mapping[str, Any], name: str) -> np.ndarray[Any, Any]:
    values = Path(found["run"]) / "eval" / "parameters" / name / "estimate.csv"
    return np.asarray(np.loadtxt(values, delimiter=","), float).ravel()


def slices(truth: np.ndarray[Any, Any], estimate: np.ndarray[Any, Any]) -> float:
    """PSNR of a grid in dB, whose peak is the largest true value."""
    return float(10 * np.log10(np.max(truth) ** 2 / np.mean((truth.ravel() - estimate.ravel()) ** 2)))


def _tomography(views: int, kind: str, span: float, tv: float, start: int, folder: Path) -> Mapping[str, float]:
    made = _made()
    truth = DENSITY * made.phantom(BODY)
    (folder / "scene.xml").write_text(made.scanner(views, DETECTOR, BODY[0], kind, span), encoding="utf-8")
    (folder / "truth.vol").write_bytes(made.vol(truth))
    (folder / "start.vol").write_bytes(made.vol(np.full(BODY, 0.1 + 0.05 * start)))
    changes = {
        "steps": "steps = 300", "views_per_step": "views_per_step = 2", "lr = 0.05": "lr = 0.06",
        "prior": f"prior = {{ tv = {tv:g} }}", "[goal]": "[output]\nerror_bars = false\n[goal]", "target_spp": "target_spp = 1024",
    }  # fmt: skip
    found = fit(_text("tomography", changes), folder)
    return {"slice PSNR": slices(truth, _grid(found, "body-sigma_t"))}


def _plume(start: int, folder: Path) -> Mapping[str, float]:
    made = _made()
    (folder / "scene.xml").write_text(made.chimney(15, 32, 32, made.SCATTERING), encoding="utf-8")
    (folder / "truth.vol").write_bytes(made.vol(made.smoke(PLUME)))
    (folder / "start.vol").write_bytes(made.vol(np.full(PLUME, 0.2 + 0.1 * start)))
    found = fit(_text("plume", {"steps": "steps = 150", "[goal]": "[output]\nerror_bars = false\n[goal]"}), folder)
    return {
        "held-out PSNR": found["held_out"]["psnr"],
        "density PSNR": slices(made.smoke(PLUME), _grid(found, "plume-sigma_t")),
    }


def _liquid(start: int, folder: Path) -> Mapping[str, float]:
    rng = np.random.default_rng(start)
    sigma, albedo, g = rng.uniform(0.7, 1.6), rng.uniform(0.4, 0.7), rng.uniform(-0.2, 0.3)
    scene = (JOBS / "liquid" / "scene.xml").read_text(encoding="utf-8")
    (folder / "scene.xml").write_text(scene, encoding="utf-8")
    define = f'file = "scene.xml"\ndefine = {{ sigma = {sigma:.3f}, albedo = {albedo:.3f}, g = {g:.3f} }}'
    found = fit(_text("liquid", {"file": define}), folder)
    bars = {bar["name"]: bar for bar in found["identification"]["bars"]}
    errors = {name: abs(bars[name]["value"] - true) / true for name, true in LIQUID.items()}
    far = {
        name: abs(bars[name]["value"] + bars[name]["offset"] - true) / bars[name]["sd"] for name, true in LIQUID.items()
    }
    return {"largest error": max(errors.values()), "farthest, in standard deviations": max(far.values())}


_SLICES = partial(Limit, "slice PSNR", unit="dB", at_least=True)

CASES = (
    Case("tomography-60", "64² × 16 densities of a phantom, 60 parallel views of 180°", (_SLICES(bound=30),), 10,
         partial(_tomography, 60, "orthographic", 180.0, 3e-4)),
    Case("tomography-20", "the same from 20 views, with total variation", (_SLICES(bound=26),), 10,
         partial(_tomography, 20, "orthographic", 180.0, 1e-3)),
    Case("tomography-cone", "the same from 60 views of cone beams, all around", (_SLICES(bound=26),), 10,
         partial(_tomography, 60, "perspective", 360.0, 3e-4)),
    Case("tomography-limited", "the same from 40 parallel views within 120°, with total variation", (_SLICES(bound=22),), 10,
         partial(_tomography, 40, "orthographic", 120.0, 1e-3)),
    Case("plume", "16² × 24 densities of scattering smoke, 12 views of 32²", (Limit("held-out PSNR", 30, "dB", at_least=True),), 10,
         _plume),
    Case("liquid", "extinction, albedo and anisotropy of a liquid in a cup, 3 views of 24²",
         (Limit("largest error", 0.03), Limit("farthest, in standard deviations", 3)), 10, _liquid),
)  # fmt: skip
