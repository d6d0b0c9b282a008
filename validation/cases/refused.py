"""What is refused by name."""

from __future__ import annotations

from pbdr.scene import load_scene
from validation.cases.case import Cases, one
from validation.cases.shapes import GROUPS, MESHES
from validation.scenes import meshes, refused, zoo
from validation.scenes.zoo import T

CASES = Cases()
add = CASES.add

for _kind in refused.OTHERS:
    add(f"{_kind} beside a moving ball", "other shapes", "shape",
        lambda folder, kind=_kind: load_scene({**zoo.scene(), **refused.OTHERS[kind](folder)}), "ball/pose", one,
        (f"tests/gradient/test_refusals.py::test_shapes_without_edges[{_kind}]",), refusal="other",
        peer="no silhouettes")  # fmt: skip
add("sphere sunk into the floor", "meshes through each other", "shape",
    lambda folder: meshes.scene(ball=meshes.SUNK["sphere"], box=meshes.box(3.0)), "ball/pose", one,
    (MESHES + "test_round_shapes_that_pass_through_others_are_refused[sphere]",), refusal="pass through")  # fmt: skip

GROUPED = {"type": "instance", "to_world": T().translate([0, 0, 1]), "group": {"type": "ref", "id": "group"}}
add("instance of a sphere", "instances", "shape",
    lambda folder: meshes.scene(group={"type": "shapegroup", "inner": {"type": "sphere", "radius": 0.3}}, one=GROUPED), "one/pose",
    one, (GROUPS + "test_round_shapes_in_groups_are_refused",), refusal="Sphere in a shape group")  # fmt: skip
for _name, (_make, _role) in refused.MATERIALS.items():
    add(f"{_name}: refused", "materials", "material", lambda folder, make=_make: load_scene(zoo.scene(bsdf=make())),
        f"ball/{_role}", one, (f"tests/gradient/test_refusals.py::test_material_parameters[edge-{_name}]",),
        refusal="ball.")  # fmt: skip
for _role in ("turbidity", "sun_direction", "pose"):
    add(f"sunsky: {_role}", "environment", "light", lambda folder: load_scene(zoo.scene(light=zoo.EMITTERS["sunsky"]())),
        f"light/{_role}", one, (f"tests/gradient/test_refusals.py::test_sunsky[{_role}]",), refusal="light.")  # fmt: skip
