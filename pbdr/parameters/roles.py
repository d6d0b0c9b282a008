"""Roles: what a scene parameter is, one row each. Everything that treats roles differently asks this table.

A new role is a row. What has none is treated with caution: no bounds, moved by its entries alone, never taken for something that
moves nothing. docs/reference/roles.md lists the rows, with what their columns mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

INF = math.inf
UNIT = (0.0, 1.0)
POSITIVE = (0.0, INF)
AXES = ("x", "y", "z")
EVERYWHERE = (-INF, INF)


class Kind(Enum):
    """What a parameter belongs to."""

    COLOR = "colour"
    MATERIAL = "material"
    LIGHT = "light"
    GEOMETRY = "geometry"
    CAMERA = "camera"
    MEDIUM = "medium"
    OTHER = "other"


@dataclass(frozen=True)
class Role:
    """One row.

    name          the last part of a parameter's name
    kind          what it belongs to
    keys          Mitsuba's names for it, besides `name`
    bounds        the range that a value must keep for the renderer to make sense of it; the ends belong to it
    radiometric   whether it scales light and certainly moves nothing, so that no boundary term can depend on it; or Mitsuba's names
                  under which that is so
    channels      of the texture that a constant becomes: 3 for colours, also when the constant is grey; 0: as many as it has
    directions    that `pbdr.verify` moves it along (`verify.directions.direction`)
    length        whether values are points of the scene, so that steps are measured against the size of an object
    preset        which of `estimate_materials` and `estimate_lighting` estimates it unasked: "materials", "lighting", or ""
    emitted       whether it is an amount of light, with which a gauge may trade scale
    sky           whether, outside an area light, it lights from infinity, so that a constant may become an environment map
    surface       whether values are the vertices of a triangle mesh, whose faces lie beside them
    albedo        whether Mitsuba's albedo channel shows it, so that texels can be counted that views see
    map           what a variable's values are made of where it does not say: one of `parameters.maps.MAPS`
    lr            the learning rate that goes with that map
    optimiser     which of `inverse.optimisers.OPTIMISERS` moves it where neither variable nor map says; "": the job's
    replayed      whether replayed gradients with respect to it were compared with traced ones (tests/gradient/test_replay.py)
    """

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()
    bounds: tuple[float, float] = EVERYWHERE
    radiometric: bool | tuple[str, ...] = False
    channels: int = 0
    directions: tuple[str, ...] = ("all",)
    length: bool = False
    preset: str = ""
    emitted: bool = False
    sky: bool = False
    albedo: bool = False
    surface: bool = False
    map: str = "clamp"
    lr: float = 1e-2
    optimiser: str = ""
    replayed: bool = False

    def moves_nothing(self, raw: str) -> bool:
        """Return whether a parameter of this role certainly moves neither geometry nor directions. `raw`: Mitsuba's key."""
        if isinstance(self.radiometric, bool):
            return self.radiometric
        return any(key in raw.split(".") for key in self.radiometric)


