"""The files of these jobs that nobody writes by hand: a mesh with a painted texture, and two shapes.

    python examples/jobs/make.py [FOLDER]

Without a folder, they are written beside this program, where they lie already.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pbdr import demo
from pbdr.data import encode_png

HERE = Path(__file__).resolve().parent


def files() -> dict[str, bytes]:
    """Return path → content."""
    painted = encode_png(demo.color(64))
    return {
        "material/object.ply": demo.object_ply(36, 18),
        "material/color.png": painted,
        "shape/start.ply": ball(lambda p: 0.6 * p),
        "shape/truth.ply": ball(lambda p: 0.6 * p * (1 + 0.35 * np.cos(2 * np.arccos(p[:, 2:])) * [1, 1, 0.6])),
    }


def ball(form: object) -> bytes:
    """A ball of 320 faces whose points (n, 3) are moved by ``form``, as PLY."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2)
    moved = trimesh.Trimesh(form(mesh.vertices), mesh.faces, process=False)  # type: ignore[operator]
    return bytes(moved.export(file_type="ply", vertex_normal=False))


def main(folder: Path = HERE) -> None:
    """Write them."""
    for name, content in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
