"""The motion convention (docs/theory.md, section 2), written once: interior and boundary both call it.

Every function takes attached positions and returns attached directions or velocities whose *values* equal the traced,
detached ones. Mixing these with another renderer's boundary gives plausible, wrong gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import poses
from pbdr.transport import measure

LIMB = 1e-3  # cosine below which a hit on an emitter is rounding; its derivative, relative 1 / cosine, is left out: less than 0.1 %


def blend(distance: Any, h: Any) -> Any:
    """α(d): 1 where the next vertex is far (it follows its material point), 0 where it is near (it slides)."""
    d2 = dr.square(distance)
    return d2 / (d2 + h * h)  # Eq. (3a)


def blend_slope(distance: Any, h: Any) -> Any:
    """α'(d), the derivative of `blend` with respect to the distance."""
    return 2 * distance * h * h / dr.square(dr.square(distance) + h * h)  # Eq. (3b)


def as_traced(omega: Any, towards: Any) -> Any:
    """The ray's direction `omega`, with the derivative of the one from vertex to vertex.

    Rays start off their surface: next to where two surfaces meet, the line between the vertices may lie in the other surface, and
    logarithms of its cosine have any derivative.
    """
    return dr.replace_grad(omega, towards)


def scattered_direction(origin: Any, omega: Any, si_material: Any, h: Any, active: Any) -> tuple[Any, Any]:
    """Attached direction of a scattered segment and the Jacobian of its motion, 1 + ∇·ω̇ (value 1).

    `origin` is the attached near vertex, `omega` the detached direction, `si_material` the far hit following its
    material point. A ray that misses (`active` false) keeps its direction.
    """
    offset = poses.safe(mi.Vector3f(si_material.p - origin), active)
    distance_squared = dr.squared_norm(offset)
    towards = offset * dr.rsqrt(distance_squared)
    distance = dr.detach(dr.sqrt(distance_squared))
    g = towards - dr.detach(towards)  # value 0; its derivative is (ẋ_mat − ẋ)_⊥ / d
    alpha = blend(distance, h)
    direction = dr.select(active, dr.replace_grad(omega, alpha * g), omega)  # Eq. (3a)
    traced = as_traced(omega, towards)
    log_patch = measure.relative(measure.material_jacobian(si_material, traced, distance_squared, active)) - 1
    normal = dr.detach(si_material.n)
    cosine = dr.dot(normal, omega)
    shear = dr.dot(normal, g) / dr.select(dr.abs(cosine) > 0, cosine, 1)
    divergence = alpha * log_patch - blend_slope(distance, h) * distance * shear  # Eq. (3b)
    return direction, dr.select(active, dr.replace_grad(mi.Float(1), divergence), 1)


def emission_direction(origin: Any, si_emitter: Any, active: Any) -> tuple[Any, Any]:
    """Attached direction to a material point of an emitter and the relative change of its solid angle (value 1)."""
    offset = poses.safe(mi.Vector3f(si_emitter.p - origin), active)
    distance_squared = dr.squared_norm(offset)
    towards = offset * dr.rsqrt(distance_squared)
    patch = measure.material_jacobian(si_emitter, towards, distance_squared, active)
    facing = active & (dr.abs_dot(dr.detach(si_emitter.n), dr.detach(towards)) > LIMB)
    return towards, dr.select(facing, measure.relative(patch), 1)


def rotated_direction(omega: Any, to_world: Any | None) -> Any:
    """Direction fixed in the local frame of an infinitely distant light (`to_world`: its attached transform or None)."""
    if to_world is None:
        return omega
    return to_world @ dr.detach(dr.detach(to_world).inverse() @ mi.Vector3f(omega))  # a point would be translated, too


@dataclass
class EdgeShift:
    """Motion of an edge point in direction u about a ray's origin: `shift` u(θ) − u, `turn` its derivative along the edge times
    ∇q, both attached with value 0."""

    shift: Any
    turn: Any


@dataclass
class Shift:
    """Edges that a ray follows, each with the coefficient of its motion in the divergence and in the ray's; `share` Λ of them all,
    `total` the coefficient of the ray's own motion."""

    share: Any
    total: Any
    edges: list[tuple[EdgeShift, Any, Any]]


def together(shifts: list[Shift]) -> Shift:
    """The sum of these fields."""
    first, *others = shifts
    for other in others:
        first = Shift(first.share + other.share, first.total + other.total, first.edges + other.edges)
    return first


def edge_shift(origin: Any, point: Any, along: Any, slope: Any, active: Any) -> EdgeShift:
    """Motion of the attached edge point `point` about the attached `origin`; `along`: its derivative by the edge's parameter q,
    `slope`: ∇q, detached."""
    offset = poses.safe(mi.Vector3f(point - origin), active)
    inverse = dr.rsqrt(dr.squared_norm(offset))
    u = offset * inverse
    turned = dr.dot(slope, along - u * dr.dot(u, along)) * inverse
    return EdgeShift(dr.select(active, u - dr.detach(u), 0), dr.select(active, turned - dr.detach(turned), 0))


def warped(omega: Any, direction: Any, jacobian: Any, shift: Shift) -> tuple[Any, Any]:
    """The convention (`direction`, `jacobian`) of a segment changed so that it follows the edges near it: the same, anew."""
    own = direction - dr.detach(direction)
    rest = 1 - shift.share
    along = mi.Vector3f(0)
    divergence = rest * (jacobian - 1) - dr.dot(shift.total, own)
    for edge, coefficient, part in shift.edges:
        along += part * edge.shift
        divergence += dr.dot(coefficient, edge.shift) + part * edge.turn  # Eq. (9b)
    lean = dr.dot(omega, along)
    divergence -= 2 * lean
    moved = rest * own + along - omega * lean
    return dr.replace_grad(omega, moved), dr.replace_grad(mi.Float(1), divergence)  # Eq. (9b)


def ray_point_emission(origin: Any, emitter_point: Any, tau: Any) -> Any:
    """R at x_B of a segment that carries the emission of a surface or positional light; τ = |x_B−x_S|/|E−x_S|."""
    return origin + dr.detach(tau) * (emitter_point - origin)  # Eq. (6b)


def ray_point_direction(origin: Any, direction: Any, depth: Any) -> Any:
    """R at x_B of a segment with an attached direction (camera rays, distant lights); `depth` = |x_B−x_S|, detached."""
    return origin + dr.detach(depth) * direction  # Eq. (6c)


def ray_point_scattered(origin: Any, direction: Any, depth: Any) -> Any:
    """R at x_B of a segment that carries reflected radiance; `direction` from `scattered_direction` for that side."""
    return ray_point_direction(origin, direction, depth)  # Eq. (6a)
