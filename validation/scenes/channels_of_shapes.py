"""Every kind of shape above a floor, for derivatives of extra channels."""

from __future__ import annotations

from pbdr.scene import load_scene
from validation.scenes import curves, grids, normal_maps, zoo
from validation.scenes.channels import KINDS, tangent, wavy
from validation.scenes.zoo import T

WITHOUT_UV = {kind: n for kind, n in KINDS.items() if kind != "uv"}
UNBENT = {kind: n for kind, n in WITHOUT_UV.items() if kind != "sh_normal"}
TILTED = T().translate([0.2, 0, 0.8]).rotate([0.6, 0.8, 0], 35)


def on_instance(inner):
    """The shape in a group, and one instance of it."""
    place = T().translate([0.1, 0, 0.2]).rotate([0.6, 0, 0.8], 25).scale([0.7, 0.8, 0.6])
    return {
        "group": {"type": "shapegroup", "inner": inner},
        "thing": {"type": "instance", "to_world": place, "group": {"type": "ref", "id": "group"}},
    }  # fmt: skip


def box(**rest):
    """A turned cube, with what else belongs to the shape."""
    return {"type": "cube", "to_world": T().translate([0, 0, 0.6]).rotate([0, 0.6, 0.8], 30).scale(0.5), **rest}


# What is beside the floor, the parameter, and the channels.
SHAPES = {
    "disk": (lambda folder: {"thing": {"type": "disk", "to_world": TILTED}}, "thing/pose", WITHOUT_UV),
    "sphere": (
        lambda folder: {"thing": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.5}},
        "thing/pose",
        WITHOUT_UV,
    ),
    "cylinder": (
        lambda folder: {"thing": {"type": "cylinder", "to_world": TILTED.scale(0.5)}},
        "thing/pose",
        WITHOUT_UV,
    ),
    "split flat mesh": (lambda folder: {"thing": box()}, "thing/positions", KINDS),
    "instance of a flat mesh": (lambda folder: on_instance(box()), "thing/pose", KINDS),
    "instance of a smooth mesh": (lambda folder: on_instance(wavy(folder)), "thing/pose", KINDS),
    "mesh in an instance": (lambda folder: on_instance(box()), "group/group__inner_positions", KINDS),
    "B-spline": (
        lambda folder: {"thing": curves.curve(folder, "bsplinecurve")},
        "thing/control_points",
        WITHOUT_UV,
    ),
    "linear curve": (
        lambda folder: {"thing": curves.curve(folder, "linearcurve")},
        "thing/control_points",
        WITHOUT_UV,
    ),
    "smooth grid": (lambda folder: {"thing": grids.blob("smooth")}, "thing/grid", WITHOUT_UV),
    "grid": (lambda folder: {"thing": grids.blob("analytic")}, "thing/grid", WITHOUT_UV),
    "instance of a grid": (lambda folder: on_instance(grids.blob("analytic")), "thing/pose", WITHOUT_UV),
    "normal map": (lambda folder: {"thing": normal_maps.bent_ball()}, "thing/pose", UNBENT),
}


def scene(case, folder):
    """The shape above a floor that does not fill the view."""
    floor = {"type": "rectangle", "to_world": T().scale(1.6), "bsdf": {"type": "diffuse"}}
    parts = {"camera": zoo.camera(sampler={"type": "ldsampler"}), "light": zoo.lamp(-0.5, 0.6, -1), "floor": floor}
    return load_scene({"type": "scene", **parts, **SHAPES[case][0](folder)})


def direction(made, name):
    """How the parameter changes."""
    if name.endswith("control_points"):
        return curves.bending(made, name)
    if name.endswith("grid"):
        return grids.change(made, name)
    return tangent(made, name)
