"""Reflected radiance that jumps at edges as seen from surfaces: from camera paths to edges, and from edges outwards.

Towards an edge close to x_S, `from_camera.py` has infinite variance, since x_S is not chosen for the edge: dA(x_S) dℓ/r² there.
`from_edges.py` chooses x_S by direction, and finds far edges by a walk to the camera, which is noisy. Their shares of a pair
(x_S, x_B) add up to one. What x_S sees in mirrors and through glass is found by `from_edges` alone, and x_S that the camera itself
sees so by `from_camera` alone (docs/theory.md, section 7c).
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Side
from pbdr.geometry import surfaces
from pbdr.geometry.edges import EdgeTable
from pbdr.transport import convention, emission, spectra


def outward_share(cosine: Any, distance: Any, reach: Any) -> Any:
    """Share of `from_edges` in a pair: near 1 where `distance` is below `reach` and x_S faces the edge (`cosine`)."""
    q = reach * reach * dr.abs(cosine)
    return q / (q + dr.square(distance))


def share(row: EdgeTable, cosine: Any, distance: Any, reach: Any) -> Any:
    """`outward_share` of these rows; some belong to `from_camera` alone."""
    return dr.select(~row.having("outwards"), 0, outward_share(cosine, distance, reach))


def sides_of(
    t: Context, edge: segment.Edge, target: Any, distance: Any, factor: Any, sampler: Any, depth: Any, active: Any,
    shining: Any, chained: Any, wavelengths: Any,
) -> Any:  # fmt: skip
    """The visible face, and the background or the other face: the radiance they reflect, and how their rays move.

    What the sides emit counts, too, where that is not left to `shadows.py`: on lanes that are `shining`. `chained`: the segment
    leaves a delta lobe, so that both sides are seen along the same attached ray.
    """
    behind = sides.first_behind(t.scene)
    edge = sides.in_contact(t.scene, edge, target, distance, behind, active)
    active = active & edge.counts
    factor = dr.select(active, factor * edge.share, 0)
    front, back = sides.both_sides(t.scene, edge, target, distance, behind, active)
    for _, start in (front, back):
        spectra.carry(start, wavelengths)
    reflected = sides.radiance(t.scene, (front, back), sampler, t.options, active, depth, True)

    def carried(origin: Any, direction: Any) -> list[Side]:
        """Equations (5) and (6) for the radiance reflected on either side."""
        where = t.motion.position(edge, active)
        sliding = convention.ray_point_direction(origin, direction, distance)  # (6d)
        result = []
        for sign, (hit, start), radiance in ((1, front, reflected[0]), (-1, back, reflected[1])):
            far = surfaces.material(t.features, hit, start, active & hit.is_valid())
            onward, _ = convention.scattered_direction(origin, edge.omega, far, t.options.h, active & far.is_valid())
            ray_point = dr.select(chained, sliding, convention.ray_point_scattered(origin, onward, distance))
            speed = segment.rule(edge.normal, where, ray_point)
            result.append(Side(segment.weigh(sign * edge.front_side, radiance, factor), speed))
            if t.features.delta_bsdfs:
                light, ray_point = _emitted(t, edge, hit, start, origin, distance, active & shining)
                if sign < 0:  # past a silhouette, shadows.py finds it too
                    light *= dr.select(
                        chained & edge.silhouette, 1 - _share_of_lights(t, edge, hit, start, active & chained), 1
                    )
                speed = segment.rule(edge.normal, where, dr.select(chained, sliding, ray_point))
                result.append(Side(segment.weigh(sign * edge.front_side, light, factor), speed))
        return result

    return carried


def _emitted(
    t: Context, edge: segment.Edge, hit: Any, ray: Any, origin: Any, distance: Any, active: Any
) -> tuple[Any, Any]:
    """Emission met on one side, detached, and the attached point at x_B of the ray to it, (6b) or (6c)."""
    direction, _, value, light = emission.hit_emission(t.scene, t.features, origin, hit, ray, active)
    near = active & light.is_valid()
    beyond = dr.norm(dr.detach(light.p) - edge.point)
    tau = dr.select(near, distance / (distance + dr.select(near, beyond, 0)), 0)
    ray_point = dr.select(
        near,
        convention.ray_point_emission(origin, light.p, tau),
        convention.ray_point_direction(origin, dr.replace_grad(edge.omega, direction), distance),
    )
    return dr.select(active, dr.detach(value), 0), ray_point


def _share_of_lights(t: Context, edge: segment.Edge, hit: Any, ray: Any, active: Any) -> Any:
    """What shadows.py finds of the light that shines past an edge into a delta lobe."""
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    return emission.share_of_lights(t.scene, edge.point, si, active)
