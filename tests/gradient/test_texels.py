"""Textures on surfaces that move, docs/theory.md, section 7f: smooth ones, and ones that jump inside faces.

A texture jumps with a filter 'nearest', and as a checkerboard; the slope of a bump map does. The jumps move on the film with the
surface or the camera. Where their lines are not known they are refused by name.
"""

import warnings

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.boundary.inside_faces import patterns
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport import support, texels
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint, assert_transposed, gradients
from validation.scenes import zoo
from validation.scenes.small import diffuse, shift

T = mi.ScalarTransform4f
TILT = T().translate([0.1, -0.2, 0.8]).rotate(np.array([1, 0.4, 0]) / np.sqrt(1.16), 50).scale(0.7)
RED = {"type": "twosided", "nested": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}}
CHECKER = {"type": "checkerboard", "color0": 0.2, "color1": 0.9, "to_uv": T().scale(2)}


def grid(filter_type, channels=1):
    return zoo.texels(0.1, 0.9, channels, size=3, filter_type=filter_type)


def cut_out(opacity):
    return {"type": "mask", "opacity": opacity, "nested": painted(zoo.rgb(0.0))}


def painted(colour):
    return {"type": "twosided", "nested": {"type": "diffuse", "reflectance": colour}}


def scene(bsdf, **more):
    """A plate above a floor and before a wall, under a distant lamp."""
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": diffuse(0.6)}
    wall = T().translate([0, 3, 0]).rotate([1, 0, 0], 90).scale(8)
    more = {"wall": {"type": "rectangle", "to_world": wall, "bsdf": diffuse(0.4)}, **more}
    plate = {"type": "rectangle", "to_world": TILT, "bsdf": bsdf}
    camera = zoo.camera(sampler={"type": "ldsampler"})
    light = {"light": zoo.lamp(-0.5, 0.4, -1)}
    return load_scene({"type": "scene", "camera": camera, "floor": floor, "plate": plate, **light, **more})


def glowing(bsdf):
    """The same before a floor and a wall that shine: nothing is seen but opacity, and no shadow."""
    shining = lambda v: {"bsdf": diffuse(0.0), "emitter": {"type": "area", "radiance": zoo.rgb(v)}}  # noqa: E731
    floor = {"type": "rectangle", "to_world": T().scale(3), **shining(0.6)}
    wall = T().translate([0, 3, 0]).rotate([1, 0, 0], 90).scale(8)
    camera = zoo.camera(sampler={"type": "ldsampler"})
    plate = {"type": "rectangle", "to_world": TILT, "bsdf": bsdf}
    wall = {"type": "rectangle", "to_world": wall, **shining(0.2)}
    return load_scene({"type": "scene", "camera": camera, "floor": floor, "plate": plate, "wall": wall})


ALONG = shift(0.4, 0.2, 0.3)


def differences(found, name, *, spp, depth=2):
    """Weights of pixels, and replicas of finite differences for a shift."""
    exact = Differences(found, name, ALONG, 0.02, spp=spp, integrator={"type": "path", "max_depth": depth})
    weights = exact.signs()
    return weights, exact.replicas(weights, gap=0.05)


def ours_for(found, name, weights, *, spp=64, max_depth=2, **options):
    return gradients(found, {name: ALONG}, weights, spp=spp, max_depth=max_depth, **options)[name]


