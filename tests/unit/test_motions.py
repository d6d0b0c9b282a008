"""Maps of poses and points: they are the rigid motions they say, and depend on neither units nor origin."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import pbdr
from pbdr.errors import OptionError, ParameterError
from pbdr.inverse import check_variables
from pbdr.parameters import Variables, VariableSpec, resolve
from validation.scenes import zoo

MOVE = np.array([0.3, -0.5, 0.4, 0.1, 0.2, -0.15])


def scene(unit: float = 1.0, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    """A stretched ball, a mesh and a spot light before a camera, in other units and about another origin."""
    t = mi.ScalarTransform4f
    world = t().translate(list(origin)).scale(unit)
    look = t().look_at([0.5 * unit, -4 * unit, 1.5 * unit], [0, 0, 0.5 * unit], [0, 0, 1])
    camera = zoo.camera(near_clip=0.1 * unit, far_clip=100 * unit, to_world=t().translate(list(origin)) @ look)
    made = mi.Mesh("box", 4, 2)
    params = mi.traverse(made)
    corners = np.array([[0, 0, 1], [1, 0, 1.2], [1, 1, 1], [0, 1, 1.5]]) * unit + origin
    params["vertex_positions"], params["faces"] = mi.Float(corners.ravel()), mi.UInt32([0, 1, 2, 0, 2, 3])
    params.update()
    return pbdr.load_scene(
        {
            "type": "scene", "camera": camera, "sheet": made,
            "ball": {"type": "sphere", "to_world": world @ t().translate([0.2, 0.1, 0.4]).rotate([0, 1, 0], 30).scale([1, 2, 0.5])},
            "spot": {"type": "spot", "to_world": t().translate(list(origin)) @ t().look_at([0, 0, 3 * unit], [0, 0, 0], [0, 1, 0])},
            "bulb": {"type": "point", "position": [origin[0], origin[1], origin[2] + 2 * unit]},
        }
    )  # fmt: skip


def moved(scene: Any, match: str, latent: np.ndarray, **spec: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Value at the start, value at the latent, and the latent's description."""
    bound = Variables(scene, {"v": VariableSpec(match=match, **spec)})
    (key, described), start = next(iter(bound.latents.items())), bound.init()
    assert np.abs(np.array(start[key])).max() < 2e-6
    found = bound.values({key: mi.TensorXf(latent.astype(np.float32))})[key]
    np.testing.assert_allclose(bound.to_latent(key, np.array(found, dtype=np.float64)), latent, atol=3e-5)
    return np.array(bound.values(start)[key], np.float64), np.array(found, np.float64), described


@pytest.mark.parametrize("match", ["camera/pose", "ball/pose", "spot/pose"])
def test_a_pose_moves_rigidly_about_its_pivot(match: str) -> None:
    start, end, latent = moved(scene(), match, MOVE)
    frame = latent.place.prepared.frame
    turn = end[:, :3] @ np.linalg.inv(start[:, :3])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    expected = frame.axes @ Rotation.from_rotvec(MOVE[:3]).as_matrix() @ frame.axes.T
    np.testing.assert_allclose(turn, expected, atol=1e-6)
    shift = end[:, 3] + turn @ (frame.pivot - start[:, 3]) - frame.pivot  # where the pivot goes
    np.testing.assert_allclose(shift, frame.unit * frame.axes @ MOVE[3:], atol=1e-5)


def test_cameras_turn_about_what_they_see_and_shapes_about_their_centre() -> None:
    loaded = scene()
    camera = moved(loaded, "camera/pose", MOVE)[2].place.prepared.frame
    start = moved(loaded, "camera/pose", MOVE)[0]
    assert 2.5 < camera.unit < 5 and np.linalg.norm(camera.pivot - start[:, 3]) == pytest.approx(camera.unit)
    ball = moved(loaded, "ball/pose", MOVE)[2].place.prepared.frame
    np.testing.assert_allclose(ball.pivot, [0.2, 0.1, 0.4], atol=1e-6)


@pytest.mark.parametrize(
    ("match", "size"), [("camera/pose", 6), ("ball/pose", 6), ("sheet/positions", 6), ("bulb/position", 3)]
)
def test_units_and_origin_do_not_matter(match: str, size: int) -> None:
    origin = (300.0, -200.0, 100.0)
    spec = {"map": "rigid"} if match.endswith("positions") else {}
    one = moved(scene(), match, MOVE[-size:], **spec)[1]
    other = moved(scene(100.0, origin), match, MOVE[-size:], **spec)[1]
    points, elsewhere = (one[:, 3], other[:, 3]) if one.shape == (3, 4) else (one, other)
    np.testing.assert_allclose((elsewhere - origin) / 100.0, points, atol=1e-5)
    if one.shape == (3, 4):
        factor = 1.0 if match.startswith("camera") else 100.0
        np.testing.assert_allclose(other[:, :3] / factor, one[:, :3], atol=1e-5)


