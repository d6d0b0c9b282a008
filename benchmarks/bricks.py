"""Hundreds of meshes side by side, as models of bricks have: blocks with a stud each, a hair's breadth apart, on a plate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 20  # bricks along either side of the plate
GAP = 0.0125  # between neighbours, of a brick's width
CORNERS = 12  # of a stud


def moved(side: int = SIDE) -> str:
    """Name of the parameter that moves the brick in the middle."""
    return f"brick-{(side + 1) * (side // 2)}/positions"


def brick(height: float, gap: float = GAP) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3) and faces (F, 3) of a block of this height in the unit square about the origin, with a round stud on top."""
    half = 0.5 - 0.5 * gap
    block = np.array([[x, y, z] for z in (0.0, height) for y in (-half, half) for x in (-half, half)])
    sides = [
        [0, 2, 3],
        [0, 3, 1],
        [4, 5, 7],
        [4, 7, 6],
        [0, 1, 5],
        [0, 5, 4],
        [2, 6, 7],
        [2, 7, 3],
        [0, 4, 6],
        [0, 6, 2],
    ]
    sides += [[1, 3, 7], [1, 7, 5]]
    angle = 2 * np.pi * np.arange(CORNERS) / CORNERS
    ring = 0.3 * np.stack([np.cos(angle), np.sin(angle)], 1)
    # The stud reaches a little into its block: shapes that pass through themselves are what such models are full of.
    low, high = (np.c_[ring, np.full(CORNERS, z)] for z in (height - 0.05, height + 0.2))
    first, k = len(block), np.arange(CORNERS)
    after = (k + 1) % CORNERS
    top = first + 2 * CORNERS
    wall = [np.stack([first + k, first + after, first + CORNERS + k], 1)]
    wall += [np.stack([first + after, first + CORNERS + after, first + CORNERS + k], 1)]
    lid = np.stack([np.full(CORNERS, top), first + CORNERS + k, first + CORNERS + after], 1)
    vertices = np.concatenate([block, low, high, [[0, 0, height + 0.2]]])
    return vertices, np.concatenate([sides, *wall, lid])


def scene(folder: Path, width: int = 128, side: int = SIDE) -> Any:
    """side² bricks of four heights under an area light, as a `pbdr.scene.Scene`; their files are written into `folder`."""
    import mitsuba as mi
    import trimesh

    import pbdr

    folder.mkdir(parents=True, exist_ok=True)
    heights = (0.6, 0.8, 1.0, 1.2)
    for number, height in enumerate(heights):
        vertices, faces = brick(height)
        trimesh.Trimesh(vertices, faces, process=False).export(folder / f"brick-{number}.ply", vertex_normal=False)
    turn = mi.ScalarTransform4f()

    def diffuse(*colour: float) -> dict[str, Any]:
        return {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(colour)}}

    film = {
        "type": "hdrfilm",
        "width": width,
        "height": width * 3 // 4,
        "rfilter": {"type": "box"},
        "pixel_format": "rgb",
    }
    middle = 0.5 * (side - 1)
    found: dict[str, Any] = {
        "type": "scene",
        "camera": {
            "type": "perspective", "fov": 28, "film": film,
            "to_world": turn.look_at([0.9 * side, -1.3 * side, side], [0, 0, 0.5], [0, 0, 1]),
        },
        "plate": {"type": "rectangle", "to_world": turn.scale(side), "bsdf": diffuse(0.5, 0.5, 0.5)},
        "light": {
            "type": "rectangle",
            "to_world": turn.look_at([side, 0.3 * side, 1.5 * side], [0, 0, 0], [0, 0, 1]).scale(0.2 * side),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 25.0}},
        },
    }  # fmt: skip
    colours = np.random.default_rng(3).uniform(0.1, 0.8, (side * side, 3))
    kinds = np.random.default_rng(4).integers(len(heights), size=side * side)
    for k in range(side * side):
        found[f"brick-{k}"] = {
            "type": "ply", "filename": str(folder / f"brick-{kinds[k]}.ply"), "face_normals": True, "bsdf": diffuse(*colours[k]),
            "to_world": turn.translate([k % side - middle, k // side - middle, 0]),
        }  # fmt: skip
    return pbdr.load_scene(found)
