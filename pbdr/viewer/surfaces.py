"""What stands in the viewer's space: triangles with their colours, points of what is not made of triangles, cameras."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.cameras import Camera, mitsuba_to_opencv, rotation_to_quaternion
from ..errors import PbdrError
from ..export.asset import Asset, Part, View, read_asset, triangles
from ..export.materials import is_image
from ..job import capture
from ..parameters.recipe import with_values
from ..scene import Scene, load_object
from ..srgb import linear_to_srgb

Array = NDArray[Any]
GREY = (150, 150, 150)


@dataclass(frozen=True)
class Surfaces:
    """Meshes of trimesh by name, points (N, 3) of other shapes, which axis is up, and the middle and size of it all."""

    meshes: dict[str, Any]
    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    up: str = "y"
    middle: Array = field(default_factory=lambda: np.zeros(3))
    size: float = 1.0


def read(scene: Scene, moved: Iterable[str] = (), views: Sequence[View] = ()) -> Surfaces:
    """Read a scene as it is now; `moved`: Mitsuba's keys of what differs from its file. Without colours where none can be had.

    `views`, its cameras, tell which way is up.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            asset: Asset | None = read_asset(with_values(scene, moved, Path(temporary)), views)
        except PbdrError:
            asset = None
    meshes, others = {}, set()
    parts = {} if asset is None else {part.name: part for part in asset.parts}
    for shape in scene.mi.shapes():
        name = str(shape.id())
        if name in parts and asset is not None:
            meshes[name] = _mesh(parts[name], asset)
        elif (found := triangles(shape)) is not None:
            meshes[name] = _plain(found[0], found[1])
        else:
            others.add(name)
    places, _, labels = capture.surface(scene) if others else (np.zeros((0, 3)), None, [])
    points = places[[label in others for label in labels]] if others else places
    corners = np.concatenate([*(mesh.vertices for mesh in meshes.values()), points, np.zeros((0, 3))])
    low, high = (corners.min(axis=0), corners.max(axis=0)) if len(corners) else (-np.ones(3), np.ones(3))
    up = "y" if asset is None else asset.up
    return Surfaces(meshes, points, up, 0.5 * (low + high), float(np.linalg.norm(high - low)) or 1.0)


def _mesh(part: Part, asset: Asset) -> Any:
    """The part with its base colour: texels where it has some, else one colour."""
    import trimesh
    from PIL import Image
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    material = asset.materials[part.material]
    value, uvs = material.base_color, part.uvs
    if material.emission is not None:
        bright = np.asarray(material.emission, dtype=np.float64)
        value = bright / max(1.0, float(np.max(bright)))
    mesh = _plain(part.positions, part.faces, part.normals)
    if is_image(value) and uvs is not None:
        codes = _codes(np.broadcast_to(value, (*np.shape(value)[:2], 3)))
        uv = uvs @ material.uv[:, :2].T + material.uv[:, 2]
        look = PBRMaterial(
            baseColorTexture=Image.fromarray(codes), metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
        )
        # trimesh has v = 0 at the last row of an image
        mesh.visual = TextureVisuals(uv=np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), material=look)
        return mesh
    flat = np.asarray(value, dtype=np.float64)
    flat = flat.reshape(-1, flat.shape[-1]).mean(axis=0) if is_image(value) else flat
    mesh.visual = trimesh.visual.ColorVisuals(mesh, face_colors=[*_codes(np.broadcast_to(flat, 3)), 255])
    return mesh


def _plain(positions: Array, faces: Array, normals: Array | None = None) -> Any:
    import trimesh

    mesh = trimesh.Trimesh(positions, faces, vertex_normals=normals, process=False)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, face_colors=[*GREY, 255])
    return mesh


def _codes(color: Array) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(linear_to_srgb(color), 0, 1)).astype(np.uint8)


def pose(camera: Camera) -> tuple[Array, Array]:
    """(w, x, y, z) and position of a camera in the axes of OpenCV, which the viewer has."""
    matrix = mitsuba_to_opencv(camera.to_world)
    return rotation_to_quaternion(matrix[:3, :3]), matrix[:3, 3]


def fov_y(camera: Camera) -> float:
    """Vertical field of view in radians."""
    return 2 * float(np.arctan(0.5 * camera.height / (camera.focal_y or camera.focal)))


def camera_at(wxyz: Sequence[float], position: Sequence[float], fov: float, width: int, height: int) -> Any:
    """The sensor at the viewer's camera: `wxyz`, `position` in the axes of OpenCV, `fov` the vertical field of view in radians."""
    from ..data.cameras import opencv_to_mitsuba, quaternion_to_rotation

    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = quaternion_to_rotation(wxyz), position
    focal = 0.5 * height / float(np.tan(0.5 * fov))
    return load_object(Camera(opencv_to_mitsuba(matrix), width, height, focal, 0.5 * width, 0.5 * height).to_dict())
