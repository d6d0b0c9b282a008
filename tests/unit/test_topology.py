"""Welded edges of meshes on the host: sheets around an edge, duplicates, winding, and triangles that pass through each other."""

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.boundary.table import crossings
from pbdr.geometry import intersections, junctions, overlaps, topology, weld

TETRAHEDRON = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], np.uint32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def build(faces, positions=CORNERS):
    return topology.build(np.array(faces, np.uint32), np.array(positions, np.float32), "thing")


def test_a_closed_mesh_has_pairs_only():
    found = build(TETRAHEDRON)
    assert found.faces.shape == (6, 2) and (found.faces != topology.NO_FACE).all()
    assert found.fans is None and not found.jump.any()


def test_split_vertices_are_welded():
    found = build(np.arange(12).reshape(4, 3), CORNERS[TETRAHEDRON.ravel()])
    assert found.faces.shape == (6, 2) and (found.faces != topology.NO_FACE).all()


def test_duplicates_and_faces_of_two_vertices_are_left_out():
    found = build([*TETRAHEDRON, [0, 1, 2], [2, 1, 0], [3, 3, 1]])
    assert found.fans is None and found.faces.shape == (6, 2) and found.faces.max() < 4


def test_opposite_winding_is_a_jump():
    """A face seen from its back may look different although it lies in the same plane."""
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    inner = lambda faces: build(faces, square).jump[(build(faces, square).faces != topology.NO_FACE).all(1)]  # noqa: E731
    assert not inner([[0, 1, 2], [0, 2, 3]]).any()
    assert inner([[0, 1, 2], [0, 3, 2]]).all()


def star(angles):
    """Sheets around the z axis."""
    points = [[0, 0, 0], [0, 0, 1], *([np.cos(a), np.sin(a), 0.5] for a in angles)]
    faces = np.array([[0, 1, k + 2] for k in range(len(angles))], np.uint32)
    return faces, np.array(points)


def test_sheets_are_paired_as_they_lie_around_the_edge():
    faces, points = star([0.3, 4.0, 1.1, 2.5])
    fans = build(faces, points).fans
    rows, corners, wedge = topology.wedges(fans, faces, points)
    assert wedge.all() and corners.shape == (4, 2, 3)
    following = {int(a): int(b) for a, b in rows}
    assert following == {0: 2, 2: 3, 3: 1, 1: 0}


@pytest.mark.parametrize(("angles", "sheets"), [([1.0, 1.0, 1.0], 1), ([1.0, 2.0, 1.0], 2), ([1.0, 2.0, 1.0, 3.0], 3)])
def test_sheets_on_top_of_each_other_count_once(angles, sheets):
    faces, points = star(angles)
    points[2:, 2] += 0.01 * np.arange(len(angles))  # no duplicates
    rows, _, wedge = topology.wedges(build(faces, points).fans, faces, points)
    assert len(rows) == (sheets if sheets > 2 else 1)
    assert wedge.all() == (sheets > 2) and (rows[:, 1] == topology.NO_FACE).all() == (sheets == 1)


def test_faces_on_a_line_and_infinite_positions_are_refused():
    with pytest.raises(pbdr.errors.SceneError, match=r"'thing' has 1 faces without area"):
        build([[0, 1, 2], [0, 3, 1]], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.3, 0, 0]])
    with pytest.raises(pbdr.errors.SceneError, match=r"'thing' has no face"):
        build([[0, 0, 1]])
    with pytest.raises(pbdr.errors.SceneError, match=r"not finite"):
        build(TETRAHEDRON, CORNERS * np.array([1, np.nan, 1]))


# ---------------------------------------------------------------------- triangles that pass through each other


def soup(rng, count, size):
    """`count` triangles of a size in the unit box."""
    positions = rng.uniform(0, 1, (count, 1, 3)) + size * rng.normal(size=(count, 3, 3))
    return intersections.Solid(np.arange(3 * count, dtype=np.uint32).reshape(-1, 3), positions.reshape(-1, 3))


