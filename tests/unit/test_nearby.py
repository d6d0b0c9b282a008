"""Edges near a direction: distance and gradients against brute force; faces and their edges."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table.builder import TableBuilder
from pbdr.boundary.table.incidence import NO_ROW, Incidence
from pbdr.boundary.warp import nearby
from pbdr.geometry.topology import NO_FACE
from pbdr.scene import load_scene
from validation.scenes.zoo import T

AXIS = (np.array([1, 0.3, 0]) / np.sqrt(1.09)).tolist()
SHAPES = {
    "mesh": {"type": "rectangle", "to_world": T().translate([0.2, 0.1, 3]).rotate(AXIS, 40)},
    "disk": {"type": "disk", "to_world": T().translate([0.2, 0.1, 3]).rotate(AXIS, 40).scale([1, 0.6, 1])},
    "sphere": {"type": "sphere", "center": [0.2, 0.1, 3], "radius": 0.8},
}
ORIGIN = np.array([0.1, -0.2, 0.3])


def table_of(*kinds):
    scene = load_scene(
        {
            "type": "scene",
            "sky": {"type": "constant"},
            "eye": {"type": "perspective"},
            **{kind: SHAPES[kind] for kind in kinds},
        }
    )
    builder = TableBuilder()
    return scene.mi, builder, builder.build(scene.mi, frozenset())


def directions(count):
    """Unit vectors around the shapes, (count, 3)."""
    rng = np.random.default_rng(1)
    aim = np.array([0.2, 0.1, 3]) + rng.uniform(-1, 1, (count, 3)) * [1.2, 1.2, 0.2] - ORIGIN
    return aim / np.linalg.norm(aim, axis=1, keepdims=True)


def near(table, row, omega, curved):
    """Chord, ∇chord, ∇q, q and the point's direction, as arrays."""
    found = nearby.nearest(
        table.row(mi.UInt32(row)),
        mi.Point3f(*ORIGIN.tolist()),
        mi.Vector3f(*[mi.Float(x.tolist()) for x in omega.T]),
        curved,
    )
    u = np.array(found.point).T - ORIGIN
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    to_host = lambda x: np.array(x + dr.zeros(type(x), len(omega)), dtype=np.float64).T  # noqa: E731
    return to_host(found.chord), to_host(found.away), to_host(found.slope), to_host(found.q), u


@pytest.mark.parametrize("kind", SHAPES)
def test_gradients(kind):
    """∇chord against central differences along random tangents."""
    _, _, table = table_of(kind)
    omega = directions(400)
    tangent = np.cross(omega, np.random.default_rng(2).normal(size=omega.shape))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    step, curved = 2e-3, kind != "mesh"
    for row in range(table.count):
        moved = [(omega + s * tangent) / np.sqrt(1 + step**2) for s in (step, -step)]
        (ahead, _, _, q_ahead, _), (behind, _, _, q_behind, _) = (near(table, row, m, curved) for m in moved)
        chord, away, slope, q, _ = near(table, row, omega, curved)
        clear = (chord > 0.02) & (chord < 1)
        assert clear.sum() > 100
        rate = (ahead - behind) / (2 * step)
        assert np.quantile(np.abs(rate - np.sum(away * tangent, 1))[clear], 0.98) < 5e-3
        if kind == "mesh":
            inside = clear & (q > 0.02) & (q < 0.98)
            assert np.abs((q_ahead - q_behind) / (2 * step) - np.sum(slope * tangent, 1))[inside].max() < 2e-2


def test_it_is_the_nearest_point_of_a_straight_edge():
    _, _, table = table_of("mesh")
    omega = directions(200)
    for row in range(table.count):
        a, b = np.array(table.a).T[row], np.array(table.b).T[row]
        points = a + np.linspace(0, 1, 2001)[:, None] * b - ORIGIN
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        expected = np.sqrt(np.maximum(2 - 2 * (omega @ points.T).max(1), 0))
        assert near(table, row, omega, False)[0] == pytest.approx(expected, abs=1e-3)


def hits_on(scene, faces):
    """Hits on these faces of the mesh in `scene`, and its index."""
    hit = dr.zeros(mi.PreliminaryIntersection3f, len(faces))
    hit.prim_index, hit.valid, hit.t = mi.UInt32(faces), mi.Bool(True), mi.Float(1)
    index = next(i for i, s in enumerate(scene.shapes()) if s.is_mesh())
    hit.shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), mi.UInt32([index] * len(faces)))
    return hit, index


def test_faces_know_their_edges():
    """Both faces of a quad: the borders of each, which count, and not the diagonal between them."""
    scene, builder, table = table_of("mesh")
    hit, index = hits_on(scene, [0, 1])
    face = Incidence(scene, builder, table).at(hit, True)
    rows = np.array([np.array(row) for row in face.rows])
    assert (np.sum(rows == NO_ROW, 0) == 1).all()
    borders = rows[rows != NO_ROW]
    assert np.unique(borders).size == 4 and (np.array(table.shape)[borders] == index).all()
    assert (np.array(table.face[1])[borders] == NO_FACE).all()


def test_sides_of_faces():
    """Sines of angles to the borders of a quad are those of `nearest`, and their gradients are those of differences."""
    scene, builder, table = table_of("mesh")
    omega = directions(400)
    tangent = np.cross(omega, np.random.default_rng(2).normal(size=omega.shape))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    step, origin = 2e-3, mi.Point3f(*ORIGIN.tolist())

    def sides(at):
        to_device = mi.Vector3f(*[mi.Float(x.tolist()) for x in at.T])
        return nearby.sides(incidence.at(hits_on(scene, [0] * len(at))[0], True), origin, to_device)

    incidence = Incidence(scene, builder, table)
    here = sides(omega)
    ahead, behind = (sides((omega + s * tangent) / np.sqrt(1 + step**2)) for s in (step, -step))
    assert sum(bool(side.there[0]) for side in here) == 2
    for side, after, before in zip(here, ahead, behind, strict=True):
        if not side.there[0]:
            continue
        distance, away = np.array(side.distance), np.array(side.away).T
        chord = near(table, int(side.row[0]), omega, False)[0]
        assert distance == pytest.approx(np.sin(2 * np.arcsin(chord / 2)), abs=1e-5)
        rate = (np.array(after.distance) - np.array(before.distance)) / (2 * step)
        clear = (distance > 0.02) & (distance < 0.9)
        assert clear.sum() > 100
        assert np.quantile(np.abs(rate - np.sum(away * tangent, 1))[clear], 0.98) < 5e-3
