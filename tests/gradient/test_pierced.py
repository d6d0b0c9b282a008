"""Which meshes are searched for passing through others: rays along edges decide, cheaply, and rounding must not."""

import itertools

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table import builder as table
from pbdr.boundary.table import crossings, piercings
from pbdr.geometry import intersections, weld
from pbdr.parameters import traverse
from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.small import QUAD, mesh

trimesh = pytest.importorskip("trimesh")
UP = np.array([0, 0, 1.0])


def searched(monkeypatch, **shapes):
    """Pairs of shapes (positions in the scene) of which some faces are compared; empty when rays find nothing."""
    pairs = []
    original = crossings._candidates

    def candidates(placed, *given):
        found = original(placed, *given)
        pairs.extend(found)
        return found

    def strangers(solid, a, b):
        kept = crossings_strangers(solid, a, b)
        if not len(kept[0]):
            pairs.remove((0, 0))
        return kept

    crossings_strangers = crossings._strangers
    with monkeypatch.context() as patched:
        patched.setattr(crossings, "_candidates", candidates)
        patched.setattr(crossings, "_strangers", strangers)
        scene = load_scene({"type": "scene", "camera": zoo.camera(), **shapes, "sky": zoo.sky()})
        table.TableBuilder().build(scene.mi, frozenset([0]))
    return set(pairs)


def bumpy(folder, name, height, rows=24):
    """A closed, bumpy ball of radius 0.5 ± 0.1 with two poles, about which the faces are narrow."""
    ball = trimesh.creation.uv_sphere(count=[rows, 2 * rows])
    points = np.asarray(ball.vertices)
    radius = 0.5 + 0.1 * np.sin(9 * points[:, 0]) * np.cos(8 * points[:, 1] + 1)
    return mesh(folder, name, points * radius[:, None] + height * UP, ball.faces)


def slab(folder, height):
    """A floor of 512 triangles whose vertices lie at no round numbers."""
    x, y = np.meshgrid(np.linspace(-1.03, 1.01, 17), np.linspace(-0.97, 1.05, 17), indexing="ij")
    k = np.arange(16)[:, None] * 17 + np.arange(16)[None]
    faces = np.concatenate([np.stack([k, k + 17, k + 18], -1), np.stack([k, k + 18, k + 1], -1)]).reshape(-1, 3)
    return mesh(folder, "slab", np.stack([x, y, np.full_like(x, height)], -1).reshape(-1, 3), faces)


def test_a_bumpy_mesh_does_not_pass_through_itself(tmp_path, monkeypatch):
    """Rays along its edges graze the neighbouring faces: that is rounding."""
    assert searched(monkeypatch, ball=bumpy(tmp_path, "ball", 1.0, rows=64)) == set()


def test_two_balls_in_one_mesh_pass_through_each_other(tmp_path, monkeypatch):
    ball = trimesh.creation.icosphere(subdivisions=2)
    points, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    both = np.concatenate([points, points + [0.7, 0.2, 0.1]])
    thing = mesh(tmp_path, "thing", both, np.concatenate([faces, faces + len(points)]))
    assert searched(monkeypatch, thing=thing) == {(0, 0)}


@pytest.mark.parametrize(("height", "expected"), [(1.0, set()), (0.3, {(0, 1)})])
def test_large_meshes_are_searched_where_others_are(tmp_path, monkeypatch, height, expected):
    """The same decision as for small meshes, from fewer rays."""
    shapes = {"ball": bumpy(tmp_path, "ball", height), "slab": slab(tmp_path, 0.0)}
    assert searched(monkeypatch, **shapes) == expected
    monkeypatch.setattr(crossings, "SELF_LIMIT", 100)
    assert searched(monkeypatch, **shapes) == expected


# ---------------------------------------------------------------------- the same segments as from a search of all pairs of faces


def segments_of(sheets):
    """Segments of some sheets: rounded ends, in order."""
    ends = np.concatenate([sheets.start, sheets.start + sheets.along], 1)
    return np.unique(np.round(ends, 6), axis=0)


