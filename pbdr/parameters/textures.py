"""Turning constants into textures, and changing a texture's resolution."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import ParameterError
from pbdr.parameters.names import Parameter, list_parameters, traverse
from pbdr.parameters.unwrap import Unwrapped, unwrapped
from pbdr.parameters.values import read, write
from pbdr.scene import Scene


def resize(image: NDArray[Any], size: tuple[int, int], *, wrap: bool = False) -> NDArray[np.float64]:
    """Resample `image` (H, W, …) to `size` (h, w): exact area average where it shrinks, linear where it grows.

    Pixel (i, j) covers the square [i, i+1) × [j, j+1) before and after. `wrap` joins the left and right edge.
    """
    result = np.asarray(image, dtype=np.float64)
    result = np.tensordot(_weights(result.shape[0], size[0], False), result, (1, 0))
    result = np.moveaxis(np.tensordot(_weights(result.shape[1], size[1], wrap), result, (1, 1)), 0, 1)
    resampled: NDArray[np.float64] = np.ascontiguousarray(result, dtype=np.float64)
    return resampled


def _weights(old: int, new: int, wrap: bool) -> NDArray[np.float64]:
    """Return the (new, old) matrix whose rows sum to one."""
    matrix = np.zeros((new, old))
    if new <= old:
        edges = np.arange(new + 1) * old / new
        left, right = np.arange(old), np.arange(old) + 1
        overlap = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
        weights: NDArray[np.float64] = np.maximum(overlap, 0) * new / old
        return weights
    center = (np.arange(new) + 0.5) * old / new - 0.5
    low = np.floor(center).astype(int)
    for index, weight in ((low, 1 - (center - low)), (low + 1, center - low)):
        source = index % old if wrap else np.clip(index, 0, old - 1)
        np.add.at(matrix, (np.arange(new), source), weight)
    return matrix


def texture_size(parameter: Parameter, texture: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of `texture`: a pair, or N for N × N, for an environment N rows × 2N columns."""
    if isinstance(texture, int):
        size = (texture, 2 * texture if is_sky(parameter) else texture)
    else:
        size = (int(texture[0]), int(texture[1])) if len(texture) == 2 else (0, 0)
    if min(size) < 1:
        raise ParameterError(f"texture = {texture!r} for {parameter.name!r}: give one or two positive sizes")
    if is_sky(parameter) and (size[0] < 3 or size[1] < 2):
        raise ParameterError(f"texture = {texture!r} for {parameter.name!r}: an environment has at least 3 rows of 2")
    return size


def is_sky(parameter: Parameter) -> bool:
    """Return whether it is radiance that arrives from infinity: an environment map, or a constant that may become one."""
    # A constant environment's key is '<id>.radiance.value', an area light's '<shape>.emitter.radiance.value'.
    return parameter.row.sky and ".emitter." not in parameter.raw


def with_textures(scene: Any, sizes: Mapping[str, int | Sequence[int]]) -> Any:
    """Return a scene in which the parameters with these raw keys are textures of the given size.

    Existing textures are resampled in place, which keeps `scene`; constants need a new scene, in which the values of
    all other parameters are kept. A constant environment becomes an environment map. Raises ParameterError when a
    parameter has no texture slot, or its surface no UV coordinates.
    """
    parameters = {p.raw: p for p in list_parameters(scene)}
    constants = {}
    for raw, texture in sizes.items():
        parameter = parameters[raw]
        size = texture_size(parameter, texture)
        if parameter.kind in ("texture", "environment"):
            params = traverse(scene)
            value = resize(read(scene, parameter, params), size, wrap=parameter.kind == "environment")
            write(params, parameter, mi.TensorXf(value.astype(np.float32)))
            params.update()
        else:
            constants[raw] = (parameter, size)
    if not constants:
        return scene
    if not isinstance(scene, Scene):
        raise ParameterError("a constant becomes a texture only in a scene loaded by pbdr.load_scene")
    return _promote(scene, constants)


