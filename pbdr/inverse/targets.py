"""What renders are compared with: targets and planes of views as tensors at the size of the film, in a bounded cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.data.cache import Cache
from pbdr.parameters.textures import resize

Pair = tuple[Any, Any]


class Targets:
    """(target, weight or None) of views as tensors; those used last are kept, up to `limit` bytes."""

    def __init__(self, views: Sequence[Any], limit: float) -> None:
        self.views = views
        self._cache: Cache[Pair] = Cache(limit, lambda pair: sum(4 * len(x.array) for x in pair if x is not None))

    def radiance(self, index: int, shape: Sequence[int]) -> Pair:
        """Return the target image (H, W, C) of a view and its mask (H, W) or None, averaged to `shape` (H, W, …)."""
        view = self.views[index]
        return self._get((index, ""), shape, lambda: (np.asarray(view.target), view.mask))

    def plane(self, index: int, name: str, shape: Sequence[int], measured: Callable[[Any], Any]) -> Pair:
        """Return the plane `name` (H, W, C) of a view, and where it was `measured` (H, W) or None."""
        plane = self.views[index].planes[name]
        return self._get((index, name), shape, lambda: (_deep(np.asarray(plane)), measured(_deep(np.asarray(plane)))))

    def _get(self, what: tuple[int, str], shape: Sequence[int], read: Callable[[], tuple[Any, Any]]) -> Pair:
        size = (int(shape[0]), int(shape[1]))
        return self._cache.get((*what, *size), lambda: _averaged(*read(), size))


def _deep(plane: NDArray[Any]) -> NDArray[Any]:
    return plane if plane.ndim == 3 else plane[..., None]


def _averaged(image: NDArray[Any], mask: Any, size: tuple[int, int]) -> Pair:
    """Where a reduced pixel is partly masked, its value is the mean over the part that counts."""
    image = np.asarray(image, dtype=np.float64)
    weight = None if mask is None else np.asarray(mask, dtype=np.float64)
    if image.shape[:2] != size:
        if weight is None:
            image = resize(image, size)
        else:
            covered = np.asarray(resize(weight, size))
            image = resize(image * weight[..., None], size) / np.maximum(covered, 1e-12)[..., None]
            weight = covered
    tensor = mi.TensorXf(np.ascontiguousarray(image, dtype=np.float32))
    return tensor, None if weight is None else mi.TensorXf(np.ascontiguousarray(weight, dtype=np.float32))
