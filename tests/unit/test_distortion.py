"""Cameras with lens distortion as plugins: their formula, their inverse, their limits."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import list_parameters
from pbdr.rendering import render
from pbdr.scene import load_object, load_scene
from pbdr.transport import camera
from pbdr.transport.eye import Eye

FILM = {"type": "hdrfilm", "width": 32, "height": 24, "rfilter": {"type": "box"}}
CROPPED = {**FILM, "crop_width": 20, "crop_height": 18, "crop_offset_x": 5, "crop_offset_y": 3}
POSE = mi.ScalarTransform4f().look_at([1, -4, 1.8], [0, 0, 0.5], [0.1, 0, 1])
POINT = {"principal_point_offset_x": 0.1, "principal_point_offset_y": -0.07}
SENSORS = {
    "perspective": {"fov": 40.0, **POINT},
    "orthographic": {"to_world": POSE @ mi.ScalarTransform4f().scale([1.5, 1.5, 1.5])},
    "thinlens": {"fov": 40.0, "aperture_radius": 0.3, "focus_distance": 3.0},
    "opencv": {"fov": 60.0, "k1": -0.2, "k2": 0.05, "p1": 0.01, "p2": -0.02, "k3": 0.01, **POINT},
    "opencv_fisheye": {"fov": 120.0, "k1": -0.05, "k2": 0.02, "k3": -0.003, "k4": 0.001, **POINT},
}


def sensor(kind, film=None, **changes):
    return load_object({"type": kind, "film": film or CROPPED, "to_world": POSE, "near_clip": 0.1, **changes})


@pytest.mark.parametrize("kind", SENSORS)
def test_points_on_a_ray_are_seen_where_it_comes_from(kind):
    """`Eye.sight` undoes the sensor's own rays; its importance is the Jacobian of the film position."""
    chosen = sensor(kind, **SENSORS[kind])
    rng = np.random.default_rng(1)
    uniform = [mi.Float(x) for x in rng.uniform(size=(5, 500)).astype(np.float32)]
    aperture = mi.Point2f(uniform[0], uniform[1]) if chosen.needs_aperture_sample() else None
    position = mi.Point2f(5 + 20 * uniform[2], 3 + 18 * uniform[3])
    ray = camera.ray_through(chosen, position, aperture)
    point = ray(1 + 5 * uniform[4])
    eye = Eye.of(chosen, aperture)
    sight = eye.sight(point)
    assert dr.all(sight.inside)
    assert dr.max(dr.norm(sight.position - position))[0] < 1e-4
    assert dr.max(dr.norm(sight.omega - ray.d))[0] < 1e-5
    assert dr.max(dr.norm(sight.start - ray.o))[0] < 1e-5
    frame, step = mi.Frame3f(sight.omega), 1e-2
    a, b = (eye.sight(point + step * t).position - eye.sight(point - step * t).position for t in (frame.s, frame.t))
    area = dr.abs(a.x * b.y - a.y * b.x) / (4 * step * step)
    assert dr.max(dr.abs(area / sight.importance - 1))[0] < 1e-3
    assert dr.all(eye.may_see(point, point + mi.Vector3f(0.01, 0, 0), chosen.film()))
    if kind != "opencv_fisheye":  # whose lens may see behind itself, off the film
        assert dr.none(eye.sight(ray(-1.0)).inside)


def opencv(x, y, k1, k2, p1, p2, k3):
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


def fisheye(x, y, k1, k2, k3, k4):
    r = np.hypot(x, y)
    t = np.arctan(r)
    scale = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8) / r
    return x * scale, y * scale


