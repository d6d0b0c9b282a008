"""What would be silently wrong is refused by name before rendering; what is incomplete warns by name."""

import subprocess
import sys
import warnings
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import read, resolve
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from pbdr.transport import support
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import curves, grids, specular, zoo
from validation.scenes.refused import MATERIALS, OTHERS
from validation.scenes.vertex_normals import bumpy_ball
from validation.scenes.zoo import T

SPHERE = {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6}


def refused(scene, name, match=None, **options):
    """Reverse and forward mode both refuse, with the parameter's name (or `match`) in the message, and leave the scene usable."""
    integrator = {"type": "pathspace", "max_depth": 2, **options}
    before = read(scene, resolve(scene, name)[0])
    with pytest.raises(pbdr.errors.PbdrError, match=match or resolve(scene, name)[0].raw.replace(".", r"\.")):
        gradient(scene, name, adjoint(), spp=1, integrator=integrator)
    with pytest.raises(pbdr.errors.PbdrError):
        derivative(scene, {name: 1.0}, spp=1, integrator=integrator)
    assert np.array_equal(read(scene, resolve(scene, name)[0]), before)
    assert np.isfinite(np.array(render(scene, spp=1, integrator=integrator))).all()


# ---------------------------------------------------------------------- parameters


@pytest.mark.parametrize("case", MATERIALS)
@pytest.mark.parametrize("boundary", ["edge", "none"])
def test_material_parameters(case, boundary):
    make, role = MATERIALS[case]
    refused(load_scene(zoo.scene(bsdf=make())), f"ball/{role}", boundary=boundary)


@pytest.mark.parametrize("role", ["turbidity", "sun_direction", "pose"])
def test_sunsky(role):
    refused(load_scene(zoo.scene(light=zoo.EMITTERS["sunsky"]())), f"light/{role}")


def test_light_of_smooth_meshes(tmp_path):
    """Refused where its horizons are seen from surfaces: not for its radiance, not with the normals of its faces."""
    path, _ = bumpy_ball(tmp_path)
    glowing = {"type": "ply", "filename": path, "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 2.0}}}
    glowing["to_world"] = T().translate([1.0, 0, 1.5]).scale(0.3)
    smooth, flat = (load_scene(zoo.scene() | {"lamp": glowing | {"face_normals": faces}}) for faces in (False, True))
    refused(smooth, "ball/pose", "'lamp' is a mesh with interpolated normals")
    few = {"type": "pathspace", "max_depth": 2, "n_primary": 64, "n_direct": 64}
    for scene, name in ((smooth, "lamp/radiance"), (flat, "ball/pose")):
        assert np.isfinite(gradient(scene, name, adjoint(), spp=1, integrator=few).total[name]).all()


def test_light_of_flat_meshes_with_normals(tmp_path):
    """Normals that are those of the faces bend nothing, as in Mitsuba's own Cornell box, until the light's vertices move."""
    text = "v -1 -1 0\nv -1 1 0\nv 1 1 0\nv 1 -1 0\nvn 0 0 -1\nf 1//1 2//1 3//1\nf 1//1 3//1 4//1\n"
    (tmp_path / "plate.obj").write_text(text, encoding="utf-8")
    plate = {"type": "obj", "filename": str(tmp_path / "plate.obj"), "to_world": T().translate([1, 0, 2]).scale(0.3)}
    plate["emitter"] = {"type": "area", "radiance": {"type": "rgb", "value": 20.0}}
    given, plain = (load_scene(zoo.scene() | {"lamp": plate | {"face_normals": faces}}) for faces in (False, True))
    few = {"type": "pathspace", "max_depth": 2, "n_primary": 64, "n_direct": 64}
    ours, twin = (gradient(scene, "ball/pose", adjoint(), spp=4, integrator=few).total for scene in (given, plain))
    assert np.abs(ours["ball/pose"] - twin["ball/pose"]).max() < 1e-3 * np.abs(twin["ball/pose"]).max()
    refused(given, "lamp/positions", "'lamp' is a mesh with interpolated normals")


def test_the_sun_and_the_horizon_are_seen_to_move():
    """By a camera that moves, and in mirrors."""
    few = {"n_primary": 64}
    scene = load_scene(zoo.scene(light=zoo.EMITTERS["sunsky"]()))
    refused(scene, "camera/pose", "disk of the sun and the horizon jump")
    refused(
        load_scene(zoo.scene(bsdf={"type": "conductor"}, light=zoo.EMITTERS["sunsky"]())),
        "ball/pose",
        "disk of the sun",
    )
    for name, options in (
        ("ball/pose", {}),
        ("camera/pose", {"hide_emitters": True}),
        ("camera/pose", {"boundary": "none"}),
    ):
        integrator = {"type": "pathspace", "max_depth": 2, **few, **options}
        gradient(scene, name, adjoint(), spp=1, integrator=integrator, terms=("primary",))


def test_neighbours_are_not_refused():
    """Negative control: other parameters of the same objects pass."""
    cases = [
        (zoo.scene(bsdf=zoo.MATERIALS["roughplastic"]()), "ball/base_color"),
        (zoo.scene(bsdf={"type": "principled", "clearcoat": 0.1}), "ball/clearcoat"),
        (zoo.scene(bsdf=zoo.MATERIALS["blend"]()), "ball/weight"),
        (zoo.scene(light=zoo.EMITTERS["projector"]()), "light/scale"),
        (zoo.scene(light=zoo.EMITTERS["sunsky"]()), "light/albedo"),
    ]
    for description, name in cases:
        found = gradient(
            load_scene(description), name, adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2}
        )
        assert np.any(found.total[name] != 0), name


