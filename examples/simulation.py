"""Parameters of a simulation from a rendered sequence: how fast a ball was launched, and how stiff the spring is that holds it.

    python examples/simulation.py

The unknowns are the launch velocity and the stiffness. A function integrates the ball's motion up to the time of a view, and gives
the vertices of its mesh then: it takes an argument `time`, so that every view of the sequence sees the scene at its own time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pbdr

import drjit as dr  # isort: skip  (after pbdr, which finds LLVM)
import mitsuba as mi  # isort: skip
from pbdr.inverse import Options, Problem, View, fit

TRUTH = {"velocity": [1.6, 2.4], "stiffness": [6.0]}
START = {"velocity": [1.2, 1.9], "stiffness": [4.0]}
TIMES = tuple(0.15 * k for k in range(1, 7))
SIZE, STEPS, MASS, GRAVITY, DAMPING, RADIUS = 24, 60, 1.0, 3.0, 0.2, 0.25
TRACER = {"type": "pathspace", "max_depth": 2}


def centre(velocity: Any, stiffness: Any, time: float) -> tuple[Any, Any]:
    """Return where the ball is, x and z: a mass on a damped spring to the origin, by STEPS symplectic Euler steps.

    The length of a step is opaque, so that all times share their kernels.
    """
    step = dr.opaque(mi.Float, time / STEPS)
    vx, vz = (dr.gather(mi.Float, velocity.array, mi.UInt32(i)) for i in range(2))
    x, z = mi.Float(0), mi.Float(0)
    for _ in range(STEPS):
        vx += step * (-stiffness.array * x - DAMPING * vx) / MASS
        vz += step * ((-stiffness.array * z - DAMPING * vz) / MASS - GRAVITY)
        x, z = x + step * vx, z + step * vz
    return x, z


def ball_at(velocity: Any, stiffness: Any, time: float) -> Any:
    """Return the positions (V, 3) of the ball's vertices at `time`, in seconds."""
    x, z = centre(velocity, stiffness, time)
    points = [mi.Float(np.ascontiguousarray(POINTS[:, i])) for i in range(3)]
    return mi.TensorXf(dr.ravel(mi.Point3f(points[0] + x, points[1], points[2] + z)), POINTS.shape)


def _sphere() -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2, radius=RADIUS)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)


POINTS, FACES = _sphere()


def scene() -> Any:
    """The ball before a wall, seen from the front."""
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.8, 0.3, 0.2]}})
    mesh = mi.Mesh("ball", len(POINTS), len(FACES), props=props)
    params = mi.traverse(mesh)
    params["vertex_positions"], params["faces"] = POINTS.ravel(), FACES.ravel()
    params.update()
    T = mi.ScalarTransform4f
    return pbdr.load_scene({
        "type": "scene", "ball": mesh, "sky": {"type": "constant"},
        "lamp": {"type": "directional", "direction": [0.4, 1.0, -0.8], "irradiance": {"type": "rgb", "value": 2.0}},
        "wall": {"type": "rectangle", "to_world": T().translate([0, 1.5, 0]).rotate([1, 0, 0], 90).scale(5)},
        "camera": {"type": "perspective", "fov": 40, "to_world": T().look_at([0.5, -4, 0.3], [0.5, 0, 0.3], [0, 0, 1]),
                   "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}},
    })  # fmt: skip


def sequence(made: Any) -> list[View]:
    """Images of the true motion at TIMES; the scene is as before afterwards."""
    params = mi.traverse(made.mi)
    before = mi.Float(params["ball.vertex_positions"])
    views = []
    for number, time in enumerate(TIMES):
        truth = {name: mi.TensorXf(np.array(value, np.float32)) for name, value in TRUTH.items()}
        params["ball.vertex_positions"] = ball_at(**truth, time=time).array
        params.update()
        image = pbdr.render(made, spp=256, seed=number + 1, integrator=TRACER)
        views.append(View(np.array(image), time=time, name=f"{time:.2f} s"))
    params["ball.vertex_positions"] = before
    params.update()
    return views


def estimate(start: dict[str, list[float]] = START, steps: int = 80) -> dict[str, np.ndarray]:
    """Return the launch velocity (x, z) and the stiffness that are found from those of `start`."""
    made = scene()
    motion = pbdr.FunctionSpec(
        ball_at, start, match="ball/positions", lr={"velocity": 0.06, "stiffness": 0.3}
    )
    options = Options(steps=steps, views_per_step=len(TIMES), spp=8, loss="l2", integrator=TRACER)
    values = fit(Problem(made, sequence(made), {"motion": motion}, options)).values
    return {name: values[f"motion/{name}"] for name in TRUTH}


def main() -> dict[str, np.ndarray]:
    """Estimate, and say how good that is."""
    found = estimate()
    for name, value in found.items():
        print(f"{name}: {np.round(value, 3)}, {TRUTH[name]} in truth, {START[name]} at the start")
    return found


if __name__ == "__main__":
    main()
