"""Lamps that the camera does not see (`hide_emitters`): what lies behind them has the gradient that it has without them."""

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.scene import load_scene
from pbdr.transport import hits
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import adjoint, gradients
from validation.scenes import zoo
from validation.scenes.small import T, mesh

LIGHT = {"type": "point", "position": [-3.0, -1.0, 1.0], "intensity": zoo.rgb(20.0)}


def bump(folder, lamps):
    """A coarse bumpy ball that is lit from the side, and tilted lamps in a row between it and the camera."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 17)[:-1], np.linspace(0.3, np.pi - 0.3, 9))
    radius = 0.5 + 0.05 * np.sin(5 * u) * np.sin(v)
    points = np.stack([radius * np.sin(v) * np.cos(u), radius * np.sin(v) * np.sin(u), radius * np.cos(v)], -1)
    corner = lambda i, j: 16 * i + j % 16  # noqa: E731
    faces = [
        triangle
        for i in range(8)
        for j in range(16)
        for triangle in (
            (corner(i, j), corner(i + 1, j), corner(i, j + 1)),
            (corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)),
        )
    ]
    glow = {"type": "area", "radiance": zoo.rgb(1e-3), "sampling_weight": 1e-3}
    pose = lambda k: T().look_at([0, -1.5 - 0.2 * k, 0.3], [1.5, 2, 0.3], [0, 0, 1]).scale(0.6)  # noqa: E731
    hidden = {f"lamp{k}": {"type": "rectangle", "to_world": pose(k), "emitter": glow} for k in range(lamps)}
    ball = mesh(folder, "ball", points.reshape(-1, 3), np.array(faces))
    return load_scene(
        {"type": "scene", "camera": zoo.camera(), "light": LIGHT, "ball": ball, **hidden}
    ), points.reshape(-1, 3)


def growth(folder, lamps):
    """The primary term."""
    scene, points = bump(folder, lamps)
    options = {"spp": 64, "max_depth": 2, "hide_emitters": True, "terms": ("primary",)}
    return gradients(scene, {"ball/positions": points}, adjoint(), **options)["ball/positions"]


@dr.syntax
def sideways(scene, ray, hit, active):
    """As Mitsuba goes on: a little off the hidden surface, along its normal."""
    current, hit = mi.Ray3f(ray), mi.PreliminaryIntersection3f(hit)
    hidden = active & hit.is_valid() & (hit.shape.emitter() != None)  # noqa: E711
    while hidden:
        si = hit.compute_surface_interaction(current, mi.RayFlags.Minimal, hidden)
        current = si.spawn_ray(ray.d)
        hit = scene.ray_intersect_preliminary(current, coherent=False, active=hidden)
        hidden &= hit.is_valid() & (hit.shape.emitter() != None)  # noqa: E711
    hit.t += dr.dot(current.o - ray.o, ray.d)
    return hit


def test_hidden_lamps_change_nothing_behind_them(tmp_path, monkeypatch):
    """Two lamps, within 1.5 %; with rays that leave hidden surfaces sideways a sixth of the outline is lost."""
    without, hidden = growth(tmp_path, 0), growth(tmp_path, 2)
    scale = abs(without.mean())
    assert_agrees(hidden - without, 0.0, scale=scale, max_relative_se=0.015, rounding=2e-3)
    monkeypatch.setattr(hits, "_behind_emitters", sideways)
    assert_differs(growth(tmp_path, 2) - without, 0.0, scale=scale, by=0.05)