# ---------------------------------------------------------------------- cameras


def room():
    """A camera inside a sphere that shines with a smooth pattern: nothing hides anything."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 64, endpoint=False), np.linspace(0, np.pi, 32))
    pattern = np.stack([2 + np.sin(v) * np.sin(u + k) + 0.5 * np.cos(v + k) for k in range(3)], -1).astype(np.float32)
    radiance = {"type": "bitmap", "bitmap": mi.Bitmap(pattern), "raw": True}
    wall = {"type": "sphere", "radius": 5.0, "center": [0.3, -0.2, 0.4], "flip_normals": True}
    wall |= {"bsdf": {"type": "diffuse"}, "emitter": {"type": "area", "radiance": radiance}}
    return load_scene({"type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "wall": wall})


def camera_tangent(scene, role):
    pose = read(scene, resolve(scene, f"camera/{role}")[0])
    if role != "pose":
        return np.ones(pose.shape)
    turn = np.array([[0, -0.2, 0.1], [0.2, 0, 0.3], [-0.1, -0.3, 0]])
    return np.column_stack([turn @ pose[:, :3], [0.4, 0.3, -0.2]])


ROOM = [(r, "none") for r in ("pose", "fov", "principal_point_x", "principal_point_y")] + [
    ("pose", "edge"),
    ("fov", "edge"),
]


@pytest.mark.parametrize(("role", "boundary"), ROOM)
def test_camera_without_visibility_edges(role, boundary):
    """The interior part alone equals finite differences where there is no edge; and boundary terms add nothing."""
    name = f"camera/{role}"
    scene = room()
    tangent = camera_tangent(scene, role)
    step = {"fov": 1.0, "pose": 0.05}.get(role, 0.02)
    exact = Differences(scene, name, tangent, step, spp=64, integrator={"type": "path", "max_depth": 1})
    weights = exact.signs()
    ours = gradients(scene, {name: tangent}, weights, spp=16, max_depth=1, boundary=boundary)[name]
    check(ours, exact.replicas(weights, gap=0.03), max_relative_se=0.01)


@pytest.mark.parametrize("name", ["ball/pose", "floor/pose"])
def test_other_sensors_have_no_boundary(name):
    """Moving geometry seen by a sensor without a boundary term; the interior part alone stays available."""
    views = {f"view{k}": zoo.camera(film=zoo.film(width=8)) for k in range(2)}
    scene = load_scene(zoo.scene(sensor={"type": "batch", "film": zoo.film(), **views}))
    with pytest.raises(pbdr.errors.PbdrError, match=rf"{name.split('/')[0]}\.to_world.*Batch"):
        gradient(scene, name, adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2})
    interior = {"type": "pathspace", "max_depth": 2, "boundary": "none"}
    assert np.any(gradient(scene, name, adjoint(), spp=4, integrator=interior).total[name] != 0)


# ---------------------------------------------------------------------- geometry


@pytest.mark.parametrize("kind", OTHERS)
def test_shapes_without_edges(tmp_path, kind):
    """A moving ball beside a shape whose silhouette is not sampled: shadows and occlusion there would be missing."""
    scene = load_scene({**zoo.scene(), **OTHERS[kind](tmp_path)})
    refused(scene, "ball/pose", match=r"other.*Ellipsoids.*not supported")
    integrator = {"type": "pathspace", "max_depth": 2}
    found = gradient(scene, "floor/base_color", adjoint(), spp=1, integrator=integrator)
    assert np.any(found.total["floor/base_color"] != 0)


@pytest.mark.parametrize("material", ["diffuse", "conductor"])
def test_complete_gradients_do_not_warn(material):
    scene = load_scene(zoo.scene(bsdf=zoo.MATERIALS[material](), light=zoo.EMITTERS["point"]()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(scene, "ball/pose", adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 4})


def test_maps_of_normals():
    """Their horizons are sampled (test_mapped.py), and jumps of slopes (test_texels.py), but not with the warp."""
    integrator = {"type": "pathspace", "max_depth": 3}
    scene = load_scene(zoo.scene(bsdf=zoo.MATERIALS["normalmap"]()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(scene, "ball/pose", adjoint(), spp=1, integrator=integrator)
    flat = load_scene(zoo.scene(bsdf=zoo.MATERIALS["normalmap"](), light=zoo.EMITTERS["constant"]()))
    with pytest.raises(pbdr.errors.SceneError, match="shading horizons of NormalMap surfaces are no edges"):
        gradient(flat, "ball/pose", adjoint(), spp=1, integrator={**integrator, "boundary": "warp"})
    bumpy = {"type": "twosided", "bsdf": zoo.MATERIALS["bumpmap"]()}
    scene = load_scene(zoo.scene(bsdf=bumpy))
    for name in ("ball/pose", "camera/pose"):
        with pytest.raises(pbdr.errors.SceneError, match="the slope of a bump map between its texels"):
            gradient(scene, name, adjoint(), spp=1, integrator={**integrator, "boundary": "warp"})


# ---------------------------------------------------------------------- variants and options


def on_a_gpu(folder, kind):
    """Scenes whose gradients are right on CPUs only, and the parameter."""
    if kind == "glass":
        return specular.glass_ball(), "mirror/eta"
    if kind == "curve":
        return curves.scene(folder, "bsplinecurve"), "curve/control_points"
    return grids.scene("analytic"), "blob/grid"


@pytest.mark.parametrize("kind", ["glass", "curve", "grid"])
def test_what_was_measured_to_be_wrong_on_a_gpu(tmp_path, monkeypatch, kind):
    """benchmarks/results/h100: an index of glass, B-spline curves, grids that surfaces see."""
    scene, name = on_a_gpu(tmp_path, kind)
    monkeypatch.setattr(support, "on_gpu", lambda: True)
    refused(scene, name, match="on GPUs in this version.*PBDR_VARIANT=llvm_ad_rgb", max_depth=3)


@pytest.mark.parametrize("variant", ["llvm_ad_spectral_polarized", "llvm_ad_mono_polarized"])
def test_variants(variant):
    """Polarised variants are refused by name, with what to use instead."""
    if variant not in mi.variants():
        pytest.skip(f"this Mitsuba has no {variant}")
    code = f"""