@pytest.mark.parametrize("kind", ["opencv", "opencv_fisheye"])
def test_formula(kind):
    """OpenCV's formula in its own frame, x to the right and y down, in pixels."""
    names = ("k1", "k2", "p1", "p2", "k3") if kind == "opencv" else ("k1", "k2", "k3", "k4")
    values = {n: SENSORS[kind][n] for n in names}
    chosen = sensor(kind, film=FILM, focal_x=0.9, focal_y=1.1, to_world=mi.ScalarTransform4f(), **values, **POINT)
    x, y = 0.3, -0.2  # right of the axis and above it; Mitsuba's x is to the left, y up
    u, v = (opencv if kind == "opencv" else fisheye)(x, y, **values)
    expected = [0.9 * 32 * u + (0.5 - 0.1) * 32, 1.1 * 32 * v + (0.5 + 0.07) * 24]
    found = Eye.of(chosen).sight(mi.Point3f(-3 * x, -3 * y, 3)).position
    assert np.allclose(np.ravel(found), expected, atol=1e-4)


SCENE = {
    "type": "scene", "sky": {"type": "constant"}, "ball": {"type": "sphere", "center": [0, 0, 0.5], "radius": 0.8},
}  # fmt: skip


def test_without_distortion_it_is_perspective():
    images = []
    for kind in ("perspective", "opencv"):
        view = {"type": kind, "film": CROPPED, "to_world": POSE, "fov": 40.0, "near_clip": 0.1, **POINT}
        scene = load_scene({**SCENE, "camera": view})
        for name in ("path", "pathspace"):
            images.append(np.array(render(scene, spp=16, seed=2, integrator={"type": name})))
    assert np.abs(images[0] - images[2]).mean() < 1e-4 * images[0].mean()
    assert np.abs(images[1] - images[3]).mean() < 1e-4 * images[0].mean()


def test_behind_the_camera():
    """A fisheye of more than 180° sees what lies behind it."""
    chosen = sensor("opencv_fisheye", film=FILM, fov=260.0, to_world=mi.ScalarTransform4f())
    assert dr.all(Eye.of(chosen).sight(mi.Point3f(1, 0, -0.2)).inside)
    ray = camera.ray_through(chosen, mi.Point2f(0.5, 12))
    assert ray.d.z[0] < 0 and ray.d.x[0] > 0


def test_parameters_have_names():
    scene = load_scene({**SCENE, "camera": {"type": "opencv", "film": FILM, "to_world": POSE}})
    found = {p.name for p in list_parameters(scene) if p.name.startswith("camera/")}
    roles = ("pose", "focal_x", "focal_y", "principal_point_x", "principal_point_y", "k1", "k2", "p1", "p2", "k3")
    assert found == {f"camera/{role}" for role in roles}


BAD = {
    "folds": ("opencv", {"fov": 80.0, "k1": -0.6}, "k1 = -0.6.*not invertible"),
    "fisheye-folds": ("opencv_fisheye", {"fov": 150.0, "k1": -0.4}, "k1 = -0.4.*not invertible"),
    "nan": ("opencv", {"k2": float("nan")}, "k2.*finite"),
    "focal": ("opencv", {"focal_x": -1.0}, "focal_x.*positive"),
    "both": ("opencv", {"focal_x": 1.0, "fov": 40.0}, "both fov and focal_x"),
    "fov": ("opencv", {"fov": 190.0}, "fov = 190.*180"),
    "clip": ("opencv", {"near_clip": 2.0, "far_clip": 1.0}, "near_clip"),
    "scaled": ("opencv", {"to_world": mi.ScalarTransform4f().scale([1, 2, 1])}, "to_world"),
    "misspelt": ("opencv", {"k4": 0.1}, "k4"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values(case):
    kind, options, match = BAD[case]
    view = {"type": kind, "film": FILM, "to_world": POSE, "near_clip": 0.1, **options}
    for make in (lambda: load_object(view), lambda: load_scene({**SCENE, "camera": view})):
        with pytest.raises(pbdr.errors.PbdrError, match=match) as caught:
            make()
        assert "Traceback" not in str(caught.value)


def test_bad_updates():
    """Values written later are checked, too."""
    params = mi.traverse(sensor("opencv", fov=80.0))
    params["k1"] = mi.Float(-0.6)
    with pytest.raises(pbdr.errors.SceneError, match="not invertible"):
        params.update()
