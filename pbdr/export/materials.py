"""BSDFs of a scene as materials of physically based real-time rendering: base colour, metallic, roughness, …

They are what glTF 2.0 and USD's preview surface know. What a BSDF has and such a material has not is listed in `lost`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ..scene import Scene, load_object

BAKED = 256  # texels a side of a texture that is not an image

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


class Reader:
    """Reads materials from the recipe of a scene; each node once."""

    def __init__(self, scene: Scene) -> None:
        self.nodes = mi.parser.ParserState(scene._state).nodes
        self.textures = {
            (owner.id(), path): texture for owner, path, texture in _textures(scene)
        }  # of the scene as it is, by the BSDF and the name of the slot

    def read(self, index: int) -> Material:
        """Return the material of the BSDF with this index in the recipe."""
        node = self.nodes[index]
        material = Material(node.props.id())
        self._fill(material, node)
        return material

    def _fill(self, material: Material, node: Any) -> None:
        plugin = node.props.plugin_name()
        handler = PLUGINS.get(plugin)
        if handler is None:
            material.lost.append(f"{plugin}: written as a grey diffuse material")
            material.specular = 0.0
            return
        handler(self, material, node)

    # ------------------------------------------------------------------ values of slots

    def children(self, node: Any) -> list[Any]:
        """Nodes below a node, in order."""
        kind = mi.Properties.Type.ResolvedReference
        props = node.props
        return [self.nodes[props[name].index()] for name in props.keys() if props.type(name) == kind]

    def value(self, material: Material, node: Any, slot: str, default: float, channels: int) -> Value:
        """The value of a slot; textures set the material's map of texture coordinates, too."""
        props = node.props
        if slot not in props:
            return default if channels == 1 else np.full(3, default)
        kind, kinds = props.type(slot), mi.Properties.Type
        if kind == kinds.ResolvedReference:
            return self._texels(material, node, slot, channels)
        if kind in (kinds.Float, kinds.Integer):
            return float(props[slot]) if channels == 1 else np.full(3, float(props[slot]))
        if kind == kinds.Color:
            color = np.array(props[slot], dtype=np.float64).reshape(-1)
            return float(color.mean()) if channels == 1 else color
        found = self.spectrum(node, slot)
        return float(found.mean()) if channels == 1 else found

    def spectrum(self, node: Any, slot: str) -> NDArray[np.float64]:
        """(3,) colour of a slot that holds a spectrum, as the scene has it."""
        color = np.array(self._texture(node, slot).eval(_hit()), dtype=np.float64)
        return np.broadcast_to(color.reshape(-1), 3).copy()

    def _texture(self, node: Any, slot: str) -> Any:
        """The texture in a slot; one that several share is the scene's, by its id."""
        own = node.props.id(), slot
        if own in self.textures or node.props.type(slot) != mi.Properties.Type.ResolvedReference:
            return self.textures[own]
        return self.textures["", self.nodes[node.props[slot].index()].props.id()]

    def number(self, material: Material, node: Any, slot: str, default: float) -> float:
        """As `value`, but of what cannot vary here: the mean, which is told."""
        value = self.value(material, node, slot, default, 1)
        if is_image(value):
            material.lost.append(f"{slot} varies over the surface: its mean is written")
        return float(np.mean(value))

    def _texels(self, material: Material, node: Any, slot: str, channels: int) -> Image:
        child = self.nodes[node.props[slot].index()]
        props = child.props
        texture = self._texture(node, slot)
        if props.plugin_name() == "bitmap":
            width, height = (int(n) for n in np.array(texture.resolution()))
            transform = np.array(props["to_uv"].matrix, dtype=np.float64) if "to_uv" in props else np.eye(4)
            uv = np.array([[*transform[0, :2], transform[0, 3]], [*transform[1, :2], transform[1, 3]]])
            material.wrap = {"repeat": "repeat", "mirror": "mirror", "clamp": "clamp"}[props.get("wrap_mode", "repeat")]
            material.smooth = props.get("filter_type", "bilinear") != "nearest"
        else:
            width = height = BAKED
            uv = np.eye(3)[:2]
            material.lost.append(
                f"{slot}: a '{props.plugin_name()}' is written as {BAKED} × {BAKED} texels of one period"
            )
        if (material.uv != np.eye(3)[:2]).any() and (material.uv != uv).any():
            material.lost.append(
                f"{slot}: its map of texture coordinates differs from that of other textures, which is used"
            )
        else:
            material.uv = uv
        return _evaluated(texture, width, height, material.uv, channels)


