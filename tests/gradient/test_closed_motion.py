"""Form 14 of docs/theory.md, section 10: motions of everything that the image cannot show have derivative zero.

Camera and all move together along each axis. Then everything but the camera moves in a way that leaves the camera as it is: a
roll about its axis (with an adjoint that is constant over the film, and everything seen lying inside the film), and a dilation
about its centre (any adjoint: no pixel changes). The terms are far from zero and cancel: standard errors are bounded by 1 % of
the largest of them, so that with 16 replicas an error of 8.4 % of it (8 replicas with the camera: 13 %) fails with a
probability of 99 %. The negative controls leave out a term, or let the light or the camera stay behind.
"""

import mitsuba as mi
import numpy as np
import pytest

from validation.agreement import assert_agrees, assert_differs
from validation.derivatives import derivatives
from validation.scenes.small import area_light, diffuse, film_camera, film_integral, pose, quad, scene_of, shape, shift

HALF, SIZE = 0.5, 16


def rotation(axis, angle):
    """4×4 rotation about an axis through the origin."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    result = np.eye(4)
    result[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def moved(frame, generator):
    """Tangent (3, 4) of a pose under the infinitesimal motion p → p + generator·p (4×4)."""
    return (generator @ frame)[:3]


ROLL = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float64)
DILATION = np.diag([1.0, 1, 1, 0])


def room(tmp_path):
    """A tilted floor, a ball, a slab that is a mesh, and a lamp behind the camera's view: poses, vertices and the scene."""
    tilt = rotation(np.array([1.0, 0.3, 0.2]), 0.5) @ rotation(np.array([0.0, 1.0, 0.0]), np.pi)
    frames = {
        "floor": pose((0.1, -0.1, 5)) @ tilt * [1.4, 1.4, 1, 1],
        "ball": pose((0.3, 0.2, 4.2)) * [0.45, 0.45, 0.45, 1],
        "lamp": pose((1.5, 1.2, 2)) @ rotation(np.array([0.5, -0.9, 0.0]), 0.5) * [0.6, 0.6, 1, 1],
    }
    frames["floor"][:, 3] = [0.1, -0.1, 5, 1]
    frames["ball"][:3, 3] = [0.3, 0.2, 4.2]
    frames["lamp"][:3, 3] = [1.5, 1.2, 2]
    slab = pose((-0.6, -0.5, 4.3)) @ tilt @ np.diag([0.4, 0.3, 1, 1])
    corners = (np.array([[-1, -1, 0, 1], [1, -1, 0, 1], [1, 1, 0, 1], [-1, 1, 0, 1]]) @ slab.T)[:, :3]
    two_sided = {"type": "twosided", "bsdf": diffuse(0.6)}
    scene = scene_of(
        camera=film_camera(HALF, SIZE),
        floor=shape("rectangle", frames["floor"], bsdf=two_sided),
        ball=shape("sphere", frames["ball"], bsdf=diffuse(0.4)),
        lamp=shape("disk", frames["lamp"], emitter=area_light(8.0)),
        slab=quad(tmp_path, "slab", slab, bsdf=two_sided),
    )
    return scene, frames, corners


def tangents_of(frames, corners, generator):
    return {
        **{f"{name}/pose": [moved(frame, generator)] for name, frame in frames.items()},
        "slab/positions": [(np.c_[corners, np.ones(4)] @ generator.T)[:, :3]],
    }


OPTIONS = {"max_depth": 2, "spp": 512, "n_primary": 2**14, "n_direct": 2**16}


def sizes(terms):
    return {name: float(np.abs(x.mean(0)).max()) for name, x in terms.parts.items()}


def test_form_14_roll_about_the_axis(tmp_path):
    """All three terms are needed: each alone is a visible part of the derivative for one of the bodies."""
    scene, frames, corners = room(tmp_path)
    tangents = tangents_of(frames, corners, ROLL)
    adjoint = film_integral(HALF, SIZE)
    together = derivatives(scene, tangents, adjoint, **OPTIONS)
    still_lamp = {name: x for name, x in tangents.items() if name != "lamp/pose"}
    apart = derivatives(scene, still_lamp, adjoint, **OPTIONS)
    scale = max(sizes(apart).values())
    assert scale > 0
    assert_agrees(together.total, [0.0], max_relative_se=0.01, scale=scale)
    for term, size in sizes(together).items():
        if size > 0.05 * scale:
            assert_differs(together.without(term), [0.0], by=0.04, scale=scale)
    assert_differs(apart.total, [0.0], by=0.1, scale=scale)


