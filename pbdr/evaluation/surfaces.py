"""What the camera sees of surfaces, without any light: albedo, roughness, normals and depth at the centres of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scene import Scene
from . import align

Plane = NDArray[np.float64]

PROTOCOLS = {
    "where": "one ray through the centre of every pixel; what both scenes have there counts, and `covered` is the "
    "intersection of the pixels that either scene covers over their union. Surfaces that emit light do not count",
    "albedo": "base colour or diffuse reflectance, where both materials have one: root mean square error over pixels and "
    "channels; aligned: after the best factor for each channel over all views",
    "roughness": "square root of the width of microfacets (`roughness`, √`alpha`), where both materials have one: root mean "
    "square error, and mean absolute error",
    "normal": "angle between the interpolated normals in degrees: mean, median, and the fraction below 11.25 degrees",
    "depth": "distance along the ray: mean absolute error in units of the scene (`absolute`), and divided by the true one "
    "(`relative`); aligned: after the factor that is the median of true over estimated distances",
}  # fmt: skip


#: Mitsuba's names of diffuse colours.
COLORS = ("reflectance", "diffuse_reflectance", "base_color")


@dataclass(frozen=True)
class Planes:
    """Of one view, as (N,) or (N, 3) over its N pixels; `albedo` and `roughness` are NaN where a material has none."""

    hit: NDArray[np.bool_]
    albedo: Plane
    roughness: Plane
    normal: Plane
    depth: Plane


def seen(scene: Scene, sensor: Any) -> Planes:
    """Trace one ray through every pixel's centre."""
    import drjit as dr
    import mitsuba as mi

    width, height = (int(n) for n in sensor.film().crop_size())
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    at = mi.Point2f(x.reshape(-1).astype(np.float32), y.reshape(-1).astype(np.float32))
    with dr.suspend_grad():
        ray, _ = sensor.sample_ray(0.0, 0.5, at, mi.Point2f(0.5))
        hit = scene.mi.ray_intersect(mi.Ray3f(ray))
        bsdf = hit.bsdf()
        valid = hit.is_valid() & (hit.shape.emitter() == None)  # noqa: E711  a pointer of the device
        rough = dr.select(
            bsdf.has_attribute("roughness", valid), bsdf.eval_attribute_1("roughness", hit, valid), dr.nan
        )
        alpha = bsdf.has_attribute("alpha", valid)
        rough = dr.select(alpha, dr.sqrt(bsdf.eval_attribute_1("alpha", hit, valid & alpha)), rough)
        # Not `eval_diffuse_reflectance`, which for metals is the height of their highlight.
        albedo = mi.Color3f(dr.nan)
        for name in COLORS:
            own = valid & bsdf.has_attribute(name, valid)
            albedo = dr.select(own, mi.Color3f(bsdf.eval_attribute(name, hit, own)), albedo)
        normal = hit.sh_frame.n
        found = [np.array(v, dtype=np.float64) for v in (albedo, dr.select(valid, rough, dr.nan), normal, hit.t)]
        mask = np.array(valid & mi.Bool(True) | dr.zeros(mi.Bool, width * height), dtype=bool)
    albedo_, rough_, normal_, depth_ = (np.broadcast_to(v.T, (width * height, *v.T.shape[1:])) for v in found)
    return Planes(mask, albedo_, rough_, normal_, depth_)


def scores(estimate: Sequence[Planes], truth: Sequence[Planes]) -> dict[str, Any]:
    """Errors over all pixels of all views that both scenes cover. As PROTOCOLS says; {} where there are none."""
    both = [a.hit & b.hit for a, b in zip(estimate, truth, strict=True)]
    either = sum(int((a.hit | b.hit).sum()) for a, b in zip(estimate, truth, strict=True))
    count = sum(int(mask.sum()) for mask in both)
    if not count:
        return {}

    def joined(planes: Sequence[Planes], name: str) -> Plane:
        return np.concatenate([getattr(plane, name)[mask] for plane, mask in zip(planes, both, strict=True)])

    found: dict[str, Any] = {"pixels": count, "covered": count / either}
    a, b = joined(estimate, "albedo"), joined(truth, "albedo")
    known = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    if known.any():
        a, b = a[known], b[known]
        scale = align.factors(a, b)
        aligned = _rms(scale * a - b)
        found["albedo"] = {"rmse": _rms(a - b), "rmse_aligned": aligned, "factors": scale, "pixels": int(known.sum())}
    a, b = joined(estimate, "roughness"), joined(truth, "roughness")
    known = np.isfinite(a) & np.isfinite(b)
    if known.any():
        found["roughness"] = {
            "rmse": _rms((a - b)[known]),
            "mae": float(np.abs(a - b)[known].mean()),
            "pixels": int(known.sum()),
        }
    a, b = joined(estimate, "normal"), joined(truth, "normal")
    # Not the arc cosine of the product, whose rounding would be a fiftieth of a degree.
    angle = np.degrees(2 * np.arcsin(np.clip(0.5 * np.linalg.norm(a - b, axis=1), 0, 1)))
    found["normal"] = {
        "mean": float(angle.mean()),
        "median": float(np.median(angle)),
        "below_11.25": float((angle < 11.25).mean()),
    }
    a, b = joined(estimate, "depth"), joined(truth, "depth")
    factor = float(np.median(b / a))
    found["depth"] = {
        "absolute": float(np.abs(a - b).mean()), "relative": float((np.abs(a - b) / b).mean()),
        "absolute_aligned": float(np.abs(factor * a - b).mean()), "factor": factor,
    }  # fmt: skip
    return found


def _rms(values: Plane) -> float:
    return float(np.sqrt(np.mean(values**2)))
