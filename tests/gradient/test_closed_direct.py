"""Shadow edges: closed forms 7, 8 and 12 of docs/theory.md, section 10, and their relatives for round occluders.

A camera sees a patch of a diffuse receiver; its radiance is albedo/π · E. The closed forms hold at every point of the patch and are
integrated over the film by Gauss–Legendre quadrature. Standard errors are bounded by 0.5 % of the expected value: with 16
replicas, an error of 4.2 % fails with a probability of 99 %. The negative control is the sum of all terms but the direct one.
"""

from dataclasses import replace

import drjit as dr
import numpy as np
import pytest

from pbdr.boundary.connect import straight
from pbdr.transport import points
from validation.agreement import assert_agrees, assert_differs
from validation.closed_forms import derivative_of, lambert
from validation.derivatives import derivatives
from validation.scenes.half_planes import (
    ALBEDO,
    EDGE,
    HEIGHT,
    PROBE,
    A,
    L,
    Z,
    disc_beyond,
    film_mean,
    floor,
    half_plane,
    scene_with,
    shadow_edge,
)
from validation.scenes.small import Probe, area_light, diffuse, everywhere, mesh, pose, quad, scene_of, shape, shift

OPTIONS = {"max_depth": 2, "n_direct": 2**18, "spp": 64}


def check(terms, expected):
    assert_agrees(terms.total, expected, max_relative_se=0.005)
    assert_differs(terms.without("direct"), expected, by=0.2)


def test_the_closed_form_itself():
    """Its derivative at the origin is the formula of the document."""
    c = 0.3
    Y, k = np.sqrt(A * A - c * c), np.sqrt(c * c + Z * Z)
    slope = L * Z**2 * (Y / (k**2 * (k**2 + Y**2)) + np.arctan(Y / k) / k**3)
    found = derivative_of(lambda c: disc_beyond(c, 0.0, 0.0)[0], c)[0]
    assert found == pytest.approx(-slope, rel=1e-9)
    assert disc_beyond(-A, 0.0, 0.0)[0] == pytest.approx(np.pi * L * A**2 / (A**2 + Z**2), rel=1e-9)


@pytest.mark.parametrize("kind", ["rectangle", "mesh"])
def test_form_7_half_plane_across_a_disc_light(tmp_path, kind):
    """The occluder moves along x, where its edge lies across the light, and along z."""
    if kind == "mesh":
        scene = scene_with(quad(tmp_path, "occluder", half_plane(), bsdf=diffuse(0)))
        tangents = {"occluder/positions": [everywhere(*d, vertices=4) for d in ((1, 0, 0), (0, 0, 1))]}
    else:
        scene = scene_with(shape("rectangle", half_plane(), bsdf=diffuse(0)))
        tangents = {"occluder/pose": [shift(1, 0, 0), shift(0, 0, 1)]}

    def image(edge, height):
        return film_mean(lambda x, y: disc_beyond(shadow_edge(x, 0.0, edge, height), x, y))

    check(derivatives(scene, tangents, PROBE.adjoint(), **OPTIONS), derivative_of(image, EDGE, HEIGHT))


@pytest.mark.parametrize("kind", ["sphere", "disk"])
def test_form_7_for_round_occluders(kind):
    """A sphere or a disc hides a part of the light that has a closed form of its own: size and height."""
    radius, height = 0.15, 1.1
    frame = pose((0, 0, height), x=(radius, 0, 0), y=(0, radius, 0), z=(0, 0, radius))
    scene = scene_with(shape(kind, frame, bsdf=diffuse(0)))

    def hidden(r, h):
        def irradiance(x, y):
            away2 = x * x + y * y
            if kind == "sphere":
                return np.pi * L * r**2 * h / (away2 + h**2) ** 1.5
            root = np.sqrt((away2 + h**2 + r**2) ** 2 - 4 * r**2 * away2)
            return np.pi * L / 2 * (1 - (away2 + h**2 - r**2) / root)

        return film_mean(irradiance)

    tangents = {"occluder/pose": [frame[:3] * [1, 1, 1, 0] / radius, shift(0, 0, 1)]}
    check(derivatives(scene, tangents, PROBE.adjoint(), **OPTIONS), -derivative_of(hidden, radius, height))


