"""Which scene parameters carry derivatives right now, and what kind of change each one makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr

from pbdr.parameters import is_radiometric, traverse
from pbdr.parameters.names import role_of


@dataclass(frozen=True)
class AttachedParameter:
    """A raw Mitsuba key with gradient tracking on.

    `owners`: Mitsuba objects from the one that holds it up to the scene; `value`: its Dr.Jit array.
    """

    raw: str
    role: str
    owners: tuple[Any, ...]
    value: Any

    @property
    def radiometric(self) -> bool:
        """True only if the parameter certainly moves neither geometry nor directions."""
        return is_radiometric(self.raw, self.role)


def storage(value: Any) -> Any:
    """The Dr.Jit array that holds a parameter: the matrix of a transform, the value itself otherwise.

    (Arrays of colours have attributes of any name made of component letters, `matrix` among them.)
    """
    return value.matrix if "Transform" in type(value).__name__ else value


def attached_parameters(scene_object: Any) -> list[AttachedParameter]:
    """Parameters of a scene, sensor, shape or emitter whose gradient tracking is enabled."""
    params = traverse(scene_object)
    found = []
    for raw, (value, kind, node, _) in params.properties.items():
        current = storage(value if kind is None else params.get_property(value, kind, node))
        if current is not None and dr.is_array_v(type(current)) and dr.grad_enabled(current):
            found.append(AttachedParameter(raw, role_of(params, raw), _owners(params, node), current))
    return found


def _owners(params: Any, node: Any) -> tuple[Any, ...]:
    chain = []
    while node is not None:
        chain.append(node)
        node = params.hierarchy[node][0]
    return tuple(chain)
