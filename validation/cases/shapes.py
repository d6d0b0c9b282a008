"""Shapes in view, with their shadows, and what their shadows fall on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation import finite_differences as fd
from validation.cases.case import Array, Cases, along, given, one
from validation.scenes import instances, meshes, rooms, small, vertex_normals, zoo
from validation.scenes.zoo import T

CASES = Cases()
add = CASES.add

MESHES, CLOSED1, CLOSED7 = (
    f"tests/gradient/test_{f}.py::" for f in ("shapes_meshes", "closed_primary", "closed_direct")
)
RED = {"type": "twosided", "nested": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}}
AXIS = np.array([1, 0.4, 0]) / np.sqrt(1.16)
TILT = T().translate([0.1, -0.2, 0.8]).rotate(AXIS, 50).scale(0.5)


def thing(**shape: Any) -> Callable[[Path], Any]:
    """A shape above the floor under a distant lamp."""
    return lambda folder: meshes.scene(thing={"bsdf": RED, **shape})


def welded_box(folder: Path) -> Any:
    """A box whose faces share their vertices."""
    vertices = 0.4 * meshes.BOX @ meshes.TURN.T + [0, 0, 0.8]
    return meshes.scene(thing=small.mesh(folder, "box", vertices, meshes.TRIANGLES, bsdf=RED))


add(
    "flat mesh, welded", "flat-shaded mesh", "shape", welded_box, "thing/positions", along(0.4, 0.2, 0.3),
    (CLOSED1 + "test_form_13_crease_roof", "tests/gradient/test_invariances.py::test_how_a_mesh_is_written_down"),
    peer="primary crease jumps missing",
)  # fmt: skip
add(
    "cube, split vertices", "flat-shaded mesh", "shape", thing(**meshes.box(0.8)), "thing/positions", along(0.4, 0.2, 0.3),
    (MESHES + "test_a_box_that_stands_on_the_floor", CLOSED1 + "test_form_13_crease_roof"),
    peer="up to 2–2.7 times too large",
)  # fmt: skip
add(
    "box standing on the floor", "flat-shaded mesh", "shape", lambda folder: meshes.scene(box=meshes.QUIET["standing"]()["box"]),
    "box/positions", along(1, 0.3, 0), (MESHES + "test_a_box_that_stands_on_the_floor",), step=0.01, fd_spp=4096,
)  # fmt: skip
add(
    "lit block slides over the floor", "flat-shaded mesh", "shape", lambda folder: meshes.scene(thing=meshes.frustum(folder)),
    "thing/positions", along(0, 1, 0), (MESHES + "test_a_lit_block_slides_over_the_floor",), step=0.01, fd_spp=4096,
)  # fmt: skip
ROOMS = "tests/gradient/test_rooms.py::"
add("a camera moves in a room of rectangles", "rectangle", "camera", lambda folder: rooms.corner(), "camera/pose",
    along(0.3, 0.2, 0.4), (ROOMS + "test_a_camera_moves_in_a_room",), step=0.01)  # fmt: skip
add("a lamp moves over a box of rectangles", "rectangle", "light", lambda folder: rooms.box(True, "area"), "light/pose",
    along(0.3, 0.2, 0.4), (ROOMS + "test_a_box_of_rectangles_is_a_box",), fd_spp=4096)  # fmt: skip
add(
    "rectangle", "rectangle", "shape", thing(type="rectangle", to_world=TILT), "thing/pose", along(0.4, 0.2, 0.3),
    (CLOSED1 + "test_form_1_half_plane_over_a_pixel", CLOSED7 + "test_form_7_half_plane_across_a_disc_light"),
    peer="silhouette about 7 % off",
)  # fmt: skip
add("disk", "disk", "shape", thing(type="disk", to_world=TILT), "thing/pose", along(0.4, 0.2, 0.3),
    (CLOSED1 + "test_form_5_disc_over_disc", CLOSED7 + "test_form_7_for_round_occluders"))  # fmt: skip
add("sphere", "sphere", "shape", thing(type="sphere", center=[0, 0, 0.7], radius=0.4), "thing/pose", along(0.4, 0.2, 0.3),
    (CLOSED1 + "test_form_3_sphere_on_the_film", CLOSED7 + "test_form_7_for_round_occluders"))  # fmt: skip
add("cylinder", "cylinder", "shape", thing(type="cylinder", p0=[-0.4, 0, 0.6], p1=[0.4, 0.3, 0.9], radius=0.25), "thing/pose",
    along(0.4, 0.2, 0.3), (CLOSED1 + "test_form_3_for_a_cylinder", CLOSED7 + "test_form_7_for_a_cylinder"),
    fd_spp=8192)  # fmt: skip


def ball(folder: Path) -> Any:
    """The bumpy, smooth-shaded ball under a lamp with a surface."""
    path, _ = vertex_normals.bumpy_ball(folder)
    bsdf = {"type": "diffuse", "reflectance": zoo.rgb(0.3, 0.5, 0.8)}
    lamp = zoo.above(size=0.5, emitter={"type": "area", "radiance": zoo.rgb(12.0)})
    return meshes.scene(light=lamp, ball={"type": "ply", "filename": path, "bsdf": bsdf})


def beside_the_ball(folder: Path) -> Any:
    """The floor next to the ball, which lights it."""
    path, _ = vertex_normals.bumpy_ball(folder)
    return vertex_normals.scene_of(path, vertex_normals.LAMP, vertex_normals.BESIDE, 60, (0.8, 0.8, 0.8))


def wobble(scene: Any, name: str) -> Array:
    """Waves over the surface, of positions or of normals."""
    positions = read(scene, fd.parameters(scene, "ball/positions")["ball/positions"])
    if name.endswith("normals"):
        return np.asarray(0.3 * np.sin(5 * positions[:, [2, 0, 1]]))
    return np.asarray(np.sin(7 * positions[:, [1, 2, 0]]))


SMOOTH = "tests/gradient/test_smooth_shading.py::"
add("smooth mesh moves across the view", "smooth-shaded mesh", "shape", ball, "ball/positions", along(1, 0, 0.3),
    (SMOOTH + "test_positions_of_a_smooth_mesh",), fd_spp=4096, peer="one component 5 % off")  # fmt: skip
add("smooth mesh changes its shape", "smooth-shaded mesh", "shape", ball, "ball/positions", wobble,
    (SMOOTH + "test_positions_of_a_smooth_mesh", SMOOTH + "test_both_horizons_are_needed"), step=0.01, fd_spp=4096)  # fmt: skip
add("smooth mesh out of view changes its shape, depth 3", "smooth-shaded mesh", "shape", beside_the_ball, "ball/positions", wobble,
    (SMOOTH + "test_reflected_light",), step=0.01, spp=1024, fd_spp=8192, depth=3,
    options={"n_direct": 60_000, "n_indirect": 60_000})  # fmt: skip
add("vertex normals turn", "smooth-shaded mesh", "shape", ball, "ball/normals", wobble, (SMOOTH + "test_vertex_normals_alone",),
    fd_spp=2048)  # fmt: skip

GROUPS = "tests/gradient/test_shapes_groups.py::"
BUDGET = {"n_primary": 2**15, "n_direct": 2**16}
add("instance moves", "instances", "shape", lambda folder: instances.grouped(), "one/pose", along(1, 0, 0.5),
    (GROUPS + "test_the_instance_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET,
    peer="0")  # fmt: skip
add("what instances show moves", "instances", "shape", lambda folder: instances.grouped(), "group/group__large_positions",
    along(0.5, 0, 1), (GROUPS + "test_what_it_shows_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET,
    peer="0")  # fmt: skip
add("camera before instances", "instances", "camera", lambda folder: instances.grouped(), "camera/pose", along(0.5, 0, 0.3),
    (GROUPS + "test_the_camera_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET)  # fmt: skip


def sunk(folder: Path) -> Any:
    """A box that the floor cuts."""
    return meshes.scene(box=meshes.box(0.2))


def two_in_one(folder: Path) -> Any:
    """Two boxes that pass through each other, in one mesh."""
    vertices = np.concatenate([0.4 * meshes.BOX @ meshes.TURN.T, 0.25 * meshes.BOX @ meshes.TURN + [0.3, -0.2, 0.35]])
    faces = np.concatenate([meshes.TRIANGLES, np.array(meshes.TRIANGLES) + 8])
    return meshes.scene(thing=small.mesh(folder, "two", vertices + [0, 0, 0.8], faces, bsdf=meshes.TWO_SIDED))


APART = small.everywhere(1, 0, 0.3, vertices=16) * (np.arange(16) >= 8)[:, None]
RISE = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 1.0]])
add("box sunk into the floor", "meshes through each other", "shape", sunk, "box/positions", along(0.3, 0, 1),
    (MESHES + "test_a_box_sunk_into_the_floor",), fd_spp=2048, peer="−0.021 instead of −0.134")  # fmt: skip
add("floor rises around a box", "meshes through each other", "shape", sunk, "floor/pose", given(RISE),
    (MESHES + "test_the_floor_rises_around_a_box",), fd_spp=2048)  # fmt: skip
add("mesh passes through itself", "meshes through each other", "shape", two_in_one, "thing/positions", given(APART),
    (MESHES + "test_a_mesh_that_passes_through_itself",), fd_spp=2048)  # fmt: skip


def sheets(kind: str) -> Callable[[Path], Any]:
    """A mesh that is no surface."""
    return lambda folder: meshes.scene(thing=small.mesh(folder, kind, *meshes.SHAPES[kind](), bsdf=meshes.TWO_SIDED))


for _kind, _name in (
    ("star", "four sheets at one edge"),
    ("wreck", "duplicate, empty and reversed faces, a fin on an edge"),
):
    add(_name, "meshes that are no surface", "shape", sheets(_kind), "thing/positions", along(0.3, 0, 1),
        (MESHES + "test_sheets_that_are_no_surface",), fd_spp=2048)  # fmt: skip
add("faces on a line", "meshes that are no surface", "shape",
    lambda folder: meshes.scene(thing=small.mesh(folder, "sliver", [[0, 0, 0.5], [1, 0, 0.5], [0.4, 0, 0.5], [0.5, 1, 0.5]],
                                                 [[0, 1, 3], [0, 2, 1]])),
    "thing/positions", one, (MESHES + "test_faces_on_a_line_are_refused",), refusal="without area")  # fmt: skip

# ---------------------------------------------------------------------- receivers


def receiver(folder: Path) -> Any:
    """A box at rest between a lamp and a floor that moves."""
    lamp = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)})
    return meshes.scene(light=lamp, box=meshes.box(0.9))


def together(folder: Path) -> Any:
    """A box and the floor under it in one mesh."""
    vertices = np.concatenate(
        [0.4 * meshes.BOX @ meshes.TURN.T + [0, 0, 0.9], [[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]]]
    )
    faces = [*meshes.TRIANGLES, [8, 9, 10], [8, 10, 11]]
    lamp = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)})
    both = small.mesh(folder, "both", vertices, faces, bsdf=meshes.TWO_SIDED)
    camera = zoo.camera(sampler={"type": "ldsampler"})
    return load_scene({"type": "scene", "camera": camera, "light": lamp, "both": both})


FORM12 = CLOSED7 + "test_form_12_moving_receiver_under_a_static_half_plane"
add("receiver moves under a box at rest", "receiver", "shape", receiver, "floor/pose", given(RISE), (FORM12,), fd_spp=4096,
    peer="wrong sign or −18 %")  # fmt: skip
add("receiver and occluder move together", "receiver", "shape", together, "both/positions", along(0.5, 0.3, 0.4), (FORM12,),
    fd_spp=4096, peer="wrong sign or −18 %")  # fmt: skip
