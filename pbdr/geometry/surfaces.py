"""Surface interactions at hits, re-evaluated with derivatives: right on shapes of every kind.

`slide`, `follow_material` are Mitsuba's own; `sliding`, `material` ask the kinds of geometry whose derivatives Mitsuba gets wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import groups, rounding
from pbdr.geometry.edges import NO_MEMBER
from pbdr.geometry.kind import Evaluate, Kind


def slide(hit: Any, ray: Any, active: Any = True) -> Any:
    """Surface interaction where the attached `ray` meets the moving surface: it slides along both."""
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    return si


def follow_material(hit: Any, ray: Any, active: Any = True) -> Any:
    """Surface interaction at the material point that was hit (fixed primitive and surface coordinates)."""
    return hit.compute_surface_interaction(ray, mi.RayFlags.All | mi.RayFlags.FollowShape, active)


def material_point(hit: Any, ray: Any, active: Any = True) -> Any:
    """Position of `follow_material`: less to trace."""
    return hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, active).p


def sliding(features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `slide`, right on every kind of geometry in `features.kinds`."""
    return _everywhere(features.kinds, hit, ray, slide, active)


def material(features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `follow_material`, right on every kind of geometry in `features.kinds`."""
    return _everywhere(features.kinds, hit, ray, follow_material, active)


def _everywhere(kinds: Iterable[Kind], hit: Any, ray: Any, evaluate: Evaluate, active: Any) -> Any:
    right = evaluate
    for kind in kinds:
        if type(kind).hits is not Kind.hits:
            right = partial(kind.hits, right, follow=evaluate is follow_material)
    return right(hit, ray, active)


@contextmanager
def at_rest(kinds: Iterable[Kind]) -> Iterator[None]:
    """Context in which Mitsuba's own derivatives of hits are switched off on kinds that replace them."""
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(kind.at_rest())
        yield


def beside(scene: Any, edge: Any, which: Any, inward: Any, active: Any) -> tuple[Any, Any]:
    """Hit of face `which` (0 or 1) of an edge at x_B moved inwards by a fraction of the face: (hit, ray).

    `edge`: a `boundary.segment.Edge`. Of rows whose form is `probed`, the shape itself is asked: see `boundary/sides.py`.
    """
    row = edge.row
    hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(edge.u))
    hit.t = mi.Float(row.extent)
    first, *others = row.layout.kinds
    found = first.inside(edge, which, inward, active)
    hit.prim_uv, shape, shift = found.uv, found.shape, found.shift
    member = row.member if found.member is None else found.member
    shape = row.shape if shape is None else shape
    for kind in others:
        if type(kind).inside is not Kind.inside:
            here, found = row.of_kind(kind), kind.inside(edge, which, inward, active)
            hit.prim_uv = dr.select(here, found.uv, hit.prim_uv)
            if found.shift is not None:
                shift = dr.select(here, found.shift, mi.Vector3f(0) if shift is None else shift)
    hit.prim_index = dr.select(which == 0, row.face[0], row.face[1])
    hit.shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), shape, active)
    if member is not None:
        groups.name_member(hit, hit.shape, member, member != NO_MEMBER)
    hit.valid = mi.Bool(active)
    tilt = dr.select(edge.round, rounding.TILT, 0) * dr.normalize(edge.into[0])
    direction = dr.normalize(edge.omega + tilt)
    start = edge.point if shift is None else edge.point + shift
    ray = mi.Ray3f(mi.Point3f(start - hit.t * direction), direction)
    ray.maxt = dr.largest(mi.Float)
    return hit, ray
