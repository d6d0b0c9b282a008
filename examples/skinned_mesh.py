"""A pose found from pixels: the joint angles of a skinned arm, whose vertices follow its two bones.

    python examples/skinned_mesh.py

The unknowns are two angles; a function turns them into the vertices of the mesh (linear blend skinning), and gradients of the
image, silhouettes included, go through it. `estimate` is all there is to it: a `pbdr.FunctionSpec`, and a fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pbdr

import drjit as dr  # isort: skip  (after pbdr, which finds LLVM)
import mitsuba as mi  # isort: skip
from pbdr.inverse import Options, Problem, View, fit

TRUTH = {"shoulder": 0.45, "elbow": -0.7}  # radians
START = {"shoulder": 0.1, "elbow": -0.3}
SIZE, RINGS, SIDES, LENGTH, RADIUS = 32, 17, 12, 2.0, 0.18
TRACER = {"type": "pathspace", "max_depth": 2}


def arm() -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) of a closed tube along x from 0 to LENGTH, and its faces (F, 3)."""
    turn = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    rows = [
        np.column_stack([np.full(SIDES, x), RADIUS * np.cos(turn), RADIUS * np.sin(turn)])
        for x in np.linspace(0, LENGTH, RINGS)
    ]
    points = np.vstack([*rows, [[0, 0, 0], [LENGTH, 0, 0]]])
    faces = []
    for ring in range(RINGS - 1):
        for side in range(SIDES):
            a, b = ring * SIDES + side, ring * SIDES + (side + 1) % SIDES
            faces += [[a, a + SIDES, b], [b, a + SIDES, b + SIDES]]
    first, last = len(points) - 2, (RINGS - 1) * SIDES
    for side in range(SIDES):
        following = (side + 1) % SIDES
        faces += [[first, side, following], [len(points) - 1, last + following, last + side]]
    return points.astype(np.float32), np.array(faces, np.uint32)


POINTS, FACES = arm()
#: How much of each vertex follows the forearm; the rest follows the upper arm.
WEIGHT = np.clip((POINTS[:, 0] - 0.4 * LENGTH) / (0.2 * LENGTH), 0, 1)


def skin(shoulder: Any, elbow: Any) -> Any:
    """Return the positions (V, 3) for two angles (1,), in radians: linear blend skinning with joints at 0 and at LENGTH / 2."""
    x, y, z = (mi.Float(np.ascontiguousarray(POINTS[:, i])) for i in range(3))
    upper = _turned(x, y, shoulder.array)
    bent_x, bent_y = _turned(x - LENGTH / 2, y, elbow.array)
    lower = _turned(bent_x + LENGTH / 2, bent_y, shoulder.array)
    share = mi.Float(WEIGHT.astype(np.float32))
    px, py = (dr.lerp(a, b, share) for a, b in zip(upper, lower, strict=True))
    return mi.TensorXf(dr.ravel(mi.Point3f(px, py, z)), (len(POINTS), 3))


def _turned(x: Any, y: Any, angle: Any) -> tuple[Any, Any]:
    sine, cosine = dr.sincos(angle)
    return cosine * x - sine * y, sine * x + cosine * y


def scene() -> Any:
    """The arm before two cameras, under a white sky and a lamp."""
    mesh = mi.Mesh("arm", len(POINTS), len(FACES), props=_grey())
    params = mi.traverse(mesh)
    params["vertex_positions"], params["faces"] = POINTS.ravel(), FACES.ravel()
    params.update()
    T = mi.ScalarTransform4f
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}
    views = {
        f"camera-{i}": {"type": "perspective", "fov": 40, "film": film, "to_world": T().look_at(origin, [0.9, 0, 0], [0, 0, 1])}
        for i, origin in enumerate(([0.9, -1.5, 4.0], [0.9, 2.0, 3.5]))
    }
    lamp = {"type": "directional", "direction": [0.3, 0.6, -1.0], "irradiance": {"type": "rgb", "value": 2.0}}
    return pbdr.load_scene({"type": "scene", "arm": mesh, "lamp": lamp, "sky": {"type": "constant"}, **views})


def _grey() -> Any:
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.5}})
    return props


def estimate(start: dict[str, float] = START, steps: int = 100) -> dict[str, float]:
    """Return the angles that are found from those of `start`, in radians."""
    made = scene()
    posed = pbdr.FunctionSpec(skin, start, match="arm/positions", lr=0.08)
    problem = Problem(made, [View(image, i) for i, image in enumerate(photographs(made))], {"pose": posed}, Options(
        steps=steps, views_per_step=2, spp=16, loss="l2", integrator=TRACER,
    ))  # fmt: skip
    values = fit(problem).values
    return {name: float(values[f"pose/{name}"][0]) for name in TRUTH}


def photographs(made: Any) -> list[np.ndarray]:
    """Images of the arm in its true pose; the scene is as before afterwards."""
    params = mi.traverse(made.mi)
    before = mi.Float(params["arm.vertex_positions"])
    params["arm.vertex_positions"] = skin(**{name: mi.TensorXf([angle]) for name, angle in TRUTH.items()}).array
    params.update()
    images = [
        np.array(pbdr.render(made, sensor=i, spp=256, seed=i + 1, integrator=TRACER)) for i in range(len(made.sensors))
    ]
    params["arm.vertex_positions"] = before
    params.update()
    return images


def main() -> dict[str, float]:
    """Estimate, and say how good that is."""
    found = estimate()
    for name, angle in found.items():
        print(f"{name}: {angle:.4f} rad, {TRUTH[name]:.4f} in truth, {START[name]:.4f} at the start")
    return found


if __name__ == "__main__":
    main()
