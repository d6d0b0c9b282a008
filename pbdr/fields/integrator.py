"""A field as images: an integrator and `Variables`, so that whatever renders estimates renders fields, too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.fields import occupancy
from pbdr.fields.field import Box, Field
from pbdr.fields.march import look
from pbdr.parameters import Variables
from pbdr.parameters.variables import Leaf

NAME = "field"  # of the variable, in records and messages
TABLES: dict[str, Any] = {}


class FieldMethods:
    """A `mitsuba.SamplingIntegrator` that renders a field in front of a background; the class is made of this one for each variant.

    It sees nothing of the scene but its sensors.
    """

    def __init__(self, field: Field, box: Box, samples: int, background: tuple[float, float, float]) -> None:
        mi.SamplingIntegrator.__init__(self, mi.Properties())  # type: ignore[arg-type]
        self.field, self.box, self.samples, self.background = field, box, samples, background
        self.latents: Mapping[str, Any] = {}
        self.occupancy: Any = None

    def take(self, latents: Mapping[str, Any]) -> None:
        """Render these latents from now on."""
        self.latents = {key: dr.detach(value) for key, value in latents.items()}
        grid = occupancy.whole(self.field, self.latents, self.box)
        self.occupancy = occupancy.of(grid, self.box)

    def sample(
        self, scene: Any, sampler: Any, ray: Any, medium: Any = None, active: Any = True
    ) -> tuple[Any, Any, list[Any]]:
        """Radiance along rays, whether they meet the field's box, and no further channels."""
        jitter = sampler.next_1d(active)
        radiance, opacity = look(
            self.field, self.latents, self.box, ray.o, ray.d, self.samples, jitter, self.occupancy, active
        )
        return mi.Spectrum(radiance + mi.Color3f(*self.background) * (1 - opacity)), opacity > 0, []

    def to_string(self) -> str:
        """One line for logs."""
        return f"field[{self.field.name}, samples = {self.samples}]"


def make(field: Field, box: Box, samples: int, background: tuple[float, float, float]) -> Any:
    """The integrator, for the active variant."""
    variant = str(mi.variant())
    if variant not in TABLES:
        members = {k: v for k, v in vars(FieldMethods).items() if k not in ("__dict__", "__weakref__")}
        TABLES[variant] = type("FieldIntegrator", (mi.SamplingIntegrator,), members)
    return TABLES[variant](field, box, samples, background)


class FieldVariables(Variables):
    """The latents of a field as the variable `field` of a problem: no parameter of a scene is moved by them."""

    def __init__(
        self, scene: Any, field: Field, box: Box, samples: int, background: tuple[float, float, float], seed: int
    ) -> None:
        self.scene, self.field, self.seed = scene, field, seed
        self.specs, self.latents, self.functions, self.followers, self.meshes = {}, {}, {}, {}, {}
        self._given = {}
        self.integrator = make(field, box, samples, background)

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        return {key: Leaf(NAME, rate, 0, "") for key, rate in self.field.rates.items()}

    def init(self) -> dict[str, Any]:
        return self.field.init(self.seed)

    def apply(self, latents: Mapping[str, Any], values: Mapping[str, Any] | None = None, time: float = 0.0) -> Any:
        """Let the integrator render these latents."""
        own = {key: latents[key] for key in self.leaves}
        if any(own[key] is not self.integrator.latents.get(key) for key in own):
            self.integrator.take(own)
        return None
