"""Approximate renderers beside `pathspace`: the bias of each one's gradient where outlines, shadows, hidden edges and depth count.

The number is the derivative of the integral of a smooth weight times the image (`baselines.world.weight`), as something moves. The
reference is exact: images are known in closed form (`baselines.cases`); finite differences of Mitsuba's `path`, with two steps, say
the same. Rasterisers and `pathspace` have the film's pixels, for which the exact number is a little different; each is compared
with its own. A gradient of 0 where a renderer does not see what moves is called that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pbdr.errors import PbdrError
from validation.replicas import mean_and_error

from .bias_page import draw, markdown
from .harness import Missed, Result

FINE = 512  # pixels a side that stand for a film without pixels
STEPS = (0.02, 0.01)  # of the finite differences, in units of the parameter
SIGMAS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # of the sweep of soft silhouettes
Estimate = tuple[list[float], float]  # replicas and the reference that they are compared with


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--size", type=int, default=32, help="pixels a side of the films of integrators")
    parser.add_argument("--raster", type=int, default=256, help="pixels a side of rasterisers: their usual size")
    parser.add_argument("--replicas", type=int, default=6)
    parser.add_argument("--spp", type=int, default=256, help="samples per pixel of the integrators")
    parser.add_argument("--samples", type=int, default=60000, help="kernels of a replica of the rotation")
    parser.add_argument("--lines", type=int, default=800, help="lines of a replica of the difference sampling")
    parser.add_argument("--only", action="append", metavar="CASE", help="cases to run (all)")


def run(options: argparse.Namespace) -> Result:
    """Every renderer on every case, and the sweep of soft silhouettes."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise Missed("needs torch: pip install 'pbdr[torch]'") from None
    from .baselines.cases import CASES

    records: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        if options.only and name not in options.only:
            continue
        records[name] = {}
        with tempfile.TemporaryDirectory() as folder:
            for method, task in {**traced(case, Path(folder), options), **drawn(case, options)}.items():
                try:
                    records[name][method] = judged(*task())
                except PbdrError as error:
                    records[name][method] = {"refused": str(error)}
                print(f"{name}, {method}: {records[name][method]}", file=sys.stderr, flush=True)
    data = {"size": options.size, "raster": options.raster, "cases": records, "sweep": sweep(options.raster)}
    from . import harness

    options.out.mkdir(parents=True, exist_ok=True)
    for target in [options.out, *([harness.RECORDED] if options.record else [])]:
        draw(data, target / "bias.png")
    return Result("bias", data, markdown(data), met(records))


def judged(values: list[float], reference: float) -> dict[str, Any]:
    """Mean, its standard error, and both relative to the reference."""
    mean, error = mean_and_error(values) if len(values) > 1 else (values[0], 0.0)
    return {
        "mean": float(mean), "error": float(error), "reference": reference, "replicas": len(values),
        "bias": float(mean) / reference - 1, "bias_error": float(error) / abs(reference),
    }  # fmt: skip


def met(records: Mapping[str, Mapping[str, Any]]) -> bool:
    """Edge sampling and difference sampling are unbiased within 3.5 standard errors or 2 %, AD without boundary is not."""
    right = lambda r: "bias" in r and abs(r["bias"]) <= max(3.5 * r["bias_error"], 0.02)  # noqa: E731
    good = ("pathspace", "finite differences", "difference sampling")
    return all(
        all(right(case[method]) for method in good) and not right(case["no boundary"]) for case in records.values()
    )


# ---------------------------------------------------------------------- integrators


