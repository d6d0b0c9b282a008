"""Texels of radiance that are no radiance: negative ones, which lossy filters leave in environments, and those that are not finite.

A negative texel takes light away wherever it is seen and pushes the probabilities of sampling the environment off; one that is
not finite makes every image NaN. Both are found when a scene is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.errors import SceneError

FLOATING = (".exr", ".hdr", ".rgbe", ".pfm")  # others hold whole numbers of at least 0


def check_texels(state: Any, label: str, clamp: bool = True) -> tuple[str, ...]:
    """Look at the images of a parsed scene; set negative radiance to 0 if `clamp`. Returns what should be told.

    SceneError, with their number, for texels that are not finite, in textures, too.
    """
    lights = _radiance(state)
    notes = []
    for index, node in enumerate(state.nodes):
        plugin = node.props.plugin_name()
        if plugin not in ("envmap", "bitmap"):
            continue
        values, source = _values(node.props)
        if values is None:
            continue
        what = f"{label}: {'environment' if plugin == 'envmap' else 'texture'} '{node.props.id()}'{source}"
        bad = ~np.isfinite(values)
        if bad.any():
            raise SceneError(f"{what}: {_texels(bad)} are NaN or infinite: repair the image")
        below = values < 0
        if index not in lights or not below.any():
            continue
        told = f"{what}: {_texels(below)} are negative, the lowest {values.min():.4g}"
        if clamp:
            _replace(node.props, np.maximum(values, 0))
            told += "; they are taken for 0 (clamp = false keeps them)"
        else:
            told += "; they are kept"
        notes.append(told)
    return tuple(notes)


def _texels(chosen: Any) -> str:
    each = chosen.reshape(chosen.shape[0] * chosen.shape[1], -1).any(axis=1)
    return f"{int(each.sum())} of {each.size} texels"


def _radiance(state: Any) -> set[int]:
    """Nodes that hold radiance: environment maps, and textures of lights."""
    found = {i for i, node in enumerate(state.nodes) if node.props.plugin_name() == "envmap"}
    for node in state.nodes:
        if node.type != mi.ObjectType.Emitter:
            continue
        for name in node.props.keys():
            if node.props.type(name) == mi.Properties.Type.ResolvedReference:
                found.add(int(node.props[name].index()))
    return found


def _values(props: Any) -> tuple[Any, str]:
    """Texels (H, W, C) of floating-point images, else None; and their file, in words."""
    if "bitmap" in props and isinstance(props["bitmap"], mi.Bitmap):
        return _floats(props["bitmap"]), ""
    if "data" in props and isinstance(props["data"], mi.TensorXf):
        values = np.array(props["data"])
        return (values if values.ndim == 3 and values.size else None), ""
    path = Path(str(props["filename"])) if "filename" in props else None
    if path is None or path.suffix.lower() not in FLOATING:
        return None, ""
    try:
        return _floats(mi.Bitmap(str(path))), f" ({path})"
    except RuntimeError:  # what is wrong is told when the plugin reads it
        return None, ""


def _floats(bitmap: Any) -> Any:
    values = np.array(bitmap)
    if not np.issubdtype(values.dtype, np.floating) or not values.size:
        return None
    values = values[..., None] if values.ndim == 2 else values
    return values.astype(np.float32)


def _replace(props: Any, values: Any) -> None:
    name = "data" if "data" in props else "bitmap"
    if "filename" in props:
        # The plugin's own choice of what the file's channels mean is that for an image with as many.
        del props["filename"]
    props[name] = mi.TensorXf(values) if name == "data" else mi.Bitmap(np.ascontiguousarray(values, dtype=np.float32))
