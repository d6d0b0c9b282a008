"""A neural texture: a small network of torch paints a wall, and its weights are what a photograph decides.

    python examples/neural_texture.py      (needs torch: pip install 'pbdr[torch]')

The unknowns are the network's weights. `paint` is plain torch; with `framework="torch"` its derivatives join those of the renderer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pbdr
from pbdr.inverse import Options, Problem, View, fit

SIZE, TEXELS, WIDTH, WAVES = 32, 32, 32, 3
TRACER = {"type": "pathspace", "max_depth": 2}


def _inputs() -> torch.Tensor:
    """Sines and cosines of the texels' coordinates, (TEXELS², 4 WAVES)."""
    at = (torch.arange(TEXELS) + 0.5) / TEXELS
    v, u = torch.meshgrid(at, at, indexing="ij")
    phases = [2**k * np.pi * x.reshape(-1) for k in range(WAVES) for x in (u, v)]
    return torch.stack([f(phase) for phase in phases for f in (torch.sin, torch.cos)], dim=1)


INPUTS = _inputs()


def paint(first: Any, first_bias: Any, second: Any, second_bias: Any) -> Any:
    """Return the texture (TEXELS, TEXELS, 3) that weights and biases of two layers give."""
    hidden = torch.relu(INPUTS @ first + first_bias)
    return torch.sigmoid(hidden @ second + second_bias).reshape(TEXELS, TEXELS, 3)


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Return random weights to start from."""
    rng, inputs = np.random.default_rng(seed), INPUTS.shape[1]
    return {
        "first": rng.normal(size=(inputs, WIDTH)) / np.sqrt(inputs), "first_bias": np.zeros(WIDTH),
        "second": rng.normal(size=(WIDTH, 3)) / np.sqrt(WIDTH), "second_bias": np.zeros(3),
    }  # fmt: skip


def picture() -> np.ndarray:
    """Return the true texture: a red disk on blue stripes."""
    at = (np.arange(TEXELS) + 0.5) / TEXELS
    v, u = np.meshgrid(at, at, indexing="ij")
    stripes = np.stack([0.2 + 0 * u, 0.3 + 0 * u, 0.5 + 0.3 * np.sin(12 * u)], -1)
    disk = 1 / (1 + np.exp(40 * (np.hypot(u - 0.5, v - 0.5) - 0.3)))[..., None]
    return (disk * np.array([0.8, 0.2, 0.1]) + (1 - disk) * stripes).astype(np.float32)


def scene(texture: np.ndarray) -> Any:
    """The wall, seen from the front under a lamp."""
    import mitsuba as mi

    T = mi.ScalarTransform4f
    painted = {"type": "bitmap", "bitmap": mi.Bitmap(texture), "raw": True}
    return pbdr.load_scene({
        "type": "scene", "wall": {"type": "rectangle", "bsdf": {"type": "diffuse", "reflectance": painted}},
        "lamp": {"type": "point", "position": [0.5, 0.5, 2], "intensity": {"type": "rgb", "value": 6.0}},
        "camera": {"type": "perspective", "fov": 40, "to_world": T().look_at([0.3, 0, 3], [0, 0, 0], [0, 1, 0]),
                   "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}},
    })  # fmt: skip


def estimate(steps: int = 150) -> tuple[float, float]:
    """Return the root mean square errors of the texture before and after."""
    photograph = np.array(pbdr.render(scene(picture()), spp=256, seed=1, integrator=TRACER))
    made = scene(np.full((TEXELS, TEXELS, 3), 0.5, np.float32))
    network = pbdr.FunctionSpec(paint, weights(), match="wall/base_color", framework="torch", lr=0.01)
    options = Options(steps=steps, spp=8, loss="l2", integrator=TRACER)
    found = fit(Problem(made, [View(photograph)], {"network": network}, options)).values["wall/base_color"]
    start = paint(*(torch.tensor(x, dtype=torch.float32) for x in weights().values())).numpy()
    return tuple(float(np.sqrt(np.mean((x - picture()) ** 2))) for x in (start, found))


def main() -> tuple[float, float]:
    """Estimate, and say how good that is."""
    before, after = estimate()
    print(f"error of the texture: {after:.3f}, {before:.3f} at the start")
    return before, after


if __name__ == "__main__":
    main()
