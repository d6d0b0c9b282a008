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
    prior         of textures where the variable names none: one of `inverse.priors.PRIORS`, as strong as noise asks for
                  (`inverse.unknowns.usual_priors`); "": none
    dead          the end of the bounds at which Mitsuba's plugins drop a lobe, and with it the derivative: attached values stay
                  1e-6 away from it (`values.write`)
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
    prior: str = ""
    dead: float | None = None
    replayed: bool = False

    def moves_nothing(self, raw: str) -> bool:
        """Return whether a parameter of this role certainly moves neither geometry nor directions. `raw`: Mitsuba's key."""
        if isinstance(self.radiometric, bool):
            return self.radiometric
        return any(key in raw.split(".") for key in self.radiometric)


# Fractions move by a few percent a step, light by a few percent of itself; textures at all resolutions together.
SHADE: dict[str, Any] = {"map": "pyramid", "lr": 0.08, "prior": "tv_colour"}
GLOSS: dict[str, Any] = {"map": "pyramid", "lr": 0.015}
GLOW: dict[str, Any] = {"map": "pyramid", "lr": 0.1}


def _colors() -> Iterator[Role]:
    """Colours of surfaces."""
    # Principled `specular` bends refracted rays, as an index of refraction does.
    yield Role(
        "base_color", Kind.COLOR, ("reflectance", "diffuse_reflectance"), UNIT, True, channels=3, preset="materials", albedo=True,
        replayed=True, **SHADE,
    )  # fmt: skip
    yield Role("specular", Kind.COLOR, ("specular_reflectance",), UNIT, ("specular_reflectance",), channels=3, **SHADE)
    yield Role("transmission", Kind.COLOR, ("specular_transmittance",), UNIT, True, channels=3, **SHADE)


def _materials() -> Iterator[Role]:
    """Other parameters of materials."""
    yield Role("roughness", Kind.MATERIAL, ("alpha",), (0.01, 1.0), True, preset="materials", replayed=True, **GLOSS)
    yield Role("roughness_u", Kind.MATERIAL, ("alpha_u",), (0.01, 1.0), True, **GLOSS)
    yield Role("roughness_v", Kind.MATERIAL, ("alpha_v",), (0.01, 1.0), True, **GLOSS)
    yield Role("metallic", Kind.MATERIAL, bounds=UNIT, radiometric=True, preset="materials", dead=1.0, **GLOSS)
    for name in ("sheen", "clearcoat"):
        yield Role(name, Kind.MATERIAL, bounds=UNIT, radiometric=True, dead=0.0, **GLOSS)
    for name in ("spec_tint", "sheen_tint", "clearcoat_gloss", "anisotropic", "flatness", "diff_trans"):
        yield Role(name, Kind.MATERIAL, bounds=UNIT, radiometric=True, **GLOSS)
    yield Role("spec_trans", Kind.MATERIAL, bounds=UNIT, dead=1.0)
    yield Role("opacity", Kind.MATERIAL, bounds=UNIT, radiometric=True, dead=0.0)
    yield Role("weight", Kind.MATERIAL, bounds=UNIT, radiometric=True, dead=0.0)
    yield Role("eta", Kind.MATERIAL, bounds=(0.01, 10.0), channels=3)
    yield Role("k", Kind.MATERIAL, bounds=POSITIVE, radiometric=True, channels=3)
    yield Role("normal_map", Kind.MATERIAL, ("normalmap",))
    for name in ("nested_texture", "texture", "vertex_color", "uv"):
        yield Role(name, Kind.MATERIAL, ("to_uv",) if name == "uv" else ())
    for name in ("transmittance", "theta", "delta"):  # polarizers and retarders
        yield Role(name, Kind.MATERIAL)
    for name in ("azimuthal_roughness", "longitudinal_roughness", "eumelanin", "pheomelanin", "scale_tilt"):  # hair
        yield Role(name, Kind.MATERIAL)


