"""Views that do not fit in memory: arrays read when they are needed, and a cache of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V")
GIB = 1 << 30


class Cache(Generic[V]):
    """Values by key, the least recently used of which are forgotten when all together are larger than `limit` bytes.

    A larger value is handed out and not kept. `size` tells the bytes of a value; `made` counts how often one had to be made.
    """

    def __init__(self, limit: float, size: Callable[[V], int]) -> None:
        self.limit, self.size = limit, size
        self.used, self.made = 0, 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of `key`, made if it is not there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        self.made += 1
        self._values[key] = value
        self.used += self.size(value)
        while self.used > self.limit and self._values:
            self.used -= self.size(self._values.popitem(last=False)[1])
        return value


class Streamed:
    """An array that is read when NumPy asks for it: `np.asarray(streamed)`. Its shape is known from the start.

    It stands where views take arrays (`pbdr.inverse.View`). `read` must give an array of `shape` each time.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[], NDArray[Any]]) -> None:
        self.shape, self._read = shape, read

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = np.asarray(self._read())
        return found if dtype is None or found.dtype == dtype else found.astype(dtype)