def test_form_7_under_a_turned_ball(monkeypatch):
    """A spherical lamp, turned about the edge, shines past a half-plane that moves along x and z.

    The edge sweeps over the arc of directions in its plane that lie in the lamp's cone. Negative control: with Mitsuba's own
    normals of the lamp, which are not turned, light comes from its limbs only.
    """
    turned = pose((0, 0, Z), x=(0, 0, -A), y=(0, A, 0), z=(A, 0, 0))
    lamp = shape("sphere", turned, emitter=area_light(L))
    occluder = shape("rectangle", half_plane(), bsdf=diffuse(0))
    camera = replace(PROBE, half=0.1)
    scene = scene_of(camera=camera.sensor(), floor=floor(), light=lamp, occluder=occluder)

    def swept(x, y):
        across, reach = EDGE - x, np.hypot(EDGE - x, HEIGHT)
        offset = np.stack([-x, -y, Z + 0 * x])
        inside = (offset[0] * across + offset[2] * HEIGHT) / reach  # of the edge's plane, at right angles to the edge
        middle, size = np.arctan2(offset[1], inside), np.hypot(offset[1], inside)
        half = np.arccos(np.sqrt((offset**2).sum(0) - A**2) / size)
        arc = L * HEIGHT / reach**3 * (half + np.sin(half) * np.cos(half) * np.cos(2 * middle))
        return np.stack([-HEIGHT * arc, across * arc])

    expected = [film_mean(lambda x, y, k=k: swept(x, y)[k], camera=camera) for k in range(2)]
    tangents = {"occluder/pose": [shift(1, 0, 0), shift(0, 0, 1)]}

    def found(n_direct):  # no other term changes
        options = {**OPTIONS, "n_direct": n_direct, "terms": ("direct",)}
        return derivatives(scene, tangents, camera.adjoint(), **options).total

    assert_agrees(found(2**19), expected, max_relative_se=0.005)
    monkeypatch.setattr(points, "normals", lambda shapes, index, sample: sample.n)
    assert_differs(found(2**16), expected, by=0.2)


def test_form_7_for_a_cylinder():
    """A rod across the light: two shadow edges, at the angles φ ± asin(r/ρ)."""
    radius, centre, height = 0.12, 0.1, 1.0
    frame = pose((centre, -1.5, height), x=(radius, 0, 0), y=(0, 0, -radius), z=(0, 3, 0))
    scene = scene_with(shape("cylinder", frame, bsdf=diffuse(0)))

    def image(r, position, h):
        def hidden(x, y):
            middle, half = np.arctan((position - x) / h), np.arcsin(r / np.sqrt((position - x) ** 2 + h * h))
            return disc_beyond(x + Z * np.tan(middle - half), x, y) - disc_beyond(x + Z * np.tan(middle + half), x, y)

        return -film_mean(hidden)

    tangents = {"occluder/pose": [frame[:3] * [1, 1, 0, 0] / radius, shift(1, 0, 0), shift(0, 0, 1)]}
    expected = derivative_of(image, radius, centre, height)
    check(derivatives(scene, tangents, PROBE.adjoint(), **OPTIONS), expected)


def test_form_8_wall_under_a_uniform_sky():
    """E = (πL/2)(1 + cos α) beside a long wall of elevation α; height and distance of a wall of finite length."""
    distance, height, reach = 0.9, 0.6, 2.0

    def below_wall(h, d, half_length, x, y):
        corners = [[d, half_length, 0], [d, -half_length, 0], [d, -half_length, h], [d, half_length, h]]
        return np.pi * L + L * lambert(corners, x, y)

    long = np.real(below_wall(height, distance, 1e4, np.zeros(1), np.zeros(1)))[0]
    assert long == pytest.approx(np.pi * L / 2 * (1 + distance / np.hypot(distance, height)), rel=1e-6)
    frame = pose((distance, 0, height - 0.5), x=(0, reach, 0), y=(0, 0, 0.5), z=(-1, 0, 0))
    camera = Probe((-2.0, -1.5, 2.5), (0.2, 0.0, 0.0), half=0.1)
    scene = scene_of(
        camera=camera.sensor(),
        floor=shape("rectangle", pose((0, 0, 0), x=(0.8, 0, 0)), bsdf=diffuse(ALBEDO)),
        sky={"type": "constant", "radiance": {"type": "rgb", "value": L}},
        wall=shape("rectangle", frame, bsdf=diffuse(0)),
    )
    image = lambda h, d: film_mean(lambda x, y: below_wall(h, d, reach, x, y), camera=camera)  # noqa: E731
    expected = derivative_of(image, height, distance)
    tangents = {"wall/pose": [shift(0, 0, 1), shift(1, 0, 0)]}
    check(derivatives(scene, tangents, camera.adjoint(), **{**OPTIONS, "n_direct": 2**19}), expected)


