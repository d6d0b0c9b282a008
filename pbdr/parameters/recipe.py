"""Values of a scene's parameters written back into the recipe that the scene was built from.

`Scene.edited` builds a scene anew from its recipe, which knows nothing of values that were written to the scene since. Here they
are put where the plugins read them from: a colour into the property of its slot, texels into the bitmap, vertices into a mesh file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.errors import ParameterError
from pbdr.parameters.names import Parameter, list_parameters, traverse
from pbdr.parameters.values import read
from pbdr.scene import Scene

#: Properties of a mesh that say how it is shaded, not where it comes from.
_OF_SHADING = ("face_normals", "flip_normals")
#: Properties of spheres and cylinders that go into their pose.
_PLACES = ("center", "radius", "p0", "p1")
#: Mitsuba's keys of parameters, and the properties that they are read from, where these differ.
_PROPERTIES = {"x_fov": "fov"}


def with_values(scene: Scene, keys: Iterable[str], folder: Path) -> Scene:
    """Return a new scene whose recipe holds the present values of the parameters `keys` (Mitsuba's).

    Meshes whose vertices are among them are written to `folder` as PLY, in world space. ParameterError, with its name, for a value
    that no property of a scene file holds.
    """
    wanted = set(keys)
    params = traverse(scene)
    moved = [parameter for parameter in list_parameters(scene) if parameter.raw in wanted]
    shapes = {shape.id(): shape for shape in _shapes(scene)}

    def edit(state: Any) -> None:
        for parameter in moved:
            _put(state, params, parameter, shapes, folder)

    return scene.edited(edit)


def _shapes(scene: Scene) -> list[Any]:
    return [node for node in traverse(scene).hierarchy if isinstance(node, mi.Shape)]


def _put(state: Any, params: Any, parameter: Parameter, shapes: dict[str, Any], folder: Path) -> None:
    nodes = {node.props.id(): node for node in state.nodes if node.props.id()}
    raw = parameter.raw
    leaf = params.properties[raw][2]
    key = raw.rsplit(".", 1)[-1]
    node = nodes.get(leaf.id()) if leaf.id() else None
    if node is None:  # bitmaps have no id of their own, and constants no node
        owner = params.hierarchy[leaf][0]
        holder = nodes.get(owner.id()) if owner is not None else None
        slot = raw.split(".")[-2] if "." in raw else ""
        if owner is not None and owner.class_name() == "ConstVolume":  # of a medium, which holds the number itself
            medium, slot = params.hierarchy[owner][0], raw.split(".")[-3]
            holder = nodes.get(owner.id()) or nodes.get(medium.id())
        if holder is None:
            node = nodes.get(raw.rpartition(".")[0])  # a bitmap that materials share is an object of the scene
            if node is None:
                raise _nowhere(parameter)
        elif slot in holder.props and holder.props.type(slot) == mi.Properties.Type.ResolvedReference:
            node = state.nodes[holder.props[slot].index()]
        elif key == "value":
            _constant(holder.props, slot, params, parameter)
            return
        else:
            raise _nowhere(parameter)
    if isinstance(leaf, mi.Mesh):
        if not key.startswith("vertex_"):
            raise _nowhere(parameter)
        as_file(node.props, shapes[leaf.id()], folder)
    elif parameter.kind in ("texture", "environment"):
        _texels(node.props, key, read(None, parameter, params), parameter)
    elif parameter.kind == "transform":
        for name in _PLACES:  # are in the pose that the plugin shows
            if key == "to_world" and name in node.props:
                del node.props[name]
        node.props[key] = mi.ScalarTransform4d(np.vstack([read(None, parameter, params), [0, 0, 0, 1]]).tolist())
    else:
        _number(node.props, key, read(None, parameter, params), parameter)


def _nowhere(parameter: Parameter) -> ParameterError:
    return ParameterError(
        f"'{parameter.name}' ({parameter.raw}) has a value that no property of a scene file holds, so that the scene "
        "cannot be built again with it"
    )


def _constant(props: Any, slot: str, params: Any, parameter: Parameter) -> None:
    """A number or a colour that the owner's slot holds itself."""
    prefix = parameter.raw.rsplit(".", 2)[0]
    slots = [slot]
    if slot in ("eta", "k") and "material" in props:  # the name of a metal stands for both
        del props["material"]
        slots = ["eta", "k"]
    for one in slots:
        path = f"{prefix}.{one}.value" if f"{prefix}.{one}.value" in params else parameter.raw
        value = np.array(params[path], dtype=np.float64).reshape(-1)
        props[one] = float(value[0]) if len(value) == 1 else mi.ScalarColor3d(*value.tolist())


def _number(props: Any, key: str, value: Any, parameter: Parameter) -> None:
    """A number or a point that is a property of the plugin itself."""
    name = _PROPERTIES.get(key, key)
    numbers = np.asarray(value, dtype=np.float64).reshape(-1)
    if len(numbers) == 1:
        for other in ("focal_length",) if name == "fov" else ():
            if other in props:
                del props[other]
        if name == "fov":
            props["fov_axis"] = "x"
        props[name] = float(numbers[0])
    elif len(numbers) == 3 and parameter.kind == "vector":
        if name == "position" and "to_world" in props:
            del props["to_world"]
        props[name] = mi.ScalarPoint3d(*numbers.tolist())
    else:
        raise _nowhere(parameter)


def _texels(props: Any, key: str, value: Any, parameter: Parameter) -> None:
    texels = np.ascontiguousarray(value, dtype=np.float32)
    for name in ("filename", "bitmap", "data", "grid"):
        if name in props:
            del props[name]
    plugin = props.plugin_name()
    if plugin == "envmap" and key == "data":
        props["bitmap"] = mi.Bitmap(texels[..., :3])
    elif plugin == "bitmap" and key == "data":
        props["data"] = mi.TensorXf(texels)
        props["raw"] = True
    elif plugin == "gridvolume" and key == "data":
        props["grid"] = mi.VolumeGrid(texels)
    else:
        raise _nowhere(parameter)


def as_file(props: Any, mesh: Any, folder: Path) -> None:
    """The mesh as it is, as a file; done once for several of its parameters, the last of which finds a `ply` that is the same."""
    kept = {name: props[name] for name in _OF_SHADING if name in props}
    for name in list(props.keys()):
        if props.type(name) != mi.Properties.Type.ResolvedReference:
            del props[name]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{props.id()}.ply"
    path.write_bytes(mesh_file(mesh))
    props.set_plugin_name("ply")
    for name, value in kept.items():
        props[name] = value
    props["filename"] = str(path.resolve())


def mesh_file(mesh: Any) -> bytes:
    """Bytes of the binary PLY that Mitsuba writes of a mesh: its buffers as they are, in world space."""
    stream = mi.MemoryStream()
    mesh.write_ply(stream)
    return bytes(stream.raw_buffer())
