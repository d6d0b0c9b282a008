"""Which scene parameters carry derivatives right now, and what kind of change each one makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

# Parameters whose change alters radiance or weights only: no vertex and no direction of a fixed random path moves.
RADIOMETRIC = {
    "reflectance", "diffuse_reflectance", "specular_reflectance", "specular_transmittance", "radiance", "intensity",
    "irradiance", "base_color", "roughness", "metallic", "alpha", "alpha_u", "alpha_v", "specular", "spec_tint",
    "sheen", "sheen_tint", "clearcoat", "clearcoat_gloss", "flatness", "anisotropic", "opacity", "weight", "scale",
    "albedo", "turbidity", "sky_scale", "sun_scale", "diff_trans", "spec_trans", "transmittance", "main_specular_sampling_rate",
}  # fmt: skip
ROUGHNESS = {"roughness", "alpha", "alpha_u", "alpha_v"}
LEAVES = {"value", "data", "values", "color0", "color1"}


@dataclass(frozen=True)
class AttachedParameter:
    """A raw Mitsuba key with gradient tracking on, and the quantity (last telling word of the key) it holds."""

    raw: str
    quantity: str

    @property
    def radiometric(self) -> bool:
        """True only if the parameter certainly moves neither geometry nor directions."""
        return self.quantity in RADIOMETRIC

    @property
    def roughness(self) -> bool:
        """True for parameters that widen a specular lobe."""
        return self.quantity in ROUGHNESS


def storage(value: Any) -> Any:
    """The Dr.Jit array that holds a parameter: the matrix of a transform, the value itself otherwise.

    (Arrays of colours have attributes of any name made of component letters, `matrix` among them.)
    """
    return value.matrix if "Transform" in type(value).__name__ else value


def quantity(raw: str, environment: bool = False) -> str:
    """Last word of a raw key that says what it holds: 'mat.reflectance.value' → 'reflectance'."""
    words = raw.split(".")
    if environment and words[-1] == "data":
        return "radiance"
    for word in reversed(words):
        if word not in LEAVES:
            return word
    return words[-1]


def attached_parameters(scene_object: Any) -> list[AttachedParameter]:
    """Parameters of a scene, sensor, shape or emitter whose gradient tracking is enabled."""
    parameters = mi.traverse(scene_object)
    found = []
    for raw in parameters.keys():
        value = parameters[raw]
        value = storage(value)
        if dr.is_array_v(type(value)) and dr.grad_enabled(value):
            environment = isinstance(parameters.properties[raw][2], mi.Emitter)
            found.append(AttachedParameter(raw, quantity(raw, environment)))
    return found
