"""Extra channels of the image: what the camera sees first, without any light (depth, position, normals, albedo, masks).

Names and values are those of Mitsuba's `aov` integrator. Every channel is a function of the camera segment's hit, so that it has
the same two derivatives as radiance: the hit slides along the attached camera ray (interior), and the value jumps at edges seen on
the film (primary boundary, equation 7).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError, SceneError, closest
from pbdr.geometry import groups, normal_maps, registry, surfaces
from pbdr.transport import spectra

#: Kind of channel → suffixes of its components.
KINDS = {
    "albedo": "RGB",
    "depth": "T",
    "position": "XYZ",
    "uv": "UV",
    "geo_normal": "XYZ",
    "sh_normal": "XYZ",
    "mask": "M",
}
#: Kinds of Mitsuba's `aov` that have no derivative, or none that is useful.
WITHOUT_DERIVATIVE = ("dp_du", "dp_dv", "duv_dx", "duv_dy", "prim_index", "shape_index", "boundary_test")
_TOKEN = re.compile(r"(?:(?P<name>[^:()]+):)?(?P<kind>\w+)(?:\((?P<shape>[^()]+)\))?")


@dataclass(frozen=True)
class Channel:
    """One entry of the option `aovs`: `[name:]kind`, for masks `[name:]mask(shape id)` or `mask` of everything."""

    name: str
    kind: str
    shape: str = ""

    @property
    def film_names(self) -> list[str]:
        """Names of its components on the film."""
        return [f"{self.name}.{suffix}" for suffix in KINDS[self.kind]]


def parse(text: str) -> tuple[Channel, ...]:
    """Read the option `aovs`; OptionError names what is wrong and what there is."""
    found: list[Channel] = []
    for token in re.split(r"[,\s]+", text.strip()) if text.strip() else []:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise OptionError(
                f"pathspace: aovs has the entry '{token}'; write 'kind', 'name:kind' or 'mask(shape id)'."
            )
        name, kind, shape = match["name"], match["kind"], match["shape"]
        if kind in WITHOUT_DERIVATIVE:
            raise OptionError(
                f"pathspace: aovs has '{kind}', which has no derivative here. Render it with Mitsuba's `aov` integrator; "
                f"kinds: {', '.join(KINDS)}."
            )
        if kind not in KINDS:
            hint = closest(kind, list(KINDS))
            raise OptionError(
                f"pathspace: aovs has the unknown kind '{kind}'. " + (f"Closest: '{hint[0]}'. " if hint else "")
                + f"Kinds: {', '.join(KINDS)}."
            )  # fmt: skip
        if shape and kind != "mask":
            raise OptionError(f"pathspace: aovs has '{token}'; a shape id belongs to 'mask' only.")
        name = name or (f"{kind}.{shape}" if shape else kind)
        if any(channel.name == name for channel in found):
            raise OptionError(f"pathspace: aovs has '{name}' twice; give each entry a name of its own, 'name:kind'.")
        found.append(Channel(name, kind, shape or ""))
    return tuple(found)


def check(channels: Sequence[Channel], scene: Any, moving_edges: bool = False) -> None:
    """OptionError for masks of unknown shapes; SceneError for channels without a boundary term, or without a value."""
    mapped = normal_maps.Maps.of(scene).shapes if any(channel.kind == "sh_normal" for channel in channels) else []
    if mapped:
        raise SceneError(
            f"pathspace: the channel 'sh_normal' of {', '.join(s.id() for s in mapped[:6])} is bent by a normal or bump map, and "
            "has neither a value nor a derivative here. Use geo_normal, or a material without the map."
        )
    kinds = {shape: registry.kind_of(shape) for shape in groups.everything(scene)}
    wrapped = [shape.id() for shape, kind in kinds.items() if kind is not None and kind.wraps]
    if moving_edges and wrapped and any(channel.kind == "uv" for channel in channels):
        raise SceneError(
            f"pathspace: the channel 'uv' of {', '.join(wrapped[:6])} jumps along a seam that has no boundary term, or has no "
            "derivative. Use a mesh."
        )
    known = [shape.id() for shape in scene.shapes()]
    for channel in channels:
        if channel.shape and channel.shape not in known:
            hint = closest(channel.shape, known)
            raise OptionError(
                f"pathspace: aovs asks for mask({channel.shape}), but the scene has no shape of that id. "
                + (f"Closest: '{hint[0]}'. " if hint else "") + f"Shapes: {', '.join(known[:12])}."
            )  # fmt: skip


def values(
    channels: Sequence[Channel], scene: Any, hit: Any, ray: Any, eye: Any, active: Any = True, features: Any = None
) -> list[Any]:
    """Components of all channels where `ray` meets `hit`, attached if `ray` or the scene is; 0 where nothing is hit.

    `eye`: the camera ray from whose origin depth counts. (`ray` may start elsewhere: close to an edge.) Derivatives need the
    `features` of the scene: without them, those of hits on instances, curves and grids are Mitsuba's.
    """
    if not channels:
        return []
    seen = mi.Bool(active) & hit.is_valid()
    attached = mi.Ray3f(ray)
    # Lanes that hit nothing have no normal: whatever depends on it would give the ray an adjoint of 0 · ∞.
    attached.o, attached.d = (dr.select(seen, x, dr.detach(x)) for x in (ray.o, ray.d))
    si = surfaces.slide(hit, attached, seen) if features is None else surfaces.sliding(features, hit, attached, seen)
    si.wi = si.to_local(-attached.d)
    found = [value for channel in channels for value in _components(channel, scene, hit, si, eye, seen)]
    return [dr.select(seen, value, 0) for value in found]


def _components(channel: Channel, scene: Any, hit: Any, si: Any, eye: Any, seen: Any) -> list[Any]:
    if channel.kind == "albedo":
        return list(spectra.reflectance_to_rgb(si.bsdf().eval_diffuse_reflectance(si, seen), si.wavelengths))
    if channel.kind == "depth":
        return [dr.dot(si.p - eye.o, eye.d)]
    if channel.kind == "mask":
        if not channel.shape:
            return [mi.Float(1)]
        shape = mi.ShapePtr(next(s for s in scene.shapes() if s.id() == channel.shape))
        return [dr.select((hit.shape == shape) | (hit.instance == shape), mi.Float(1), 0)]
    vector = {"position": si.p, "uv": si.uv, "geo_normal": si.n, "sh_normal": si.sh_frame.n}[channel.kind]
    return list(vector)
