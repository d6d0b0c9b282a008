"""boundary = 'warp': rays that follow the edges near them, against closed forms, and against edge sampling as a second estimator.

Standard errors are bounded by 1.5 % of the expected value (polygons over pixels: 3 %; with a wide filter and weights per pixel:
6 %); with 16 replicas, an error of 12.6 % (25 %, 50 %) fails with a probability of 99 %.
The negative controls leave out the divergence of the motion (equation 9b), without which the warp only moves what is seen.
"""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from pbdr.transport import convention
from validation import finite_differences as fd
from validation.agreement import ROUNDING, assert_agrees, assert_differs
from validation.closed_forms import clipped_area, derivative_of
from validation.derivatives import derivatives
from validation.scenes import half_planes as closed
from validation.scenes import indirect, zoo
from validation.scenes.small import (
    QUAD,
    area_light,
    diffuse,
    everywhere,
    film_camera,
    film_integral,
    mesh,
    pixel_bounds,
    pose,
    quad,
    scene_of,
    shape,
    shift,
)

HALF, L = 0.5, 2.0
NOISE = 0.015
WARP = {"boundary": "warp", "terms": ("interior",)}
REACH = 1000.0  # κ of these tests: 1.8 degrees


def warped(scene, tangents, adjoint, **options):
    """Replicas of the total, all of which is interior."""
    options = {"max_depth": 1, "spp": 256, "warp_concentration": REACH, **WARP, **options}
    return derivatives(scene, tangents, adjoint, **options).total


@pytest.fixture
def no_divergence(monkeypatch):
    """A function that switches the divergence of the motion off: rays move, their density does not."""
    original = convention.warped

    def moved_only(omega, direction, jacobian, shift):
        return original(omega, direction, jacobian, shift)[0], mi.Float(1)

    return lambda: monkeypatch.setattr(convention, "warped", moved_only)


def check(scene, tangents, adjoint, expected, no_divergence, noise=NOISE, bias=ROUNDING, **options):
    """`bias`: what few auxiliary rays leave, of the largest entry."""
    assert_agrees(warped(scene, tangents, adjoint, **options), expected, max_relative_se=noise, rounding=bias)
    no_divergence()
    assert_differs(warped(scene, tangents, adjoint, replica_count=4, **options), expected, by=0.2)


# ---------------------------------------------------------------------- camera segments


def test_polygon_over_pixels(tmp_path, no_divergence):
    """Form 2: every vertex of a slanted quadrilateral in every direction; weights per pixel, so that its borders matter."""
    size = 4
    vertices = np.array([[1.5, -1.0, 4.0], [0.9, 1.3, 4.6], [-1.4, 0.8, 5.5], [-0.6, -1.4, 4.7]])
    normal = np.cross(vertices[1] - vertices[0], vertices[2] - vertices[0])
    vertices[3, 2] -= normal @ (vertices[3] - vertices[0]) / normal[2]
    vertices = vertices[[0, 1, 2, 3] if normal[2] < 0 else [0, 3, 2, 1]]
    weights = np.random.default_rng(2).uniform(0, 2, (size, size))
    area = (2 * HALF / size) ** 2

    def image(*flat):
        film = np.reshape(flat, (4, 3))
        film = film[:, :2] / film[:, 2:]
        cells = [(i, j) for i in range(size) for j in range(size)]
        return sum(weights[i, j] * L * clipped_area(film, pixel_bounds(HALF, size, i, j)) / area for i, j in cells)

    orientation = np.sign(clipped_area(vertices[:, :2] / vertices[:, 2:] + 0j, (-9, 9, -9, 9)).real)
    expected = orientation * derivative_of(image, *vertices.ravel()).reshape(4, 3)
    scene = scene_of(
        camera=film_camera(HALF, size), light=mesh(tmp_path, "light", vertices, QUAD, emitter=area_light(L))
    )
    adjoint = np.repeat(weights[:, :, None], 3, 2) / 3
    check(scene, {"light/positions": None}, adjoint, expected, no_divergence, noise=0.03, bias=0.01, spp=8192)


def test_sphere_on_the_film(no_divergence):
    """Form 3: the radius and the distance of a sphere, whose silhouette is no edge of a mesh."""
    radius, distance, size = 1.0, 3.0, 8
    ball = shape("sphere", pose((0, 0, distance)) * [radius, radius, radius, 1], emitter=area_light(L))
    scene = scene_of(camera=film_camera(HALF, size), ball=ball)
    expected = derivative_of(lambda r, d: L * np.pi * r**2 / (d**2 - r**2), radius, distance)
    tangents = {"ball/pose": [pose((0, 0, 0))[:3], shift(0, 0, 1)]}
    check(scene, tangents, film_integral(HALF, size), expected, no_divergence, spp=1024)


