"""A view: one posed image that the fit compares against, and the split into training and held-out views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, OptionError

if TYPE_CHECKING:
    import mitsuba as mi

Image = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """One posed image.

    name    file-system safe, unique in a job, for instance ``view-003``
    sensor  index of a sensor of the scene, or a sensor object; its film has the size of ``image``
    image   (H, W, 3) float32, linear RGB radiance, finite
    mask    (H, W) float32 in [0, 1], the weight of each pixel in the loss; None counts every pixel
    """

    name: str
    sensor: mi.Sensor | int
    image: Image
    mask: Image | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3:
            raise DataError(f"{self.name}: an image has shape (H, W, 3), not {self.image.shape}")
        if self.mask is not None and self.mask.shape != self.image.shape[:2]:
            raise DataError(
                f"{self.name}: the mask has shape {self.mask.shape}, the image {self.image.shape[:2]}; they must agree"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]


def downscale(image: Image, factor: int) -> Image:
    """Box average over ``factor`` × ``factor`` pixels; (H, W[, C]) → (H // factor, W // factor[, C]).

    H and W must be multiples of ``factor``: otherwise the coarse pixels would not cover the same film.
    """
    height, width = image.shape[:2]
    if factor < 1 or height % factor or width % factor:
        raise OptionError(f"an image of {width} x {height} pixels cannot be reduced {factor} times without a remainder")
    blocks = image.reshape(height // factor, factor, width // factor, factor, *image.shape[2:])
    return np.ascontiguousarray(blocks.mean(axis=(1, 3), dtype=np.float64), dtype=np.float32)


def split_holdout(items: list[T], rule: str | None) -> tuple[list[T], list[T]]:
    """(training, held out). ``"every:8"`` holds out items 0, 8, 16, …; ``"none"`` or None holds out nothing;
    ``"last:4"`` the last four."""
    if rule is None or rule == "none":
        return list(items), []
    kind, _, number = rule.partition(":")
    if kind not in ("every", "last") or not number.isdigit() or int(number) < 1:
        raise OptionError(f"[data] holdout = {rule!r} is not a rule; use 'every:8', 'last:4' or 'none'")
    count = int(number)
    if kind == "every":
        held = set(range(0, len(items), count))
    else:
        held = set(range(max(0, len(items) - count), len(items)))
    if len(held) >= len(items):
        raise OptionError(
            f"[data] holdout = {rule!r} leaves no training view of {len(items)}; hold out fewer, or use 'none'"
        )
    training = [item for i, item in enumerate(items) if i not in held]
    return training, [items[i] for i in sorted(held)]
