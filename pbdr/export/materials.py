"""BSDFs of a scene as materials of physically based real-time rendering: base colour, metallic, roughness, …

They are what glTF 2.0 and USD's preview surface know. What a BSDF has and such a material has not is listed in `lost`. A BSDF of
Mitsuba is a function here, and a line in PLUGINS; `reader` gives it the values of its slots (`reader.Reader`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ..scene import load_object

Image = NDArray[np.float32]
Value = float | NDArray[np.float64] | Image


@dataclass
class Material:
    """A material. Values are linear: a number, a colour (3,), or texels (H, W, 1 or 3) whose first row is at v = 0.

    specular      weight of the reflection at a dielectric surface of index `ior`; 0: none
    roughness     square root of the width α of the microfacets' distribution
    transmission  part of the light that enters and is not diffused
    normal        tangent-space normals, (H, W, 3) in [0, 1]
    emission      radiance
    uv            (2, 3) map from the surface's texture coordinates to those of the texels
    wrap, smooth  how texels are repeated ("repeat", "mirror", "clamp") and interpolated
    lost          what the scene has and this has not, in words
    """

    name: str
    base_color: Value = field(default_factory=lambda: np.full(3, 0.5))
    metallic: Value = 0.0
    roughness: Value = 1.0
    ior: float = 1.5
    specular: float = 1.0
    transmission: float = 0.0
    clearcoat: float = 0.0
    clearcoat_roughness: float = 0.0
    opacity: float = 1.0
    normal: Image | None = None
    emission: Value | None = None
    two_sided: bool = False
    uv: NDArray[np.float64] = field(default_factory=lambda: np.eye(3)[:2])
    wrap: str = "repeat"
    smooth: bool = True
    lost: list[str] = field(default_factory=list)


def is_image(value: Any) -> bool:
    """Whether a value varies over the surface."""
    return isinstance(value, np.ndarray) and value.ndim == 3


def normal_hit(count: int = 1) -> Any:
    """Points of a surface that are looked at along its normal."""
    import drjit as dr

    hit = dr.zeros(mi.SurfaceInteraction3f, count)
    hit.wi = mi.Vector3f(0, 0, 1)
    return hit


# ---------------------------------------------------------------------- plugins


def _diffuse(reader: Any, material: Material, node: Any) -> None:
    material.base_color = reader.value(material, node, "reflectance", 0.5, 3)
    material.specular = 0.0


def _principled(reader: Any, material: Material, node: Any) -> None:
    material.base_color = reader.value(material, node, "base_color", 0.5, 3)
    material.roughness = reader.value(material, node, "roughness", 0.5, 1)
    material.metallic = reader.value(material, node, "metallic", 0.0, 1)
    material.transmission = reader.number(material, node, "spec_trans", 0.0)
    material.clearcoat = reader.number(material, node, "clearcoat", 0.0)
    gloss = reader.number(material, node, "clearcoat_gloss", 0.0)
    material.clearcoat_roughness = float(np.sqrt(0.1 + gloss * (0.001 - 0.1)))
    if "eta" in node.props:
        material.ior = _index(node.props["eta"])
    else:  # as the plugin turns `specular` into an index
        material.ior = float(2 / (1 - np.sqrt(0.08 * reader.number(material, node, "specular", 0.5))) - 1)
    for slot in ("anisotropic", "spec_tint", "sheen", "sheen_tint", "flatness", "diff_trans"):
        if np.any(np.asarray(reader.value(material, node, slot, 0.0, 1)) != 0):
            material.lost.append(f"{slot} is left out")


def _metal(reader: Any, material: Material, node: Any) -> None:
    material.metallic = 1.0
    tint = reader.value(material, node, "specular_reflectance", 1.0, 3)
    material.base_color = np.asarray(tint) * _reflectance(reader, node)
    _alpha(reader, material, node)


def _reflectance(reader: Any, node: Any) -> NDArray[np.float64]:
    """(3,) reflectance of a metal at normal incidence."""
    kinds = mi.Properties.Type
    metal: dict[str, Any] = {"type": "conductor"}
    for name in ("material", "eta", "k"):
        if name not in node.props:
            continue
        metal[name] = node.props[name]
        if node.props.type(name) in (kinds.Color, kinds.Spectrum, kinds.ResolvedReference):
            metal[name] = {"type": "rgb", "value": reader.spectrum(node, name).tolist()}
    _, weight = load_object(metal).sample(mi.BSDFContext(), normal_hit(), 0.0, mi.Point2f(0.5))
    return np.array(weight, dtype=np.float64).reshape(3)


def _alpha(reader: Any, material: Material, node: Any) -> None:
    """Roughness of Mitsuba's rough materials: √α."""
    if not node.props.plugin_name().startswith("rough"):
        material.roughness = 0.0
        return
    if "alpha_u" in node.props or "alpha_v" in node.props:
        both = [reader.value(material, node, f"alpha_{axis}", 0.1, 1) for axis in "uv"]
        material.lost.append("alpha_u and alpha_v: one roughness is written, of their geometric mean")
        alpha: Any = np.sqrt(np.maximum(np.asarray(both[0]) * np.asarray(both[1]), 0))
    else:
        alpha = reader.value(material, node, "alpha", 0.1, 1)
    if node.props.get("distribution", "beckmann") != "ggx":
        material.lost.append("Beckmann's distribution is taken for GGX")
    material.roughness = np.sqrt(alpha) if is_image(alpha) else float(np.sqrt(alpha))


