"""The scenes of `cases` for Mitsuba, so that `pathspace` and its integrators look at the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .world import Array, World


def scene(world: World, folder: Path, size: int, shining: bool = True) -> Any:
    """Return the `pbdr.scene.Scene`; the files of its meshes are written into `folder`. `shining`: with its emitters."""
    import pbdr

    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    camera = {"type": "perspective", "fov": 90.0, "near_clip": 0.01, "far_clip": 100.0, "film": film}
    found: dict[str, Any] = {"type": "scene", "camera": camera}
    grey = lambda value: {"type": "rgb", "value": float(value)}  # noqa: E731
    if not shining:  # images without light are refused
        found["sky"] = {"type": "constant", "radiance": grey(1)}
    for name, quad in world.quads.items():
        path = folder / f"{name}.ply"
        write(path, quad.corners, towards=-1.0 if name != world.lamp else 1.0)
        shape: dict[str, Any] = {"type": "ply", "filename": str(path), "face_normals": True}
        shape["bsdf"] = {"type": "diffuse", "reflectance": grey(quad.albedo)}
        if quad.radiance and shining:
            shape["emitter"] = {"type": "area", "radiance": grey(quad.radiance)}
        found[name] = shape
    return pbdr.load_scene(found)


def write(path: Path, corners: Array, towards: float) -> None:
    """Write two triangles whose normal has a z of this sign, on which side they shine."""
    import mitsuba as mi

    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    order = [0, 1, 2, 0, 2, 3] if normal[2] * towards > 0 else [0, 2, 1, 0, 3, 2]
    mesh = mi.Mesh(path.stem, 4, 2)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float(corners.astype(np.float32).ravel())
    params["faces"] = mi.UInt32(np.array(order))
    params.update()
    mesh.write_ply(str(path))
