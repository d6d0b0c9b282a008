"""Exposure as an unknown: one factor an image, e^ε, that multiplies the render before losses compare it with the target.

Cameras that choose their exposure shot by shot change the scale of every image. Where light or albedo are unknown too, a factor
common to all images is theirs as well as the exposures': so one number is fixed, `FIXES` says which. Each ε is a latent of its own,
in the state beside those of the variables, and moves in the steps that see its view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError

#: What all of them together are called where learning rates and gradients are told.
NAME = "exposure"
PREFIX = f"{NAME}:"

#: What of the exposures is fixed.
FIXES = {
    "mean": "the geometric mean of the factors is 1",
    "first": "the factor of the first view is 1",
    "none": "nothing, for scenes whose light is known",
}


def check_fix(fix: str) -> None:
    """Raise OptionError unless `fix` is one of `FIXES`."""
    if fix not in FIXES:
        raise OptionError(f"exposure_fix = {fix!r}: it is one of {', '.join(FIXES)}")


def key(label: str) -> str:
    """Return the name of the latent of a view."""
    return PREFIX + label


def init(labels: Sequence[str]) -> dict[str, Any]:
    """Return the latents before the first step: every factor is 1."""
    return {key(label): dr.zeros(mi.TensorXf, (1,)) for label in labels}


def factor(latents: Mapping[str, Any], label: str) -> Any:
    """Return the factor of a view, a tensor (1, 1, 1) attached to its latent; None where exposures are known."""
    latent = latents.get(key(label))
    return None if latent is None else dr.reshape(dr.exp(latent), (1, 1, 1))


def fixed(latents: Mapping[str, Any], fix: str) -> dict[str, Any]:
    """Return the latents of exposures, shifted together so that what `fix` says holds."""
    own = {name: value for name, value in latents.items() if name.startswith(PREFIX)}
    if fix == "none" or not own:
        return own
    numbers = [float(np.array(value)[0]) for value in own.values()]
    shift = dr.opaque(mi.Float, numbers[0] if fix == "first" else float(np.mean(numbers)))
    return {name: mi.TensorXf(value.array - shift, (1,)) for name, value in own.items()}


def of_view(
    latents: Mapping[str, Any], label: str, image: NDArray[Any], target: NDArray[Any], mask: Any = None
) -> float:
    """Return the factor by which an image (H, W, C) is compared with its target: 1 where exposures are known.

    A view without a factor of its own, because it was held out, gets the one that fits it best: the s that minimises the sum of
    mask · (s · image − target)².
    """
    known = factors(latents)
    if not known or label in known:
        return known.get(label, 1.0)
    weight = np.ones(image.shape[:2]) if mask is None else np.asarray(mask, np.float64)
    square = float(np.sum(weight[..., None] * np.square(image, dtype=np.float64)))
    return float(np.sum(weight[..., None] * image * target)) / square if square > 0 else 1.0


def factors(latents: Mapping[str, Any]) -> dict[str, float]:
    """Return the factors by the names of their views."""
    return {
        name.removeprefix(PREFIX): float(np.exp(np.array(value)[0]))
        for name, value in latents.items()
        if name.startswith(PREFIX)
    }