def _promote(scene: Scene, constants: Mapping[str, tuple[Parameter, tuple[int, int]]]) -> Scene:
    params = traverse(scene)
    edits = []
    bare: dict[str, Unwrapped] = {}  # by shape
    for raw, (parameter, size) in constants.items():
        leaf = params.properties[raw][2]
        owner = params.hierarchy[leaf][0]
        sky = owner is not None and owner.class_name() == "ConstantBackgroundEmitter"
        node = scene.node(owner.id()) if owner is not None and parameter.kind in ("scalar", "color") else None
        if node is None or not raw.endswith(".value"):
            raise ParameterError(f"{parameter.name!r} ({raw}) has no texture slot: it stays a constant")
        if not sky:
            bare |= _unwrapped(scene, parameter, owner.id(), min(size), bare)
        constant = read(scene, parameter, params)
        channels = parameter.row.channels or len(constant)
        pixels = np.broadcast_to(constant, (*size, channels)).astype(np.float32)
        edits.append((owner.id(), raw.rsplit(".", 2)[-2], pixels, sky))

    def edit(state: Any) -> None:
        for owner_id, slot, pixels, sky in edits:
            # Append first: it moves the nodes in memory, and with them every reference to their properties.
            texture = None if sky else _append_texture(state, owner_id, slot, pixels)
            props = next(n.props for n in state.nodes if n.props.id() == owner_id)
            if sky:
                props.set_plugin_name("envmap")
                del props[slot]
                props["bitmap"] = mi.Bitmap(np.ascontiguousarray(pixels))
            else:
                props[slot] = mi.Properties.ResolvedReference(texture)

        for shape, found in bare.items():
            found.replace(next(n.props for n in state.nodes if n.props.id() == shape))

    result = scene.edited(edit)
    _carry_values(params, result, tuple(f"{shape}." for shape in bare))
    notes = dict.fromkeys([*scene.notes, *(found.note for found in bare.values())])
    return dataclasses.replace(result, notes=tuple(notes))


def _append_texture(state: Any, owner_id: str, slot: str, pixels: NDArray[Any]) -> int:
    props = mi.Properties("bitmap")
    props.set_id(f"{owner_id}__{slot}__texture")
    props["data"] = mi.TensorXf(np.ascontiguousarray(pixels))
    props["raw"] = True
    node = mi.parser.SceneNode()
    node.type = mi.ObjectType.Texture
    node.props = props
    state.nodes.append(node)
    return len(state.nodes) - 1


def _carry_values(old: Any, scene: Scene, but: tuple[str, ...] = ()) -> None:
    """Copy the values that the old scene had at the time, where key and type still agree, except under the prefixes `but`."""
    new = traverse(scene)
    for raw in new.keys():  # its iterator yields pairs
        if raw.startswith(but) and raw.rsplit(".", 1)[-1].startswith(("vertex_", "face")):
            continue  # the new mesh has other vertices
        if raw in old and type(old[raw]) is type(new[raw]) and not new.flags(raw) & int(mi.ParamFlags.ReadOnly):
            new[raw] = old[raw]
    new.update()


def _unwrapped(
    scene: Scene, parameter: Parameter, owner_id: str, texels: int, known: Mapping[str, Unwrapped]
) -> dict[str, Unwrapped]:
    """Texture coordinates by shape for the meshes of a material that have none. Raises ParameterError."""
    meshes = [shape for shape in scene.mi.shapes() if shape.is_mesh() and owner_id in _ids_below(shape)]
    bare = [shape for shape in meshes if not shape.has_vertex_texcoords()]
    if not bare or all(shape.id() in known for shape in bare):
        return {}
    mixed = [shape for shape in meshes if shape.has_vertex_texcoords()]
    if mixed:
        raise ParameterError(
            f"{parameter.name!r} cannot become a texture: shape {bare[0].id()!r} has no texture coordinates, and {mixed[0].id()!r} "
            "of the same material has some. Give both, or give them materials of their own"
        )
    found = unwrapped(bare, parameter.name, texels)
    return {str(shape.id()): found for shape in bare}


def _ids_below(shape: Any) -> Iterator[str]:
    return (node.id() for node in traverse(shape).hierarchy)
