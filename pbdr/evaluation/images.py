"""Errors of images, as they are and after the best factor for each channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.images import encode_png8
from ..job import metrics
from ..srgb import linear_to_srgb

Image = NDArray[Any]

ALIGNED_PROTOCOL = (
    "aligned: all images of a set are multiplied by one factor for each channel, which minimises the squared "
    "error of the sRGB-encoded, clipped images over all their pixels that count; for what is known up to a factor"
    " between albedo and light"
)
LPIPS_PROTOCOL = (
    "LPIPS 0.1 (AlexNet) of sRGB-encoded images clipped to [0, 1]; outside of the mask the image is taken for the"
    " target. Absent where its weights are not installed"
)
LARGEST = np.log(64.0)  # logarithm of the largest factor

PROTOCOLS = {
    "psnr": metrics.PSNR_PROTOCOL, "ssim": metrics.SSIM_PROTOCOL, "flip": metrics.FLIP_PROTOCOL, "lpips": LPIPS_PROTOCOL,
    "aligned": ALIGNED_PROTOCOL,
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """An image of the estimate and what it should be, both linear (H, W, 3); `mask` (H, W): how much pixels count."""

    name: str
    group: str
    image: Image
    target: Image
    mask: Image | None = None


def measured(image: Image, target: Image, mask: Image | None = None) -> dict[str, float]:
    """All measures of one image, by name."""
    found = {"psnr": metrics.psnr(image, target, mask), **metrics.measures(image, target, mask)}
    perceived = lpips(image, target, mask)
    return found if perceived is None else {**found, "lpips": perceived}


def lpips(image: Image, target: Image, mask: Image | None = None) -> float | None:
    """As LPIPS_PROTOCOL says; 0 for equal images; None without weights."""
    import mitsuba as mi

    from ..inverse.losses.perceptual import LPIPS

    loss = LPIPS()
    if loss.refusal():
        return None
    first, second = (mi.TensorXf(np.ascontiguousarray(x, dtype=np.float32)) for x in (image, target))
    weight = None if mask is None else mi.TensorXf(np.ascontiguousarray(mask, dtype=np.float32))
    return float(loss(first, second, weight).array[0])


def factors(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """(3,) factors of ALIGNED_PROTOCOL; 1 for a channel that is black. Squares of linear values would be those of a few lights."""
    from scipy.optimize import minimize_scalar

    images, targets = (
        np.concatenate([np.asarray(getattr(p, name), np.float64).reshape(-1, 3) for p in pairs])
        for name in ("image", "target")
    )
    weight = np.concatenate(
        [np.ones(p.image.shape[:2]).reshape(-1) if p.mask is None else p.mask.reshape(-1) for p in pairs]
    )
    wanted = np.clip(linear_to_srgb(targets), 0, 1)

    def best(channel: int) -> float:
        def error(logarithm: float) -> float:
            codes = np.clip(linear_to_srgb(np.exp(logarithm) * images[:, channel]), 0, 1)
            return float(weight @ (codes - wanted[:, channel]) ** 2)

        found = minimize_scalar(error, bounds=(-LARGEST, LARGEST), method="bounded", options={"xatol": 1e-5})
        return float(np.exp(found.x)) if found.fun < error(0.0) else 1.0

    return np.array([best(channel) for channel in range(3)])


def scores(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Mean measures of each group, raw and aligned, and those of each image."""
    scale = factors(pairs)
    views = []
    for pair in pairs:
        aligned = measured(pair.image * scale, pair.target, pair.mask)
        raw = measured(pair.image, pair.target, pair.mask)
        views.append({"view": pair.name, "group": pair.group, "raw": raw, "aligned": aligned})
    groups = {}
    for group in dict.fromkeys(pair.group for pair in pairs):
        own = [view for view in views if view["group"] == group]
        groups[group] = {
            "views": len(own),
            **{kind: _mean([view[kind] for view in own]) for kind in ("raw", "aligned")},
        }
    return {"factors": scale, "groups": groups, "views": views}


def _mean(entries: Sequence[Any]) -> dict[str, float]:
    return {name: float(np.mean([entry[name] for entry in entries])) for name in entries[0]}


def heat_map(pair: Pair) -> bytes | None:
    """PNG of the FLIP errors of an image, from black over violet and orange to pale yellow; None where FLIP is not installed."""
    from ..job.results import colored

    errors = metrics.flip_map(pair.image, pair.target, pair.mask)
    return None if errors is None else encode_png8(colored(errors))


def flat(found: Mapping[str, Any]) -> list[tuple[str, str, float, float]]:
    """(group, measure, raw, aligned) of `scores`, for tables."""
    return [
        (group, name, entry["raw"][name], entry["aligned"][name])
        for group, entry in found["groups"].items() for name in entry["raw"]
    ]  # fmt: skip
