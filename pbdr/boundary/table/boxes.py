"""Boxes of shapes on the device: what may be near which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned


@dataclass
class Boxes:
    """Boxes of some shapes of a scene, and the indices of these, on the device."""

    low: Any
    high: Any
    shape: Any
    count: Any

    @staticmethod
    def of(scene: Any, shapes: list[int]) -> Boxes:
        """Those of these shapes."""
        boxes = [scene.shapes()[i].bbox() for i in shapes]
        corners = [np.array([np.array(getattr(box, side)).ravel() for box in boxes]) for side in ("min", "max")]
        low, high = (mi.Point3f(*(mi.Float(aligned(column)) for column in x.T)) for x in corners)
        return Boxes(low, high, mi.UInt32(aligned(shapes, np.uint32)), dr.opaque(mi.UInt32, len(shapes)))

    def overlap(self, low: Any, high: Any, shape: Any, margin: Any = 0.0) -> Any:
        """Whether boxes from `low` to `high` overlap one of these, other than that of the shape with the index `shape`."""

        def look(k: Any, near: Any) -> tuple[Any, Any]:
            bottom, top = (dr.gather(mi.Point3f, x, k) for x in (self.low, self.high))
            both = dr.all((low - margin <= top) & (high + margin >= bottom))
            return k + 1, near | (both & (dr.gather(mi.UInt32, self.shape, k) != shape))

        width = dr.width(low)
        state = (dr.zeros(mi.UInt32, width), dr.full(mi.Bool, False, width))
        _, near = dr.while_loop(state, lambda k, near: ~near & (k < self.count), look, label="pathspace: boxes")
        return near
