"""Numbers of the shapes of one kind, looked up by the shapes that hits are on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry.edges import numbers
from pbdr.geometry.groups import NOWHERE, address_of


class Numbering:
    """Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(self, shapes: Sequence[Any]) -> None:
        addresses = np.array([address_of(shape) for shape in shapes], np.uint32)
        number = np.full(int(addresses.max()) + 1, NOWHERE, np.uint32)
        number[addresses] = np.arange(len(shapes))
        self.number = numbers(number)

    def of(self, hit: Any, active: Any) -> tuple[Any, Any]:
        """For hits: whether they are on one of the shapes, and its number in the order that was given."""
        address = dr.reinterpret_array(mi.UInt32, hit.shape)
        here = mi.Bool(active) & hit.is_valid() & (address != 0) & (address < dr.width(self.number))
        number = dr.gather(mi.UInt32, self.number, address, here)
        return here & (number != NOWHERE), number
