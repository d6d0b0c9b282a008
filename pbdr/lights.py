"""A scene under other light than its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from .errors import DataError, SceneError
from .scene import Scene


def _key(x: float, y: float, z: float, color: tuple[float, float, float]) -> dict[str, Any]:
    """A sky with one soft light in it, as an environment map."""
    rows = 16
    theta = (np.arange(rows) + 0.5) / rows * np.pi
    phi = (np.arange(2 * rows) + 0.5) / rows * np.pi
    t, p = np.meshgrid(theta, phi, indexing="ij")
    direction = np.stack([np.sin(t) * np.sin(p), np.cos(t), -np.sin(t) * np.cos(p)], axis=-1)
    axis = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    radiance = 0.1 + np.exp(12 * (direction @ axis - 1))[..., None] * np.array(color)
    return {"type": "envmap", "radiance": radiance.astype(np.float32)}


#: Five lights that tell materials apart: from everywhere, and from four sides over a faint sky.
FIVE: dict[str, dict[str, Any]] = {
    "white sky": {"type": "constant", "radiance": np.ones((1, 1, 3), np.float32)},
    "from +x": _key(1, 0.4, 0.2, (6.0, 6.0, 6.0)),
    "from -x, warm": _key(-1, 0.4, -0.2, (8.0, 5.0, 3.0)),
    "from +y, cool": _key(0.2, 1, 0.3, (3.0, 5.0, 8.0)),
    "from +z": _key(0.2, 0.3, 1, (6.0, 6.0, 6.0)),
}


def from_file(path: Path) -> dict[str, Any]:
    """The light of an environment map's file. DataError for a file that is no image."""
    from .data import load_image

    image = load_image(path, "linear").rgb
    if image.shape[0] < 3 or image.shape[1] < 2:
        raise DataError(f"{path}: {image.shape[1]} x {image.shape[0]} pixels are no environment map")
    return {"type": "envmap", "radiance": np.maximum(image, 0)}


def emitter(light: Mapping[str, Any]) -> Any:
    """Properties of the emitter that a light is."""
    props = mi.Properties(light["type"])
    props.set_id("relight")
    radiance = np.ascontiguousarray(light["radiance"], dtype=np.float32)
    if light["type"] == "constant":
        props["radiance"] = mi.ScalarColor3d(*(float(x) for x in radiance.reshape(-1, 3)[0]))
    else:
        props["bitmap"] = mi.Bitmap(radiance)
        if "to_world" in light:
            props["to_world"] = mi.ScalarTransform4d(np.asarray(light["to_world"], dtype=np.float64).tolist())
    return props


def relit(scene: Scene, light: Mapping[str, Any]) -> Scene:
    """Return the scene, as its recipe has it, with one light in place of all of its own, those of its surfaces included."""
    kind = mi.Properties.Type.ResolvedReference
    if scene._state is None:
        raise SceneError(f"{scene.source} cannot be lit anew: it was not loaded by pbdr.load_scene")

    def edit(state: Any) -> None:
        for node in state.nodes:
            for name in list(node.props.keys()):
                if (
                    node.props.type(name) == kind
                    and state.nodes[node.props[name].index()].type == mi.ObjectType.Emitter
                ):
                    del node.props[name]
        new = mi.parser.SceneNode()
        new.type = mi.ObjectType.Emitter
        new.props = emitter(light)
        state.nodes.append(new)  # moves the nodes in memory
        state.nodes[0].props["relight"] = mi.Properties.ResolvedReference(len(state.nodes) - 1)

    return scene.edited(edit)
