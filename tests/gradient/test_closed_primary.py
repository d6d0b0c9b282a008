"""Edges seen by the camera: closed forms 1 to 5 and 13 of docs/theory.md, section 10.

Everything that is seen has constant radiance, so that without the primary term every derivative would be zero: the negative
control of each test is the sum of the other terms. Standard errors are bounded by 0.5 % of the expected value: with 16
replicas, an error of 4.2 % fails with a probability of 99 %, and far smaller ones where the estimator is nearly free of noise.
"""

import numpy as np
import pytest

from validation.agreement import ROUNDING, assert_agrees, assert_differs
from validation.closed_forms import clipped_area, derivative_of
from validation.derivatives import derivatives  # fmt: skip
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

HALF, SIZE = 0.5, 16
DIRECT_VIEW = {"max_depth": 1, "n_primary": 8192}
L = 2.0


def check(terms, expected, rounding=ROUNDING):
    assert_agrees(terms.total, expected, max_relative_se=0.005, rounding=rounding)
    assert_differs(terms.without("primary"), expected, by=0.2)


@pytest.mark.parametrize("kind", ["rectangle", "mesh", "occluder"])
def test_form_1_half_plane_over_a_pixel(tmp_path, kind):
    """I = L x/h: a straight emitter border, and that of a black occluder before an emitter, crosses one pixel."""
    depth, edge = 4.0, 0.1
    row, column = SIZE // 2, SIZE // 2 - 1
    low, high, _, _ = pixel_bounds(HALF, SIZE, row, column)
    assert low * depth < edge < high * depth
    frame = pose((edge + 3, 0, depth), x=(-3, 0, 0), y=(0, 4, 0), z=(0, 0, -1))
    adjoint = np.zeros((SIZE, SIZE, 3))
    adjoint[row, column] = 1 / 3
    light = area_light(L)
    if kind == "occluder":
        wall = shape("rectangle", pose((0, 0, 9), x=(-9, 0, 0), y=(0, 9, 0), z=(0, 0, -1)), emitter=light)
        scene = scene_of(camera=film_camera(HALF, SIZE), wall=wall, moving=shape("rectangle", frame, bsdf=diffuse(0)))
    elif kind == "mesh":
        scene = scene_of(camera=film_camera(HALF, SIZE), moving=quad(tmp_path, "moving", frame, emitter=light))
    else:
        scene = scene_of(camera=film_camera(HALF, SIZE), moving=shape("rectangle", frame, emitter=light))
    tangent = (
        ("moving/positions", everywhere(1, 0, 0, vertices=4)) if kind == "mesh" else ("moving/pose", shift(1, 0, 0))
    )
    terms = derivatives(scene, {tangent[0]: [tangent[1]]}, adjoint, **DIRECT_VIEW)
    h = (high - low) * depth
    check(terms, [L / h if kind == "occluder" else -L / h])


def test_form_1_for_a_half_opaque_border():
    """A cut-out of opacity α before nothing: L = α ρ E / π. (Mitsuba's `path` drops light where nothing lies behind a cut-out.)"""
    depth, edge, opacity, albedo, irradiance = 4.0, 0.1, 0.4, 0.5, 3.0
    row, column = SIZE // 2, SIZE // 2 - 1
    low, high, _, _ = pixel_bounds(HALF, SIZE, row, column)
    frame = pose((edge + 3, 0, depth), x=(-3, 0, 0), y=(0, 4, 0), z=(0, 0, -1))
    adjoint = np.zeros((SIZE, SIZE, 3))
    adjoint[row, column] = 1 / 3
    light = {"type": "directional", "direction": [0, 0, 1], "irradiance": {"type": "rgb", "value": irradiance}}
    half = {"type": "mask", "opacity": opacity, "nested": diffuse(albedo)}
    scene = scene_of(camera=film_camera(HALF, SIZE), light=light, moving=shape("rectangle", frame, bsdf=half))
    terms = derivatives(scene, {"moving/pose": [shift(1, 0, 0)]}, adjoint, max_depth=2, n_primary=8192)
    check(terms, [-opacity * albedo * irradiance / np.pi / ((high - low) * depth)])


