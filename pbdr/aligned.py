"""NumPy arrays at addresses for which Dr.Jit compiles one kernel only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

BYTES = 64  # Dr.Jit's own alignment


def aligned(values: ArrayLike, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Contiguous copy of `values` whose address is a multiple of 64 bytes.

    On the CPU, Dr.Jit reads NumPy's memory where it is, and compiles kernels for its alignment: anew for every array that a step
    makes on the host. It keeps the copy alive.
    """
    source = np.asarray(values, dtype=dtype)
    room = np.empty(source.nbytes + BYTES, np.uint8)
    start = -room.ctypes.data % BYTES
    copy = room[start : start + source.nbytes].view(source.dtype).reshape(source.shape)
    copy[...] = source
    return copy