def _textures(scene: Scene) -> list[tuple[Any, str, Any]]:
    """(owner, slot, texture) of all textures and constant colours of a scene.

    The owner of those with an id of their own is the scene, and the id stands for the slot.
    """
    from ..parameters import traverse

    params = traverse(scene)
    found = []
    for raw in params.keys():
        # A bitmap may be a plugin around its implementation, a checkerboard has colours: the outermost texture is the slot's.
        node, up = params.properties[raw][2], 2
        parent = params.hierarchy[node][0]
        while isinstance(parent, mi.Texture):
            node, parent, up = parent, params.hierarchy[parent][0], up + 1
        words = raw.split(".")
        if isinstance(node, mi.Texture) and parent is not None and len(words) >= up:
            shared = isinstance(parent, mi.Scene)
            found.append((parent, ".".join(words[: 1 - up]) if shared else words[-up], node))
    return found


def _hit(count: int = 1) -> Any:
    import drjit as dr

    hit = dr.zeros(mi.SurfaceInteraction3f, count)
    hit.wi = mi.Vector3f(0, 0, 1)
    return hit


def _evaluated(texture: Any, width: int, height: int, uv: NDArray[np.float64], channels: int) -> Image:
    """Texels of a texture, at the centres of a grid in its own coordinates."""
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    own = np.stack([u.reshape(-1), v.reshape(-1)])
    surface = np.linalg.solve(uv[:, :2], own - uv[:, 2:]).astype(np.float32)
    hit = _hit(width * height)
    hit.uv = mi.Point2f(surface[0], surface[1])
    if channels == 1:
        return np.array(texture.eval_1(hit), dtype=np.float32).reshape(height, width, 1)
    return np.array(texture.eval(hit), dtype=np.float32).T.reshape(height, width, 3)


# ---------------------------------------------------------------------- plugins


def _diffuse(reader: Reader, material: Material, node: Any) -> None:
    material.base_color = reader.value(material, node, "reflectance", 0.5, 3)
    material.specular = 0.0


def _principled(reader: Reader, material: Material, node: Any) -> None:
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


def _metal(reader: Reader, material: Material, node: Any) -> None:
    material.metallic = 1.0
    tint = reader.value(material, node, "specular_reflectance", 1.0, 3)
    material.base_color = np.asarray(tint) * _reflectance(reader, node)
    _alpha(reader, material, node)


def _reflectance(reader: Reader, node: Any) -> NDArray[np.float64]:
    """(3,) reflectance of a metal at normal incidence."""
    kinds = mi.Properties.Type
    metal: dict[str, Any] = {"type": "conductor"}
    for name in ("material", "eta", "k"):
        if name not in node.props:
            continue
        metal[name] = node.props[name]
        if node.props.type(name) in (kinds.Color, kinds.Spectrum, kinds.ResolvedReference):
            metal[name] = {"type": "rgb", "value": reader.spectrum(node, name).tolist()}
    _, weight = load_object(metal).sample(mi.BSDFContext(), _hit(), 0.0, mi.Point2f(0.5))
    return np.array(weight, dtype=np.float64).reshape(3)


def _alpha(reader: Reader, material: Material, node: Any) -> None:
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


def _plastic(reader: Reader, material: Material, node: Any) -> None:
    material.base_color = reader.value(material, node, "diffuse_reflectance", 0.5, 3)
    material.ior = _index(node.props.get("int_ior", 1.49)) / _index(node.props.get("ext_ior", 1.000277))
    material.specular = reader.number(material, node, "specular_reflectance", 1.0)
    material.lost.append("light that is reflected inside of plastic is left out of its diffuse part")
    _alpha(reader, material, node)


def _glass(reader: Reader, material: Material, node: Any) -> None:
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


def _two_sided(reader: Reader, material: Material, node: Any) -> None:
    first, *others = reader.children(node)
    reader._fill(material, first)
    material.two_sided = True
    if others:
        material.lost.append("the back has the material of the front")


def _mask(reader: Reader, material: Material, node: Any) -> None:
    inner = [child for child in reader.children(node) if child.type == mi.ObjectType.BSDF]
    for child in inner[:1]:
        reader._fill(material, child)
    material.opacity = reader.number(material, node, "opacity", 0.5)


def _normals(reader: Reader, material: Material, node: Any) -> None:
    children = reader.children(node)
    for child in children:
        if child.type == mi.ObjectType.BSDF:
            reader._fill(material, child)
    if node.props.plugin_name() == "bumpmap":
        material.lost.append("the bump map is left out")
        return
    kind = mi.Properties.Type.ResolvedReference
    slots = [name for name in node.props.keys() if node.props.type(name) == kind]
    slot = next(name for name in slots if reader.nodes[node.props[name].index()].type == mi.ObjectType.Texture)
    material.normal = reader._texels(material, node, slot, 3)


def _blend(reader: Reader, material: Material, node: Any) -> None:
    first = next(child for child in reader.children(node) if child.type == mi.ObjectType.BSDF)
    reader._fill(material, first)
    material.lost.append("of a blend of two materials, the first is written")


Handler = Callable[[Reader, Material, Any], None]
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