def test_smooth_opacity_moves():
    """A cut-out with a bilinear opacity has no edges but its border, which is not seen through itself: a quarter less."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", support.IncompleteGradientWarning)
        found = glowing(cut_out(grid("bilinear")))
        weights, expected = differences(found, "plate/pose", spp=4096)
        ours = ours_for(found, "plate/pose", weights)
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=0.03)
    assert_differs(1.3 * ours - expected, 0.0, scale=scale, by=0.1)


MANY = {"spp": 128, "n_primary": 40000, "n_direct": 10000}
PLANE = {"type": "rectangle", "to_world": TILT}


def stripes(low, high, channels=3, size=5):
    return zoo.texels(low, high, channels, size=size, filter_type="nearest")


def layers():
    """Three textures, two of which have lines in common."""
    return {
        "type": "principled",
        "base_color": stripes(0.1, 0.9),
        "roughness": stripes(0.3, 0.9, 1, 10),
        "metallic": CHECKER,
    }


def bent():
    return {
        "type": "bumpmap",
        "arbitrary": zoo.texels(0.2, 0.8, 1, size=5),
        "scale": 0.3,
        "nested": {"type": "diffuse"},
    }


def normal_map():
    values = np.array([0.5, 0.5, 1.0]) + np.random.default_rng(3).uniform(-0.15, 0.15, (5, 5, 3))
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True, "filter_type": "nearest"}
    return {"type": "normalmap", "normalmap": texture, "nested": {"type": "diffuse"}}


def blend():
    first = {"type": "diffuse", "reflectance": zoo.rgb(0.9, 0.2, 0.1)}
    return {
        "type": "blendbsdf",
        "weight": stripes(0, 1, 1),
        "first": first,
        "second": {"type": "roughconductor", "alpha": 0.5},
    }


def roof(folder):
    """Two quads that meet in a ridge, along which a line of the texture lies: the edge table has the jump there."""
    points = [[-1, -1, 0], [1, -1, 0], [1, 0, 0.4], [-1, 0, 0.4], [1, 1, 0], [-1, 1, 0]]
    uv = [[0, 0], [1, 0], [1, 0.5], [0, 0.5], [1, 1], [0, 1]]
    faces = [[0, 1, 2], [0, 2, 3], [3, 2, 4], [3, 4, 5]]
    made = mi.Mesh("roof", len(points), len(faces), has_vertex_texcoords=True)
    params = mi.traverse(made)
    params["vertex_positions"] = np.ravel(points).astype(np.float32)
    params["vertex_texcoords"] = np.ravel(uv).astype(np.float32)
    params["faces"] = np.ravel(faces).astype(np.uint32)
    params.update()
    made.write_ply(str(folder / "roof.ply"))
    return {"type": "ply", "filename": str(folder / "roof.ply"), "to_world": TILT, "bsdf": two_sided(layers())}


def two_sided(bsdf):
    return {"type": "twosided", "nested": bsdf}


def seam_hidden(shape):
    """A shape whose texture coordinates have their seam where the camera does not see it; the side that it sees is lit."""
    checker = CHECKER | {"to_uv": T().rotate([0, 0, 1], 17).scale(3)}
    turned = {"sphere": TILT.rotate([0, 0, 1], 90), "cylinder": TILT.rotate([1, 0, 0], -90)}.get(shape, TILT)
    return {"type": shape, "to_world": turned, "bsdf": painted(checker)}


def instance():
    group = {"type": "shapegroup", "ball": {"type": "cube", "bsdf": painted(CHECKER)}}
    return {
        "group": group,
        "plate": {"type": "instance", "group": {"type": "ref", "id": "group"}, "to_world": TILT.scale(0.5)},
    }


PLATE, CAMERA = "plate/pose", "camera/pose"
JUMPING = {  # scene, parameter
    "checkerboard": (lambda _: scene(painted(CHECKER)), PLATE),
    "camera": (lambda _: scene(painted(CHECKER)), CAMERA),
    "opacity": (lambda _: glowing(cut_out(grid("nearest"))), PLATE),
    "radiance": (lambda _: scene(RED, plate=PLANE | {"emitter": {"type": "area", "radiance": stripes(0.5, 3)}}), PLATE),
    "layers": (lambda _: scene(two_sided(layers())), PLATE),
    "blend": (lambda _: scene(two_sided(blend())), PLATE),
    "normals": (lambda _: scene(two_sided(normal_map())), PLATE),
    "slopes": (lambda _: scene(two_sided(bent())), PLATE),
    "roof": (lambda folder: scene(RED, plate=roof(folder)), CAMERA),
    "sphere": (lambda _: scene(RED, plate=seam_hidden("sphere")), PLATE),
    "cylinder": (lambda _: scene(RED, plate=seam_hidden("cylinder")), PLATE),
    "disk": (lambda _: scene(RED, plate=seam_hidden("disk")), PLATE),
    "instance": (lambda _: scene(RED, **instance()), PLATE),
}
CHEAP = ("checkerboard", "camera")


@pytest.mark.filterwarnings("ignore:pathspace.*boundary term")
@pytest.mark.parametrize("kind", [x if x in CHEAP else pytest.param(x, marks=pytest.mark.slow) for x in JUMPING])
def test_jumps_agree(kind, tmp_path, monkeypatch):
    make, name = JUMPING[kind]
    found = make(tmp_path)
    weights, expected = differences(found, name, spp=1024 if kind in CHEAP else 4096)
    ours = ours_for(found, name, weights, **MANY)
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=0.03, rounding=5e-3)
    monkeypatch.setattr(patterns.PatternsOnFilm, "draw", lambda *_: iter(()))
    without = ours_for(found, name, weights, **MANY)
    assert_differs(without - expected, 0.0, scale=scale, by=0.1)


@pytest.mark.slow
def test_jumps_behind_a_pane(monkeypatch):
    """A plate that moves behind glass: half of the derivative is what its texels do there."""
    pose = T().translate([0, -1.6, 1.0]).rotate([0, 0, 1], 20).rotate([1, 0, 0], 85).scale(0.9)
    pane = {"type": "rectangle", "to_world": pose, "bsdf": {"type": "thindielectric"}}
    found, name = scene(painted(stripes(0.1, 0.9)), pane=pane), "plate/pose"
    weights, expected = differences(found, name, spp=4096, depth=3)
    options = {"spp": 256, "max_depth": 3}
    scale = abs(expected.mean())
    assert_agrees(
        ours_for(found, name, weights, **options) - expected, 0.0, scale=scale, max_relative_se=0.025, rounding=5e-3
    )
    monkeypatch.setattr(patterns.PatternsInMirrors, "draw", lambda *_: iter(()))
    assert_differs(ours_for(found, name, weights, **options) - expected, 0.0, scale=scale, by=0.3)


@pytest.mark.slow
def test_jumps_in_indirect_light(monkeypatch):
    """A ball over a checkerboard that moves, which the camera does not see; the farther points slide (h), the more the term is."""
    view = T().look_at([0, -4, 1.0], [0, 0, 0.75], [0, 0, 1])
    camera = zoo.camera(sampler={"type": "ldsampler"}, to_world=view, fov=14.0)
    place = T().translate([0.1, 0.05, 0]).rotate([0, 0, 1], 17).scale(2.3)
    checker = CHECKER | {"color0": 0.0, "color1": 0.95, "to_uv": place}
    found = load_scene({
        "type": "scene", "camera": camera, "light": zoo.lamp(0.3, 0.5, -1),
        "ball": {"type": "sphere", "center": [0, 0, 0.8], "radius": 0.5, "bsdf": diffuse(0.8)},
        "floor": {"type": "rectangle", "to_world": T().scale(2.2), "bsdf": painted(checker)},
    })  # fmt: skip
    name, along = "floor/pose", shift(0.5, 0.3, 0)
    exact = Differences(found, name, along, 0.03, spp=4096, integrator={"type": "path", "max_depth": 3})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.1)
    scale, options = abs(expected.mean()), {"spp": 256, "max_depth": 3, "n_indirect": 200000}
    ours = {h: gradients(found, {name: along}, weights, blend_distance=h, **options)[name] for h in (0.05, 2.0)}
    for h in ours:
        assert_agrees(ours[h] - expected, 0.0, scale=scale, max_relative_se=0.05, rounding=5e-3)
    for term in (patterns.PatternsInMirrors, patterns.PatternsFromSurfaces):
        monkeypatch.setattr(term, "draw", lambda *_: iter(()))
    without = gradients(found, {name: along}, weights, blend_distance=2.0, **options)[name]
    assert_differs(without - ours[0.05], 0.0, scale=scale, by=0.1)


@pytest.mark.slow
def test_forward_is_reverse():
    """For the camera, in a mirror and in indirect light."""
    mirror = {"type": "sphere", "center": [1.3, 0.6, 0.75], "radius": 0.6, "bsdf": {"type": "conductor"}}
    assert_transposed(scene(painted(CHECKER), mirror=mirror), "plate/pose", ALONG, adjoint(), max_depth=3)


INTEGRATOR = {"type": "pathspace", "max_depth": 2}


def test_refused_by_name():
    """Where the lines are not known: pictures of lights, and volumes; the warp knows none. What is not seen to move may stay."""
    values = np.random.default_rng(1).uniform(size=(3, 3, 3, 3)).astype(np.float32)
    grid3 = {"type": "gridvolume", "filter_type": "nearest", "grid": mi.VolumeGrid(values)}
    volume = scene(RED, plate=PLANE | {"bsdf": painted({"type": "volume", "volume": grid3})})
    lamp = zoo.aimed(type="spot", intensity=zoo.rgb(9.0), texture=grid("nearest", 3))
    lit = scene(RED, light=lamp)
    for found, name, key, options in (
        (volume, "plate/pose", "plate", {}), (volume, "camera/fov", "plate", {}), (lit, "floor/pose", "light.texture", {}),
        (scene(painted(CHECKER)), "plate/pose", "plate", {"boundary": "warp"}),
    ):  # fmt: skip
        with pytest.raises(pbdr.errors.SceneError, match=rf"texture '{key}.*jumps inside faces"):
            gradient(found, name, adjoint(), spp=1, integrator=INTEGRATOR | options)
    allowed = {"spp": 1, "terms": ("direct",)}
    for found, name, options in (
        (volume, "floor/base_color", {}), (volume, "floor/pose", {}), (volume, "plate/pose", {"boundary": "none"}),
    ):  # fmt: skip
        gradient(found, name, adjoint(), integrator=INTEGRATOR | {"n_direct": 0} | options, **allowed)
    with pytest.warns(support.IncompleteGradientWarning, match="jumps inside faces"):
        gradient(volume, "floor/pose", adjoint(), integrator=INTEGRATOR | {"n_direct": 0, "max_depth": 3}, **allowed)


def test_lines_of_textures():
    """The value of a texture changes where its lattice says, and nowhere else."""
    place = T().translate([0.13, 0.2, 0]).rotate([0, 0, 1], 17).scale([1.5, 2.5, 1])
    uv = np.random.default_rng(1).uniform(-1, 2, (2, 4000))
    for texture in (CHECKER | {"to_uv": place}, stripes(0.1, 0.9, 1, 7) | {"to_uv": place}):
        made = mi.load_dict(texture)
        matrix = texels.lattice(made, False)
        cell = np.floor(matrix[:, :2] @ uv + matrix[:, 2:])
        si = dr.zeros(mi.SurfaceInteraction3f, uv.shape[1])
        si.uv = mi.Point2f(uv.astype(np.float32))
        value = np.round(np.array(made.eval_1(si)), 5)
        for u in np.unique(cell, axis=1).T:
            assert len(np.unique(value[(cell == u[:, None]).all(0)])) == 1
    assert texels.lattice(mi.load_dict({"type": "volume", "volume": {"type": "constvolume"}}), False) is None


def test_lattices_of_shapes():
    """Textures with the same lines have one lattice; those of a bump map lie between the centres of its texels."""
    plate = mi.load_dict(PLANE | {"bsdf": layers() | {"sheen": stripes(0.2, 0.4, 1, 5)}})
    found, without = texels.lattices(plate)
    assert sorted(float(m[0, 0]) for m in found) == [4, 5, 10] and without == []
    found, without = texels.lattices(mi.load_dict(PLANE | {"bsdf": bent()}))
    assert without == [] and np.allclose(found, [[[5, 0, -0.5], [0, 5, -0.5]]])


def test_which_textures_jump():
    stepped = [grid("nearest"), grid("nearest", 3), CHECKER]
    smooth = [grid("bilinear"), grid("bilinear", 3), zoo.rgb(0.5), {"type": "uniform", "value": 0.5}, zoo.normals(),
              {"type": "mesh_attribute", "name": "vertex_color"}, {"type": "mesh_attribute", "name": "face_color"}]  # fmt: skip
    assert [texels.is_stepped(mi.load_dict(t)) for t in stepped] == [True] * len(stepped)
    assert [texels.is_stepped(mi.load_dict(t)) for t in smooth] == [False] * len(smooth)