@pytest.mark.parametrize("kind", ["rectangle", "mesh"])
def test_form_12_moving_receiver_under_a_static_half_plane(tmp_path, kind):
    """The receiver rises: its points slide along oblique camera rays, and the still shadow edge sweeps over them."""
    black = shape("rectangle", half_plane(), bsdf=diffuse(0))
    if kind == "mesh":
        scene = scene_with(black, quad(tmp_path, "floor", pose(), bsdf=diffuse(ALBEDO)))
        tangents = {"floor/positions": [everywhere(0, 0, 1, vertices=4)]}
    else:
        scene = scene_with(black)
        tangents = {"floor/pose": [shift(0, 0, 1)]}
    image = lambda z: film_mean(lambda x, y: disc_beyond(shadow_edge(x, z), x, y, z), z)  # noqa: E731
    check(derivatives(scene, tangents, PROBE.adjoint(), **OPTIONS), derivative_of(image, 0.0))


def test_form_12_moving_light_behind_a_static_half_plane():
    """The light moves along x and z behind a still edge; all of it, seen from the light, is a moving edge and receiver."""
    scene = scene_with(shape("rectangle", half_plane(), bsdf=diffuse(0)))

    def image(t_x, t_z):
        def irradiance(x, y):
            edge = shadow_edge(x - t_x, -t_z, EDGE - t_x, HEIGHT - t_z)
            return disc_beyond(edge, x - t_x, y, -t_z)

        return film_mean(irradiance)

    tangents = {"light/pose": [shift(1, 0, 0), shift(0, 0, 1)]}
    check(derivatives(scene, tangents, PROBE.adjoint(), **OPTIONS), derivative_of(image, 0.0, 0.0))


def test_a_sheet_hides_what_lies_close_below_it(tmp_path, monkeypatch):
    """Two sheets of one mesh, 0.7 thousandths of the camera's distance apart, move together under slanted light.

    Light reaches below the upper one, where nobody sees the border of its shadow; on the other side its border and that of its
    shadow move alike. So nothing changes. Negative control: the hidden border alone, where faces are not told apart.
    """
    camera = Probe((0, 0, 3.0), (0, 0, 0), half=0.1)
    sheet = lambda half, z: [[-half, -2, z], [half, -2, z], [half, 2, z], [-half, 2, z]]  # noqa: E731
    vertices, faces = np.array([*sheet(2, 0), *sheet(0.15, 0.002)]), [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    scene = scene_of(
        camera=camera.sensor(),
        sheets=mesh(tmp_path, "sheets", vertices, faces, bsdf=diffuse(ALBEDO)),
        sun={"type": "directional", "direction": [1, 0, -1], "irradiance": {"type": "rgb", "value": L}},
    )
    scale = ALBEDO / np.pi * L * np.sqrt(0.5) / 0.6  # a border that crosses the film, 0.6 wide, moves by 1
    tangents = {"sheets/positions": [everywhere(1, 0, 0, vertices=8)]}
    found = lambda: derivatives(scene, tangents, camera.adjoint(), **{**OPTIONS, "n_direct": 2**17}).total  # noqa: E731
    assert_agrees(found(), [0.0], scale=scale, max_relative_se=0.005)
    monkeypatch.setattr(
        straight, "is_met", lambda hit, known, _, away: (hit.shape == known.shape) & (dr.abs(hit.t - away) < 1e-3 * away)
    )
    assert_differs(found(), [0.0], scale=scale, by=0.5)
