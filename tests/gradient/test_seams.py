"""Surfaces that go on without a bend and look different on both sides of an edge: attributes of vertices and faces, texture
coordinates.

A strip of two quads slides across the view. What is seen of it jumps at the line in which they meet, so that the derivative of the
image is known: the jump, times the number of pixels that the line sweeps over.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table.builder import TableBuilder
from pbdr.geometry import topology
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from validation.agreement import assert_agrees, assert_differs
from validation.derivatives import derivatives
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes.small import diffuse, everywhere, film_camera, shift
from validation.scenes.zoo import rgb

T = mi.ScalarTransform4f
SIZE, HALF = 16, 0.5
HINGE = 0.5 / 16  # in the middle of a column of pixels
LEFT, RIGHT = np.array([0.9, 0.1, 0.2]), np.array([0.1, 0.2, 0.8])
LAMP = {"type": "directional", "direction": [0, 0, 1], "irradiance": rgb(float(np.pi))}
CORNERS = [[-2, -2, 1], [HINGE, -2, 1], [HINGE, 2, 1], [-2, 2, 1], [HINGE, -2, 1], [2, -2, 1], [2, 2, 1], [HINGE, 2, 1]]
FACES = [[0, 2, 1], [0, 3, 2], [4, 6, 5], [4, 7, 6]]  # they look at the camera in the origin
SHARED = [[0, 2, 1], [0, 3, 2], [1, 6, 5], [1, 2, 6]]  # the same, with the vertices of the hinge in common
STEP = np.zeros((4, 4, 3), np.float32)
STEP[:, :2], STEP[:, 2:] = LEFT, RIGHT
STEPPED = {"type": "bitmap", "bitmap": mi.Bitmap(STEP), "raw": True}


def strip(folder, *, faces=FACES, corners=CORNERS, texcoords=None, attributes=(), **rest):
    """The strip as a file, with attributes (name, values (N, size))."""
    made = mi.Mesh("strip", len(corners), len(faces), has_vertex_texcoords=texcoords is not None)
    params = mi.traverse(made)
    params["vertex_positions"], params["faces"] = mi.Float(np.ravel(corners)), mi.UInt32(np.ravel(faces))
    if texcoords is not None:
        params["vertex_texcoords"] = mi.Float(np.ravel(texcoords))
    params.update()
    for name, values in attributes:
        made.add_attribute(name, np.shape(values)[1], np.ravel(values).astype(np.float32))
    made.write_ply(str(folder / "strip.ply"))
    return {"type": "ply", "filename": str(folder / "strip.ply"), "face_normals": True, **rest}


def attribute(name):
    return {"type": "mesh_attribute", "name": name}


def halves(left, right):
    """Values of the eight corners, or of the four faces."""
    return lambda count: np.repeat([left, right], count // 2, axis=0)


def painted(colour):
    return {"bsdf": {"type": "diffuse", "reflectance": colour}}


def shining(radiance):
    return {"bsdf": diffuse(0.0), "emitter": {"type": "area", "radiance": radiance}}


COLOURS = halves(LEFT, RIGHT)
UV = halves([0.2, 0.3], [0.7, 0.3])
CASES = {
    "colours of vertices": dict(attributes=[("vertex_paint", COLOURS(8))], **painted(attribute("vertex_paint"))),
    "colours of faces": dict(faces=SHARED, attributes=[("face_paint", COLOURS(4))], **painted(attribute("face_paint"))),
    "light of vertices": dict(attributes=[("vertex_light", COLOURS(8))], **shining(attribute("vertex_light"))),
    "light of faces": dict(attributes=[("face_light", COLOURS(4))], **shining(attribute("face_light"))),
    "texture coordinates": dict(texcoords=UV(8), **painted(STEPPED)),
}


def column_of_hinge():
    """(X towards the left) the column of pixels in which the hinge is seen, and pixels per unit of length at distance 1."""
    density = SIZE / (2 * HALF)
    return int((HALF - HINGE) * density), density


def expected(weights, left=LEFT, right=RIGHT):
    """Derivative of Σ weights · image as the strip moves along x: the part of larger x is seen on the left."""
    column, density = column_of_hinge()
    return float((weights[:, column] * (np.asarray(left) - right)).sum() * density)


def scene_of(mesh, **more):
    camera = film_camera(HALF, SIZE, pixel_format="rgb")
    return load_scene({"type": "scene", "camera": camera, "lamp": LAMP, "strip": mesh, **more})


def slid(found, weights, **options):
    """Terms of the derivative for a slide along x."""
    tangent = everywhere(1, 0, 0, vertices=len(found.mi.shapes()[0].vertex_positions_buffer()) // 3)[None]
    return derivatives(found, {"strip/positions": tangent}, weights, replica_count=4, max_depth=2, **options)


@pytest.mark.parametrize("case", [pytest.param(k, marks=pytest.mark.slow if "light of f" in k else ()) for k in CASES])
def test_strip_slides(case, tmp_path):
    weights = adjoint(SIZE)
    found = slid(scene_of(strip(tmp_path, **CASES[case])), weights)
    assert_agrees(found.total, np.array([expected(weights)]), max_relative_se=0.01)
    assert_differs(found.without("primary"), np.array([expected(weights)]), by=0.5)


FLOOR = {
    "type": "rectangle",
    "to_world": T().translate([0, -0.45, 0.6]).rotate([1, 0, 0], -90).scale(0.5),
    "bsdf": diffuse(0.8),
}
CUT = {"type": "mask", "opacity": attribute("face_cut"), "nested": {"type": "twosided", "inner": diffuse(0.1)}}
SHEARED = [[x, y + 2 * max(x - HINGE, 0)] for x, y, _ in CORNERS]  # grows in another direction beyond the hinge
CLOSE = [[x if x == HINGE else 0.2 * x, 0.2 * y, z] for x, y, z in CORNERS]  # the diagonals are seen
BRUSHED = {"type": "roughconductor", "alpha_u": 0.15, "alpha_v": 0.4}
# Name → (mesh, what else there is, depth, samples per pixel of the differences and of ours, from which row of pixels on)
AGAINST_DIFFERENCES = {
    "tangents": ({"faces": SHARED, "texcoords": SHEARED, "bsdf": BRUSHED}, {}, 2, 4096, 16, 0),
    "barycentric": (dict(faces=SHARED, corners=CLOSE, **painted(STEPPED)), {}, 2, 4096, 64, 0),
    "indirect": (CASES["colours of faces"], {"floor": FLOOR}, 3, 4096, 256, 10),
    "opacity": (
        {"faces": SHARED, "attributes": [("face_cut", [[0.9], [0.9], [0.2], [0.2]])], "bsdf": CUT},
        {"back": {"type": "rectangle", "to_world": T().translate([0, 0, 3]).rotate([0, 1, 0], 180).scale(4), "bsdf": diffuse(0.7)},
         "lamp": {"type": "constant"}}, 3, 8192, 64, 0,
    ),
}  # fmt: skip
SLOW = ("barycentric", "indirect", "opacity")


@pytest.mark.parametrize(
    "case", [pytest.param(k, marks=pytest.mark.slow if k in SLOW else ()) for k in AGAINST_DIFFERENCES]
)
def test_finite_differences(case, tmp_path):
    mesh, more, depth, spp, ours, first = AGAINST_DIFFERENCES[case]
    if case == "tangents":
        more = {"lamp": {**LAMP, "direction": [0.3, 0.2, 1]}}
    found = scene_of(strip(tmp_path, **mesh), **more)
    tangent = everywhere(1, 0, 0, vertices=8)
    exact = Differences(
        found, "strip/positions", tangent, 0.02, spp=spp, integrator={"type": "path", "max_depth": depth}
    )
    weights = exact.signs()
    weights[:first] = 0
    estimate = gradients(found, {"strip/positions": tangent}, weights, spp=ours, max_depth=depth)["strip/positions"]
    check(estimate, exact.replicas(weights, gap=0.05), max_relative_se=0.03)


def test_forward_mode_and_a_camera_that_moves(tmp_path):
    found = scene_of(strip(tmp_path, **CASES["colours of vertices"]))
    assert_transposed_primary(found, "strip/positions", everywhere(1, 0, 0, vertices=8))
    assert_transposed_primary(found, "camera/pose", shift(1, 0, 0))
    weights = adjoint(SIZE)
    slide = derivatives(found, {"camera/pose": shift(1, 0, 0)[None]}, weights, replica_count=4, max_depth=2)
    assert_agrees(slide.total, np.array([-expected(weights)]), max_relative_se=0.01)


def assert_transposed_primary(found, name, tangent):
    """Of the primary term alone: the others are zero here."""
    weights, options = adjoint(SIZE), {"spp": 16, "seed": 5, "terms": ("primary",)}
    integrator = {"type": "pathspace", "max_depth": 2, "adjoint_sampling": False}
    image = derivative(found, {name: tangent}, integrator=integrator, **options)["primary"]
    reverse = gradient(found, name, weights, integrator=integrator, **options).primary[name].astype(np.float64)
    assert np.sum(image * weights) == pytest.approx(np.sum(reverse * tangent), rel=5e-4)


@pytest.mark.slow
def test_in_a_group(tmp_path):
    """An instance of the strip slides."""
    group = {"type": "shapegroup", "inner": strip(tmp_path, **CASES["colours of faces"])}
    camera = film_camera(HALF, SIZE, pixel_format="rgb")
    found = load_scene({"type": "scene", "camera": camera, "lamp": LAMP, "group": group,
                        "strip": {"type": "instance", "group": {"type": "ref", "id": "group"}}})  # fmt: skip
    weights = adjoint(SIZE)
    slide = derivatives(found, {"strip/pose": shift(1, 0, 0)[None]}, weights, replica_count=4, max_depth=2)
    assert_agrees(slide.total, np.array([expected(weights)]), max_relative_se=0.01)


def test_which_edges_count(tmp_path):
    """What is alike on both sides is no seam: edges that cannot jump get no samples."""

    def seams_of(**mesh):
        built = TableBuilder().build(scene_of(strip(tmp_path, **mesh)).mi, frozenset([0]))
        inner = np.array(built.face[1]) != topology.NO_FACE
        return int(np.array(built.jump)[inner].sum())

    assert [seams_of(**CASES[case]) for case in CASES] == [1] * len(CASES)
    assert seams_of(bsdf=diffuse(0.5)) == seams_of(faces=SHARED, **painted(attribute("vertex_paint"))) == 0
    assert seams_of(attributes=[("vertex_paint", halves(LEFT, LEFT * (1 + 1e-7))(8))], bsdf=diffuse(0.5)) == 0
    affine = [[2 * x + y, y] for x, y, _ in CORNERS]
    assert seams_of(texcoords=affine, bsdf=BRUSHED) == seams_of(texcoords=SHEARED, bsdf=diffuse(0.5)) == 0
    assert seams_of(texcoords=SHEARED, bsdf=BRUSHED) == 1
    assert seams_of(**painted(STEPPED)) == 3  # texture coordinates of each face
