"""Meshes whose shading normals differ from the normals of their faces."""

from __future__ import annotations

from typing import Any

import drjit as dr
import numpy as np


def interpolates_normals(shape: Any) -> bool:
    """Whether a shape is a mesh whose shading normals may differ from the normals of its faces."""
    mesh = shape.is_mesh() and shape.class_name() != "Rectangle"
    return bool(mesh and shape.has_vertex_normals() and not shape.has_face_normals())


def shades_smoothly(mesh: Any) -> bool:
    """Whether the vertex normals of a mesh really differ from the normals of its faces (those of Mitsuba's `cube` do not)."""
    if not interpolates_normals(mesh):
        return False
    faces = np.array(mesh.faces_buffer(), dtype=np.uint32).reshape(-1, 3)
    corners = np.array(dr.detach(mesh.vertex_positions_buffer())).reshape(-1, 3)[faces]
    normals = np.array(dr.detach(mesh.vertex_normals_buffer())).reshape(-1, 3)[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(flat, axis=1)
    cosine = np.einsum("nki,ni->nk", normals, flat) / np.where(size > 0, size, 1)[:, None]
    return bool((np.abs(cosine[size > 0]) < 1 - 1e-4).any())


def may_show_horizons(shape: Any) -> bool:
    """Whether its shading may look away where the face does not. Mitsuba's `cube` bends its normals only when it is deformed."""
    return interpolates_normals(shape) and (shape.class_name() != "Cube" or shades_smoothly(shape))
