"""A loss of your own: the Huber loss, registered under a name that `fit` and jobs of this process then know.

    python examples/own_loss.py

It estimates the grey of a ball under a white sky from one image, in which some pixels are wrong. A squared error would follow them;
the Huber loss is linear in large errors, and hardly does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import pbdr

import drjit as dr  # isort: skip  (after pbdr, which finds LLVM)
from pbdr.inverse import Options, Problem, View, fit
from pbdr.inverse.losses import Loss, mean
from pbdr.registry import option

TRUTH = 0.6
SIZE = 16


@pbdr.register_loss
@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared error where it is small, linear in it beyond `delta`."""

    name: ClassVar[str] = "huber"
    delta: float = option(0.05, "error from which on it is linear, in radiance")

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        error = dr.abs(image - target)
        return mean(
            dr.select(error < self.delta, 0.5 * dr.square(error), self.delta * (error - 0.5 * self.delta)),
            mask,
            weights,
        )


def scene(grey: float) -> Any:
    """A ball under a white sky."""
    color = {"type": "rgb", "value": [grey] * 3}
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}
    return pbdr.load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective", "fov": 30, "film": film},
            "sky": {"type": "constant"},
            "ball": {"type": "sphere", "center": [0, 0, 5], "bsdf": {"type": "diffuse", "reflectance": color}},
        }
    )


def estimate(loss: Any, steps: int = 40) -> float:
    """Return the grey that `loss`, a name or a table of type and options, finds in an image with wrong pixels."""
    integrator = {"type": "path", "max_depth": 3}
    target = np.array(pbdr.render(scene(TRUTH), spp=64, seed=1, integrator=integrator))
    target[6:10, 6:10] = 5.0  # a reflection that the model does not have
    ball = pbdr.VariableSpec("ball/base_color", map="sigmoid", lr=0.2, init=0.3)
    options = Options(steps=steps, spp=4, loss=loss, integrator={"type": "prb", "max_depth": 3})
    found = fit(Problem(scene(0.3), [View(target)], {"grey": ball}, options))
    return float(found.values["ball/base_color"].mean())


def main() -> dict[str, float]:
    """Compare; returns the greys by what was minimised."""
    found = {str(loss): estimate(loss) for loss in ("l2", "huber", {"type": "huber", "delta": 0.01})}
    for loss, grey in found.items():
        print(f"{loss}: grey {grey:.3f}, which is {TRUTH} in truth")
    return found


if __name__ == "__main__":
    main()
