"""How many kernels a task compiles."""

from __future__ import annotations

import drjit as dr


def compiled(task):
    """Kernels that a task has compiled, or read from Dr.Jit's cache on disk."""
    dr.kernel_history_clear()
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        task()
        dr.sync_thread()
    return sum(k["type"] == dr.KernelType.JIT and (k["cache_disk"] or not k["cache_hit"]) for k in dr.kernel_history())
