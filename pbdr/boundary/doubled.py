"""Faces of a mesh that lie on each other: which of them a ray meets is a matter of rounding.

Where they look alike, nobody can tell. Where they do not, as a face and its copy that is wound the other way round do under most
materials, the image is a mixture of both whose shares hang on the last digits of rays: when a pinhole moved by half a hundredth of
its distance, the share of one such face went from 0 to 80 %. That image has no derivative with respect to what moves the rays.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.boundary import seams, topology
from pbdr.errors import SceneError
from pbdr.parameters import traverse
from pbdr.transport import smooth, texcoords

BENDING = ("NormalMap", "BumpMap")  # look different in a mirror, from behind too


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
    result = opposite & (not alike_from_behind(mesh))
    if texcoords.read_by(mesh):
        if mesh.has_vertex_texcoords():
            result = result | _differ(_values(mesh.vertex_texcoords_buffer(), corner, 2), seams.TOLERANCE)
        else:  # Mitsuba takes the barycentric coordinates of each face
            result = result | (order[:, 0] != order[:, 1]).any(1)
    if smooth.interpolates_normals(mesh):
        normals = _values(mesh.vertex_normals_buffer(), corner, 3)
        turned = normals * np.where(opposite, -1.0, 1.0)[:, None, None, None] ** np.arange(2)[:, None, None]
        result = result | (_differ(normals, seams.NORMAL_TOLERANCE) & _differ(turned, seams.NORMAL_TOLERANCE))
    return result | _attributes_differ(mesh, built, corner)


def alike_from_behind(mesh: Any) -> bool:
    """Whether a face that is wound the other way round looks the same: one plain material, on both sides."""
    bsdf = mesh.bsdf()
    if mesh.is_emitter() or bsdf.class_name() != "TwoSidedBRDF":
        return False
    below = [(node, owner) for node, (owner, _) in traverse(bsdf).hierarchy.items() if isinstance(node, mi.BSDF)]
    sides = [node for node, owner in below if owner == bsdf]
    return len(sides) == 1 and not any(node.class_name().startswith(BENDING) for node, _ in below)


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
