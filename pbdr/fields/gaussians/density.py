"""Gaussians as a medium: σ(x) = Σ σᵢ exp(−½ (x − μᵢ)ᵀ Σᵢ⁻¹ (x − μᵢ)), and its optical depth along rays in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr import seeds
from pbdr.aligned import aligned
from pbdr.errors import DataError
from pbdr.fields.gaussians.model import Gaussians

FLOOR = 0.1  # times the mean of the peaks: `floor` of `listed`

#: Parameters of a cloud → numbers of each Gaussian. `peaks` are the σᵢ.
COLUMNS = {"peaks": 1, "centers": 3, "log_scales": 3, "rotations": 4}


def peaks_of(gaussians: Gaussians) -> NDArray[np.float32]:
    """(N,) σᵢ with which a ray through the centre of one, where it is as long as on average, absorbs as much as its opacity says.

    1 − exp(−σᵢ √(2π) s) is the opacity, with s the geometric mean of the three scales.
    """
    size = np.exp(gaussians.log_scales.astype(np.float64).mean(axis=1))
    depth = np.logaddexp(0, gaussians.logits.astype(np.float64))  # −log(1 − opacity)
    return np.asarray(depth / (np.sqrt(2 * np.pi) * size), dtype=np.float32)


def cloud(gaussians: Gaussians, peaks: Any = None) -> dict[str, Any]:
    """Arrays of `COLUMNS` on the device; `peaks` (N,), in one over the unit of length, or those of `peaks_of`."""
    found = np.asarray(peaks_of(gaussians) if peaks is None else peaks, dtype=np.float32)
    if found.shape != (len(gaussians),) or not (np.isfinite(found).all() and (found >= 0).all()):
        raise DataError(
            f"peaks of the shape {found.shape} for {len(gaussians)} Gaussians: give a density of at least 0 for each"
        )
    values = {
        "peaks": found,
        "centers": gaussians.positions,
        "log_scales": gaussians.log_scales,
        "rotations": gaussians.rotations,
    }
    return {name: mi.Float(aligned(value.ravel())) for name, value in values.items()}


def gathered(arrays: Mapping[str, Any], number: Any, active: Any = True) -> tuple[Any, Any, Any]:
    """(σᵢ, μᵢ, Wᵢ) of Gaussians by number, attached; W turns and scales offsets so that Σ⁻¹ = WᵀW."""
    parts = {
        name: [dr.gather(mi.Float, arrays[name], number * width + k, active) for k in range(width)]
        for name, width in COLUMNS.items()
    }
    w, x, y, z = parts["rotations"]
    turn = dr.quat_to_matrix(mi.Matrix3f, dr.normalize(mi.Quaternion4f(x, y, z, w)))
    inverse = [dr.exp(-s) for s in parts["log_scales"]]
    whiten = mi.Matrix3f(*(turn[j, i] * inverse[i] for i in range(3) for j in range(3)))
    return parts["peaks"][0], mi.Point3f(*parts["centers"]), whiten


def falloff(whiten: Any, offset: Any) -> Any:
    """exp(−½ dᵀ Σ⁻¹ d) of the offset d from the centre."""
    return dr.exp(-0.5 * dr.squared_norm(whiten @ mi.Vector3f(offset)))


def chord(whiten: Any, offset: Any, direction: Any, near: Any, far: Any) -> Any:
    """∫ exp(−½ dᵀ Σ⁻¹ d) dt over d = offset + t · direction, from t = near to far."""
    o, d = whiten @ mi.Vector3f(offset), whiten @ mi.Vector3f(direction)
    squared = dr.squared_norm(d)
    middle = -dr.dot(o, d) / squared
    least = dr.squared_norm(dr.fma(d, middle, o))
    scale = dr.sqrt(0.5 * squared)
    parts = dr.erf(scale * (far - middle)) - dr.erf(scale * (near - middle))
    return dr.exp(-0.5 * least) * dr.sqrt(dr.pi / (2 * squared)) * parts  # Eq. (33)


@dr.syntax
def optical_depth(arrays: Mapping[str, Any], origin: Any, direction: Any, near: Any = 0.0, far: Any = dr.inf) -> Any:
    """Return τ = ∫ σ dt from `near` to `far` along rays, through all Gaussians of a `cloud`; differentiable in reverse mode.

    `origin`, `direction`: `Point3f`, `Vector3f`, of which the latter need not be of length 1. Time grows with rays times Gaussians.
    """
    count = dr.opaque(mi.UInt32, len(arrays["peaks"]))
    number, total = mi.UInt32(0), mi.Float(0)
    near, far = mi.Float(near), mi.Float(far)
    while dr.hint(number < count, label="gaussians: optical depth", max_iterations=-1):
        peak, center, whiten = gathered(arrays, number)
        total += peak * chord(whiten, origin - center, direction, near, far)
        number += 1
    return total


@dr.syntax
def density(arrays: Mapping[str, Any], points: Any) -> Any:
    """Return σ at `Point3f` points, of all Gaussians of a `cloud`; differentiable in reverse mode.

    Time grows with points times Gaussians.
    """
    count = dr.opaque(mi.UInt32, len(arrays["peaks"]))
    number, total = mi.UInt32(0), mi.Float(0)
    while dr.hint(number < count, label="gaussians: density", max_iterations=-1):
        peak, center, whiten = gathered(arrays, number)
        total += peak * falloff(whiten, points - center)
        number += 1
    return total


def listed(arrays: Mapping[str, Any], numbers: Any, begin: Any, end: Any, points: Any, floor: Any) -> Any:
    """Return σ at points, of the Gaussians `numbers` from `begin` up to `end`, which differ from lane to lane; differentiable.

    Its derivative is that of one of them, drawn in proportion to what each adds, over the probability. (Dr.Jit 1.5 cannot carry
    tangents of what a loop gathers from: derivatives of the sum itself would exist in reverse mode alone.) `floor` is added to
    peaks where one is drawn, since those of 0 have a derivative, too.
    """
    with dr.suspend_grad():
        fixed = {name: dr.detach(value) for name, value in arrays.items()}
        total, number, share = _sum_and_draw(fixed, numbers, begin, end, mi.Point3f(dr.detach(points)), floor)
    if not any(dr.grad_enabled(value) for value in (*arrays.values(), points)):
        return total
    drawn = share > 0
    peak, center, whiten = gathered(arrays, number, drawn)
    return dr.replace_grad(total, dr.select(drawn, share * peak * falloff(whiten, points - center), 0))


@dr.syntax
def _sum_and_draw(arrays: Mapping[str, Any], numbers: Any, begin: Any, end: Any, points: Any, floor: Any) -> Any:
    """(sum, number of one that is drawn, one over its probability, or 0 where there is none)."""
    at, total = mi.UInt32(begin), mi.Float(0)
    mass, chosen, number = mi.Float(0), mi.Float(0), mi.UInt32(0)
    draws = seeds.at(points)
    while dr.hint(at < end, label="gaussians: medium", exclude=[arrays, numbers, points, floor]):
        one = dr.gather(mi.UInt32, numbers, at)
        peak, center, whiten = gathered(arrays, one)
        here = falloff(whiten, points - center)
        total = dr.fma(peak, here, total)
        weight = (peak + floor) * here
        mass += weight
        kept = draws.next_float32() * mass < weight
        chosen = dr.select(kept, weight, chosen)
        number = dr.select(kept, one, number)
        at += 1
    return total, number, dr.select(chosen > 0, mass / chosen, 0)
