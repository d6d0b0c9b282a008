"""Edges near a direction: distance and gradients against brute force; faces and their edges."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
from scene_zoo import T

from pbdr.boundary import nearby
from pbdr.boundary.incidence import SIDES, Incidence
from pbdr.boundary.table import TableBuilder
from pbdr.scene import load_scene

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


def test_faces_know_their_edges():
    """Both faces of a quad: the diagonal, which does not count, is in both; the borders of each, which count, touch its corners."""
    scene, builder, table = table_of("mesh")
    incidence = Incidence(scene, builder)
    hit = dr.zeros(mi.PreliminaryIntersection3f, 2)
    hit.prim_index, hit.valid, hit.t = mi.UInt32(0, 1), mi.Bool(True), mi.Float(1)
    index = next(i for i, s in enumerate(scene.shapes()) if s.is_mesh())
    hit.shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), mi.UInt32([index, index]))
    rows = np.array([np.array(incidence.at(hit, k, True)[0]) for k in range(SIDES)])
    assert all(np.array(incidence.at(hit, k, True)[1]).all() for k in range(SIDES))
    (diagonal,) = set(rows[:, 0]) & set(rows[:, 1])
    every = mi.UInt32(np.unique(rows))
    counts = np.array(nearby.counts(table.row(every), mi.Point3f(*ORIGIN.tolist()), False))
    assert [int(r) for r, c in zip(np.unique(rows), counts, strict=True) if not c] == [diagonal]
    assert np.unique(rows).size == 5 and (np.array(table.shape)[np.unique(rows)] == index).all()
