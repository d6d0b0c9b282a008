"""Parameters of materials and of their textures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation import finite_differences as fd
from validation.cases.case import Array, Cases, along
from validation.cases.shapes import CLOSED1, RED, TILT
from validation.scenes import materials, meshes, normal_maps
from validation.scenes.zoo import T

CASES = Cases()
add = CASES.add

MATERIALS = "tests/gradient/test_materials.py::test_material"


def material_tangent(scene: Any, name: str) -> Array:
    """The direction in which validation/scenes/materials.py changes a parameter."""
    return np.asarray(materials.tangent(scene, fd.parameters(scene, name)[name]))


def material(kind: str) -> Callable[[Path], Any]:
    """The subject of this material."""
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
add("normal map that tilts by 22 degrees", "materials", "material", lambda folder: normal_maps.scene(), "ball/normal_map",
    material_tangent, (f"{MAPPED}[normal map]",), step=0.02, fd_spp=4096, options={"n_primary": 65536})  # fmt: skip
add("bump map", "materials", "material", lambda folder: normal_maps.scene("bump"), "ball/nested_texture",
    normal_maps.texel_signs, (f"{MAPPED}[bump map]",), step=0.005, fd_spp=4096, options={"n_primary": 65536})  # fmt: skip
add("normal map in reflected light, depth 3", "materials", "material", lambda folder: normal_maps.scene("normal", 3),
    "ball/normal_map", lambda scene, name: normal_maps.texel_signs(scene, name, 3),
    (f"{MAPPED}[normal map in reflected light]",), step=0.02, fd_spp=4096, depth=3, spp=1024,
    options={"n_indirect": 400_000})  # fmt: skip