def test_cylinder_on_the_film(no_divergence):
    """Form 3: the radius and the distance of a long cylinder across the view; four edges that one face has."""
    radius, distance, size = 1.0, 4.0, 8
    frame = pose((0, -4, distance), x=(radius, 0, 0), y=(0, 0, -radius), z=(0, 8, 0))
    scene = scene_of(camera=film_camera(HALF, size), rod=shape("cylinder", frame, emitter=area_light(L)))
    thicker = frame[:3] * [1, 1, 0, 0] / radius
    expected = derivative_of(lambda r, d: L * 2 * HALF * 2 * r / np.sqrt(d**2 - r**2), radius, distance)
    tangents = {"rod/pose": [thicker, shift(0, 0, 1)]}
    check(scene, tangents, film_integral(HALF, size), expected, no_divergence, spp=800)


@pytest.mark.slow
def test_a_moving_camera(no_divergence):
    """Form 3 for a camera that comes nearer or zooms: every edge moves on the film although it rests. Slow, because every number of
    a pose has a kernel of its own."""
    radius, distance, size = 1.0, 3.0, 8
    ball = shape("sphere", pose((0, 0, distance)) * [radius, radius, radius, 1], emitter=area_light(L))
    scene = scene_of(camera=film_camera(HALF, size), ball=ball)
    on_film = lambda d, half: L * np.pi * radius**2 / (d**2 - radius**2) * (HALF / half) ** 2  # noqa: E731
    nearer, wider = derivative_of(on_film, distance, HALF)
    degree = (1 + HALF**2) * np.pi / 360  # of tan(fov / 2)
    still = np.zeros((3, 4))
    tangents = {"camera/pose": [shift(0, 0, -1), still], "camera/fov": [np.zeros(1), np.ones(1)]}
    check(scene, tangents, film_integral(HALF, size), [nearer, wider * degree], no_divergence, spp=512)


def test_unbiased(tmp_path):
    """A strip three times narrower than the reach: eight rays often miss it; the sum over numbers of rays does not."""
    width, length, distance, half = 0.03, 1.0, 3.0, 0.04
    vertices = np.array([[x * width / 2, y * length / 2, distance] for x, y in ((-1, -1), (-1, 1), (1, 1), (1, -1))])
    strip = mesh(tmp_path, "strip", vertices, QUAD, emitter=area_light(L))
    scene = scene_of(camera=film_camera(half, 1), strip=strip)
    wider = np.array([[x / 2, 0, 0] for x in (-1, -1, 1, 1)])
    expected = [L * 2 * half / distance]
    tangents, adjoint = {"strip/positions": [wider]}, film_integral(half, 1)
    edge = derivatives(scene, tangents, adjoint, max_depth=1, spp=16, n_primary=2**12)
    assert_agrees(edge.total, expected, max_relative_se=0.01)
    assert_differs(warped(scene, tangents, adjoint, spp=2**14), expected, by=0.15)
    assert_agrees(warped(scene, tangents, adjoint, spp=2**15, warp_unbiased=True), expected, max_relative_se=0.03)


def test_filters_against_edge_sampling():
    """A textured block before a sky, a filter wider than a pixel, samples beyond the film, weights per pixel."""
    film = zoo.film(width=8, height=8, rfilter={"type": "gaussian"}, sample_border=True)
    block = {
        "type": "cube",
        "to_world": zoo.T().translate([0, 0, 0.6]).rotate([0, 0, 1], 30).scale(0.5),
        "face_normals": True,
    }
    glow = {"type": "area", "radiance": zoo.texels(1, 5)}
    scene = load_scene(
        {"type": "scene", "camera": zoo.camera(film=film), "sky": zoo.sky(), "block": {**block, "emitter": glow}}
    )
    adjoint = np.repeat(np.random.default_rng(7).uniform(-1, 1, (8, 8, 1)), 3, 2) / 64
    tangents = {"block/positions": [everywhere(0.5, 0.3, 0.4, vertices=24)]}
    edge = derivatives(scene, tangents, adjoint, terms=("interior", "primary"), max_depth=1, spp=256, n_primary=2**15)
    expected = edge.total.mean(0)
    scale = float(np.abs(edge.only("primary").mean(0)).max())
    # The top of the block is seen at a grazing angle: a reach of 0.3 degrees is smaller than it looks.
    ours = warped(scene, tangents, adjoint, spp=4096, warp_concentration=4e4)
    assert_agrees(ours - edge.total, [0.0], scale=scale, max_relative_se=0.06)
    assert_differs(edge.without("primary"), expected, scale=scale, by=0.5)


