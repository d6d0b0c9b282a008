"""Textures that jump inside faces: `checkerboard`, bitmaps and grids with `filter_type = nearest`, colours of faces, bump maps (of
which the slope shows).

Their jumps are fixed to the surface. Where the radiance of a moving surface, or of one that a moving camera sees, slides along the
segment (docs/theory.md, section 2), they would need a boundary term like any edge. There is none: support.py refuses them by name.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters import traverse
from pbdr.transport import bent


def jumping(node: Any) -> dict[str, Any]:
    """Key → texture, of all textures below a Mitsuba object that jump inside faces."""
    params = traverse(node)
    slopes = {node for node, (owner, _) in params.hierarchy.items() if _is_bump(owner) and isinstance(node, mi.Texture)}
    found = {t: "" for t in params.hierarchy if isinstance(t, mi.Texture) and (t in slopes or is_stepped(t))}
    for raw, (_, _, owner, _) in params.properties.items():
        while owner is not None and owner not in found:  # a checkerboard may show its colours' parameters only
            owner = params.hierarchy[owner][0]
        if owner is not None:
            found[owner] = found[owner] or raw.rpartition(".")[0]
    return {name or texture.id(): texture for texture, name in found.items()}


def _is_bump(node: Any) -> bool:
    return isinstance(node, mi.BSDF) and bool(node.class_name() == bent.BUMP)


def is_stepped(texture: Any) -> bool:
    """Whether a texture is constant but for jumps: it varies, and its value has no derivative with respect to the place."""
    if texture.class_name() == "MeshAttribute":
        return False  # colours of faces jump at edges only, where they have their term
    if not texture.is_spatially_varying():
        return False
    with dr.resume_grad():
        si = dr.zeros(mi.SurfaceInteraction3f)
        si.uv, si.p = mi.Point2f(0.3), mi.Point3f(0.3)
        dr.enable_grad(si.uv, si.p)
        for evaluate in (texture.eval, texture.eval_1, texture.eval_3):
            try:
                return not dr.grad_enabled(evaluate(si))
            except RuntimeError:  # textures of another number of channels
                continue
    return False
