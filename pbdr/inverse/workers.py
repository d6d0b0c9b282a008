"""Several processes at work on one estimate: each renders a part of every step, and all take the same step.

Where a step has as many views as there are processes, or more, each takes some of the views; else several share the samples of
one. The images of a shared view are averaged before the loss sees them, so that no loss sees more noise than in one process: the
expectation of a step does not depend on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import WorkerError


@dataclass(frozen=True)
class Task:
    """A view that a process differentiates in a step: it is number `number` of `count` that share its samples.

    `slot`: place of the view among those of the step.
    """

    index: int
    slot: int = 0
    number: int = 0
    count: int = 1

    def samples(self, spp: int) -> int:
        """Samples per pixel that fall to this process."""
        return max(1, math.ceil(spp / self.count))

    @property
    def stream(self) -> tuple[int, ...]:
        """What its random numbers have in their seeds besides step and view: nothing for the first process."""
        return (self.number,) if self.number else ()


class Workers:
    """One process alone: nothing is exchanged."""

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def tasks(self, views: Sequence[int]) -> list[Task]:
        """Return what this process differentiates of the views of a step."""
        if len(views) >= self.size:
            return [Task(index, slot) for slot, index in enumerate(views) if slot % self.size == self.rank]
        slot, number = self.rank % len(views), self.rank // len(views)
        return [Task(views[slot], slot, number, len(range(slot, self.size, len(views))))]

    def image(self, image: Any, task: Task, views: int) -> Any:
        """Return an attached image with the mean of all processes that share it as its value, and this one's derivative."""
        return image

    def total(self, numbers: Sequence[float], gradients: Mapping[str, Any]) -> tuple[list[float], dict[str, Any]]:
        """Return sums over all processes, of numbers and of tensors by key; all have the same keys and shapes."""
        return list(numbers), dict(gradients)

    def latents(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """Return the latents of the first process: sums of others may be rounded in another order."""
        return dict(latents)

    def from_first(self, value: Any) -> Any:
        """Return what the first process gives; what others give does not matter."""
        return value

    def reason(self, reason: str) -> str:
        """Return the first reason to stop that any process has, or nothing."""
        return reason


ALONE = Workers()


class Group(Workers):
    """Processes that `torch.distributed` connects. Raises WorkerError from every method once one of them is lost."""

    def __init__(self, rank: int, size: int, backend: str = "gloo") -> None:
        self.rank, self.size, self.device = rank, size, "cuda" if backend == "nccl" else "cpu"
        self._shared: dict[int, list[Any]] = {}

    def tasks(self, views: Sequence[int]) -> list[Task]:
        self._groups(len(views))  # all processes take part in making them
        return super().tasks(views)

    def image(self, image: Any, task: Task, views: int) -> Any:
        if task.count == 1:
            return image
        group = self._groups(views)[task.slot]
        mean = self._summed(np.array(dr.detach(image), np.float32), group) / np.float32(task.count)
        return dr.replace_grad(mi.TensorXf(mean), image)

    def total(self, numbers: Sequence[float], gradients: Mapping[str, Any]) -> tuple[list[float], dict[str, Any]]:
        given = [np.array(tensor, np.float32) for tensor in gradients.values()]
        # Numbers travel as pairs of single precision: they are few, and one message is quicker than two.
        pairs = np.array([(x, x - np.float32(x)) if math.isfinite(x) else (x, 0) for x in numbers], np.float32)
        flat = np.concatenate([pairs.ravel(), *(array.ravel() for array in given)])
        found = self._summed(flat)
        sums = [float(a) + float(b) for a, b in found[: pairs.size].reshape(-1, 2)]
        return sums, dict(zip(gradients, _split(found[pairs.size :], given), strict=True))

    def latents(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        import torch
        import torch.distributed as dist

        given = [np.array(tensor, np.float32) for tensor in latents.values()]
        flat = torch.from_numpy(np.concatenate([array.ravel() for array in given])).to(self.device)
        with _told():
            dist.broadcast(flat, 0)
        return dict(zip(latents, _split(flat.cpu().numpy(), given), strict=True))

    def from_first(self, value: Any) -> Any:
        import torch.distributed as dist

        box = [value if self.first else None]
        with _told():
            dist.broadcast_object_list(box, 0)
        return box[0]

    def reason(self, reason: str) -> str:
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with _told():
            dist.all_gather_object(found, reason)
        return next((text for text in found if text), "")

    # ---- internals ------------------------------------------------------------------------------------------------

    def _groups(self, views: int) -> list[Any]:
        """Those that share a view, by slot; all processes make all groups, in the same order."""
        import torch.distributed as dist

        if views >= self.size:
            return []
        if views not in self._shared:
            with _told():
                self._shared[views] = [dist.new_group(list(range(slot, self.size, views))) for slot in range(views)]
        return self._shared[views]

    def _summed(self, array: Any, group: Any = None) -> Any:
        import torch
        import torch.distributed as dist

        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        with _told():
            dist.all_reduce(tensor, group=group)
        return tensor.cpu().numpy()


@contextmanager
def _told() -> Iterator[None]:
    """Turn what `torch.distributed` raises when a connection is gone into WorkerError."""
    try:
        yield
    except RuntimeError as error:
        raise WorkerError(f"another process of this run has ended, or cannot be reached ({error})") from error


def _split(flat: Any, like: Sequence[Any]) -> list[Any]:
    """Cut a flat array into tensors of the shapes of `like`."""
    ends = np.cumsum([array.size for array in like], dtype=int)  # nothing where least squares move all there is
    return [mi.TensorXf(flat[end - array.size : end].reshape(array.shape)) for array, end in zip(like, ends, strict=True)]
