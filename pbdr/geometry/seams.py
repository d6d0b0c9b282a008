"""Where a surface that goes on without a bend looks different on both sides of an edge, found anew at every call.

Shading reads more of a mesh than its shape: normals, texture coordinates and attributes at its vertices, which may differ between
the copies of a vertex; attributes of its faces; and the directions in which texture coordinates grow. Where one of them jumps, so
may the radiance (docs/theory.md, section 6).
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import texcoords
from pbdr.parameters import traverse

NORMAL_TOLERANCE = 1e-4
TOLERANCE = 1e-6  # of other quantities, relative: float32 copies of a value agree to about 1e-7
TANGENT_TOLERANCE = 1e-3  # relative: differences of texture coordinates have fewer digits than these have
BUILT_IN = ("vertex_positions", "vertex_normals", "vertex_texcoords")


def jumps(mesh: Any, rows: dict[str, Any], positions: Any, split: bool) -> Any:
    """For every edge, whether what its mesh's shading reads differs between its two faces.

    `rows`: of the table, with the vertices of either face; `split`: some vertices are copies of others.
    """
    second = rows["second"]
    result = mi.Bool(False)
    if split:
        for values, size, tolerance in _at_vertices(mesh):
            for end in ("start", "end"):
                result |= _differ(values, size, tolerance, rows[end], rows[f"{end}1"])
    for values in _at_faces(mesh):
        size = dr.width(values) // mesh.face_count()
        result |= _differ(values, size, TOLERANCE, rows["face0"], dr.select(second, rows["face1"], rows["face0"]))
    if texcoords.read_by(mesh):
        # Without texture coordinates, Mitsuba takes the barycentric ones of each face.
        if not mesh.has_vertex_texcoords():
            result |= mi.Bool(True)
        elif texcoords.turns(mesh.bsdf()):
            result |= _turns(mesh, rows, positions)
    return result & second


def opens(shape: Any) -> bool:
    """Whether what is seen of a sphere, cylinder or disk jumps where the angle in its texture coordinates starts again."""
    return texcoords.jumps_over(shape, 1 if shape.class_name() == "Disk" else 0)


def attributes(mesh: Any, prefix: str) -> list[Any]:
    """Attributes of a mesh whose names begin so, `vertex_` or `face_`: their values, one after the other."""
    names = [name for name in traverse(mesh).keys() if name.startswith(prefix) and name not in BUILT_IN]
    return [dr.detach(mesh.attribute_buffer(name)) for name in names]


def _at_vertices(mesh: Any) -> list[tuple[Any, int, float]]:
    """(values, their number a vertex, tolerance) of all that is interpolated from vertices."""
    found = []
    if mesh.has_vertex_normals() and not mesh.has_face_normals():
        found.append((dr.detach(mesh.vertex_normals_buffer()), 3, NORMAL_TOLERANCE))
    if mesh.has_vertex_texcoords():
        found.append((dr.detach(mesh.vertex_texcoords_buffer()), 2, TOLERANCE))
    count = mesh.vertex_count()
    return found + [(values, dr.width(values) // count, TOLERANCE) for values in attributes(mesh, "vertex_")]


def _at_faces(mesh: Any) -> list[Any]:
    return attributes(mesh, "face_")


def _differ(values: Any, size: int, tolerance: float, first: Any, second: Any) -> Any:
    """Whether the entries `first` and `second` of an array of `size` numbers each differ."""
    apart, scale = mi.Float(0), mi.Float(0)
    for k in range(size):
        a, b = (dr.gather(mi.Float, values, index * size + k) for index in (first, second))
        apart = dr.maximum(apart, dr.abs(a - b))
        scale = dr.maximum(scale, dr.maximum(dr.abs(a), dr.abs(b)))
    return apart > tolerance * scale


def _turns(mesh: Any, rows: dict[str, Any], positions: Any) -> Any:
    """Whether the derivatives of the position by the texture coordinates differ between the faces."""
    uv = dr.detach(mesh.vertex_texcoords_buffer())
    first = _derivatives(positions, uv, rows, ("start", "end", "opposite0"))
    second = _derivatives(positions, uv, rows, ("start1", "end1", "opposite1"))
    result = mi.Bool(False)
    for a, b in zip(first, second, strict=True):
        result |= dr.squared_norm(a - b) > TANGENT_TOLERANCE**2 * dr.squared_norm(a)
    return result


def _derivatives(positions: Any, texcoords: Any, rows: dict[str, Any], names: tuple[str, str, str]) -> tuple[Any, Any]:
    """∂p/∂u and ∂p/∂v of a face, up to the same positive factor for all its edges."""
    p0, p1, p2 = (dr.gather(mi.Point3f, positions, rows[name]) for name in names)
    t0, t1, t2 = (dr.gather(mi.Point2f, texcoords, rows[name]) for name in names)
    e1, e2, d1, d2 = p1 - p0, p2 - p0, t1 - t0, t2 - t0
    determinant = d1.x * d2.y - d1.y * d2.x
    scale = dr.select(determinant != 0, dr.rcp(determinant), 0)
    return mi.Vector3f(e1 * d2.y - e2 * d1.y) * scale, mi.Vector3f(e2 * d1.x - e1 * d2.x) * scale
