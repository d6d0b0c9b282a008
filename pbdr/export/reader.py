"""Materials from the recipe of a scene: which BSDF, with which values in its slots."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ..scene import Scene, load_object
from .materials import PLUGINS, Image, Material, Value, is_image, normal_hit

BAKED = 256  # texels a side of a texture that is not an image


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
        self.fill(material, node)
        return material

    def fill(self, material: Material, node: Any) -> None:
        """Give a material the values of a BSDF."""
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
            return self.texels(material, node, slot, channels)
        if kind in (kinds.Float, kinds.Integer):
            return float(props[slot]) if channels == 1 else np.full(3, float(props[slot]))
        if kind == kinds.Color:
            color = np.array(props[slot], dtype=np.float64).reshape(-1)
            return float(color.mean()) if channels == 1 else color
        found = self.spectrum(node, slot)
        return float(found.mean()) if channels == 1 else found

    def spectrum(self, node: Any, slot: str) -> NDArray[np.float64]:
        """(3,) colour of a slot that holds a spectrum, as the scene has it."""
        color = np.array(self._texture(node, slot).eval(normal_hit()), dtype=np.float64)
        return np.broadcast_to(color.reshape(-1), 3).copy()

    def _texture(self, node: Any, slot: str) -> Any:
        """The texture in a slot; one that several share is the scene's, by its id."""
        own = node.props.id(), slot
        if own in self.textures or node.props.type(slot) != mi.Properties.Type.ResolvedReference:
            return self.textures[own]
        index = node.props[slot].index()
        shared = "", self.nodes[index].props.id()
        if shared not in self.textures:  # bitmaps forget their id: another one is made of the recipe
            self.textures[shared] = load_object(self._description(index))
        return self.textures[shared]

    def _description(self, index: int) -> dict[str, Any]:
        """A node of the recipe as a dictionary."""
        props, kinds = self.nodes[index].props, mi.Properties.Type
        found: dict[str, Any] = {"type": props.plugin_name()}
        for name in props.keys():
            value = props[name]
            if props.type(name) == kinds.ResolvedReference:
                value = self._description(value.index())
            elif props.type(name) == kinds.Color:
                value = {"type": "rgb", "value": np.array(value, dtype=np.float64).reshape(-1).tolist()}
            elif props.type(name) == kinds.Any:
                value = mi.TensorXf(value)  # plugins move tensors out of what they are given
            found[name] = value
        return found

    def number(self, material: Material, node: Any, slot: str, default: float) -> float:
        """As `value`, but of what cannot vary here: the mean, which is told."""
        value = self.value(material, node, slot, default, 1)
        if is_image(value):
            material.lost.append(f"{slot} varies over the surface: its mean is written")
        return float(np.mean(value))

    def texels(self, material: Material, node: Any, slot: str, channels: int) -> Image:
        """Texels of a slot that holds a texture."""
        child = self.nodes[node.props[slot].index()]
        props = child.props
        texture = self._texture(node, slot)
        plugin = props.plugin_name()
        if plugin == "mesh_attribute":
            material.lost.append(f"{slot}: attributes of meshes are left out, and grey is in their place")
            return np.full((1, 1, channels), 0.5, np.float32)
        transform = np.array(props["to_uv"].matrix, dtype=np.float64) if "to_uv" in props else np.eye(4)
        uv = np.array([[*transform[0, :2], transform[0, 3]], [*transform[1, :2], transform[1, 3]]])
        if plugin == "bitmap":
            width, height = (int(n) for n in np.array(texture.resolution()))
            material.wrap = props.get("wrap_mode", "repeat")
            material.smooth = props.get("filter_type", "bilinear") != "nearest"
        else:
            width = height = BAKED
            material.lost.append(f"{slot}: a '{plugin}' is written as {BAKED} × {BAKED} texels of one period")
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


def _evaluated(texture: Any, width: int, height: int, uv: NDArray[np.float64], channels: int) -> Image:
    """Texels of a texture, at the centres of a grid in its own coordinates."""
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    own = np.stack([u.reshape(-1), v.reshape(-1)])
    surface = np.linalg.solve(uv[:, :2], own - uv[:, 2:]).astype(np.float32)
    hit = normal_hit(width * height)
    hit.uv = mi.Point2f(surface[0], surface[1])
    if channels == 1:
        return np.array(texture.eval_1(hit), dtype=np.float32).reshape(height, width, 1)
    return np.array(texture.eval(hit), dtype=np.float32).T.reshape(height, width, 3)
