"""A GLB file as a scene of Mitsuba: what a viewer of physically based materials makes of it.

Only the file is looked at. Materials become `principled` ones of their base colour, metallic, roughness, index and transmission;
what has no specular reflection and is no metal is `diffuse`, as glTF's formula says. Alpha blending is not drawn.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ..scene import Scene, load_object, load_scene
from ..srgb import srgb_to_linear
from . import glb


def load(path: Path) -> dict[str, Any]:
    """Return the shapes of a file as entries of a scene's dictionary, in the file's axes below its root node's rotation."""
    document, buffer = glb.unpack(path)
    materials = [_material(document, buffer, entry) for entry in document.get("materials", [])]
    shapes: dict[str, Any] = {}
    for number, entry in enumerate(document.get("meshes", [])):
        for primitive in entry["primitives"]:
            shapes[f"mesh-{number}"] = _mesh(document, buffer, primitive, materials[primitive["material"]])
    return shapes


def scene_of(shapes: dict[str, Any], sensor: dict[str, Any]) -> Scene:
    """A scene of such shapes, under a white sky."""
    return load_scene({"type": "scene", "light": {"type": "constant"}, "sensor": sensor, **shapes})


def _mesh(document: dict[str, Any], buffer: bytes, primitive: dict[str, Any], bsdf: dict[str, Any]) -> Any:
    attributes = primitive["attributes"]
    rows = {name: glb.array(document, buffer, index) for name, index in attributes.items()}
    faces = glb.array(document, buffer, primitive["indices"]).reshape(-1, 3)
    props = mi.Properties()
    props["bsdf"] = load_object(bsdf)
    if "NORMAL" not in rows:
        props["face_normals"] = True
    mesh = mi.Mesh("mesh", len(rows["POSITION"]), len(faces), props, "NORMAL" in rows, "TEXCOORD_0" in rows)
    from ..parameters import traverse

    params = traverse(mesh)
    params["vertex_positions"] = mi.Float(rows["POSITION"].reshape(-1).copy())
    params["faces"] = mi.UInt32(faces.reshape(-1).copy())
    if "NORMAL" in rows:
        params["vertex_normals"] = mi.Float(rows["NORMAL"].reshape(-1).copy())
    if "TEXCOORD_0" in rows:
        params["vertex_texcoords"] = mi.Float(rows["TEXCOORD_0"].reshape(-1).copy())
    params.update()
    return mesh


def _material(document: dict[str, Any], buffer: bytes, entry: dict[str, Any]) -> dict[str, Any]:
    rough, extensions = entry.get("pbrMetallicRoughness", {}), entry.get("extensions", {})
    factor = np.asarray(rough.get("baseColorFactor", [1, 1, 1, 1]), dtype=np.float64)[:3]
    base: Any = {"type": "rgb", "value": factor.tolist()}
    if "baseColorTexture" in rough:
        codes, sampler = _image(document, buffer, rough["baseColorTexture"]["index"])
        base = _bitmap(srgb_to_linear(codes) * factor, sampler)
    metallic: Any = float(rough.get("metallicFactor", 1.0))
    roughness: Any = float(rough.get("roughnessFactor", 1.0))
    if "metallicRoughnessTexture" in rough:
        numbers, sampler = _image(document, buffer, rough["metallicRoughnessTexture"]["index"])
        roughness = _bitmap(numbers[..., 1:2] * roughness, sampler)
        metallic = _bitmap(numbers[..., 2:3] * metallic, sampler)
    specular = extensions.get("KHR_materials_specular", {}).get("specularFactor", 1.0)
    transmission = extensions.get("KHR_materials_transmission", {}).get("transmissionFactor", 0.0)
    coat = extensions.get("KHR_materials_clearcoat", {})
    if specular == 0 and metallic == 0.0 and not transmission:
        bsdf: dict[str, Any] = {"type": "diffuse", "reflectance": base}
    else:
        bsdf = {
            "type": "principled", "base_color": base, "metallic": metallic, "roughness": roughness, "spec_trans": transmission,
            "eta": max(1.001, extensions.get("KHR_materials_ior", {}).get("ior", 1.5)),
            "clearcoat": coat.get("clearcoatFactor", 0.0),
        }  # fmt: skip
        if coat:
            bsdf["clearcoat_gloss"] = float((0.1 - coat.get("clearcoatRoughnessFactor", 0.0) ** 2) / (0.1 - 0.001))
    if "normalTexture" in entry:
        numbers, sampler = _image(document, buffer, entry["normalTexture"]["index"])
        bsdf = {"type": "normalmap", "normalmap": _bitmap(numbers, sampler), "bsdf": bsdf}
    if entry.get("doubleSided") and not transmission:
        bsdf = {"type": "twosided", "bsdf": bsdf}
    return bsdf


def _image(document: dict[str, Any], buffer: bytes, texture: int) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """(H, W, 3) codes in [0, 1] of a texture's image, and its sampler."""
    from PIL import Image

    entry = document["textures"][texture]
    view = document["bufferViews"][document["images"][entry["source"]]["bufferView"]]
    start = view.get("byteOffset", 0)
    with Image.open(io.BytesIO(buffer[start : start + view["byteLength"]])) as image:
        codes = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    return codes, document.get("samplers", [{}])[entry.get("sampler", 0)]


def _bitmap(texels: NDArray[np.float64], sampler: dict[str, Any]) -> dict[str, Any]:
    wrap = {code: name for name, code in glb.WRAP.items()}[sampler.get("wrapS", 10497)]
    kind = "nearest" if sampler.get("magFilter") == 9728 else "bilinear"
    data = mi.TensorXf(np.ascontiguousarray(texels, dtype=np.float32))
    return {"type": "bitmap", "data": data, "raw": True, "wrap_mode": wrap, "filter_type": kind}
