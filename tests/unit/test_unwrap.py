"""Texture coordinates for meshes that have none: every surface point has its own texel, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest
import trimesh

from pbdr import load_scene
from pbdr.errors import ParameterError
from pbdr.parameters import Variables, VariableSpec, traverse
from pbdr.parameters.recipe import mesh_file

pytest.importorskip("xatlas")
TEXELS = 64


def ball(path: Path, center: tuple[float, float, float], colored: bool = False) -> dict[str, Any]:
    """A ball of 320 faces without texture coordinates, with normals, as a shape's dictionary."""
    made = trimesh.creation.icosphere(2, 0.7)
    mesh = mi.Mesh("ball", len(made.vertices), len(made.faces), has_vertex_normals=True)
    params = mi.traverse(mesh)
    params["vertex_positions"] = (made.vertices + center).astype(np.float32).ravel()
    params["vertex_normals"] = made.vertex_normals.astype(np.float32).ravel()
    params["faces"] = made.faces.astype(np.uint32).ravel()
    params.update()
    if colored:
        mesh.add_attribute("vertex_color", 3, np.abs(made.vertex_normals).astype(np.float32).ravel())
    path.write_bytes(mesh_file(mesh))
    return {"type": "ply", "filename": str(path)}


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    folder = tmp_path_factory.mktemp("balls")
    return {
        "type": "scene",
        "paint": {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.6, 0.3, 0.2]}},
        "left": {**ball(folder / "left.ply", (-0.8, 0, 0), colored=True), "material": {"type": "ref", "id": "paint"}},
        "right": {**ball(folder / "right.ply", (0.8, 0, 0)), "material": {"type": "ref", "id": "paint"}},
        "sky": {"type": "constant"},
        "camera": {
            "type": "perspective",
            "to_world": mi.ScalarTransform4f().look_at([0, 1, 4], [0, 0, 0], [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 24, "height": 16, "rfilter": {"type": "box"}},
        },
    }


def image(scene: Any) -> np.ndarray:
    """What can be seen without noise: positions, normals and colours of surfaces."""
    aovs = mi.load_dict({"type": "aov", "aovs": "p:position,n:sh_normal,a:albedo"})
    return np.array(mi.render(scene.mi, integrator=aovs, spp=4, seed=1))


def area(scene: Any, name: str) -> np.ndarray:
    """Areas of the triangles of a shape in texture space."""
    shape = next(shape for shape in scene.mi.shapes() if shape.id() == name)
    uv = np.array(shape.vertex_texcoords_buffer()).reshape(-1, 2)[np.array(shape.faces_buffer()).reshape(-1, 3)]
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def test_meshes_of_a_material_share_one_atlas_and_look_as_before(description):
    scene = load_scene(dict(description))
    bound = Variables(scene, {"a": VariableSpec("paint/base_color", texture=TEXELS)})
    np.testing.assert_allclose(image(bound.scene), image(scene), atol=2e-6)
    assert any("'left', 'right' have no texture coordinates" in note for note in bound.scene.notes)
    # Charts do not overlap: their areas fit into the square, and no texel centre lies in two triangles.
    areas = np.concatenate([area(bound.scene, name) for name in ("left", "right")])
    assert (areas > 0).all() and 0.3 < areas.sum() < 1
    centers = (np.stack(np.meshgrid(*[np.arange(TEXELS)] * 2), -1).reshape(-1, 2) + 0.5) / TEXELS
    covered = np.zeros(len(centers), int)
    for name in ("left", "right"):
        shape = next(shape for shape in bound.scene.mi.shapes() if shape.id() == name)
        corners = np.array(shape.vertex_texcoords_buffer()).reshape(-1, 2)[
            np.array(shape.faces_buffer()).reshape(-1, 3)
        ]
        for a, b, c in corners:
            sides = [np.cross(q - p, centers - p) for p, q in ((a, b), (b, c), (c, a))]
            covered += (np.min(sides, 0) > 1e-9) | (np.max(sides, 0) < -1e-9)
    assert covered.max() == 1 and covered.mean() > 0.3


def test_attributes_follow_and_a_second_time_is_the_same(description):
    found = []
    for _ in range(2):
        bound = Variables(load_scene(dict(description)), {"a": VariableSpec("paint/base_color", texture=TEXELS)})
        params = traverse(bound.scene)
        colors, normals = (np.array(params[f"left.vertex_{name}"]).reshape(-1, 3) for name in ("color", "normals"))
        np.testing.assert_allclose(colors, np.abs(normals), atol=1e-6)
        found.append(np.array(params["left.vertex_texcoords"]))
    np.testing.assert_array_equal(*found)


def test_a_material_on_meshes_with_and_without_is_refused(description):
    mixed = {
        **description,
        "floor": {"type": "rectangle"},
        "quad": {"type": "cube", "material": {"type": "ref", "id": "paint"}},
    }
    with pytest.raises(ParameterError, match="'left' has no texture coordinates, and 'quad'"):
        Variables(load_scene(mixed), {"a": VariableSpec("paint/base_color", texture=TEXELS)})
