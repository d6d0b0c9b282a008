"""Faces of a mesh that lie on each other: which of them a ray meets is a matter of rounding.

Where they look alike, nobody can tell: one may be wound the other way round if both have the same interpolated normals, or are of
one material on both sides. Where they do not, the image is a mixture of both whose shares hang on the last digits of rays: when a
pinhole moved by half a hundredth of its distance, the share of one such face went from 0 to 80 %. That image has no derivative with
respect to what moves the rays.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import SceneError
from pbdr.geometry import normal_maps, seams, texcoords, topology, vertex_normals
from pbdr.parameters import traverse


def refuse(mesh: Any, built: topology.Topology) -> None:
    """Raise SceneError for a mesh with faces on each other that look different."""
    number = int(differing(mesh, built).sum()) if len(built.doubled) else 0
    if number:
        raise SceneError(
            f"mesh '{mesh.id()}' has {number} faces twice, and the copies look different (one is seen from behind, or their "
            "normals, texture coordinates or attributes differ): which of them is seen is a matter of rounding, so that the image "
            "has no derivative. Remove one of each; a material that is to be seen from both sides goes into a 'twosided'. Or use "
            "boundary='none' for the interior part alone."
        )


def differing(mesh: Any, built: topology.Topology) -> NDArray[np.bool_]:
    """Which pairs of faces on each other, (P,), look different."""
    faces = topology.on_host(mesh)[0]
    order = np.argsort(built.weld[faces[built.doubled]], axis=2)  # the same corner first, in both of a pair
    corner = np.take_along_axis(faces[built.doubled], order, axis=2)  # (P, 2, 3) vertices
    turning = (order[..., 1] - order[..., 0]) % 3  # 1 or 2, as the order of corners is even or odd
    opposite = turning[:, 0] != turning[:, 1]
    held, turned = ~opposite, opposite
    if vertex_normals.interpolates_normals(mesh):
        normals = _values(mesh.vertex_normals_buffer(), corner, 3)
        mirrored = normals * np.array([1.0, -1.0])[:, None, None]
        held, turned = (~_differ(x, seams.NORMAL_TOLERANCE) for x in (normals, mirrored))
    result = ~(held | (turned & two_sided(mesh))) | (opposite & ~np.bool_(plain(mesh)))
    if texcoords.read_by(mesh):
        if mesh.has_vertex_texcoords():
            result = result | _differ(_values(mesh.vertex_texcoords_buffer(), corner, 2), seams.TOLERANCE)
        else:  # Mitsuba takes the barycentric coordinates of each face
            result = result | (order[:, 0] != order[:, 1]).any(1)
    return result | _attributes_differ(mesh, built, corner)


def two_sided(mesh: Any) -> bool:
    """Whether a mesh has one material on both sides: it looks the same where its shading normals are turned round."""
    bsdf = mesh.bsdf()
    owners = [owner for node, (owner, _) in traverse(bsdf).hierarchy.items() if isinstance(node, mi.BSDF)]
    return bool(bsdf.class_name() == "TwoSidedBRDF") and sum(owner == bsdf for owner in owners) == 1


def plain(mesh: Any) -> bool:
    """Whether nothing but the shading normal tells the sides of a mesh apart: it is no lamp, and no map bends its normals."""
    below = traverse(mesh.bsdf()).hierarchy
    return not mesh.is_emitter() and not any(
        node.class_name() in (normal_maps.NORMAL, normal_maps.BUMP) for node in below
    )


def _attributes_differ(mesh: Any, built: topology.Topology, corner: Any) -> NDArray[np.bool_]:
    result = np.zeros(len(built.doubled), bool)
    for prefix, index, count in (("vertex_", corner, mesh.vertex_count()), ("face_", built.doubled, mesh.face_count())):
        for values in seams.attributes(mesh, prefix):
            result |= _differ(_values(values, index, dr.width(values) // count), seams.TOLERANCE)
    return result


def _values(buffer: Any, index: Any, size: int) -> NDArray[np.float64]:
    """Entries of a buffer of `size` numbers each: (P, 2, …, size)."""
    return np.array(dr.detach(buffer), dtype=np.float64).reshape(-1, size)[index]


def _differ(values: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Whether the two of each pair differ. values: (P, 2, …)."""
    flat = values.reshape(*values.shape[:2], -1)
    apart, scale = np.abs(flat[:, 0] - flat[:, 1]).max(1), np.abs(flat).max((1, 2))
    return np.asarray(apart > tolerance * scale)
