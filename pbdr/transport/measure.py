"""Jacobians between the measures of path space, one formula a function."""

from __future__ import annotations

from typing import Any

import drjit as dr

from pbdr.geometry import poses


def geometry_term(direction: Any, distance_squared: Any, normal: Any) -> Any:
    """|cosθ'|/d²: solid angle at the near end per unit area at the far end (Veach 1997, section 8.2)."""
    return dr.abs_dot(normal, direction) / distance_squared


def area_element(si: Any, active: Any) -> Any:
    """|∂p/∂u × ∂p/∂v|: area per unit of surface coordinates; only ratios of it are meaningful."""
    return dr.norm(poses.safe(dr.cross(si.dp_du, si.dp_dv), active))


def material_jacobian(si: Any, direction: Any, distance_squared: Any, active: Any) -> Any:
    """Solid angle subtended at a (moving) point by the material patch around `si`, up to a constant factor."""
    return geometry_term(direction, distance_squared, si.n) * area_element(si, active)


def relative(value: Any) -> Any:
    """value / detach(value), with value 1 and the logarithmic derivative of `value`; 1 where the value vanishes."""
    base = dr.detach(value)
    return dr.select(base > 0, value / dr.select(base > 0, base, 1), 1)


def mis_power(pdf_a: Any, pdf_b: Any) -> Any:
    """Power heuristic (Veach 1997, section 9.2.2), detached; both densities in the same measure."""
    a2 = dr.square(pdf_a)
    weight = dr.detach(dr.select(pdf_a > 0, a2 / dr.fma(pdf_b, pdf_b, a2), 0))
    return dr.select(dr.isfinite(weight), weight, 0)
