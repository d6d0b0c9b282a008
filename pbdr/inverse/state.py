"""The state of an optimisation: everything the next step depends on, besides the problem itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.errors import DataError
from pbdr.inverse.optimisers import Adam, Memory
from pbdr.parameters.meshes import Triangles

VERSION = 1


@dataclass(frozen=True)
class Progress:
    """The smoothed loss and its best value so far, for `patience`."""

    smoothed: float = math.inf
    best: float = math.inf
    best_step: int = 0


@dataclass(frozen=True)
class State:
    """State after `step` steps. Random numbers need none: they are hashed from the seed and the step.

    latents   latent tensors by key
    memory    what the optimiser remembers: tensors by slot and key, and update counts
    skipped   steps skipped so far because something was not finite
    seconds   wall time spent so far
    learned   what the integrator has learned from earlier steps (`guiding` of `pathspace`), device arrays by name
    meshes    what remeshing has put in place of the scene's own meshes, by latent key: their latents are displacements of these
    """

    step: int
    latents: dict[str, Any]
    memory: Memory
    skipped: int = 0
    seconds: float = 0.0
    progress: Progress = Progress()
    learned: Mapping[str, Any] = field(default_factory=dict)
    meshes: Mapping[str, Triangles] = field(default_factory=dict)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return (arrays, meta): arrays by name, and a dictionary that JSON can hold."""
        groups = {"latent": self.latents, **self.memory.slots, "learned": self.learned}
        arrays = {f"{kind}/{key}": np.array(x) for kind, group in groups.items() for key, x in group.items()}
        for key, mesh in self.meshes.items():
            arrays |= {f"mesh-positions/{key}": mesh.positions, f"mesh-faces/{key}": mesh.faces}
        smoothed, best = (x if math.isfinite(x) else None for x in (self.progress.smoothed, self.progress.best))
        meta = {
            "version": VERSION,
            "step": self.step,
            "updates": dict(self.memory.t),
            "slots": {slot: list(tensors) for slot, tensors in self.memory.slots.items()},
            "skipped": self.skipped,
            "seconds": self.seconds,
            "smoothed": smoothed,
            "best": best,
            "best_step": self.progress.best_step,
            "meshes": list(self.meshes),
        }
        return arrays, meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> State:
        """Inverse of `to_arrays`; DataError when something is missing or of another version."""
        if meta.get("version") != VERSION:
            raise DataError(f"checkpoint version {meta.get('version')!r} is not {VERSION}: it is from another pbdr")
        slots = meta.get(
            "slots", Adam.slots
        )  # older checkpoints: nothing but Adam, or a list of slots that all latents have
        if not isinstance(slots, dict):
            slots = {slot: list(meta["updates"]) for slot in slots}
        try:
            groups: dict[str, dict[str, Any]] = {
                kind: {key: mi.TensorXf(np.asarray(arrays[f"{kind}/{key}"], np.float32)) for key in keys}
                for kind, keys in {"latent": list(meta["updates"]), **slots}.items()
            }
            smoothed, best = (math.inf if meta[k] is None else float(meta[k]) for k in ("smoothed", "best"))
            progress = Progress(smoothed, best, int(meta["best_step"]))
            updates = {str(key): int(count) for key, count in meta["updates"].items()}
            memory = Memory({slot: groups[slot] for slot in slots}, updates)
            learned = {
                k.removeprefix("learned/"): aligned(x, x.dtype) for k, x in arrays.items() if k.startswith("learned/")
            }
            meshes = {
                k: Triangles(arrays[f"mesh-positions/{k}"], arrays[f"mesh-faces/{k}"]) for k in meta.get("meshes", [])
            }
            skipped, seconds = int(meta["skipped"]), float(meta["seconds"])
            return cls(int(meta["step"]), groups["latent"], memory, skipped, seconds, progress, learned, meshes)
        except KeyError as error:
            raise DataError(f"checkpoint is incomplete: {error.args[0]!r} is missing") from None