def brute_force(first, second):
    """Pairs of triangles of which an edge of one passes through the other."""
    found = set()
    for a, p in enumerate(first.triangles(slice(None))):
        for b, q in enumerate(second.triangles(slice(None))):
            for edges, face in ((p, q), (q, p)):
                for k in range(3):
                    o, d = edges[k], edges[(k + 1) % 3] - edges[k]
                    system = np.stack([face[1] - face[0], face[2] - face[0], -d], 1)
                    u, v, t = np.linalg.solve(system, o - face[0])
                    if u > 0 and v > 0 and u + v < 1 and 0 < t < 1:
                        found.add((a, b))
    return found


@pytest.mark.parametrize("limit", [1 << 20, 1])
def test_crossings_are_those_of_a_search_one_by_one(monkeypatch, limit):
    """With the grid (limit 1) and without."""
    monkeypatch.setattr(overlaps, "BRUTE_FORCE", limit)
    rng = np.random.default_rng(5)
    first, second = soup(rng, 60, 0.1), soup(rng, 60, 0.15)
    sheets = intersections.find([first, second], [(0, 1)])
    assert (sheets.owner.sum(1) == 1).all() and len(sheets.start) % 4 == 0
    pairs = {
        tuple(f[np.argsort(o)]) for f, o in zip(sheets.face.tolist(), sheets.owner, strict=True) for f in [np.array(f)]
    }
    assert {(int(a), int(b)) for a, b in pairs} == brute_force(first, second)


def test_both_ends_of_a_crossing_lie_in_both_triangles():
    rng = np.random.default_rng(6)
    solids = [soup(rng, 40, 0.1), soup(rng, 40, 0.2)]
    sheets = intersections.find(solids, [(0, 1)])
    for coordinates, point in ((sheets.at_start, sheets.start), (sheets.at_end, sheets.start + sheets.along)):
        for k in (0, 1):
            corners = np.array(
                [solids[o].triangles(f) for o, f in zip(sheets.owner[:, k], sheets.face[:, k], strict=True)]
            )
            u, v = coordinates[:, k, :1], coordinates[:, k, 1:]
            assert (u > -1e-9).all() and (v > -1e-9).all() and (u + v < 1 + 1e-9).all()
            np.testing.assert_allclose(
                (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2], point, atol=1e-9
            )


def test_touching_triangles_do_not_cross():
    floor = intersections.Solid(np.array([[0, 1, 2]], np.uint32), np.array([[-9.0, -9, 0], [9, -9, 0], [0, 9, 0]]))
    wall = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 1]])
    for depth, crosses in ((0.0, False), (1e-7, False), (0.01, True), (-0.1, False)):
        other = intersections.Solid(np.array([[0, 1, 2]], np.uint32), wall - [0, 0, depth])
        assert (intersections.find([floor, other], [(0, 1)]) is not None) == crosses


def test_copies_of_a_buffer_are_no_change() -> None:
    """The terms of a gradient write copies of the moved vertices: shapes that pass through each other are searched for once."""
    value = [0.0, 1.0, 2.0]
    before = [mi.Float(value), b"pose"]
    assert crossings.unchanged(before, [mi.Float(value), b"pose"])
    assert not crossings.unchanged(before, [mi.Float([0.0, 1.0, 2.5]), b"pose"])
    assert not crossings.unchanged(before, [mi.Float([0.0, 1.0]), b"pose"])
    assert not crossings.unchanged(before, [mi.Float(value), b"other"])
    assert not crossings.unchanged(before, [mi.Float(value)])


# ---------------------------------------------------------------------- corners and borders that are one