# ---------------------------------------------------------------------- segments that leave surfaces

DIRECT = {"max_depth": 2, "spp": 1024}


def test_half_plane_across_a_disc_light(tmp_path, no_divergence):
    """Form 7: a shadow edge."""
    scene = closed.scene_with(quad(tmp_path, "occluder", closed.half_plane(), bsdf=diffuse(0)))
    tangents = {"occluder/positions": [everywhere(1, 0, 0, vertices=4)]}
    image = lambda edge: closed.film_mean(lambda x, y: closed.disc_beyond(closed.shadow_edge(x, 0.0, edge), x, y))  # noqa: E731
    check(scene, tangents, closed.PROBE.adjoint(), derivative_of(image, closed.EDGE), no_divergence, **DIRECT)


def test_round_occluder(no_divergence):
    """Form 7 for a sphere: its size."""
    radius, height = 0.15, 1.1
    frame = pose((0, 0, height), x=(radius, 0, 0), y=(0, radius, 0), z=(0, 0, radius))
    scene = closed.scene_with(shape("sphere", frame, bsdf=diffuse(0)))
    hidden = lambda r: closed.film_mean(  # noqa: E731
        lambda x, y: np.pi * closed.L * r**2 * height / (x * x + y * y + height**2) ** 1.5
    )
    tangents = {"occluder/pose": [frame[:3] * [1, 1, 1, 0] / radius]}
    check(scene, tangents, closed.PROBE.adjoint(), -derivative_of(hidden, radius), no_divergence, **DIRECT)


def test_moving_receiver_under_a_static_half_plane(tmp_path, no_divergence):
    """Form 12: points slide along oblique camera rays, and a still edge sweeps over them."""
    black = shape("rectangle", closed.half_plane(), bsdf=diffuse(0))
    scene = closed.scene_with(black, quad(tmp_path, "floor", pose(), bsdf=diffuse(closed.ALBEDO)))
    image = lambda z: closed.film_mean(lambda x, y: closed.disc_beyond(closed.shadow_edge(x, z), x, y, z), z)  # noqa: E731
    tangents = {"floor/positions": [everywhere(0, 0, 1, vertices=4)]}
    check(scene, tangents, closed.PROBE.adjoint(), derivative_of(image, 0.0), no_divergence, **DIRECT)


@pytest.mark.slow
def test_shadow_of_a_cylinder(no_divergence):
    """Form 7: two shadow edges, at the angles φ ± asin(r/ρ), when the rod moves across the light."""
    radius, centre, height = 0.12, 0.1, 1.0
    frame = pose((centre, -1.5, height), x=(radius, 0, 0), y=(0, 0, -radius), z=(0, 3, 0))
    scene = closed.scene_with(shape("cylinder", frame, bsdf=diffuse(0)))

    def image(r):
        def hidden(x, y):
            middle, half = np.arctan((centre - x) / height), np.arcsin(r / np.sqrt((centre - x) ** 2 + height**2))
            left, right = (closed.disc_beyond(x + closed.Z * np.tan(middle + s * half), x, y) for s in (-1, 1))
            return left - right

        return -closed.film_mean(hidden)

    tangents = {"occluder/pose": [frame[:3] * [1, 1, 0, 0] / radius]}
    check(scene, tangents, closed.PROBE.adjoint(), derivative_of(image, radius), no_divergence, **DIRECT)


@pytest.mark.slow
def test_indirect_light_against_edge_sampling(no_divergence):
    """A gate between a lit wall and the floor that the camera sees: depth 3."""
    scene, tangents = indirect.case("panel-low")
    ((name, tangent),) = tangents.items()
    expected = indirect.estimate(scene, tangents)
    scale = abs(expected.mean())
    options = {"max_depth": 3, "spp": 4096, "warp_concentration": 200.0, "replica_count": len(expected)}
    ours = warped(scene, {name: [tangent]}, fd.adjoint(), **options)[:, 0]
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=0.1)
    no_divergence()
    ours = warped(scene, {name: [tangent]}, fd.adjoint(), **options)[:, 0]
    assert_differs(ours - expected, 0.0, scale=scale, by=0.5)


# ---------------------------------------------------------------------- both modes, and what is refused


