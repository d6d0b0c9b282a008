"""What was refused or incomplete once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from validation.cases.case import Cases, along
from validation.cases.materials import MAPPED
from validation.scenes import meshes, specular, zoo
from validation.scenes.zoo import T

CASES = Cases()
add = CASES.add


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
