"""Steps of an optimisation: kernels of the first ones serve all later ones, whatever moves, however many silhouettes there are."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.parameters import read, resolve, traverse, write
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.kernels import compiled
from validation.scenes import zoo
from validation.scenes.small import mesh

WARM, STEPS = 3, 6
LAMP = zoo.above(size=0.6, emitter={"type": "area", "radiance": zoo.rgb(10.0)})


def blob(folder):
    """A bumpy ball: many silhouettes, whose number changes as it turns."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3)
    points = np.asarray(ball.vertices)
    radius = 0.4 * (1 + 0.2 * np.sin(9 * points[:, 0]) * np.sin(7 * points[:, 1] + 1))
    return mesh(folder, "thing", points * radius[:, None] + [0, 0, 0.7], ball.faces)


def ball(_):
    return {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.3}


def moved(start, step):
    """Bent and grown, so that the outline, its number of edges and the size of the shape all change."""
    points = start.copy()
    points[:, 2] += 0.05 * np.sin(step + 4 * points[:, 0])
    return points * (1 + 0.05 * np.cos(step))


def shifted(start, step):
    pose = start.copy()
    pose[:, 3] += 0.01 * step
    return pose


@pytest.mark.parametrize(
    ("thing", "name", "change"),
    [(blob, "thing/positions", moved), (ball, "thing/pose", shifted), (blob, "camera/pose", shifted), (blob, "lamp/pose", shifted)],
    ids=["vertices", "sphere", "camera", "light"],
)  # fmt: skip
def test_no_kernel_is_compiled_after_the_first_steps(tmp_path, thing, name, change):
    floor = {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale(2)}
    scene = load_scene(
        {"type": "scene", "camera": zoo.camera(), "lamp": LAMP, "floor": floor, "thing": thing(tmp_path)}
    )
    [parameter], params = resolve(scene, name), traverse(scene)
    start = read(scene, parameter)
    integrator = {"type": "pathspace", "max_depth": 3}
    counts = []
    for step in range(STEPS):
        write(params, parameter, change(start, step))
        params.update()
        weights = np.ones((zoo.SIZE, zoo.SIZE, 3), np.float32)
        weights[: step % 4, 3:] *= 10.0 * step  # what samples follow: now even, now uneven
        counts.append(
            compiled(lambda s=step, w=weights: gradient(scene, name, w, spp=2, seed=s, integrator=integrator))
        )
    assert sum(counts[WARM:]) == 0, counts


def test_a_number_in_a_kernel_is_counted():
    counts = [compiled(lambda s=step: dr.eval(dr.arange(mi.Float, 50) * (0.1234 + s))) for step in range(WARM)]
    assert sum(counts) == WARM
