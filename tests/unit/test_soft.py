"""Soft silhouettes: values and derivatives in closed form and by differences, projection, and where the warm start leads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr
from pbdr.errors import DataError, OptionError
from pbdr.inverse import Options, Problem, View, fit
from pbdr.inverse.soft import WarmStart, check, projected, silhouette, warm_start
from pbdr.parameters import VariableSpec

T = mi.ScalarTransform4f
SIZE = 16
GO = WarmStart(steps=60, resolution=16, lr=0.1)


def drawn(points: Any, sigma: float = 0.02, size: tuple[int, int] = (8, 4), front: Any = True) -> Any:
    """Triangles of consecutive points (N, 2), on a film of 2 × 1."""
    flat = points.array if isinstance(points, mi.TensorXf) else mi.TensorXf(points).array
    count = len(flat) // 2
    screen = mi.Point2f(*[dr.gather(mi.Float, flat, 2 * dr.arange(mi.UInt32, count) + k) for k in range(2)])
    seen = mi.Bool([True] * count) if front is True else mi.Bool(front)
    return silhouette(screen, seen, dr.arange(mi.UInt32, count), size, (2.0, 1.0), mi.Float(sigma))


def expected(corners: np.ndarray, sigma: float, size: tuple[int, int] = (8, 4)) -> np.ndarray:
    """D of one triangle, point by point."""
    found = np.zeros((size[1], size[0]))
    for row in range(size[1]):
        for column in range(size[0]):
            p = np.array([(column + 0.5) * 2 / size[0], (row + 0.5) / size[1]])
            distances, sides = [], []
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
                distances.append(np.sum((p - a - along * (b - a)) ** 2))
                sides.append(np.sign((b - a)[0] * (p - a)[1] - (b - a)[1] * (p - a)[0]))
            sign = 1 if abs(sum(sides)) == 3 else -1
            found[row, column] = 1 / (1 + np.exp(np.clip(-sign * min(distances) / sigma, -500, 500)))
    return found


CORNERS = np.array([[0.3, 0.2], [1.7, 0.35], [0.8, 0.9]])


def test_one_triangle_and_two():
    """A triangle, whichever way it turns; two are their union in probability; one that reaches behind the camera is left out."""
    one = expected(CORNERS, 0.02)
    np.testing.assert_allclose(np.array(drawn(CORNERS)), one, atol=2e-6)
    np.testing.assert_allclose(np.array(drawn(CORNERS[::-1].copy())), one, atol=2e-6)
    other = CORNERS[:, ::-1] + [0.4, -0.1]
    both = np.array(drawn(np.concatenate([CORNERS, other])))
    np.testing.assert_allclose(both, 1 - (1 - one) * (1 - expected(other, 0.02)), atol=2e-6)
    hidden = np.array(drawn(np.concatenate([CORNERS, other]), front=[True] * 5 + [False]))
    np.testing.assert_allclose(hidden, one, atol=2e-6)
    assert np.abs(one - expected(CORNERS, 1e-4)).max() > 0.2


def test_its_derivative_is_a_difference():
    """Of a weighted sum, along a direction of all corners, at two steps."""
    weights = np.sin(np.arange(32.0)).reshape(4, 8)
    direction = np.cos(np.arange(6.0)).reshape(3, 2)
    leaf = mi.TensorXf(CORNERS)
    dr.enable_grad(leaf)
    dr.backward(dr.sum(drawn(leaf).array * mi.Float(weights.ravel())))
    slope = float((np.array(dr.grad(leaf)) * direction).sum())
    for step in (1e-3, 5e-4):
        ends = [np.sum(weights * expected(CORNERS + s * step * direction, 0.02)) for s in (1, -1)]
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=2e-3)


@pytest.mark.parametrize("kind", ["perspective", "orthographic", "opencv"])
def test_points_are_where_the_sensor_sees_them(kind):
    """A ray through the place on the film goes through the point; the place is relative to the crop window."""
    film = {
        "type": "hdrfilm",
        "width": 12,
        "height": 8,
        "crop_width": 8,
        "crop_height": 6,
        "crop_offset_x": 2,
        "crop_offset_y": 1,
    }
    lens = {"perspective": {"fov": 40}, "orthographic": {}, "opencv": {"fov": 40, "k1": -0.05}}[kind]
    where = T().look_at([1, -4, 2], [0, 0, 0.3], [0, 0, 1])
    scene = pbdr.load_scene({
        "type": "scene", "sky": {"type": "constant"}, "camera": {"type": kind, "film": film, "to_world": where, **lens},
    })  # fmt: skip
    sensor, points = scene.sensors[0], np.array([[0.1, 0.2, 0.3], [-0.3, 0.1, 0.5]], np.float32)
    at, front, extent = projected(sensor, mi.Point3f(points.T))
    assert np.all(np.array(front)) and extent == pytest.approx((2.0, 1.5))
    sample = mi.Point2f(at.x / extent[0], at.y / extent[1])
    ray, _ = sensor.sample_ray(0.0, 0.5, sample, mi.Point2f(0.5))
    origin, direction = np.array(ray.o).T, np.array(ray.d).T
    assert np.abs(np.cross(points - origin, direction)).max() < 1e-4


# ---------------------------------------------------------------------- the warm start


def scene(x: float = 0.0, kind: str = "cube") -> Any:
    """A slab that shines, seen by two cameras."""
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    cameras = {
        f"camera-{k}": {
            "type": "perspective",
            "fov": 45,
            "film": film,
            "to_world": T().look_at(eye, [0, 0, 0], [0, 0, 1]),
        }
        for k, eye in enumerate(([0, -4, 1], [4, 0.5, 1]))
    }
    slab = T().translate([x, 0.3 * x, x]).rotate([0, 0, 1], 20).scale([0.5, 0.2, 0.3] if kind == "cube" else 0.5)
    return pbdr.load_scene({
        "type": "scene", **cameras,
        "slab": {"type": kind, "to_world": slab, "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 1.0}}},
    })  # fmt: skip


def views(planes: bool = True) -> list[View]:
    """What the cameras see of the slab where it belongs."""
    truth = scene()
    images = [
        np.array(mi.render(truth.mi, sensor=k, spp=64, integrator=mi.load_dict({"type": "path"}))) for k in range(2)
    ]
    return [View(image, k, planes={"silhouette": image[..., 0]} if planes else {}) for k, image in enumerate(images)]


def problem(start: Any, seen: list[View] | None = None, **spec: Any) -> Problem:
    options = Options(views_per_step=2, integrator={"type": "pathspace", "max_depth": 1})
    return Problem(
        start,
        views() if seen is None else seen,
        {"it": VariableSpec("slab/positions", **({"map": "rigid"} | spec))},
        options,
    )


def middle(found: Problem, state: Any) -> np.ndarray:
    return found.bound.numpy(state.latents)["slab/positions"].mean(axis=0)


def test_a_thing_that_is_far_off_comes_back():
    """From beyond the mask's border. Outlines that are sharp from the start do not reach it: nothing pulls."""
    start, told = problem(scene(1.0)), []
    state = warm_start(start, GO, told.append)
    assert np.linalg.norm(middle(start, state)) < 0.12
    assert state.step == 0 and "0." in told[-1]
    with pytest.raises(OptionError, match="too sharp to reach the masks"):
        warm_start(start, replace(GO, sigma=(1e-6, 1e-6)))
    fitted = fit(
        replace(start, options=replace(start.options, steps=1, spp=4)), resume_state=state
    )  # it is a state of this problem
    assert fitted.state.step == 1