def everything(scene):
    """Pair of shapes → the curves in which they pass through each other, from boxes on the host."""
    shapes = scene.mi.shapes()
    bodies = []
    for shape in shapes:
        points = np.array(shape.vertex_positions_buffer(), np.float64).reshape(-1, 3)
        faces = np.array(shape.faces_buffer()).reshape(-1, 3)
        bodies.append(intersections.Solid(weld.copies(points.astype(np.float32))[faces], points))
    pairs = itertools.combinations_with_replacement(range(len(shapes)), 2)
    found = {pair: intersections.find(bodies, [pair]) for pair in pairs}
    return {pair: sheets for pair, sheets in found.items() if sheets is not None}


def several(folder):
    """Three balls in a row, each through the next, over a slab through which the first one passes; one far away."""
    made = {f"ball-{k}": bumpy(folder, f"ball-{k}", 0.3) for k in range(3)} | {"slab": slab(folder, 0.0)}
    scene = load_scene({"type": "scene", "camera": zoo.camera(), **made, "sky": zoo.sky()})
    params = traverse(scene)
    for k in range(3):
        place(params, k, [0.8 * k, 0.1 * k, 0.25 * k])
    return scene, params


def place(params, number, shift):
    """Move one ball."""
    key = f"ball-{number}.vertex_positions"
    points = np.array(params[key], np.float64).reshape(-1, 3) + shift
    params[key] = mi.Float(points.astype(np.float32).ravel())
    params.update()


def test_segments_are_those_of_all_pairs_of_faces_after_every_move(tmp_path):
    """Shapes move apart and together again; what is kept between calls is what a new search finds."""
    scene, params = several(tmp_path)
    builder, counts = table.TableBuilder(), []
    for number, shift in ((0, [0, 0, 0]), (1, [0.03, 0, 0.01]), (2, [3.0, 0, 0]), (0, [0, 0, 0.5]), (2, [-2.9, 0, 0])):
        place(params, number, shift)
        builder.build(scene.mi, frozenset([number]))
        found, expected = builder.crossings.sheets, everything(scene)
        assert found.keys() == expected.keys()
        for pair, sheets in found.items():
            assert np.array_equal(segments_of(sheets), segments_of(expected[pair])), pair
        counts.append(sorted(found))
    assert len(counts[0]) >= 3
    assert (1, 2) in counts[1] and (1, 2) not in counts[2] and (1, 2) in counts[4]


def test_negative_control_rays_that_see_the_first_face_only(tmp_path, monkeypatch):
    """Rays that stop where they first meet a face: pairs of shapes are missing behind it."""
    comb = [[x, -0.5, 0.2] for x in (0.2, 0.4, 0.6)]
    plates = {f"plate-{k}": mesh(tmp_path, f"plate-{k}", [p, [p[0], 0.5, 0.2], [p[0], 0.5, 0.8], [p[0], -0.5, 0.8]], QUAD)
              for k, p in enumerate(comb)}  # fmt: skip
    bar = mesh(tmp_path, "bar", [[0, 0, 0.5], [1, 0, 0.5], [1, 0.1, 0.5], [0, 0.1, 0.5]], QUAD)
    scene = load_scene({"type": "scene", "camera": zoo.camera(), "bar": bar, **plates, "sky": zoo.sky()})
    builder = table.TableBuilder()
    builder.build(scene.mi, frozenset([0]))
    assert builder.crossings.sheets.keys() == {(0, 1), (0, 2), (0, 3)}
    monkeypatch.setattr(piercings, "STEPS", 0)
    builder = table.TableBuilder()
    builder.build(scene.mi, frozenset([0]))
    assert builder.crossings.sheets.keys() != {(0, 1), (0, 2), (0, 3)}


def test_room_for_what_is_met_grows(tmp_path, monkeypatch):
    scene, _ = several(tmp_path)
    wide, narrow = table.TableBuilder(), table.TableBuilder()
    wide.build(scene.mi, frozenset([0]))
    monkeypatch.setattr(piercings, "ROOM", 3)
    narrow.build(scene.mi, frozenset([0]))
    assert wide.crossings.sheets.keys() == narrow.crossings.sheets.keys()
    for pair, sheets in wide.crossings.sheets.items():
        assert np.array_equal(segments_of(sheets), segments_of(narrow.crossings.sheets[pair]))