def test_form_2_convex_polygon_clipped_by_pixels(tmp_path):
    """Every vertex of a slanted quadrilateral in every direction, weighted with random numbers per pixel."""
    size = 8
    vertices = np.array([[1.5, -1.0, 4.0], [0.9, 1.3, 4.6], [-1.4, 0.8, 5.5], [-0.6, -1.4, 4.7]])
    normal = np.cross(vertices[1] - vertices[0], vertices[2] - vertices[0])
    vertices[3, 2] -= normal @ (vertices[3] - vertices[0]) / normal[2]  # planar
    order = [0, 1, 2, 3] if normal[2] < 0 else [0, 3, 2, 1]
    vertices = vertices[order]
    light = mesh(tmp_path, "light", vertices, QUAD, emitter=area_light(L))
    weights = np.random.default_rng(2).uniform(0.5, 1.5, (size, size))
    adjoint = np.repeat(weights[:, :, None], 3, 2) / 3

    def image(*flat):
        points = np.reshape(flat, (4, 3))
        film = points[:, :2] / points[:, 2:]
        area = (2 * HALF / size) ** 2
        cells = [(i, j) for i in range(size) for j in range(size)]
        return sum(weights[i, j] * L * clipped_area(film, pixel_bounds(HALF, size, i, j)) / area for i, j in cells)

    film = vertices[:, :2] / vertices[:, 2:]
    orientation = np.sign(clipped_area(film + 0j, (-9, 9, -9, 9)).real)
    expected = orientation * derivative_of(image, *vertices.ravel()).reshape(4, 3)
    scene = scene_of(camera=film_camera(HALF, size), light=light)
    check(derivatives(scene, {"light/positions": None}, adjoint, spp=64, max_depth=1, n_primary=65536), expected)


def test_form_3_sphere_on_the_film():
    """A = π r² / (D² − r²): radius and distance."""
    radius, distance = 1.0, 3.0
    scene = scene_of(
        camera=film_camera(HALF, SIZE),
        ball=shape("sphere", pose((0, 0, distance)) * [radius, radius, radius, 1], emitter=area_light(L)),
    )
    tangents = [pose((0, 0, 0))[:3], shift(0, 0, 1)]
    expected = derivative_of(lambda r, d: L * np.pi * r**2 / (d**2 - r**2), radius, distance)
    check(derivatives(scene, {"ball/pose": tangents}, film_integral(HALF, SIZE), **DIRECT_VIEW), expected)


def test_form_3_for_a_cylinder():
    """Half width r / √(D² − r²) on the film: radius and distance of a long cylinder across the view."""
    radius, distance = 1.0, 4.0
    frame = pose((0, -4, distance), x=(radius, 0, 0), y=(0, 0, -radius), z=(0, 8, 0))
    scene = scene_of(camera=film_camera(HALF, SIZE), rod=shape("cylinder", frame, emitter=area_light(L)))
    thicker = frame[:3] * [1, 1, 0, 0] / radius
    expected = derivative_of(lambda r, d: L * 2 * HALF * 2 * r / np.sqrt(d**2 - r**2), radius, distance)
    terms = derivatives(scene, {"rod/pose": [thicker, shift(0, 0, 1)]}, film_integral(HALF, SIZE), **DIRECT_VIEW)
    check(terms, expected)


def test_form_4_solid_angle_of_a_sphere():
    """Ω = 2π (1 − √(1 − r²/D²)), integrated on a film with dΩ = cos³θ dA, constant in each pixel (error below 0.05 %)."""
    radius, distance, size = 1.2, 3.0, 192
    scene = scene_of(
        camera=film_camera(HALF, size),
        ball=shape("sphere", pose((0, 0, distance)) * [radius, radius, radius, 1], emitter=area_light(L)),
    )
    centre = (np.arange(size) + 0.5) / size * 2 * HALF - HALF
    cosine = 1 / np.sqrt(1 + centre[:, None] ** 2 + centre[None] ** 2)
    adjoint = film_integral(HALF, size) * cosine[:, :, None] ** 3
    expected = derivative_of(lambda r, d: L * 2 * np.pi * (1 - np.sqrt(1 - r**2 / d**2)), radius, distance)
    terms = derivatives(scene, {"ball/pose": [pose()[:3], shift(0, 0, 1)]}, adjoint, spp=1, **DIRECT_VIEW)
    check(terms, expected, rounding=5e-4)