from pbdr import backend
backend.activate("{variant}")
import pbdr, pbdr.errors, mitsuba as mi
try:
    pbdr.scene.integrator_of(None, {{"type": "pathspace"}})
except pbdr.errors.PbdrError as error:
    print(error)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert variant in done.stdout and "rgb" in done.stdout, done.stdout + done.stderr[-1500:]
    assert len(done.stdout.strip().splitlines()) == 1


OPTIONS = {
    "max_deth": ({"max_deth": 4}, "max_deth.*max_depth"),
    "n_secondary": ({"n_secondary": 4}, "n_secondary"),
    "n_primary": ({"n_primary": -1}, "n_primary"),
    "n_direct": ({"n_direct": -5}, "n_direct"),
    "n_indirect": ({"n_indirect": -5}, "n_indirect"),
    "boundary": ({"boundary": "edges"}, "boundary.*edges.*edge"),
    "max_depth": ({"max_depth": -2}, "max_depth"),
    "max_depth-0": ({"max_depth": 0}, "max_depth"),
    "rr_depth": ({"rr_depth": 0}, "rr_depth"),
    "blend_distance": ({"blend_distance": 0.0}, "blend_distance"),
    "guiding": ({"guiding": "octree"}, "edges, none"),
    "adjoint_sampling": ({"adjoint_sampling": True, "sequence": "independent"}, "adjoint_sampling.*sequence"),
    "mistyped-adjoint": ({"adjoint_sampling": "yes"}, "adjoint_sampling"),
    "mistyped-depth": ({"max_depth": "four"}, "max_depth"),
    "mistyped-boundary": ({"boundary": 3}, "boundary"),
    "mistyped-hide": ({"hide_emitters": "maybe"}, "hide_emitters"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case):
    """By name, on one line, from the dictionary that a user gives."""
    options, match = OPTIONS[case]
    with pytest.raises(pbdr.errors.PbdrError, match=match) as caught:
        render(load_scene(zoo.scene()), spp=1, integrator={"type": "pathspace", **options})
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value) and len(str(caught.value)) < 300


def test_adjoints():
    scene = load_scene(zoo.scene())
    with pytest.raises(pbdr.errors.DataError, match="shape"):
        gradient(scene, "floor/base_color", np.ones((3, 5, 3)), spp=1)
    bad = adjoint()
    bad[2, 3, 1] = np.nan
    with pytest.raises(pbdr.errors.DataError, match="non-finite"):
        gradient(scene, "floor/base_color", bad, spp=1)


def test_names():
    with pytest.raises(pbdr.errors.ParameterError, match="floor/base_color"):
        gradient(load_scene(zoo.scene()), "floor/base_colour", adjoint(), spp=1)
