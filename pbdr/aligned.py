"""NumPy arrays at addresses for which Dr.Jit compiles one kernel only, and copies of them in memory of the device."""

from __future__ import annotations

from typing import Any

import drjit as dr
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


def on_device(values: Any) -> Any:
    """Copy of a Dr.Jit array (not of a mask) in memory of the device, attached to it: on the CPU, what was made of NumPy's is that.

    Recordings of `dr.freeze` read NumPy's memory where it was when they were made (Dr.Jit 1.5).
    """
    array = values.array if dr.is_tensor_v(values) else values
    # An opaque zero: adding a plain one would give the same array.
    copy = array + dr.opaque(dr.detached_t(dr.leaf_t(type(array))), 0)
    return type(values)(copy, values.shape) if dr.is_tensor_v(values) else copy
