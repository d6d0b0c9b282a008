"""A gradient step on a mesh of a million triangles: time against the same mesh with ten thousand, and memory.

A step is an image, a gradient of all terms with its edge table, and the update of every vertex. What Mitsuba takes to update the
scene, mostly to build its ray-tracing structure, is given apart: the required ratio is that of the rest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .harness import ROOT, Result, peak_memory, table

FACES = (10_000, 1_000_000)
RATIO, MEMORY = 3.0, 2.0  # times the small mesh's step; GiB, resident
SIZE, STEPS = 128, 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--faces", type=int, nargs="+", default=list(FACES))
    parser.add_argument("--spp", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)


def run(options: argparse.Namespace) -> Result:
    """Each mesh in a process of its own."""
    rows = {faces: _measure(faces, options) for faces in options.faces}
    small, large = rows[min(rows)], rows[max(rows)]
    ratio = (large["step"] - large["update"]) / (small["step"] - small["update"])
    whole = large["step"] / small["step"]
    memory = large["resident"] / 2**30
    columns = (
        "faces",
        "edges",
        "first step (s)",
        "step (s)",
        "of it, scene update (s)",
        "edge table (s)",
        "resident (GiB)",
    )
    text = table(
        columns,
        [(r["faces"], r["edges"], f"{r['first']:.2f}", f"{r['step']:.2f}", f"{r['update']:.2f}", f"{r['table']:.2f}",
          f"{r['resident'] / 2**30:.2f}") for r in rows.values()],
    )  # fmt: skip
    text += (
        f"\n\nThe large mesh's step takes {ratio:.2f} times the small one's without Mitsuba's scene update, {whole:.2f} times "
        f"with it; allowed {RATIO} without. Memory allowed: {MEMORY} GiB.\n"
    )
    data = {"rows": list(rows.values()), "ratio": ratio, "ratio_with_scene_update": whole}
    return Result("large_mesh", data, text, ratio <= RATIO and memory <= MEMORY)


def _measure(faces: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.large_mesh",
        str(faces),
        str(options.spp),
        str(options.depth),
        str(options.out),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def bumpy_sphere(faces: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed bumpy ball of about `faces` triangles: vertices (V, 3), faces (F, 3)."""
    rows = round((faces / 4) ** 0.5)
    columns = 2 * rows
    theta = np.pi * np.arange(1, rows + 1) / (rows + 1)
    phi = 2 * np.pi * np.arange(columns) / columns
    t, p = np.meshgrid(theta, phi, indexing="ij")
    directions = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    directions = np.concatenate([directions, [[0, 0, 1], [0, 0, -1]]])
    x, y, z = directions.T
    radius = 0.6 * (1 + 0.1 * np.sin(6.5 * x + 1) * np.sin(4 * y + 0.3) * np.cos(6 * z))
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    quads = [np.stack([a, a + columns, b], -1), np.stack([b, a + columns, b + columns], -1)]
    k = np.arange(columns)
    following, north, south = (k + 1) % columns, rows * columns, rows * columns + 1
    last = (rows - 1) * columns
    caps = [[np.full(columns, north), k, following], [np.full(columns, south), last + following, last + k]]
    faces_of = [*(q.reshape(-1, 3) for q in quads), *(np.stack(cap, 1) for cap in caps)]
    return directions * radius[:, None], np.concatenate(faces_of)


def measure(faces: int, spp: int, depth: int, out: Path) -> dict[str, Any]:
    """Seconds and memory of gradient steps that move every vertex: primal image, gradient of all terms, update."""
    import drjit as dr
    import mitsuba as mi

    import pbdr
    from pbdr.boundary.table.builder import TableBuilder
    from pbdr.parameters import traverse
    from pbdr.scene import integrator_of

    turn = mi.ScalarTransform4f()
    vertices, triangles = bumpy_sphere(faces)
    mesh = mi.Mesh("ball", len(vertices), len(triangles))
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float((vertices + [0, 0, 0.8]).astype(np.float32).ravel())
    params["faces"] = mi.UInt32(triangles.astype(np.uint32).ravel())
    params.update()
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"ball-{faces}.ply"
    mesh.write_ply(str(path))
    del mesh, params, vertices, triangles
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    lamp = turn.look_at([1.5, -1, 4], [0, 0, 0.5], [0, 0, 1]).scale(0.5)
    scene = pbdr.load_scene({
        "type": "scene",
        "camera": {
            "type": "perspective", "fov": 35, "film": film, "to_world": turn.look_at([0, -4, 1.8], [0, 0, 0.5], [0, 0, 1]),
        },
        "ball": {"type": "ply", "filename": str(path), "face_normals": True},
        "floor": {"type": "rectangle", "to_world": turn.scale(3)},
        "lamp": {"type": "rectangle", "to_world": lamp, "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 12.0}}},
    })  # fmt: skip
    path.unlink()
    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": depth})
    params, key = traverse(scene), "ball.vertex_positions"
    adjoint = mi.TensorXf(np.full((SIZE, SIZE, 3), 1 / SIZE**2, np.float32))
    seconds, updates = [], []
    for step in range(STEPS):
        start = time.perf_counter()
        leaf = mi.Float(params[key])
        dr.enable_grad(leaf)
        params[key] = leaf
        params.update()
        dr.sync_thread()
        updates.append(time.perf_counter() - start)
        dr.eval(mi.render(scene.mi, spp=spp, seed=2 * step, integrator=integrator))
        integrator.backward_terms(scene.mi, adjoint, 0, 2 * step + 1, spp)
        value = dr.detach(leaf) - 1e-6 * dr.grad(leaf)
        dr.eval(value)
        params[key] = value
        dr.sync_thread()
        seconds.append(time.perf_counter() - start)
    params.update()
    builder, tables = TableBuilder(), []
    for _ in range(2):
        start = time.perf_counter()
        count = builder.build(scene.mi, frozenset([0])).count
        dr.sync_thread()
        tables.append(time.perf_counter() - start)
    return {
        "faces": faces, "edges": count, "first": seconds[0], "step": float(np.median(seconds[1:])),
        "update": float(np.median(updates[1:])), "table": tables[0], "table_again": tables[1], "resident": peak_memory(),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