def test_vertices_move_one_by_one():
    """A slab that is too thin grows onto the masks."""
    start = scene()
    params = mi.traverse(start.mi)
    points = np.array(params["slab.vertex_positions"]).reshape(-1, 3)
    params["slab.vertex_positions"] = mi.Float((points * [1, 1, 0.4]).ravel().astype(np.float32))
    params.update()
    told: list[str] = []
    warm_start(problem(start, map="largesteps", lr=0.02), replace(GO, sigma=(4e-3, 1e-3)), told.append)
    after, before = (float(text.split(" ")[0].rstrip(",")) for text in told[-1].split("outlines is ")[1].split(", "))
    assert before > 0.4 and after < 0.35


def test_tries_are_the_same_every_time_and_the_best_counts():
    start = problem(scene(0.6))
    few = replace(GO, steps=6)
    ends = [
        np.array(warm_start(start, replace(few, tries=tries)).latents["it:slab.vertex_positions"])
        for tries in (3, 3, 1)
    ]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)  # threads add up in any order
    told: list[str] = []
    warm_start(start, few, told.append)
    warm_start(start, replace(few, tries=3), told.append)
    values = [float(text.split("outlines is ")[1].split(",")[0]) for text in told]
    assert values[1] <= values[0]
    with pytest.raises(OptionError, match='map = "rigid"'):
        warm_start(problem(scene(0.6), map="largesteps"), replace(few, tries=2))


def test_a_camera_moves_too():
    """A camera that looks 12 degrees past the slab is brought back; its outline matches better than at the start."""
    start = scene()
    params = mi.traverse(start.mi)
    params["camera-0.to_world"] = mi.Transform4f(T().look_at([0.8, -4, 1], [0.9, 0, 0.1], [0, 0, 1]))
    params.update()
    seen, told = views(), []
    found = Problem(
        start,
        seen[:1],
        {"pose": VariableSpec("camera-0/pose")},
        Options(integrator={"type": "pathspace", "max_depth": 1}),
    )
    warm_start(found, replace(GO, steps=80), told.append)
    after, before = (float(text.split(" ")[0].rstrip(",")) for text in told[-1].split("outlines is ")[1].split(", "))
    assert before > 0.6 and after < 0.4


def test_what_it_refuses():
    seen = views()
    with pytest.raises(OptionError, match=r"no shape 'slap'. Closest: slab"):
        check(problem(scene(), seen), replace(GO, shape="slap"))
    with pytest.raises(OptionError, match="lower its resolution"):
        check(problem(scene(), seen), replace(GO, resolution=4096))
    with pytest.raises(DataError, match="needs its silhouette"):
        check(problem(scene(), views(planes=False)), GO)
    flat = Problem(scene(kind="sphere"), seen, {"it": VariableSpec("slab/radiance")}, Options())
    with pytest.raises(OptionError, match="'slab' is a Sphere"):
        check(flat, GO)
    still = Problem(scene(), seen, {"it": VariableSpec("slab/radiance")}, Options())
    with pytest.raises(OptionError, match="no outline depends on 'it'"):
        warm_start(still, GO)
    for wrong in ({"steps": 0}, {"sigma": (0.1, 0.0)}, {"lr": float("nan")}, {"tries": 0}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            WarmStart(**wrong)