def _rows() -> Iterator[Role]:
    color, material, light = Kind.COLOR, Kind.MATERIAL, Kind.LIGHT
    geometry, camera, medium = Kind.GEOMETRY, Kind.CAMERA, Kind.MEDIUM
    # Fractions move by a few percent a step, light by a few percent of itself; textures at all resolutions together.
    shade: dict[str, Any] = {"map": "pyramid", "lr": 0.04}
    gloss: dict[str, Any] = {"map": "pyramid", "lr": 0.015}
    glow: dict[str, Any] = {"map": "pyramid", "lr": 0.1}

    # Colours of surfaces. Principled `specular` bends refracted rays, as an index of refraction does.
    yield Role(
        "base_color", color, ("reflectance", "diffuse_reflectance"), UNIT, True, channels=3, preset="materials", albedo=True,
        replayed=True, **shade,
    )  # fmt: skip
    yield Role("specular", color, ("specular_reflectance",), UNIT, ("specular_reflectance",), channels=3, **shade)
    yield Role("transmission", color, ("specular_transmittance",), UNIT, True, channels=3, **shade)
    yield Role("albedo", color, bounds=UNIT, radiometric=True, albedo=True, **shade)

    # Other parameters of materials.
    yield Role("roughness", material, ("alpha",), (0.01, 1.0), True, preset="materials", replayed=True, **gloss)
    yield Role("roughness_u", material, ("alpha_u",), (0.01, 1.0), True, **gloss)
    yield Role("roughness_v", material, ("alpha_v",), (0.01, 1.0), True, **gloss)
    yield Role("metallic", material, bounds=UNIT, radiometric=True, preset="materials", **gloss)
    for name in (
        "spec_tint",
        "sheen",
        "sheen_tint",
        "clearcoat",
        "clearcoat_gloss",
        "anisotropic",
        "flatness",
        "diff_trans",
    ):
        yield Role(name, material, bounds=UNIT, radiometric=True, **gloss)
    yield Role("spec_trans", material, bounds=UNIT)
    yield Role("opacity", material, bounds=UNIT, radiometric=True)
    yield Role("weight", material, bounds=UNIT, radiometric=True)
    yield Role("eta", material, bounds=(0.01, 10.0), channels=3)
    yield Role("k", material, bounds=POSITIVE, radiometric=True, channels=3)
    yield Role("normal_map", material, ("normalmap",))
    for name in ("nested_texture", "texture", "vertex_color", "uv"):
        yield Role(name, material, ("to_uv",) if name == "uv" else ())
    for name in ("transmittance", "theta", "delta"):  # polarizers and retarders
        yield Role(name, material)
    for name in ("azimuthal_roughness", "longitudinal_roughness", "eumelanin", "pheomelanin", "scale_tilt"):  # hair
        yield Role(name, material)

    # Lights.
    yield Role(
        "radiance", light, (), POSITIVE, True, channels=3, preset="lighting", emitted=True, sky=True,
        replayed=True, **glow,
    )  # fmt: skip
    yield Role("intensity", light, (), POSITIVE, True, preset="lighting", emitted=True, **glow)
    yield Role("irradiance", light, (), POSITIVE, True, preset="lighting", emitted=True, **glow)
    yield Role("scale", light, bounds=POSITIVE, radiometric=True, **glow)
    yield Role("turbidity", light, bounds=(1.0, 10.0), radiometric=True)
    yield Role("cutoff_angle", light, radiometric=True)  # the borders of beams are a term of their own
    yield Role("beam_width", light, radiometric=True)
    yield Role("sun_direction", light)
    yield Role("position", light, directions=AXES, length=True, map="shift")

    # What is where.
    yield Role(
        "positions", geometry, ("vertex_positions",), directions=(*AXES, "smooth"), length=True, surface=True, map="largesteps",
        lr=3e-2, replayed=True,
    )  # fmt: skip
    yield Role("normals", geometry, ("vertex_normals",), directions=("smooth",), replayed=True)  # they follow positions
    yield Role("texcoords", geometry, ("vertex_texcoords",))
    yield Role("pose", geometry, ("to_world",), directions=AXES, length=True, map="se3", replayed=True)
    yield Role("center", geometry, directions=AXES, length=True, map="shift")
    yield Role("control_points", geometry)
    for name in ("grid", "data"):  # signed distances; volumes and phase functions
        yield Role(name, geometry)

    # Cameras.
    yield Role("fov", camera, ("x_fov",), (1.0, 179.0), optimiser="lm", replayed=True)
    yield Role("aperture_radius", camera, bounds=(1e-6, INF), optimiser="lm")
    yield Role("focus_distance", camera, bounds=(1e-6, INF), optimiser="lm")
    yield Role("principal_point_x", camera, ("principal_point_offset_x",), optimiser="lm")
    yield Role("principal_point_y", camera, ("principal_point_offset_y",), optimiser="lm")
    for name in ("focal_x", "focal_y"):
        yield Role(name, camera, bounds=(1e-6, INF), optimiser="lm")
    for name in ("k1", "k2", "k3", "k4", "p1", "p2"):
        yield Role(name, camera, optimiser="lm")

    # Participating media.
    yield Role("sigma_t", medium, bounds=POSITIVE)
    yield Role("g", medium, bounds=(-0.999, 0.999))


TABLE = {row.name: row for row in _rows()}

#: Mitsuba's parameter name → role, where the two differ.
ALIASES = {key: row.name for row in TABLE.values() for key in row.keys}

#: What other programs call a role → role, for messages. Letters are small.
ELSEWHERE = {
    **dict.fromkeys(
        ("albedo", "color", "colour", "base_colour", "basecolor", "diffuse", "kd", "reflectance", "diffuse_reflectance"),
        "base_color",
    ),
    **dict.fromkeys(("alpha", "rough"), "roughness"),
    **dict.fromkeys(("ior", "int_ior"), "eta"),
    **dict.fromkeys(("metalness", "metal"), "metallic"),
    **dict.fromkeys(("intensity", "emission", "emissive", "irradiance", "light"), "radiance"),
    **dict.fromkeys(("vertices", "vertex_positions", "shape", "geometry"), "positions"),
    **dict.fromkeys(("to_world", "transform", "extrinsics", "rotation", "translation"), "pose"),
    **dict.fromkeys(("x_fov", "focal", "focal_length", "intrinsics"), "fov"),
}  # fmt: skip

#: What has no row.
OTHER = Role("", Kind.OTHER)

#: What the parameters of a measured spectrum add to the role of the quantity that it gives.
OF_SPECTRA = ("_d65_values", "_values", "_wavelengths", "_temperature")


@cache
def find(role: str) -> Role:
    """Return the row of `role`; `OTHER` where there is none.

    A parameter of a measured spectrum (`base_color_values`) moves no more than the quantity does; only its values have the bounds.
    Roles that are made of a path, `base_color_color0` of a checkerboard, are parts of something else and have no row.
    """
    if role in TABLE:
        return TABLE[role]
    suffix = next((s for s in OF_SPECTRA if role.endswith(s)), "")
    quantity = TABLE.get(role.removesuffix(suffix)) if suffix else None
    if quantity is None:
        return OTHER
    bounds = quantity.bounds if role.endswith("_values") else EVERYWHERE
    return replace(OTHER, name=role, kind=quantity.kind, bounds=bounds, radiometric=quantity.radiometric is True)


def preset(name: str) -> list[Role]:
    """Return the rows that the preset `name` estimates."""
    return [row for row in TABLE.values() if row.preset == name]