def _plastic(reader: Any, material: Material, node: Any) -> None:
    material.base_color = reader.value(material, node, "diffuse_reflectance", 0.5, 3)
    material.ior = _index(node.props.get("int_ior", 1.49)) / _index(node.props.get("ext_ior", 1.000277))
    material.specular = reader.number(material, node, "specular_reflectance", 1.0)
    material.lost.append("light that is reflected inside of plastic is left out of its diffuse part")
    _alpha(reader, material, node)


def _glass(reader: Any, material: Material, node: Any) -> None:
    plugin = node.props.plugin_name()
    material.base_color = reader.value(material, node, "specular_transmittance", 1.0, 3)
    material.transmission = 1.0
    default = (1.5046, 1.000277)
    if "eta" in node.props:
        material.ior = _index(node.props["eta"])
    else:
        inside, outside = node.props.get("int_ior", default[0]), node.props.get("ext_ior", default[1])
        material.ior = _index(inside) / _index(outside)
    if plugin == "thindielectric":
        material.lost.append("a thin pane is written as a body of glass")
    _alpha(reader, material, node)


_INDICES = {
    "vacuum": 1.0, "air": 1.000277, "water": 1.333, "bk7": 1.5046, "fused quartz": 1.458, "diamond": 2.419, "acrylic glass": 1.49,
    "polypropylene": 1.49, "water ice": 1.31, "pyrex": 1.47, "amber": 1.55,
}  # fmt: skip


def _index(value: Any) -> float:
    return _INDICES.get(value, 1.5) if isinstance(value, str) else float(value)


def _two_sided(reader: Any, material: Material, node: Any) -> None:
    first, *others = reader.children(node)
    reader.fill(material, first)
    material.two_sided = True
    if others:
        material.lost.append("the back has the material of the front")


def _mask(reader: Any, material: Material, node: Any) -> None:
    inner = [child for child in reader.children(node) if child.type == mi.ObjectType.BSDF]
    for child in inner[:1]:
        reader.fill(material, child)
    material.opacity = reader.number(material, node, "opacity", 0.5)


def _normals(reader: Any, material: Material, node: Any) -> None:
    children = reader.children(node)
    for child in children:
        if child.type == mi.ObjectType.BSDF:
            reader.fill(material, child)
    if node.props.plugin_name() == "bumpmap":
        material.lost.append("the bump map is left out")
        return
    kind = mi.Properties.Type.ResolvedReference
    slots = [name for name in node.props.keys() if node.props.type(name) == kind]
    slot = next(name for name in slots if reader.nodes[node.props[name].index()].type == mi.ObjectType.Texture)
    material.normal = reader.texels(material, node, slot, 3)


def _blend(reader: Any, material: Material, node: Any) -> None:
    first = next(child for child in reader.children(node) if child.type == mi.ObjectType.BSDF)
    reader.fill(material, first)
    material.lost.append("of a blend of two materials, the first is written")


Handler = Callable[[Any, Material, Any], None]
PLUGINS: dict[str, Handler] = {
    "diffuse": _diffuse,
    "principled": _principled,
    **dict.fromkeys(("conductor", "roughconductor"), _metal),
    **dict.fromkeys(("plastic", "roughplastic"), _plastic),
    **dict.fromkeys(("dielectric", "roughdielectric", "thindielectric", "smoothdielectric"), _glass),
    "twosided": _two_sided,
    "mask": _mask,
    **dict.fromkeys(("normalmap", "bumpmap"), _normals),
    "blendbsdf": _blend,
}