def traced(case: Any, folder: Path, options: argparse.Namespace) -> dict[str, Callable[[], Estimate]]:
    """Derivatives of `pathspace` with each treatment of boundaries, and finite differences of `path`."""
    import pbdr
    from pbdr.rendering import derivative
    from pbdr.seeds import hashed
    from pbdr.verify.sources import Differences

    from .baselines import traced as scenes
    from .baselines.world import adjoint

    shining = scenes.scene(case.world, folder, options.size)
    scene = scenes.scene(case.world, folder, options.size, shining=False) if case.mask else shining
    parameter = next(p for p in pbdr.list_parameters(scene) if p.name == f"{case.moving}/positions")
    tangent = np.tile(case.world.quads[case.moving].velocity, (parameter.shape[0], 1))
    weights, exact = adjoint(options.size), case.derivative(options.size)
    plain = pbdr.scene.integrator_of(shining, {"type": "path", "max_depth": case.depth})
    moved = Differences(shining, parameter, tangent, sensor=shining.mi.sensors()[0], integrator=plain)
    channels = {"aovs": f"mask:mask({case.mask})"} if case.mask else {}

    def number(image: Any, first: int = 0) -> float:
        return float(np.sum(weights * np.asarray(image, np.float64)[..., first : first + 3].mean(-1)))

    def pathspace(boundary: str) -> Estimate:
        chosen = {"type": "pathspace", "max_depth": case.depth, "boundary": boundary, **channels}
        found = []
        for k in range(options.replicas):
            parts = derivative(
                scene,
                {parameter.name: tangent},
                spp=options.spp,
                seed=hashed(options.seed, boundary, k),
                integrator=chosen,
            )
            found.append(sum(number(image, 3 if case.mask else 0) for image in parts.values()))
        return found, exact

    def differences() -> Estimate:
        """Two steps, extrapolated."""
        found = []
        for k in range(options.replicas):
            seed = hashed(options.seed, "differences", k)
            long, short = (number(moved.image(step, seed, 32 * options.spp)) for step in STEPS)
            found.append((4 * short - long) / 3)
        return found, exact

    return {
        "finite differences": differences,
        "pathspace": lambda: pathspace("edge"),
        "pathspace, warp": lambda: pathspace("warp"),
        "no boundary": lambda: pathspace("none"),
    }


# ---------------------------------------------------------------------- baselines


def drawn(case: Any, options: argparse.Namespace) -> dict[str, Callable[[], Estimate]]:
    """Derivatives of the baselines. Rasterisers are deterministic: one value, no error."""
    import torch

    from pbdr.seeds import hashed

    from .baselines import difference_sampling, neural_mesh_renderer, opendr, rotation, screen, softras
    from .baselines.world import adjoint

    size, weights = options.raster, adjoint(options.raster)
    exact, smooth = case.derivative(size), case.derivative(FINE)
    theta = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def raster(image: Callable[[Any], Any]) -> Estimate:
        total = (torch.tensor(weights) * image(screen.triangles(case.world, theta))).sum()
        (slope,) = torch.autograd.grad(total, theta, allow_unused=True)
        return [0.0 if slope is None else float(slope)], exact

    def flow() -> Any:
        return torch.func.jacfwd(lambda x: screen.triangles(case.world, x).screen)(theta.detach())

    def replicas(name: str, one: Callable[[int], float]) -> Estimate:
        return [one(hashed(options.seed, name, k) % 2**31) for k in range(options.replicas)], smooth

    given = screen.triangles(case.world, theta)
    found: dict[str, Callable[[], Estimate]] = {}
    if case.name == "silhouette":
        found["Soft Rasterizer, silhouette"] = lambda: raster(lambda t: softras.silhouette(t, size))
    for gamma in (softras.GAMMA, 1e-2):
        found[f"Soft Rasterizer, colours, γ = {gamma:g}"] = lambda gamma=gamma: raster(
            lambda t: softras.colours(t, size, gamma=gamma)
        )
    return found | {
        "OpenDR": lambda: ([float(np.sum(weights * opendr.derivative_image(given, flow(), size)))], exact),
        "Neural 3D Mesh Renderer": lambda: (
            [float(np.sum(neural_mesh_renderer.gradient(given, weights) * flow().numpy()))], exact,
        ),
        "rotation": lambda: replicas("rotation", lambda s: rotation.derivative(case.world, options.samples, s)),
        "difference sampling": lambda: replicas(
            "difference sampling", lambda s: difference_sampling.derivative(case.world, options.lines, s)
        ),
    }  # fmt: skip


def sweep(size: int) -> list[dict[str, float]]:
    """Bias of soft silhouettes by σ. The sharpest are narrower than a pixel."""
    import torch

    from .baselines import screen, softras
    from .baselines.cases import CASES
    from .baselines.world import adjoint

    case = CASES["silhouette"]
    weights, reference = torch.tensor(adjoint(size)), case.derivative(size)
    found = []
    for sigma in SIGMAS:
        theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
        image = softras.silhouette(screen.triangles(case.world, theta), size, sigma)
        (slope,) = torch.autograd.grad((weights * image).sum(), theta)
        found.append({"sigma": sigma, "bias": float(slope) / reference - 1})
    return found
