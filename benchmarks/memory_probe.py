"""Memory of one reverse pass: `python -m benchmarks.memory_probe TEXELS DEPTH` prints it as JSON.

A process of its own for every figure, since neither the resident set nor what a JIT compiler keeps ever shrinks.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from .harness import peak_memory

SIZE, SPP = 128, 16


def measure(texels: int, depth: int) -> dict[str, int]:
    """Bytes of one reverse pass of a textured floor: Dr.Jit's high-water mark above what the scene holds, and the
    process's largest resident set."""
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import traverse
    from pbdr.scene import integrator_of

    scene = _textured(texels)
    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": depth, "rr_depth": 10**6, "boundary": "none"})
    params, key = traverse(scene), "floor.bsdf.reflectance.data"
    leaf = mi.TensorXf(params[key])
    dr.enable_grad(leaf)
    params[key] = leaf
    params.update()
    adjoint = mi.TensorXf(np.full((SIZE, SIZE, 3), 1 / SIZE**2, np.float32))
    dr.eval(leaf, adjoint)
    dr.sync_thread()
    backend = dr.backend_v(mi.Float)
    dr.detail.malloc_clear_statistics()
    before = dr.detail.malloc_watermark(backend)
    integrator.backward_terms(scene.mi, adjoint, 0, 1, SPP, ("interior",))
    gradient = dr.grad(leaf)
    dr.eval(gradient)
    dr.sync_thread()
    return {
        "parameters": texels * texels * 3,
        "lanes": SIZE**2 * SPP,
        "device": int(dr.detail.malloc_watermark(backend)) - int(before),
        "resident": peak_memory(),
    }


def _textured(texels: int) -> Any:
    """A closed box of reflecting walls with a textured floor, so that paths reach every depth."""
    import mitsuba as mi

    import pbdr

    turn = mi.ScalarTransform4f()
    wall = {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.8}}
    pixels = mi.Bitmap(np.random.default_rng(0).uniform(0.2, 0.8, (texels, texels, 3)).astype(np.float32))
    return pbdr.load_scene(
        {
            "type": "scene",
            "sensor": {
                "type": "perspective", "fov": 70, "to_world": turn.look_at([0, -0.9, 0.2], [0, 1, -0.4], [0, 0, 1]),
                "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgb",
                         "rfilter": {"type": "box"}},
            },
            "box": {"type": "cube", "flip_normals": True, "bsdf": wall},
            "floor": {
                "type": "rectangle", "to_world": turn.translate([0, 0, -0.95]),
                "bsdf": {"type": "diffuse", "reflectance": {"type": "bitmap", "bitmap": pixels, "raw": True}},
            },
            "light": {
                "type": "rectangle", "to_world": turn.translate([0, 0, 0.9]) @ turn.rotate([1, 0, 0], 180) @ turn.scale(0.3),
                "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 5.0}},
            },
        }
    )  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
