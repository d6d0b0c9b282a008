"""What the boundary terms of a gradient pass share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pbdr.boundary.motion import Motion
from pbdr.boundary.sampling import guiding
from pbdr.transport import path
from pbdr.transport.features import Features
from pbdr.transport.film import Magnitude
from pbdr.transport.tracer import Tracer

if TYPE_CHECKING:
    from pbdr.boundary.connect.chains import Mirrors
    from pbdr.boundary.sampling.light_points import Outlines


@dataclass
class Context:
    """Everything that a term needs to draw its samples.

    options    of paths in gradients: defensive densities, and h of (3a) on the device
    table      of edges (`EdgeTable`); None where none is seen to move
    motion     of the edges, attached
    outlines   points on lights, and the edges that are silhouettes from there; None where no edge casts a shadow
    learned    what guiding has learned; None without it
    mirrors    where the camera sees mirrors and glass; None if nowhere
    magnitude  |δL| over the film, which edges on the film are favoured by; None: all alike
    stream     (name, number of lanes) → sampler; every name is a stream of its own
    """

    scene: Any
    sensor: Any
    tracer: Tracer
    features: Features
    options: path.PathOptions
    table: Any
    motion: Motion
    outlines: Outlines | None
    learned: guiding.State | None
    mirrors: Mirrors | None
    magnitude: Magnitude | None
    stream: Callable[[str, int], Any]

    @property
    def fog(self) -> Any:
        """The medium that is everywhere; None where there is none."""
        return None if self.options.defensive is None else self.sensor.get_medium()

    @property
    def ways(self) -> tuple[Mirrors | None, ...]:
        """How walks from x_S may reach the camera: straight (None), and by way of the mirrors that it sees."""
        return (None,) if self.mirrors is None or self.tracer.max_depth == 2 else (None, self.mirrors)