def test_rigid_keeps_the_shape_of_a_mesh_and_scale_changes_its_size_alone() -> None:
    def distances(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, None] - points[None], axis=-1)

    start, end, _ = moved(scene(), "sheet/positions", MOVE, map="rigid")
    np.testing.assert_allclose(distances(end), distances(start), atol=1e-6)
    assert np.abs(end - start).max() > 0.1
    start, end, _ = moved(scene(), "sheet/positions", np.insert(MOVE, 3, 0.2), map={"type": "rigid", "scale": True})
    np.testing.assert_allclose(distances(end), np.exp(0.2) * distances(start), atol=1e-6)
    start, end, _ = moved(scene(), "ball/pose", np.insert(MOVE, 3, 0.2), map={"type": "se3", "scale": True})
    assert np.linalg.det(end[:, :3]) == pytest.approx(np.exp(0.6) * np.linalg.det(start[:, :3]), rel=1e-5)


def test_affine_has_twelve_numbers() -> None:
    latent = np.concatenate([[0.1, 0.2, 0, -0.1, 0.05, 0, 0, 0.3, -0.2], MOVE[3:]])
    start, end, _ = moved(scene(), "ball/pose", latent, map="affine")
    turn = end[:, :3] @ np.linalg.inv(start[:, :3])
    assert np.abs(turn @ turn.T - np.eye(3)).max() > 0.1


@pytest.mark.parametrize("at", [np.zeros(6), MOVE, np.array([1e-3, 2e-3, -1e-3, 0, 0, 0])])
@pytest.mark.parametrize(("match", "kind"), [("ball/pose", "se3"), ("sheet/positions", "rigid")])
def test_derivatives_of_motions(match: str, kind: str, at: np.ndarray) -> None:
    bound = Variables(scene(), {"v": VariableSpec(match=match, map=kind)})
    key = next(iter(bound.latents))
    shape = np.array(bound.values(bound.init())[key]).shape
    weights = np.random.default_rng(1).normal(size=shape)
    leaf = mi.TensorXf(at.astype(np.float32))
    dr.enable_grad(leaf)
    dr.backward(dr.sum(bound.values({key: leaf})[key] * mi.TensorXf(weights.astype(np.float32)), axis=None))
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-2
        values = [
            np.array(bound.values({key: mi.TensorXf((at + s).astype(np.float32))})[key], np.float64)
            for s in (step, -step)
        ]
        slope = ((values[0] - values[1]) * weights).sum() / 2e-2
        assert np.array(dr.grad(leaf))[k] == pytest.approx(slope, abs=2e-3 * np.abs(weights).sum())


def test_what_is_refused() -> None:
    loaded = scene()
    for spec, error, words in (
        (VariableSpec(match="ball/pose", map="clamp"), ParameterError, "shear and scale"),
        (VariableSpec(match="sheet/positions", map="se3"), OptionError, "serves poses alone"),
        (VariableSpec(match="ball/pose", map="rigid"), OptionError, "positions of a mesh alone"),
        (
            VariableSpec(match="ball/pose", init=np.eye(3, 4)),
            ParameterError,
            "differs from the scene's by more than a rotation",
        ),
        (VariableSpec(match="sheet/positions", map="rigid", init=np.zeros((4, 3))), ParameterError, "no rigid motion"),
    ):
        with pytest.raises(error, match=words):
            bound = Variables(loaded, {"v": spec})
            check_variables(bound)
            bound.init()


def test_the_normals_of_a_mesh_turn_with_it() -> None:
    """Mitsuba makes vertex normals anew where positions change: a turned mesh has turned normals."""
    loaded = pbdr.load_scene({"type": "scene", "camera": zoo.camera(), "sky": {"type": "constant"}, "sheet": bent()})
    bound = Variables(loaded, {"v": VariableSpec(match="sheet/positions", map="rigid")})
    key = next(iter(bound.latents))
    normals = resolve(loaded, "sheet/normals")[0]
    bound.apply(bound.init())
    before = pbdr.parameters.read(loaded, normals)
    bound.apply({key: mi.TensorXf(MOVE.astype(np.float32))})
    turn = Rotation.from_rotvec(MOVE[:3]).as_matrix()
    np.testing.assert_allclose(pbdr.parameters.read(loaded, normals), before @ turn.T, atol=1e-5)
    assert np.abs(before @ turn.T - before).max() > 0.1


def bent() -> Any:
    """Two triangles at an angle with shared vertex normals."""
    made = mi.Mesh("bent", 4, 2, has_vertex_normals=True)
    params = mi.traverse(made)
    params["vertex_positions"] = mi.Float(np.array([[0, 0, 1], [1, 0, 1.2], [1, 1, 1], [0, 1, 1.5]]).ravel())
    params["faces"] = mi.UInt32([0, 1, 2, 0, 2, 3])
    params.update()
    return made
