"""glTF 2.0: one GLB file with meshes, PBR materials, punctual lights and cameras (Khronos' specification 2.0.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import mitsuba_to_opengl
from ...job import storage
from .. import glb, pbr, proof
from ..asset import Asset, Light, Part
from ..format import Format, Source, Written
from ..materials import Material, is_image
from ..pixels import color_png, data_png, same_size

#: Rotation by −90° about x as a quaternion (x, y, z, w): from z up to glTF's y up.
UPRIGHT = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]


class Gltf(Format):
    """One file for viewers of real-time graphics; y is up, v = 0 is the first row of an image."""

    name: ClassVar[str] = "gltf"
    text: ClassVar[str] = (
        "glTF 2.0 as one GLB file: PBR materials (sRGB colours, linear metallic-roughness), lights, cameras; y is up"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write scene.glb."""
        writer = _Writer(source.asset)
        path = folder / "scene.glb"
        storage.write_bytes(path, writer.file())
        return Written([path], writer.lost)

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read by trimesh and, where it is installed, pygltflib; and rendered, as a viewer would, under five lights."""
        import trimesh

        scene = trimesh.load(written.files[0])
        faces = sum(len(mesh.faces) for mesh in scene.geometry.values())
        expected = sum(len(part.faces) for part in source.asset.parts)
        found: dict[str, Any] = {"reader": f"trimesh {trimesh.__version__}", "faces": faces, "ok": faces == expected}
        try:
            import pygltflib
        except ImportError:
            found["validated"] = "not validated: pip install 'pbdr[export]'"
        else:
            loaded = pygltflib.GLTF2().load(str(written.files[0]))
            found["validated"] = (
                f"pygltflib {pygltflib.__version__}: {len(loaded.meshes)} meshes, {len(loaded.materials)} materials"
            )
            found["ok"] = found["ok"] and len(loaded.meshes) == len(source.asset.parts)
        found["render"] = proof.five_lights(source, lambda: pbr.load(written.files[0]))
        return found


class _Writer:
    def __init__(self, asset: Asset) -> None:
        self.asset = asset
        self.lost: list[str] = []
        self.builder = glb.Builder()
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": "pbdr"}, "scene": 0}
        self.used: set[str] = set()

    def file(self) -> bytes:
        """The whole file."""
        asset, nodes = self.asset, [dict[str, Any](name="scene", children=[])]
        if asset.up == "z":
            nodes[0]["rotation"] = UPRIGHT
        self.json["materials"] = [self._material(material) for material in asset.materials]
        self.json["meshes"] = [self._mesh(part) for part in asset.parts]
        nodes += [{"name": part.name, "mesh": i} for i, part in enumerate(asset.parts)]
        nodes += self._cameras()
        nodes += self._lights()
        nodes[0]["children"] = list(range(1, len(nodes)))
        if len(nodes) == 1:
            del nodes[0]["children"]
        self.json |= {"nodes": nodes, "scenes": [{"nodes": [0]}], **self.builder.tables()}
        if asset.environment is not None:
            self.lost.append("glTF has no environment: light it by environment.exr")
        if self.used:
            self.json["extensionsUsed"] = sorted(self.used)
        return self.builder.pack({key: value for key, value in self.json.items() if value != []})

    def _mesh(self, part: Part) -> dict[str, Any]:
        material = self.asset.materials[part.material]
        attributes = {"POSITION": self.builder.vertices(part.positions, bounds=True)}
        if part.normals is not None:
            length = np.linalg.norm(part.normals, axis=1, keepdims=True)
            unit = np.where(length > 0, part.normals / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])
            attributes["NORMAL"] = self.builder.vertices(unit)
        if part.uvs is not None:
            attributes["TEXCOORD_0"] = self.builder.vertices(part.uvs @ material.uv[:, :2].T + material.uv[:, 2])
        if material.normal is not None:
            if part.normals is None or part.uvs is None:
                self.lost.append(
                    f"'{part.name}': without normals and texture coordinates, viewers may draw its normal map otherwise"
                )
            else:
                attributes["TANGENT"] = self.builder.vertices(tangents(part))
        primitive = {"attributes": attributes, "indices": self.builder.indices(part.faces), "material": part.material}
        return {"name": part.name, "primitives": [primitive]}

    def _texture(self, material: Material, content: bytes) -> dict[str, int]:
        return {"index": self.builder.texture(content, material.wrap, material.smooth)}

    def _color(self, material: Material, value: Any, what: str) -> Any:
        """Values of a colour that glTF can hold; it is told where some are lost."""
        if float(np.max(value)) > 1 + 1e-6 or float(np.min(value)) < 0:
            self.lost.append(f"'{material.name}': {what} outside of 0 to 1 is clipped")
        return np.clip(np.asarray(value, dtype=np.float64), 0, 1)

    def _material(self, material: Material) -> dict[str, Any]:
        rough: dict[str, Any] = {}
        base = self._color(material, material.base_color, "base colour")
        if is_image(base):
            rough["baseColorTexture"] = self._texture(material, color_png(base))
            rough["baseColorFactor"] = [1.0, 1.0, 1.0, material.opacity]
        else:
            rough["baseColorFactor"] = [*(float(x) for x in np.broadcast_to(base, 3)), material.opacity]
        if is_image(material.roughness) or is_image(material.metallic):
            roughness, metallic = same_size(material.roughness, material.metallic)
            packed = np.stack([np.ones_like(roughness), roughness, metallic], axis=2)  # occlusion, roughness, metallic
            rough["metallicRoughnessTexture"] = self._texture(material, data_png(packed))
            rough |= {"metallicFactor": 1.0, "roughnessFactor": 1.0}
        else:
            rough |= {
                "metallicFactor": float(np.clip(material.metallic, 0, 1)),
                "roughnessFactor": float(np.clip(material.roughness, 0, 1)),
            }
        result: dict[str, Any] = {
            "name": material.name,
            "pbrMetallicRoughness": rough,
            "doubleSided": material.two_sided,
        }
        if material.normal is not None:
            result["normalTexture"] = self._texture(material, data_png(material.normal))
        if material.opacity < 1:
            result["alphaMode"] = "BLEND"
        extensions = self._extensions(material)
        if material.emission is not None:
            self._emission(material, result, extensions)
        if extensions:
            result["extensions"] = extensions
            self.used |= set(extensions)
        return result

    def _extensions(self, material: Material) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if material.metallic is not None and not (np.ndim(material.metallic) == 0 and material.metallic == 1.0):
            if abs(material.ior - 1.5) > 1e-6:
                found["KHR_materials_ior"] = {"ior": max(1.0, material.ior)}
                if material.ior < 1:
                    self.lost.append(f"'{material.name}': an index of refraction below 1 is written as 1")
            if material.specular != 1:
                found["KHR_materials_specular"] = {"specularFactor": float(np.clip(material.specular, 0, 1))}
        if material.transmission:
            found["KHR_materials_transmission"] = {"transmissionFactor": float(np.clip(material.transmission, 0, 1))}
            self.lost.append(f"'{material.name}': viewers may draw what is seen through it without refraction")
        if material.clearcoat:
            found["KHR_materials_clearcoat"] = {
                "clearcoatFactor": float(np.clip(material.clearcoat, 0, 1)),
                "clearcoatRoughnessFactor": material.clearcoat_roughness,
            }  # fmt: skip
        return found

    def _emission(self, material: Material, result: dict[str, Any], extensions: dict[str, Any]) -> None:
        strength = float(np.max(np.asarray(material.emission)))
        if strength <= 0:
            return
        scaled = np.asarray(material.emission, dtype=np.float64) / max(strength, 1.0)
        if is_image(scaled):
            result["emissiveTexture"] = self._texture(material, color_png(scaled))
            result["emissiveFactor"] = [1.0, 1.0, 1.0]
        else:
            result["emissiveFactor"] = [float(x) for x in np.broadcast_to(scaled, 3)]
        if strength > 1:
            extensions["KHR_materials_emissive_strength"] = {"emissiveStrength": strength}

    def _cameras(self) -> list[dict[str, Any]]:
        nodes, cameras = [], []
        for view in self.asset.views:
            camera = view.camera
            focal_y = camera.focal if camera.focal_y is None else camera.focal_y
            fov = 2 * float(np.arctan(0.5 * camera.height / focal_y))
            aspect = camera.width * focal_y / (camera.height * camera.focal)
            cameras.append({"type": "perspective", "perspective": {"yfov": fov, "aspectRatio": aspect, "znear": 1e-2}})
            matrix = mitsuba_to_opengl(camera.to_world).T.reshape(-1)  # columns
            nodes.append({"name": view.name, "camera": len(cameras) - 1, "matrix": [float(x) for x in matrix]})
            if (
                camera.distortion
                or abs(camera.cx - camera.width / 2) > 1e-3
                or abs(camera.cy - camera.height / 2) > 1e-3
            ):
                self.lost.append(
                    f"camera '{view.name}': glTF has neither distortion nor a principal point; transforms.json has"
                )
        self.json["cameras"] = cameras
        return nodes

    def _lights(self) -> list[dict[str, Any]]:
        if not self.asset.lights:
            return []
        lights, nodes = [], []
        for light in self.asset.lights:
            lights.append(_light(light))
            extension = {"KHR_lights_punctual": {"light": len(lights) - 1}}
            matrix = _along(light.direction, light.position).T.reshape(-1)
            nodes.append({"name": light.name, "matrix": [float(x) for x in matrix], "extensions": extension})
        self.json["extensions"] = {"KHR_lights_punctual": {"lights": lights}}
        self.used.add("KHR_lights_punctual")
        return nodes


def _light(light: Light) -> dict[str, Any]:
    strength = float(light.color.max())
    color = [float(x) for x in light.color / strength] if strength > 0 else [1.0, 1.0, 1.0]
    found: dict[str, Any] = {"name": light.name, "type": light.kind, "color": color, "intensity": strength}
    if light.kind == "spot":
        outer = min(light.outer, np.pi / 2)
        found["spot"] = {"outerConeAngle": outer, "innerConeAngle": min(light.inner, outer * (1 - 1e-6))}
    return found


def _along(direction: Any, position: Any) -> Any:
    """(4, 4) pose whose −z axis is a direction."""
    back = -np.asarray(direction, dtype=np.float64)
    helper = np.array([1.0, 0, 0]) if abs(back[0]) < 0.9 else np.array([0, 1.0, 0])
    right = np.cross(helper, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, position
    return pose


def tangents(part: Part) -> Any:
    """(V, 4) unit tangents along u, with 1: the green of a normal map then goes along normal × tangent, as in Mitsuba. Viewers that
    find none take v for its direction, which depends on how the map is laid on the surface."""
    assert part.normals is not None and part.uvs is not None
    p, uv = part.positions[part.faces], part.uvs[part.faces]
    (e1, e2), (d1, d2) = (p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), (uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0])
    area = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    along = np.sign(area)[:, None] * (
        d2[:, 1:] * e1 - d1[:, 1:] * e2
    )  # dp/du, weighted by the area in texture coordinates
    total = np.zeros_like(part.positions)
    for corner in range(3):
        np.add.at(total, part.faces[:, corner], along)
    normal = part.normals / np.maximum(np.linalg.norm(part.normals, axis=1, keepdims=True), 1e-30)
    total = total - np.sum(total * normal, axis=1, keepdims=True) * normal
    length = np.linalg.norm(total, axis=1, keepdims=True)
    helper = np.where(np.abs(normal[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    other = np.cross(normal, helper)
    unit = np.where(
        length > 1e-12, total / np.maximum(length, 1e-30), other / np.linalg.norm(other, axis=1, keepdims=True)
    )
    return np.concatenate([unit, np.ones((len(unit), 1))], axis=1)