def test_form_14_dilation_about_the_camera(tmp_path):
    """No pixel changes: random weights per pixel."""
    scene, frames, corners = room(tmp_path)
    tangents = tangents_of(frames, corners, DILATION)
    weights = np.random.default_rng(14).uniform(-1, 1, (SIZE, SIZE, 1))
    adjoint = np.repeat(weights, 3, 2) * film_integral(HALF, SIZE)
    still_lamp = {name: x for name, x in tangents.items() if name != "lamp/pose"}
    apart = derivatives(scene, still_lamp, adjoint, **OPTIONS)
    scale = max(sizes(apart).values())
    together = derivatives(scene, tangents, adjoint, **OPTIONS)
    assert_agrees(together.total, [0.0], max_relative_se=0.01, scale=scale)
    assert_differs(apart.total, [0.0], by=0.3, scale=scale)


def test_form_14_translation_with_the_camera(tmp_path):
    """All bodies, the lamp and the camera move along x, y, z: random weights per pixel."""
    scene, frames, corners = room(tmp_path)
    weights = np.random.default_rng(13).uniform(-1, 1, (SIZE, SIZE, 1))
    adjoint = np.repeat(weights, 3, 2) * film_integral(HALF, SIZE)
    motions = np.eye(3)
    bodies = {f"{name}/pose": [shift(*m) for m in motions] for name in frames}
    bodies["slab/positions"] = [np.tile(m, (len(corners), 1)) for m in motions]
    options = {**OPTIONS, "replica_count": 8}
    apart = derivatives(scene, bodies, adjoint, **options)
    together = derivatives(scene, {**bodies, "camera/pose": [shift(*m) for m in motions]}, adjoint, **options)
    scale = max(sizes(apart).values())
    assert_agrees(together.total, np.zeros(3), max_relative_se=0.01, scale=scale)
    assert_differs(apart.total, np.zeros(3), by=0.3, scale=scale)


@pytest.mark.parametrize("depth", [1, 2])
def test_form_14_cavity_and_camera(depth):
    """Camera and patterned cavity move together; there are no edges, so that the interior is all (boundary = 'none')."""
    grid = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    pattern = 1 + 0.5 * np.sin(grid)[None, :] * np.sin(0.5 * grid + 0.02)[:, None]
    pattern = np.repeat(pattern[:, :, None], 3, 2).astype(np.float32)
    radiance = {"type": "bitmap", "bitmap": mi.Bitmap(pattern), "raw": True}
    turned = rotation(np.array([1.0, 0.0, 0.0]), 1.2) * [2, 2, 2, 1]
    camera = {**film_camera(HALF, SIZE), "to_world": mi.ScalarTransform4f(pose((0.3, 0.2, 0.1)))}
    scene = scene_of(
        camera=camera,
        cavity=shape(
            "sphere", turned, flip_normals=True, bsdf=diffuse(0.5), emitter={"type": "area", "radiance": radiance}
        ),
    )
    weights = np.random.default_rng(5).uniform(-1, 1, (SIZE, SIZE, 1))
    adjoint = np.repeat(weights, 3, 2) * film_integral(HALF, SIZE)
    options = {"max_depth": depth, "boundary": "none", "terms": ("interior",), "spp": 32}
    motions = [shift(1, 0, 0), shift(0, 1, 0), shift(0, 0, 1)]
    cavity = derivatives(scene, {"cavity/pose": motions}, adjoint, **options)
    camera = derivatives(scene, {"camera/pose": motions}, adjoint, **options)
    both = derivatives(scene, {"cavity/pose": motions, "camera/pose": motions}, adjoint, **options)
    scale = float(np.abs(cavity.total.mean(0)).max())
    assert_agrees(both.total, np.zeros(3), max_relative_se=0.01, scale=scale, rounding=1e-3)
    if depth == 1:
        assert_agrees(camera.total, -cavity.total.mean(0), max_relative_se=0.01, rounding=0.01)
    assert_differs(camera.total, np.zeros(3), by=0.5, scale=scale)
    assert_differs(cavity.total, np.zeros(3), by=0.5, scale=scale)