def _lights() -> Iterator[Role]:
    """Lights."""
    yield Role(
        "radiance", Kind.LIGHT, (), POSITIVE, True, channels=3, preset="lighting", emitted=True, sky=True,
        replayed=True, **GLOW,
    )  # fmt: skip
    yield Role("intensity", Kind.LIGHT, (), POSITIVE, True, preset="lighting", emitted=True, **GLOW)
    yield Role("irradiance", Kind.LIGHT, (), POSITIVE, True, preset="lighting", emitted=True, **GLOW)
    yield Role("scale", Kind.LIGHT, bounds=POSITIVE, radiometric=True, **GLOW)
    yield Role("turbidity", Kind.LIGHT, bounds=(1.0, 10.0), radiometric=True)
    yield Role("cutoff_angle", Kind.LIGHT, radiometric=True)  # the borders of beams are a term of their own
    yield Role("beam_width", Kind.LIGHT, radiometric=True)
    yield Role("sun_direction", Kind.LIGHT)
    yield Role("position", Kind.LIGHT, directions=AXES, length=True, map="shift")


def _geometry() -> Iterator[Role]:
    """What is where."""
    yield Role(
        "positions", Kind.GEOMETRY, ("vertex_positions",), directions=(*AXES, "smooth"), length=True, surface=True,
        map="largesteps", lr=3e-2, replayed=True,
    )  # fmt: skip
    yield Role("normals", Kind.GEOMETRY, ("vertex_normals",), directions=("smooth",), replayed=True)  # they follow positions
    yield Role("texcoords", Kind.GEOMETRY, ("vertex_texcoords",))
    yield Role("pose", Kind.GEOMETRY, ("to_world",), directions=AXES, length=True, map="se3", replayed=True)
    yield Role("center", Kind.GEOMETRY, directions=AXES, length=True, map="shift")
    yield Role("control_points", Kind.GEOMETRY)
    for name in ("grid", "data"):  # signed distances; volumes and phase functions
        yield Role(name, Kind.GEOMETRY)


def _cameras() -> Iterator[Role]:
    """Cameras."""
    yield Role("fov", Kind.CAMERA, ("x_fov",), (1.0, 179.0), optimiser="lm", replayed=True)
    yield Role("aperture_radius", Kind.CAMERA, bounds=(1e-6, INF), optimiser="lm")
    yield Role("focus_distance", Kind.CAMERA, bounds=(1e-6, INF), optimiser="lm")
    yield Role("principal_point_x", Kind.CAMERA, ("principal_point_offset_x",), optimiser="lm")
    yield Role("principal_point_y", Kind.CAMERA, ("principal_point_offset_y",), optimiser="lm")
    for name in ("focal_x", "focal_y"):
        yield Role(name, Kind.CAMERA, bounds=(1e-6, INF), optimiser="lm")
    for name in ("k1", "k2", "k3", "k4", "p1", "p2"):
        yield Role(name, Kind.CAMERA, optimiser="lm")


def _media() -> Iterator[Role]:
    """Participating media."""
    yield Role("sigma_t", Kind.MEDIUM, bounds=POSITIVE, radiometric=True, lr=0.1)
    yield Role("emission", Kind.MEDIUM, bounds=POSITIVE, radiometric=True, emitted=True, lr=0.1)
    yield Role("albedo", Kind.MEDIUM, bounds=UNIT, radiometric=True, lr=0.04)
    yield Role("peaks", Kind.MEDIUM, bounds=POSITIVE, radiometric=True, lr=0.1)  # of Gaussians: smooth, without edges
    for name in ("centers", "log_scales", "rotations"):
        yield Role(name, Kind.MEDIUM, radiometric=True)
    for name in ("sigma_t_grid", "sigma_t_table", "sigma_t_net"):  # of fields: voxels; hash grids and their networks
        yield Role(name, Kind.MEDIUM, radiometric=True)
    yield Role("phase_g", Kind.MEDIUM, ("g",), (-0.999, 0.999), True, lr=0.04)


#: A new role is a row in one of these.
_ROWS = (_colors, _materials, _lights, _geometry, _cameras, _media)

TABLE = {row.name: row for rows in _ROWS for row in rows()}

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
