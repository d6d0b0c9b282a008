"""Several optimisers at once: each moves latents of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbdr.inverse.optimisers.optimiser import Memory, Optimiser


@dataclass(frozen=True)
class Groups:
    """Optimisers by latent key, used like a single one; `usual` moves the latents that are not named."""

    usual: Optimiser
    others: Mapping[str, Optimiser]

    def of(self, key: str) -> Optimiser:
        """Return what moves the latent `key`."""
        return self.others.get(key, self.usual)

    def init(self, latents: Mapping[str, Any]) -> Memory:
        """Return what they remember before the first update."""
        memory = Memory({}, {})
        for optimiser, keys in self._groups(latents):
            memory = joined(memory, optimiser.init({key: latents[key] for key in keys}))
        return memory

    def step(
        self, memory: Memory, latents: Mapping[str, Any], gradients: Mapping[str, Any], lr: Mapping[str, float]
    ) -> tuple[dict[str, Any], Memory]:
        """Return (latents, memory) after one update of the latents that have a gradient; the others stay as they are."""
        moved = dict(latents)
        for optimiser, keys in self._groups(gradients):
            mine = {key: memory.t[key] for key in keys}
            slots = {slot: {key: memory.slots[slot][key] for key in keys} for slot in optimiser.slots}
            given = {key: gradients[key] for key in keys}
            found, after = optimiser.step(Memory(slots, mine), {key: latents[key] for key in keys}, given, lr)
            moved, memory = {**moved, **found}, joined(memory, after)
        return moved, memory

    def _groups(self, keys: Mapping[str, Any]) -> list[tuple[Optimiser, list[str]]]:
        """Optimisers with their share of the keys, in the order of the keys."""
        found: list[tuple[Optimiser, list[str]]] = []
        for key in keys:
            mine = self.of(key)
            known = next((names for optimiser, names in found if optimiser == mine), None)
            if known is None:
                found.append((mine, [key]))
            else:
                known.append(key)
        return found


def joined(memory: Memory, newer: Memory) -> Memory:
    """What is remembered, with the newer entries in place of the older ones."""
    names = {**memory.slots, **newer.slots}
    slots = {slot: {**memory.slots.get(slot, {}), **newer.slots.get(slot, {})} for slot in names}
    return Memory(slots, {**memory.t, **newer.t})
