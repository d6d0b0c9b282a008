"""The files of these jobs that nobody writes by hand: a mesh with a painted texture, two shapes, and a scene with many cameras.

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
        "field/scene.xml": around().encode("ascii"),
        "shape/start.ply": ball(lambda p: 0.6 * p),
        "shape/truth.ply": ball(lambda p: 0.6 * p * (1 + 0.35 * np.cos(2 * np.arccos(p[:, 2:])) * [1, 1, 0.6])),
    }


def around(views: int = 24, size: int = 64) -> str:
    """A scene of the painted mesh under a pale sky, and cameras all around it, spread evenly (a Fibonacci spiral)."""
    lines = [
        "<!-- A painted object under a pale sky, and 24 cameras all around it. Written by make.py. -->",
        '<scene version="3.0.0">',
        f'    <default name="res" value="{size}"/>',
        '    <bsdf type="diffuse" id="paint"><texture type="bitmap" name="reflectance"><string name="filename" '
        'value="../material/color.png"/></texture></bsdf>',
        '    <shape type="ply" id="object"><string name="filename" value="../material/object.ply"/><ref id="paint"/></shape>',
        '    <emitter type="constant" id="sky"><rgb name="radiance" value="1, 1, 1"/></emitter>',
    ]
    for number in range(views):
        height, angle = 1 - 2 * (number + 0.5) / views, np.pi * (3 - 5**0.5) * number
        ring = (1 - height**2) ** 0.5
        origin = ", ".join(f"{4 * x:.3f}" for x in (ring * np.cos(angle), height, ring * np.sin(angle)))
        lines += [
            f'    <sensor type="perspective" id="camera-{number}"><float name="fov" value="35"/>',
            f'        <transform name="to_world"><lookat origin="{origin}" target="0, 0, 0" up="0, 1, 0"/></transform>',
            '        <film type="hdrfilm"><integer name="width" value="$res"/><integer name="height" value="$res"/>'
            '<string name="pixel_format" value="rgba"/><rfilter type="box"/></film></sensor>',
        ]
    return "\n".join([*lines, "</scene>", ""])


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
