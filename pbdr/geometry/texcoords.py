"""What reads the texture coordinates of a shape, and whether it jumps where they do."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry.plugins import is_foreign
from pbdr.parameters import traverse

ASIDE = (
    2.0**-16
)  # distance from a seam, of the range of texture coordinates, at which textures are compared (extrapolated)
CLOSED = 5e-3  # relative difference that is none: rounding of texture coordinates, between texels of large images
PLACES, LEAST_PLACES, MOST_PLACES = 2, 256, 8192  # points along a seam: per texel, and bounds
ANGLES = 8  # places around a curve at which a texture is compared
LOOKED_UP = ("BitmapTexture", "Checkerboard")  # textures that are looked up by texture coordinates
ISOTROPIC = (
    "SmoothDiffuse", "SmoothConductor", "SmoothDielectric", "SmoothDielectricWithIndex", "ThinDielectric", "SmoothPlastic",
    "RoughPlastic", "PolarizedPlastic", "Null", "TwoSidedBRDF", "MaskBSDF", "BlendBSDF",
)  # fmt: skip
FLAGGED = ("Principled", "PrincipledThin", "RoughConductor", "RoughDielectric")  # isotropic, too, unless a flag says otherwise


def read_by(shape: Any) -> bool:
    """Whether what a shape looks like depends on its texture coordinates: a texture, or a material that is not isotropic."""
    return turns(shape.bsdf()) or bool(textures(shape))


def turns(material: Any) -> bool:
    """Whether a material looks different when the tangents of its surface turn about the normal: it is not isotropic."""
    return material is not None and any(_directed(x) for x in traverse(material).hierarchy if isinstance(x, mi.BSDF))


def _directed(material: Any) -> bool:
    if is_foreign(material):
        return True
    if material.class_name() in FLAGGED:
        return bool(mi.has_flag(material.flags(), mi.BSDFFlags.Anisotropic))
    return material.class_name() not in ISOTROPIC


def textures(shape: Any) -> list[Any]:
    """Textures of a shape that are looked up by its texture coordinates."""
    found = [node for node in _parts(shape) if isinstance(node, mi.Texture)]
    return [node for node in found if node.class_name().startswith(LOOKED_UP) or is_foreign(node)]


def jumps_over(shape: Any, axis: int) -> bool:
    """Whether what a shape looks like differs between 0 and 1 of one of its texture coordinates."""
    if any(isinstance(node, mi.BSDF) and is_foreign(node) for node in _parts(shape)):
        return True
    return any(_jumps(texture, axis) for texture in textures(shape))


def varies_over(shape: Any, axis: int) -> bool:
    """Whether it depends on that texture coordinate at all."""
    if any(isinstance(node, mi.BSDF) and is_foreign(node) for node in _parts(shape)):
        return True
    places = np.linspace(0.03, 0.97, ANGLES)
    return any(_differ(*(_at(texture, axis, x) for x in (places[0], x))) for texture in textures(shape) for x in places)


def _parts(shape: Any) -> list[Any]:
    """Materials, lights and textures of a shape."""
    owners = [part for part in (shape.bsdf(), shape.emitter()) if part is not None]
    return [node for owner in owners for node in traverse(owner).hierarchy]


def _jumps(texture: Any, axis: int) -> bool:
    sides = ((ASIDE, 2 * ASIDE), (1 - ASIDE, 1 - 2 * ASIDE))
    return _differ(*(2 * _at(texture, axis, near) - _at(texture, axis, far) for near, far in sides))


def _differ(a: Any, b: Any) -> bool:
    return bool(dr.any(dr.abs(a - b) > CLOSED * dr.maximum(dr.abs(a), dr.abs(b)), axis=None))


def _at(texture: Any, axis: int, place: float) -> Any:
    """Values of a texture where one texture coordinate is `place`, along the range of the other one."""
    count = int(np.clip(PLACES * max(texture.resolution()), LEAST_PLACES, MOST_PLACES))
    other = (dr.arange(mi.Float, count) + 0.5) / count
    si = dr.zeros(mi.SurfaceInteraction3f, count)
    si.uv = mi.Point2f(dr.opaque(mi.Float, place), other)
    if axis == 1:
        si.uv = mi.Point2f(si.uv.y, si.uv.x)
    if mi.is_spectral:
        si.wavelengths = type(si.wavelengths)(*np.linspace(450, 650, len(si.wavelengths)))
    for evaluate in (texture.eval_3, texture.eval, texture.eval_1):
        try:
            return dr.detach(evaluate(si))
        except RuntimeError:  # textures of another number of channels
            continue
    raise RuntimeError(f"texture '{texture.id()}' cannot be evaluated")