@pytest.mark.parametrize(
    ("name", "unbiased"),
    [("ball/pose", False), ("ball/pose", True), pytest.param("camera/pose", False, marks=pytest.mark.slow)],
)
def test_forward_and_reverse_agree(name, unbiased):
    """⟨a, J t⟩ = ⟨Jᵀ a, t⟩ on the same samples, with a filter that moves film positions; other samples do not."""
    film = zoo.film(width=8, height=8, rfilter={"type": "gaussian"})
    scene = load_scene({
        "type": "scene", "camera": zoo.camera(film=film), "light": zoo.above(size=0.5, emitter=area_light(9.0)),
        "ball": {"type": "sphere", "center": [0, 0, 0.8], "radius": 0.4, "bsdf": diffuse(0.5)},
        "floor": {"type": "rectangle", "to_world": zoo.T().scale(2), "bsdf": diffuse(0.6)},
    })  # fmt: skip
    adjoint = np.random.default_rng(4).normal(size=(8, 8, 3)).astype(np.float32)
    integrator = {"type": "pathspace", "max_depth": 3, "boundary": "warp", "warp_unbiased": unbiased}
    options = {"spp": 64, "terms": ("interior",), "integrator": {**integrator, "adjoint_sampling": False}}
    reverse = gradient(scene, name, adjoint, seed=3, **options).total[name].astype(np.float64)
    tangent = np.random.default_rng(5).normal(size=reverse.shape)
    both = [float(np.sum(derivative(scene, {name: tangent}, seed=s, **options)["interior"] * adjoint)) for s in (3, 8)]
    size = float(np.sum(np.abs(reverse * tangent)))
    assert size > 0
    assert both[0] == pytest.approx(np.sum(reverse * tangent), abs=2e-4 * size)
    assert abs(both[1] - both[0]) > 2e-3 * size


REFUSED = {
    "thinlens": ({"sensor": {**zoo.camera("thinlens"), "aperture_radius": 0.1, "focus_distance": 4.0}}, "ThinLens"),
    "point light": ({"light": zoo.EMITTERS["point"]()}, "light 'light' has no size"),
    "mirror": ({"bsdf": {"type": "conductor"}}, "'ball' is a mirror"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    changes, words = REFUSED[case]
    scene = load_scene(zoo.scene(**changes))
    with pytest.raises(pbdr.errors.SceneError, match=words):
        gradient(
            scene,
            "ball/pose",
            np.zeros((zoo.SIZE, zoo.SIZE, 3)),
            spp=1,
            integrator={"type": "pathspace", "boundary": "warp"},
        )


def test_an_index_of_glass_is_refused():
    """Nothing moves but what is seen through the glass: its edges do, on the film."""
    scene = load_scene(zoo.scene(bsdf={"type": "smoothdielectric"}))
    adjoint = np.zeros((zoo.SIZE, zoo.SIZE, 3))
    with pytest.raises(pbdr.errors.SceneError, match="'ball' is a mirror, glass"):
        gradient(scene, "ball/eta", adjoint, spp=1, integrator={"type": "pathspace", "boundary": "warp"})


def test_one_choice_for_all_shapes():
    """docs/decisions/0005-warp-per-shape.md."""
    with pytest.raises(pbdr.errors.OptionError, match="all shapes of a scene"):
        load_scene({**zoo.scene(), "integrator": {"type": "pathspace", "boundary": "warp", "warp_shapes": "ball"}})


@pytest.mark.parametrize("option", [{"warp_rays": 3}, {"warp_exponent": 1.0}, {"warp_concentration": -1.0}])
def test_bad_options(option):
    with pytest.raises(pbdr.errors.OptionError, match=next(iter(option))):
        load_scene({**zoo.scene(), "integrator": {"type": "pathspace", "boundary": "warp", **option}})


def test_nothing_moves():
    """Materials alone: no auxiliary rays, the same gradient as without a boundary."""
    scene = load_scene(zoo.scene())
    adjoint = np.ones((zoo.SIZE, zoo.SIZE, 3), np.float32)
    found = [
        gradient(
            scene, "ball/base_color", adjoint, spp=4, seed=1, integrator={"type": "pathspace", "boundary": b}
        ).total
        for b in ("warp", "none")
    ]
    dr.sync_thread()
    assert np.array_equal(found[0]["ball/base_color"], found[1]["ball/base_color"]) or np.allclose(
        found[0]["ball/base_color"], found[1]["ball/base_color"], rtol=1e-5
    )