PLATES = np.array([[0, 0, 0], [0, 2, 0], [-1, 2, 0.5], [-1, 0, 0.5],
                   [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0],
                   [0, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], np.float32)  # fmt: skip
PLATE_FACES = [[k, k + i, k + i + 1] for k in (0, 4, 8) for i in (1, 2)]


def pieces(faces, positions):
    faces, positions = np.array(faces, np.uint32), np.array(positions, np.float32)
    return junctions.split(build(faces, positions), faces, positions)


@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 2.0**10])
@pytest.mark.parametrize("off", [0, 1e-6, 1e-5])
def test_corners_that_agree_up_to_rounding_are_one(scale, off):
    """A soup of the triangles of a box. Negative control: corners that are a hundred times further apart stay apart."""
    points = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    soup = points[[q[k] for q in sides for i in (1, 2) for k in (0, i, i + 1)]]
    shift = np.random.default_rng(2).uniform(-1, 1, soup.shape)
    faces = np.arange(36, dtype=np.uint32).reshape(12, 3)
    open_borders = lambda far: int((build(faces, scale * (soup + far * shift)).faces == topology.NO_FACE).sum())  # noqa: E731
    assert open_borders(off) == 0
    assert open_borders(1e-3) == 36


def test_small_faces_are_not_merged():
    """A strip of faces that are a millionth as large as the mesh that they belong to."""
    small = 1e-6 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]])
    points = np.concatenate([small, [[1, 0, 0], [1, 1, 0], [2, 0, 0]]]).astype(np.float32)
    found = weld.vertices(points, np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [5, 6, 7]], np.uint32))
    assert (found == np.arange(8)).all()


def test_borders_at_a_junction_are_edges_of_both_faces():
    rest, found = pieces(PLATE_FACES, PLATES)
    assert {tuple(sorted(row)) for row in found.face.tolist()} == {(0, 3), (0, 5)}
    assert not found.wedge.any()
    assert int((rest.faces == topology.NO_FACE).any(1).sum()) == 3 + 2 + 2
    ends = np.einsum("rfec,rfcx->rfex", found.at, PLATES[np.array(PLATE_FACES)][found.face])
    assert np.abs(ends[:, 0] - ends[:, 1]).max() < 1e-7
    assert np.linalg.norm(ends[:, 0, 1] - ends[:, 0, 0], axis=1).sum() == pytest.approx(2)


def test_borders_that_overlap_in_part():
    """Pieces that one face alone has stay open."""
    moved = PLATES.copy()
    moved[:4, 1] += 0.5
    _, found = pieces(PLATE_FACES, moved)
    lengths = {}
    for face, at in zip(found.face.tolist(), found.at, strict=True):
        corners = moved[np.array(PLATE_FACES)[face[0]]]
        lengths[tuple(face)] = lengths.get(tuple(face), 0) + np.linalg.norm((at[0, 1] - at[0, 0]) @ corners)
    both = {tuple(sorted(k)): v for k, v in lengths.items() if topology.NO_FACE not in k}
    assert both == {(0, 3): pytest.approx(0.5), (0, 5): pytest.approx(1)}
    assert sorted(v for k, v in lengths.items() if topology.NO_FACE in k) == [pytest.approx(0.5)] * 2


def test_borders_beside_each_other_are_no_junction():
    apart = PLATES.copy()
    apart[:4, 0] -= 1e-3
    assert pieces(PLATE_FACES, apart)[1] is None


def test_three_sheets_meet_at_a_junction():
    """A fin on the hinge shares its edge with the wide plate: an edge of two faces, on which the borders of two others lie."""
    points = np.concatenate([PLATES, [[0, 0, 0], [0, 2, 0], [0, 0, 1]]]).astype(np.float32)
    rest, found = pieces([*PLATE_FACES, [12, 13, 14]], points)
    assert found.wedge.all() and len(found.face) == 6
    assert {tuple(sorted(row)) for row in found.face.tolist()} == {(0, 6), (0, 3), (3, 6), (0, 5), (5, 6)}
    assert not ((rest.faces == 0).any(1) & (rest.faces == 6).any(1)).any()


def test_thin_faces_are_no_junction_with_themselves():
    """The long sides of a face are close to each other, not one border."""
    thin = np.array([[0, 0, 0], [1, 0, 0], [0.5, 5e-5, 0], [0.5, -1, 0]], np.float32)
    _, found = pieces([[0, 1, 2], [1, 0, 3]], thin)
    assert found is None
