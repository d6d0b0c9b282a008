"""Several optimisers at once: each moves latents of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

    def wanting(self, what: str, keys: Iterable[str]) -> list[str]:
        """Return those of the keys whose optimiser wants this (`Optimiser.wants`)."""
        return [key for key in keys if self.of(key).wants == what]

    def settled(self, memory: Memory, keys: Iterable[str]) -> bool:
        """Return whether all of these latents have arrived."""
        return all(optimiser.settled(memory, mine) for optimiser, mine in self._groups(keys))

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
            given = {key: gradients[key] for key in keys}
            moved, memory = _step(optimiser, keys, memory, moved, given, lr)
        return moved, memory

    def solve(
        self, memory: Memory, latents: Mapping[str, Any], keys: Iterable[str], system: Callable[[dict[str, Any], list[str]], Any]
    ) -> tuple[dict[str, Any], Memory]:  # fmt: skip
        """As `step`, for those of the `keys` whose optimiser wants a least-squares problem: `system(latents, keys)` states it."""
        moved = dict(latents)
        for optimiser, mine in self._groups(self.wanting("least squares", keys)):
            moved, memory = _step(optimiser, mine, memory, moved, system(moved, mine), {})
        return moved, memory

    def _groups(self, keys: Iterable[str]) -> list[tuple[Optimiser, list[str]]]:
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


def _step(
    optimiser: Optimiser, keys: Sequence[str], memory: Memory, latents: Mapping[str, Any], given: Any, lr: Mapping[str, float]
) -> tuple[dict[str, Any], Memory]:  # fmt: skip
    """One update by one optimiser, which sees its own latents and memory alone."""
    mine = {key: memory.t[key] for key in keys}
    slots = {slot: {key: memory.slots[slot][key] for key in keys} for slot in optimiser.slots}
    found, after = optimiser.step(Memory(slots, mine), {key: latents[key] for key in keys}, given, lr)
    return {**latents, **found}, joined(memory, after)


def joined(memory: Memory, newer: Memory) -> Memory:
    """What is remembered, with the newer entries in place of the older ones."""
    names = {**memory.slots, **newer.slots}
    slots = {slot: {**memory.slots.get(slot, {}), **newer.slots.get(slot, {})} for slot in names}
    return Memory(slots, {**memory.t, **newer.t})
