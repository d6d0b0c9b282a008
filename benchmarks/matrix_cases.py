"""The cases of `python -m benchmarks matrix`: a scene, a parameter, a direction in which it moves, and the tests that look at it.

The scenes are those of tests/ (a benchmark runs from a checkout). Importing this module activates a variant of Mitsuba.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pbdr import backend

from .harness import ROOT

backend.activate()
for _folder in (ROOT / "tests", ROOT / "tests" / "gradient"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

import finite_differences as fd  # noqa: E402
import scene_zoo as zoo  # noqa: E402
import small_scenes as small  # noqa: E402
import test_channels_shapes as of_shapes  # noqa: E402
import test_curves as curves  # noqa: E402
import test_emitters as emitters  # noqa: E402
import test_grids as grids  # noqa: E402
import test_indirect as indirect  # noqa: E402
import test_mapped as mapped  # noqa: E402
import test_materials as materials  # noqa: E402
import test_refusals as refusals  # noqa: E402
import test_rooms as rooms  # noqa: E402
import test_sensors as sensors  # noqa: E402
import test_shapes_groups as groups  # noqa: E402
import test_shapes_meshes as meshes  # noqa: E402
import test_sightlines as sightlines  # noqa: E402
import test_smooth_shading as smooth  # noqa: E402
import test_specular as specular  # noqa: E402
from test_channels import wavy  # noqa: E402

from pbdr.parameters import read  # noqa: E402
from pbdr.scene import load_scene  # noqa: E402

T = zoo.T
Array = fd.Array
Tangent = Callable[[Any, str], Array]
FEATURES = (
    "flat-shaded mesh", "smooth-shaded mesh", "rectangle", "disk", "sphere", "cylinder", "instances", "meshes through each other",
    "meshes that are no surface", "receiver", "point light", "spot light", "directional light", "area light", "environment",
    "projector",
    "perspective camera", "orthographic camera", "thin-lens camera", "opencv camera", "fisheye camera", "other sensors",
    "film: crop", "film: filter and border", "channels", "opacity", "materials", "mirror", "glass", "indirect light",
    "grids", "other shapes",
)  # fmt: skip
KINDS = ("material", "light", "shape", "camera")


@dataclass(frozen=True)
class Case:
    """One row.

    make      folder → loaded scene
    parameter its name; `tangent` (scene, name) → direction of the parameter's shape
    step      of the finite differences; half of it is the second step
    spp, fd_spp  samples per pixel of one replica
    options   further ones of `pathspace`; `aovs` chooses extra channels; `channels`: those that the adjoint weighs (none: all)
    tests     ids of the tests that verify the same thing
    peer      what ../shared/design/peers.md, section 2, says of Mitsuba 3.9.1, if this is one of its rows
    refusal   words of the message, for cases that are refused by name
    """

    feature: str
    kind: str
    make: Callable[[Path], Any]
    parameter: str
    tangent: Tangent
    tests: tuple[str, ...]
    step: float = 0.02
    spp: int = 256
    fd_spp: int = 1024
    depth: int = 2
    options: dict[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = ()
    peer: str = ""
    refusal: str = ""


def along(*direction: float) -> Tangent:
    """Every vertex, or the origin of a pose, moves the same way."""

    def tangent(scene: Any, name: str) -> Array:
        shape = fd.parameters(scene, name)[name].shape
        if shape == (3, 4) or name.endswith("pose"):
            return small.shift(*direction)
        return np.tile(np.asarray(direction, dtype=np.float64), (shape[0], 1))

    return tangent


def turned(scene: Any, name: str) -> Array:
    """A turn and a shift, as test_sensors.py has them for cameras and blocks."""
    return np.asarray(sensors.tangent(scene, name))


def one(scene: Any, name: str) -> Array:
    """Every entry alike."""
    return np.ones(fd.parameters(scene, name)[name].shape)


def given(value: Any) -> Tangent:
    """This direction."""
    return lambda scene, name: np.asarray(value, dtype=np.float64)


CASES: dict[str, Case] = {}


def add(name: str, *args: Any, **rest: Any) -> None:
    """Register a case."""
    case = Case(*args, **rest)
    assert name not in CASES and case.feature in FEATURES and case.kind in KINDS, name
    CASES[name] = case


# ---------------------------------------------------------------------- shapes in view, with their shadows

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
    path, _ = smooth.bumpy_ball(folder)
    bsdf = {"type": "diffuse", "reflectance": zoo.rgb(0.3, 0.5, 0.8)}
    lamp = zoo.above(size=0.5, emitter={"type": "area", "radiance": zoo.rgb(12.0)})
    return meshes.scene(light=lamp, ball={"type": "ply", "filename": path, "bsdf": bsdf})


def beside_the_ball(folder: Path) -> Any:
    path, _ = smooth.bumpy_ball(folder)
    return smooth.scene_of(path, smooth.LAMP, T().look_at([0, -1.2, 1], [0, -1.2, 0], [0, 1, 0]), 60, (0.8, 0.8, 0.8))


def wobble(scene: Any, name: str) -> Array:
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
add("instance moves", "instances", "shape", lambda folder: groups.grouped(), "one/pose", along(1, 0, 0.5),
    (GROUPS + "test_the_instance_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET,
    peer="0")  # fmt: skip
add("what instances show moves", "instances", "shape", lambda folder: groups.grouped(), "group/group__large_positions",
    along(0.5, 0, 1), (GROUPS + "test_what_it_shows_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET,
    peer="0")  # fmt: skip
add("camera before instances", "instances", "camera", lambda folder: groups.grouped(), "camera/pose", along(0.5, 0, 0.3),
    (GROUPS + "test_the_camera_moves",), step=0.04, spp=128, fd_spp=2048, options=BUDGET)  # fmt: skip


def sunk(folder: Path) -> Any:
    return meshes.scene(box=meshes.box(0.2))


def two_in_one(folder: Path) -> Any:
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

# ---------------------------------------------------------------------- lights

EMITTERS = "tests/gradient/test_emitters.py::test_emitter"
LIGHTS = {
    "point": ("point light", "exactly 0"), "spot": ("spot light", "exactly 0"), "directional": ("directional light", "exactly 0"),
    "area": ("area light", ""), "area-sphere": ("area light", ""), "sky": ("environment", ""), "projector": ("projector", ""),
}  # fmt: skip


def shadowed(light: str) -> Callable[[Path], Any]:
    """A cube and its shadow on a patterned floor."""
    return lambda folder: sensors.scene("perspective", light=zoo.sky() if light == "sky" else zoo.EMITTERS[light]())


SHADOW_TESTS = {
    "point": "tests/gradient/test_emitters.py::test_emitter", "spot": "tests/gradient/test_emitters.py::test_emitter",
    "directional": "tests/gradient/test_sensors.py::test_camera_parameters",
    "projector": "tests/gradient/test_emitters.py::test_emitter",
    "area": "tests/gradient/test_sensors.py::test_moving_shapes",
    "area-sphere": CLOSED7 + "test_form_7_for_round_occluders", "sky": CLOSED7 + "test_form_8_wall_under_a_uniform_sky",
}  # fmt: skip
for _light, (_feature, _peer) in LIGHTS.items():
    add(f"shadow of a moving block, {_light}", _feature, "shape", shadowed(_light), "block/positions", turned,
        (SHADOW_TESTS[_light],), fd_spp=2048, peer=_peer)  # fmt: skip


def emitter_tangent(light: str) -> Tangent:
    return lambda scene, name: np.asarray(emitters.tangent(scene, light, fd.parameters(scene, name)[name], 2))


for _light, _role, _step, _peer in (
    ("point", "position", 0.05, "raises"), ("spot", "pose", 0.02, "raises"), ("directional", "pose", 0.02, ""),
    ("projector", "pose", 0.02, ""), ("area", "pose", 0.05, ""), ("area-sphere", "pose", 0.05, ""), ("sky", "pose", 0.05, ""),
    ("spot", "cutoff_angle", 0.5, ""), ("area-textured", "radiance", 0.5, ""), ("sky", "radiance", 0.1, ""),
):  # fmt: skip
    add(f"{_light}: {_role}", LIGHTS[_light.replace("-textured", "")][0], "light",
        lambda folder, light=_light: emitters.lit(light), f"light/{_role}", emitter_tangent(_light),
        (f"{EMITTERS}[{_light}-{_role}]",), step=_step, fd_spp=512,
        spp=1024 if (_light, _role) == ("sky", "pose") else 256, peer=_peer)  # fmt: skip

# ---------------------------------------------------------------------- cameras and films

SENSORS = "tests/gradient/test_sensors.py::"
VIEWS = {
    "perspective": ("perspective camera", ("pose", "fov", "principal_point_x"), "raises, or interior only"),
    "orthographic": ("orthographic camera", ("pose",), "raises"),
    "thinlens": ("thin-lens camera", ("pose", "aperture_radius", "focus_distance"), "raises"),
    "opencv": ("opencv camera", ("pose", "focal_x", "k1", "p1"), ""),
    "opencv_fisheye": ("fisheye camera", ("pose", "k1"), ""),
}
for _view, (_feature, _roles, _peer) in VIEWS.items():
    for _role in _roles:
        add(f"{_view}: {_role}", _feature, "camera", lambda folder, view=_view: sensors.scene(view), f"camera/{_role}", turned,
            (f"{SENSORS}test_camera_parameters[{_view}]",), step=sensors.CAMERA[_view][_role], spp=128, peer=_peer)  # fmt: skip
for _view in ("orthographic", "thinlens", "opencv_fisheye"):
    add(f"{_view}: block moves", VIEWS[_view][0], "shape", lambda folder, view=_view: sensors.scene(view, light=sensors.area()),
        "block/positions", turned, (f"{SENSORS}test_moving_shapes[{_view}]",), spp=128, fd_spp=2048,
        peer=VIEWS[_view][2])  # fmt: skip


def batch(folder: Path) -> Any:
    views = {f"view{k}": zoo.camera(film=zoo.film(width=8)) for k in range(2)}
    return load_scene(zoo.scene(sensor={"type": "batch", "film": zoo.film(), **views}))


add("batch of sensors", "other sensors", "shape", batch, "ball/pose", one,
    ("tests/gradient/test_refusals.py::test_other_sensors_have_no_boundary",), refusal="Batch", peer="raises")  # fmt: skip

BORDER = {"rfilter": {"type": "gaussian"}, "sample_border": True}
add("cropped film", "film: crop", "shape", lambda folder: sensors.scene("perspective", film=zoo.film(**sensors.CROP)),
    "block/positions", turned, ("tests/gradient/test_invariances.py::test_crop_windows",),
    peer="splatted without the offset")  # fmt: skip
add("border and Gaussian filter", "film: filter and border", "shape",
    lambda folder: sensors.scene("perspective", film=zoo.film(**BORDER)), "block/positions", turned,
    ("tests/gradient/test_invariances.py::test_reconstruction_filters",), peer="scaled by (W+2b)(H+2b)/(WH)")  # fmt: skip
add("border, Gaussian filter and crop, camera moves", "film: filter and border", "camera",
    lambda folder: sensors.scene("perspective", film=zoo.film(**BORDER, **sensors.CROP)), "camera/pose", turned,
    (f"{SENSORS}test_camera_parameters[opencv]",), spp=128)  # fmt: skip

# ---------------------------------------------------------------------- channels


def sheet(folder: Path) -> Any:
    """A smooth-shaded sheet and a block above a floor that does not fill the view."""
    beside = T().translate([0.9, -1, 0.4]).rotate([0, 0, 1], 30).scale(0.3)
    film = zoo.film(pixel_format="rgba")
    return load_scene({
        "type": "scene", "camera": zoo.camera(film=film, sampler={"type": "ldsampler"}), "light": zoo.lamp(-0.5, 0.6, -1),
        "sheet": {**wavy(folder), "bsdf": RED}, "block": {"type": "cube", "to_world": beside, "bsdf": zoo.GREEN},
        "floor": {"type": "rectangle", "to_world": T().scale(1.2), "bsdf": {"type": "diffuse"}},
    })  # fmt: skip


CHANNELS = "tests/gradient/test_channels.py::"
for _channel, _aovs, _slice in (
    ("alpha", "", (3,)),
    ("depth", "depth:depth", (4,)),
    ("shading normal", "n:sh_normal", (4, 5, 6)),
    ("position", "p:position", (4, 5, 6)),
):
    add(f"{_channel}: block moves", "channels", "shape", sheet, "block/positions", along(0.5, 0.2, 0.4),
        (CHANNELS + ("test_masks" if _channel == "alpha" else "test_finite_differences[block/positions]"),),
        spp=128, options={"aovs": _aovs, "n_primary": 2**16} if _aovs else {"n_primary": 2**16}, channels=_slice,
        peer="boundary 0" if _channel != "position" else "")  # fmt: skip
add("depth: camera moves", "channels", "camera", sheet, "camera/pose", along(0.3, 0.2, -0.1),
    (CHANNELS + "test_finite_differences[camera/pose]",), spp=128, options={"aovs": "depth:depth", "n_primary": 2**16},
    channels=(4,),
    peer="boundary 0")  # fmt: skip

CHANNELS_OF_SHAPES = "tests/gradient/test_channels_shapes.py::test_shapes"
for _shape, _channel, _aovs, _slice in (
    ("instance of a flat mesh", "shading normal", "n:sh_normal", (3, 4, 5)),
    ("linear curve", "depth", "depth:depth", (3,)),
):
    add(f"{_channel}: {_shape}", "channels", "shape", lambda folder, kind=_shape: of_shapes.scene(kind, folder),
        of_shapes.SHAPES[_shape][1], of_shapes.direction, (f"{CHANNELS_OF_SHAPES}[{_shape}]",), spp=128,
        options={"aovs": _aovs, "n_primary": 2**16}, channels=_slice, peer="0" if "instance" in _shape else "")  # fmt: skip

# ---------------------------------------------------------------------- materials

MATERIALS = "tests/gradient/test_materials.py::test_material"


def material_tangent(scene: Any, name: str) -> Array:
    return np.asarray(materials.tangent(scene, fd.parameters(scene, name)[name]))


def material(kind: str) -> Callable[[Path], Any]:
    return lambda folder: materials.subject(kind)


add("mask: opacity", "opacity", "material", material("mask"), "ball/opacity", material_tangent, (f"{MATERIALS}[mask-opacity]",),
    step=0.1, spp=4096, fd_spp=4096, peer="wrong sign")  # fmt: skip
HALF = {"type": "mask", "opacity": 0.4, "nested": RED}


def half_opaque(folder: Path) -> Any:
    """The floor fills the view: where a ray meets nothing after a cut-out, `path` drops the light it has gathered before."""
    floor = {"type": "rectangle", "to_world": T().scale(40), "bsdf": meshes.diffuse(0.6)}
    return meshes.scene(floor=floor, thing={"type": "rectangle", "to_world": TILT, "bsdf": HALF})


add("half-opaque rectangle moves", "opacity", "shape", half_opaque, "thing/pose", along(0.4, 0.2, 0.3),
    (CLOSED1 + "test_form_1_for_a_half_opaque_border", f"{MATERIALS}[mask-opacity]"), depth=3, fd_spp=4096)  # fmt: skip
for _kind, _role in (
    ("diffuse", "base_color"), ("principled", "roughness"), ("roughconductor", "roughness"), ("roughdielectric", "eta"),
    ("normalmap", "normal_map"), ("bumpmap", "nested_texture"), ("blend", "weight"),
):  # fmt: skip
    add(f"{_kind}: {_role}", "materials", "material", material(_kind), f"ball/{_role}", material_tangent,
        (f"{MATERIALS}[{_kind}-{_role}]",), step=0.01, fd_spp=256)  # fmt: skip
MAPPED = "tests/gradient/test_mapped.py::test_texels_and_motion"
add("normal map that tilts by 22 degrees", "materials", "material", lambda folder: mapped.scene(), "ball/normal_map",
    material_tangent, (f"{MAPPED}[normal map]",), step=0.02, fd_spp=4096, options={"n_primary": 65536})  # fmt: skip
add("bump map", "materials", "material", lambda folder: mapped.scene("bump"), "ball/nested_texture",
    mapped.texel_signs, (f"{MAPPED}[bump map]",), step=0.005, fd_spp=4096, options={"n_primary": 65536})  # fmt: skip
add("normal map in reflected light, depth 3", "materials", "material", lambda folder: mapped.scene("normal", 3), "ball/normal_map",
    lambda scene, name: mapped.texel_signs(scene, name, 3), (f"{MAPPED}[normal map in reflected light]",), step=0.02, fd_spp=4096,
    depth=3, spp=1024, options={"n_indirect": 400_000})  # fmt: skip

# ---------------------------------------------------------------------- mirrors and glass

SPECULAR = "tests/gradient/test_specular.py::test_chains"
for _name, (_make, _parameter, _step, _depth, _spp) in specular.CASES.items():
    _kind, _tangent = ("material", one) if _parameter.endswith("eta") else ("shape", specular.shift)
    add(_name, "glass" if "glass" in _name else "mirror", _kind, lambda folder, make=_make: make(), _parameter, _tangent,
        (f"{SPECULAR}[{_name}]",), step=_step, depth=_depth, spp=_spp, fd_spp=16384, options={"n_indirect": 100_000},
        peer="96 % off" if _name == "box in a mirror" else "")  # fmt: skip

SIGHTS = "tests/gradient/test_sightlines.py::test_horizons"
for _name, _feature in (("in a mirror", "mirror"), ("normal map in a mirror", "mirror"), ("instance", "instances")):
    _make, _parameter, _along, _depth, _step, *_ = sightlines.CASES[_name]
    _wave = _along or (lambda scene, name, depth=_depth: mapped.texel_signs(scene, name, depth))
    _called = {"normal map in a mirror": _name}.get(_name, f"smooth mesh: {_name}")
    add(_called, _feature, "material" if _along is None else "shape", _make, _parameter, _wave, (f"{SIGHTS}[{_name}]",),
        step=_step, depth=_depth, spp=256, fd_spp=8192, options={"n_primary": 120_000, "n_indirect": 200_000})  # fmt: skip

# ---------------------------------------------------------------------- indirect light

INDIRECT = "tests/gradient/test_indirect.py::test_gates"
for _name in indirect.CASES:
    add(f"indirect: {_name}", "indirect light", "shape", lambda folder, name=_name: indirect.case(name)[0],
        next(iter(indirect.case(_name)[1])), given(next(iter(indirect.case(_name)[1].values()))), (f"{INDIRECT}[{_name}]",),
        depth=3, spp=16, fd_spp=32768, options={"n_indirect": 300_000},
        peer="infinite variance" if _name == "panel-low" else "")  # fmt: skip
# The boxes stand on the floor: lifted, the image has a kink.
add("Cornell box, depth 4: a box slides", "indirect light", "shape", lambda folder: load_scene(zoo.cornell()),
    "small-box/positions", along(0.3, 0, 0.2), (INDIRECT,), depth=4, spp=64, fd_spp=4096, options={"n_indirect": 300_000},
    peer="infinite variance")  # fmt: skip

# ---------------------------------------------------------------------- curves

CURVES = "tests/gradient/test_curves.py::"
for _kind in curves.POINTS:
    for _name, _param, _which in (
        ("bends", "curve/control_points", "shape"), ("at rest, receiver moves", "floor/pose", "shape"),
        ("before a moving camera", "camera/pose", "camera"),
    ):  # fmt: skip
        add(f"{_kind} {_name}", "other shapes", _which,
            lambda folder, kind=_kind, parameter=_param: curves.scene(
                folder, kind, sensors.area() if parameter == "floor/pose" else None
            ),
            _param, curves.bending,
            (f"{CURVES}test_moving_curves_receivers_and_cameras[{_kind}-{_param}-{'area' if _param == 'floor/pose' else 'lamp'}]",),
            fd_spp=4096, peer="no silhouettes" if _kind == "linearcurve" else "")  # fmt: skip

# ---------------------------------------------------------------------- grids of signed distances

GRIDS = "tests/gradient/test_grids.py::"
for _name, _which in (
    ("values", "shape"), ("values, no smooth normals", "shape"), ("camera", "camera"),
    ("values under a lamp with a surface", "shape"), ("pose", "shape"), ("receiver", "shape"),
):  # fmt: skip
    _parameter, _step, _samples = grids.CASES[_name][1], grids.CASES[_name][3], grids.case(_name)[3]
    add(f"grid: {_name}", "grids", _which, lambda folder, name=_name: grids.case(name)[0], _parameter, grids.change,
        (f"{GRIDS}test_grids_cameras_and_receivers_move[{_name}]",), step=_step, spp=_samples["spp"], fd_spp=4096,
        options={"n_primary": _samples["n_primary"]}, peer="no silhouettes")  # fmt: skip
add("grid: indirect light", "grids", "shape", lambda folder: grids.gate(), "blob/grid", grids.change,
    (GRIDS + "test_indirect_light",), depth=3, spp=4, fd_spp=32768, options={"n_indirect": 400_000},
    peer="no silhouettes")  # fmt: skip

# ---------------------------------------------------------------------- refused by name

for _kind in refusals.OTHERS:
    add(f"{_kind} beside a moving ball", "other shapes", "shape",
        lambda folder, kind=_kind: load_scene({**zoo.scene(), **refusals.OTHERS[kind](folder)}), "ball/pose", one,
        (f"tests/gradient/test_refusals.py::test_shapes_without_edges[{_kind}]",), refusal="other",
        peer="no silhouettes")  # fmt: skip
add("sphere sunk into the floor", "meshes through each other", "shape",
    lambda folder: meshes.scene(ball=meshes.SUNK["sphere"], box=meshes.box(3.0)), "ball/pose", one,
    (MESHES + "test_round_shapes_that_pass_through_others_are_refused[sphere]",), refusal="pass through")  # fmt: skip

GROUPED = {"type": "instance", "to_world": T().translate([0, 0, 1]), "group": {"type": "ref", "id": "group"}}
add("instance of a sphere", "instances", "shape",
    lambda folder: meshes.scene(group={"type": "shapegroup", "inner": {"type": "sphere", "radius": 0.3}}, one=GROUPED), "one/pose",
    one, (GROUPS + "test_round_shapes_in_groups_are_refused",), refusal="Sphere in a shape group")  # fmt: skip
for _name, (_make, _role) in refusals.MATERIALS.items():
    add(f"{_name}: refused", "materials", "material", lambda folder, make=_make: load_scene(zoo.scene(bsdf=make())),
        f"ball/{_role}", one, (f"tests/gradient/test_refusals.py::test_material_parameters[edge-{_name}]",),
        refusal="ball.")  # fmt: skip
for _role in ("turbidity", "sun_direction", "pose"):
    add(f"sunsky: {_role}", "environment", "light", lambda folder: load_scene(zoo.scene(light=zoo.EMITTERS["sunsky"]())),
        f"light/{_role}", one, (f"tests/gradient/test_refusals.py::test_sunsky[{_role}]",), refusal="light.")  # fmt: skip

# ---------------------------------------------------------------------- what is incomplete and says so


def dented(folder: Path) -> Any:
    """A moving ball whose normals are bent: its terminator is not the geometric one."""
    bsdf = {"type": "normalmap", "normalmap": zoo.normals(), "nested": {"type": "diffuse"}}
    return meshes.scene(thing={"type": "sphere", "center": [0, 0, 0.7], "radius": 0.4, "bsdf": bsdf})


def caustic(folder: Path) -> Any:
    """A lamp lights the floor by way of a mirror that moves."""
    pose = T().look_at([-1.0, 0.3, 0.9], [0.4, 0, 0.4], [0, 0, 1]).scale(0.5)
    mirror = {"type": "rectangle", "to_world": pose, "bsdf": specular.SILVER}
    lamp = zoo.above(size=0.5, emitter={"type": "area", "radiance": zoo.rgb(20.0)})
    return meshes.scene(light=lamp, mirror=mirror)


add("ball with a normal map moves", "materials", "shape", dented, "thing/pose", along(0.4, 0.2, 0.3),
    (f"{MAPPED}[a ball moves]",), fd_spp=4096)  # fmt: skip
add("caustic of a moving mirror", "mirror", "shape", caustic, "mirror/pose", along(0.4, 0.2, 0.3),
    ("tests/gradient/test_caustics.py::test_by_way_of_a_plane_mirror[mirror]",), depth=3, fd_spp=16384,
    options={"n_indirect": 4_000_000, "n_primary": 200_000})  # fmt: skip
