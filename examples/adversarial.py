"""An adversarial loss: which parameters make renders that a network cannot tell from photographs?

    python examples/adversarial.py

No pixel is compared. There are images of a ball, each from another direction that nobody wrote down, and the colour of the ball is
wanted. Renders from directions of our own show it elsewhere in the picture, so that a loss of pixels has no meaning; but a small
network, the critic, learns to tell both sorts of images apart, and the colour moves to where it no longer can (Goodfellow et al.
2014). The renderer is a function of PyTorch here, `pbdr.torch.render`, whose gradient is pbdr's. The penalty on the critic's slope
makes the two settle instead of circling each other (Mescheder, Geiger, Nowozin 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pbdr
import pbdr.torch

import mitsuba as mi  # isort: skip  (after pbdr, which finds LLVM)
import torch

TRUTH = (0.7, 0.35, 0.15)
SIZE, CAMERAS = 16, 6
PENALTY = 0.05  # on the squared slope of the critic
INTEGRATOR = {"type": "prb", "max_depth": 2}


def scene(color: Any, seed: int) -> Any:
    """A ball under a grey sky, seen by cameras that look past it by chance."""
    rng = np.random.default_rng(seed)
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgb", "rfilter": {"type": "box"}}
    cameras = {
        f"camera-{k}": {
            "type": "perspective", "fov": 40, "film": film,
            "to_world": mi.ScalarTransform4f().look_at([0, 0, -4], list(rng.uniform(-0.7, 0.7, 3)), [0, 1, 0]),
        }
        for k in range(CAMERAS)
    }  # fmt: skip
    ball = {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(color)}}}
    sky = {"type": "constant", "radiance": {"type": "rgb", "value": 0.8}}
    return pbdr.load_scene({"type": "scene", "ball": ball, "sky": sky, **cameras})


def photographs() -> torch.Tensor:
    """Images (N, 3, H, W) of the true ball."""
    truth = scene(TRUTH, seed=1)
    path = {"type": "path", "max_depth": 2}
    images = [np.array(pbdr.render(truth, sensor=k, spp=64, seed=k, integrator=path)) for k in range(CAMERAS)]
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2)


def critic() -> torch.nn.Module:
    """From images to one number each, high for photographs; it sees colours and shapes, but not where they are."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(16, 16, 3, padding=1, stride=2),
        torch.nn.LeakyReLU(0.2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 1),
    )  # fmt: skip


def teach(judge: torch.nn.Module, optimiser: torch.optim.Optimizer, real: torch.Tensor, made: torch.Tensor) -> None:
    """Take one step of the critic: photographs up, renders down, and flat around both."""
    softplus = torch.nn.functional.softplus
    images = torch.cat([real, made]).requires_grad_()
    scores = judge(images)[:, 0]
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    penalty = slope.square().sum((1, 2, 3)).mean()
    loss = softplus(-scores[: len(real)]).mean() + softplus(scores[len(real) :]).mean() + 0.5 * PENALTY * penalty
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def estimate(start: tuple[float, float, float], steps: int = 100, seed: int = 0) -> list[float]:
    """Return the colour that the critic cannot tell from that of the photographs: the mean over the last fifth of the steps."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the images are small, and the renderer has threads of its own
    rng = np.random.default_rng(seed)
    real, ours = photographs(), scene(start, seed=2)
    color = torch.tensor(start, requires_grad=True)
    judge = critic()
    teacher = torch.optim.Adam(judge.parameters(), lr=5e-3, betas=(0.5, 0.9))
    mover = torch.optim.Adam([color], lr=2e-2, betas=(0.5, 0.9))
    visited = []
    for step in range(steps):
        views = [int(k) for k in rng.choice(CAMERAS, 2, replace=False)]
        images = [
            pbdr.torch.render(
                ours, {"ball/base_color": color}, sensor=k, spp=8, seed=100 * step + k, integrator=INTEGRATOR
            )
            for k in views
        ]
        made = torch.stack(images).permute(0, 3, 1, 2)
        for _ in range(4):
            teach(judge, teacher, real[rng.choice(CAMERAS, 4, replace=False)], made.detach())
        loss = torch.nn.functional.softplus(-judge(made)).mean()
        mover.zero_grad()
        loss.backward()
        mover.step()
        with torch.no_grad():
            color.clamp_(0.01, 0.99)
        visited.append(color.detach().clone())
    return [float(x) for x in torch.stack(visited[-steps // 5 :]).mean(0)]


def main() -> list[float]:
    """Estimate from grey; returns the colour."""
    found = estimate((0.5, 0.5, 0.5))
    print("colour", [round(x, 3) for x in found], "in truth", list(TRUTH))
    return found


if __name__ == "__main__":
    main()
