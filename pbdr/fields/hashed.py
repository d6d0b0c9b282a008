"""A hash grid with a small network behind it (Müller et al. 2022), of `drjit.nn`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError
from pbdr.fields.field import Field, Latents, faded
from pbdr.registry import option


@dataclass(frozen=True)
class HashGrid(Field):
    """Grids of features, the fine ones in tables that places share by a hash, and a small network that reads them."""

    name: ClassVar[str] = "hash"
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"table": 1e-2, "net": 1e-2})
    grids: int = option(8, "number of grids")
    features: int = option(2, "features a grid; an even number")
    table: int = option(14, "places of a table: two to the power of this, at most")
    base: int = option(8, "cells along each side of the coarsest grid")
    growth: float = option(1.5, "factor from one grid to the next")
    hidden: int = option(32, "width of the network's hidden layers")
    layers: int = option(1, "number of its hidden layers")

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = {
            "grids": (1, 24), "features": (2, 8), "table": (8, 24), "base": (2, 64), "growth": (1.0, 3.0), "hidden": (8, 128),
            "layers": (1, 4),
        }  # fmt: skip
        for name, (low, high) in allowed.items():
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"field 'hash': {name} = {getattr(self, name)}: it is from {low} to {high}")
        if self.features % 2:
            raise OptionError(f"field 'hash': features = {self.features}: it is an even number")

    @property
    def levels(self) -> int:
        return self.grids

    def _encoding(self, seed: int = 0) -> Any:
        from drjit import nn

        return nn.HashGridEncoding(
            mi.TensorXf, 3, n_levels=self.grids, n_features_per_level=self.features, hashmap_size=2**self.table,
            base_resolution=self.base, per_level_scale=self.growth, rng=dr.rng(seed=seed),
        )  # fmt: skip

    def _network(self, seed: int = 0) -> Any:
        from drjit import nn

        hidden = [layer for _ in range(self.layers) for layer in (nn.Linear(-1, self.hidden), nn.ReLU())]
        network = nn.Sequential(*hidden, nn.Linear(-1, self.width))
        return nn.pack(network.alloc(mi.TensorXf, self.grids * self.features, rng=dr.rng(seed=seed)), layout="training")

    @cached_property
    def _modules(self) -> tuple[Any, Any]:
        """Encoding and network whose numbers are those of the latents that were used last."""
        return self._encoding(), self._network()

    def init(self, seed: int) -> dict[str, Any]:
        """Small random features, and a network as `drjit.nn` begins it."""
        table, net = self._encoding(seed).data, self._network(seed + 1)["weights"]
        return {name: mi.TensorXf(mi.Float(x), (dr.width(x),)) for name, x in (("table", table), ("net", net))}

    def raw(self, latents: Latents, point: Any, detail: Any = None) -> list[Any]:
        from drjit import nn

        encoding, network = self._modules
        encoding.data, network["weights"] = latents["table"].array, latents["net"].array
        features = list(encoding(mi.Point3f(point)))
        if detail is not None:
            features = [feature * faded(i // self.features, detail) for i, feature in enumerate(features)]
        return list(network(nn.CoopVec(*features)))
