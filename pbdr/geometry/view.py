"""Where silhouettes are seen from, and the curves that edges are from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


@dataclass
class View:
    """Where silhouettes are seen from: `point`, or infinitely far in direction `towards` where `distant`."""

    point: Any
    towards: Any
    distant: Any

    @staticmethod
    def along(direction: Any) -> View:
        """The view of lines of sight that run in this direction."""
        return View(mi.Point3f(0), -direction, mi.Bool(True))

    def direction_to(self, target: Any) -> Any:
        """Unit direction of the line of sight at `target`: away from a viewpoint at `point`."""
        return dr.select(self.distant, -self.towards, dr.normalize(target - self.point))


@dataclass
class Curve:
    """Curves at parameter u: position, derivative dp/du, and into each adjacent face (zero if there is none)."""

    position: Any
    derivative: Any
    into0: Any
    into1: Any
    two_sided: Any  # a second face exists
    exposed: Any = True  # part of the outline at all
    facing: tuple[Any, Any] | None = None  # normals of one-sided sheets, or zero: the segment must come from outside
    wedge: Any = (
        None  # counts only as seen from the wedge between the first and the second face, turning about the derivative
    )
    place: tuple[Any, Any] | None = None  # the kind's own parameter on either face

    def over(self, below: Curve, here: Any) -> Curve:
        """These curves where `here`, elsewhere those `below`."""
        pick = lambda a, b: dr.select(here, a, b)  # noqa: E731

        def pair(a: Any, b: Any, empty: Any) -> tuple[Any, Any] | None:
            if a is None and b is None:
                return None
            first, second = (empty if x is None else x for x in (a, b))
            return pick(first[0], second[0]), pick(first[1], second[1])

        wedge = (
            None
            if self.wedge is below.wedge is None
            else pick(*(x is not None and x for x in (self.wedge, below.wedge)))
        )
        return Curve(
            pick(mi.Point3f(self.position), below.position), pick(mi.Vector3f(self.derivative), below.derivative),
            pick(mi.Vector3f(self.into0), below.into0), pick(mi.Vector3f(self.into1), below.into1),
            pick(mi.Bool(self.two_sided), mi.Bool(below.two_sided)), pick(mi.Bool(self.exposed), mi.Bool(below.exposed)),
            pair(self.facing, below.facing, (mi.Vector3f(0), mi.Vector3f(0))), wedge,
            pair(self.place, below.place, (mi.Float(0), mi.Float(0))),
        )  # fmt: skip

    def faces(self, omega: Any) -> Any:
        """Whether a segment of direction ω comes from where the curve is seen."""
        result = mi.Bool(True)
        if self.wedge is not None:
            about = lambda x: dr.atan2(  # noqa: E731
                dr.dot(self.derivative, dr.cross(self.into0, x)), dr.norm(self.derivative) * dr.dot(self.into0, x)
            )
            positive = lambda x: dr.select(x < 0, x + dr.two_pi, x)  # noqa: E731
            result &= ~self.wedge | (positive(about(-omega)) < positive(about(self.into1)))
        for facing in self.facing or ():
            result &= dr.dot(facing, omega) <= 0
        return result

    def under(self, found: Curve) -> Curve:
        """What is `found` where it is exposed; these curves, not exposed, elsewhere, where what is found may be anything."""
        result = found.over(self, found.exposed)
        result.exposed, result.two_sided = found.exposed, found.two_sided
        return result


def straight(row: Any, u: Any) -> Curve:
    """From a along b: finite, whatever the row is."""
    return Curve(
        mi.Point3f(row.a + u * row.b), mi.Vector3f(row.b), mi.Vector3f(row.c), mi.Vector3f(row.d), mi.Bool(False)
    )


def offset(view: View, point: Any) -> tuple[Any, Any]:
    """From the eye to a point, and 1; for distant views, the line of sight and 0."""
    near = dr.select(view.distant, 0, mi.Float(1))
    return dr.select(view.distant, -view.towards, mi.Vector3f(point - view.point)), near
