"""What of a derivative image is compared: two linear functionals of it, and its means over pixel blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NODES = 9  # pixel blocks a side
GLOBALS = 2  # entries of a summary before its blocks


def colours(image: Any) -> Array:
    """(H, W, C) as an integrator gives it → its colour channels (H, W, 1 or 3), float64; alpha and extra channels are left out."""
    pixels = np.asarray(image, dtype=np.float64)
    return pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]


def tents(length: int, nodes: int = NODES) -> Array:
    """(nodes, length): weights of overlapping blocks along one side, a partition of unity, each block summing to its share.

    Tents rather than boxes: an edge that lies on the border of two boxes has a derivative in neither.
    """
    nodes = min(nodes, length)
    if nodes == 1:
        return np.ones((1, length))
    position = (np.arange(length) + 0.5) / length * (nodes - 1)
    return np.asarray(np.maximum(1 - np.abs(position[None] - np.arange(nodes)[:, None]), 0))


def smooth_weights(height: int, width: int, channels: int) -> Array:
    """Fixed smooth weights (H, W, C) between 0.5 and 1.5 that differ between pixels and channels, over the number of entries."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    waves = (np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y))
    return np.stack([1 + 0.5 * waves[c % 3] for c in range(channels)], axis=-1) / (height * width * channels)


@dataclass(frozen=True)
class Functionals:
    """Summary of a derivative image: [aligned, smooth, blocks…].

    aligned   Σ sign · block mean: with the signs of the reference's blocks nothing cancels; its size is what errors are relative to
    smooth    a fixed smooth linear functional of the image
    blocks    NODES² weighted means over overlapping blocks of pixels, row by row
    """

    signs: Array  # (rows, columns): −1, 0, 1

    @staticmethod
    def blocks(image: Array) -> Array:
        """(rows, columns): means of the image over tents, averaged over its channels."""
        grey = image.mean(-1)
        rows, columns = tents(grey.shape[0]), tents(grey.shape[1])
        sums = rows @ grey @ columns.T
        return np.asarray(sums / (rows.sum(1)[:, None] * columns.sum(1)[None]))

    @classmethod
    def fitted(cls, images: Array) -> Functionals:
        """Signs from replicas (N, H, W, C) of the reference that are used for nothing else; 0 where noise hides the sign."""
        found = np.array([cls.blocks(image) for image in images])
        mean, error = found.mean(0), found.std(0, ddof=1) / np.sqrt(len(found))
        clear = np.abs(mean) > 2 * error
        return cls(np.sign(mean) * (clear if clear.any() else 1))

    def summary(self, image: Array) -> Array:
        """(2 + blocks,) numbers of an image (H, W, C)."""
        blocks = self.blocks(image)
        aligned = np.sum(self.signs * blocks) / self.signs.size
        smooth = np.sum(smooth_weights(*image.shape) * image)
        return np.concatenate([[aligned, smooth], blocks.ravel()])

    @property
    def apart(self) -> Array:
        """Which blocks (a mask over them) share no pixel: every second one of every second row."""
        mask = np.zeros(self.signs.shape, dtype=bool)
        mask[::2, ::2] = True
        return mask.ravel()