def test_form_5_disc_over_disc():
    """A black disc before a bright one: both move apart, both change their radius."""
    R, r, d, near, far = 1.0, 0.7, 0.8, 2.0, 4.0  # film radii 0.25 and 0.35, centres 0.2 apart on the film
    light = pose((0, 0, far), x=(-R, 0, 0), y=(0, R, 0), z=(0, 0, -1))
    occluder = pose((d * near / far, 0, near), x=(-r, 0, 0), y=(0, r, 0), z=(0, 0, -1))
    scene = scene_of(
        camera=film_camera(HALF, SIZE),
        light=shape("disk", light, emitter=area_light(L)),
        occluder=shape("disk", occluder, bsdf=diffuse(0)),
    )

    def visible(R, r, d):
        lens = (
            r * r * np.arccos((d * d + r * r - R * R) / (2 * d * r))
            + R * R * np.arccos((d * d + R * R - r * r) / (2 * d * R))
            - 0.5 * np.sqrt((-d + r + R) * (d + r - R) * (d - r + R) * (d + r + R))
        )
        return L * (np.pi * R * R - lens)

    on_film = derivative_of(visible, R / far, r / near, d / far)
    a = (d**2 / far**2 - r**2 / near**2 + R**2 / far**2) / (2 * d / far)
    assert on_film[2] == pytest.approx(2 * L * np.sqrt(R**2 / far**2 - a**2))
    still = np.zeros((3, 4))
    tangents = {
        "light/pose": [light[:3] * [1, 1, 0, 0] / R, still, still, shift(-1, 0, 0)],
        "occluder/pose": [still, occluder[:3] * [1, 1, 0, 0] / r, shift(1, 0, 0), still],
    }
    expected = [on_film[0] / far, on_film[1] / near, on_film[2] / near, on_film[2] / far]
    check(derivatives(scene, tangents, film_integral(HALF, SIZE), **DIRECT_VIEW), expected)


ROOF = np.array([[-3, -3, 5], [0.2, -3, 4], [3, -3, 4.5], [3, 3, 4.5], [0.2, 3, 4], [-3, 3, 5]], dtype=np.float64)
ROOF_FACES = np.array([[0, 5, 4], [0, 4, 1], [1, 4, 3], [1, 3, 2]])


@pytest.mark.parametrize("kind", ["welded", "split", "seamed"])
def test_form_13_crease_roof(tmp_path, kind):
    """Both faces of a lit roof are visible. It moves as a whole, and its ridge alone (normals change: interior, too)."""
    albedo, irradiance = 0.8, 3.0
    towards_light = np.array([0.5, 0.1, -1.0]) / np.linalg.norm([0.5, 0.1, -1.0])
    vertices, faces, texcoords = ROOF, ROOF_FACES, None
    if kind == "split":
        vertices, faces = ROOF[ROOF_FACES.ravel()], np.arange(12).reshape(4, 3)
    elif kind == "seamed":
        vertices, faces = np.concatenate([ROOF, ROOF[[1, 4]]]), ROOF_FACES.copy()
        faces[2:][faces[2:] == 1], faces[2:][faces[2:] == 4] = 6, 7
        texcoords = vertices[:, :2] * 0.1
        texcoords[6:] += 0.5
    scene = scene_of(
        camera=film_camera(HALF, SIZE),
        roof=mesh(tmp_path, "roof", vertices, faces, texcoords, bsdf=diffuse(albedo)),
        sun={
            "type": "directional", "direction": list(-towards_light), "irradiance": {"type": "rgb", "value": irradiance},
        },
    )  # fmt: skip

    def radiance(side, ridge_x):
        """Of the face on one side (−1, 1) of the ridge; it faces the camera at negative z."""
        foot_x, foot_z = (-3, 5) if side < 0 else (3, 4.5)
        run, rise = foot_x - ridge_x, foot_z - 4
        nx, nz = rise * side, -run * side
        return albedo / np.pi * irradiance * (nx * towards_light[0] + nz * towards_light[2]) / np.sqrt(nx**2 + nz**2)

    def ridge_moves(ridge_x):
        film_x = ridge_x / 4
        return 2 * HALF * (radiance(-1, ridge_x) * (film_x + HALF) + radiance(1, ridge_x) * (HALF - film_x))

    left, right = radiance(-1, 0.2), radiance(1, 0.2)
    assert left > 0 and right > 0 and abs(left - right) > 0.1
    expected = [-(right - left) / 4 * 2 * HALF, *derivative_of(ridge_moves, 0.2)]
    ridge = np.zeros_like(vertices)
    ridge[vertices[:, 0] == 0.2, 0] = 1
    tangents = {"roof/positions": [everywhere(1, 0, 0, vertices=len(vertices)), ridge]}
    terms = derivatives(scene, tangents, film_integral(HALF, SIZE), max_depth=2, n_primary=8192)
    check(terms, expected)
    assert_differs(terms.without("interior"), expected, by=0.1)
