"""USD: meshes, preview materials, lights and cameras in one .usda file with its textures (usd-core)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import encode_exr, mitsuba_to_opengl
from ...job import storage
from ..asset import Asset, Light, Part, View
from ..format import Format, Source, Written, names_of
from ..materials import Material, is_image
from ..pixels import color_png, data_png
from .gltf import _along

APERTURE = 20.955  # mm, the width of USD's default film; only its ratio to the focal length matters


class Usd(Format):
    """A stage whose up axis is the scene's; texture coordinates go up, as USD has them."""

    name: ClassVar[str] = "usd"
    text: ClassVar[str] = (
        "USD stage: UsdPreviewSurface materials, UsdLux lights with the environment as a dome, cameras"
    )
    requires: ClassVar[str] = "pxr"

    def write(self, source: Source, folder: Path) -> Written:
        """Write usd/scene.usda and textures."""
        from pxr import Usd as U
        from pxr import UsdGeom

        root = folder / "usd"
        with storage.reported(root):
            root.mkdir(parents=True, exist_ok=True)
            (root / "scene.usda").unlink(missing_ok=True)
        written = Written([root / "scene.usda"])
        stage = U.Stage.CreateInMemory()
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z if source.asset.up == "z" else UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/scene").GetPrim())
        shaders = [
            _material(stage, material, name, root, written)
            for material, name in zip(source.asset.materials, _identifiers(source.asset.materials), strict=True)
        ]
        for part, name in zip(source.asset.parts, _identifiers(source.asset.parts), strict=True):
            _mesh(stage, part, source.asset.materials[part.material], f"/scene/{name}", shaders[part.material])
        _lights(stage, source.asset, root, written)
        for view, name in zip(source.asset.views, _identifiers(source.asset.views), strict=True):
            _camera(stage, view, f"/scene/{name}", written)
        storage.write_text(written.files[0], stage.GetRootLayer().ExportToString())
        return written

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Open it with usd-core: points, faces and cameras are there."""
        from pxr import Usd as U
        from pxr import UsdGeom

        stage = U.Stage.Open(str(written.files[0]))
        worst, faces, cameras = 0.0, 0, 0
        meshes = {prim.GetName(): UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)}
        for part, name in zip(source.asset.parts, _identifiers(source.asset.parts), strict=True):
            worst = max(worst, float(np.abs(np.array(meshes[name].GetPointsAttr().Get()) - part.positions).max()))
            faces += len(meshes[name].GetFaceVertexCountsAttr().Get())
        cameras = sum(prim.IsA(UsdGeom.Camera) for prim in stage.Traverse())
        expected = sum(len(part.faces) for part in source.asset.parts)
        size = max((float(np.ptp(part.positions, axis=0).max()) for part in source.asset.parts), default=1.0)
        ok = faces == expected and cameras == len(source.asset.views) and worst <= 1e-5 * size
        return {
            "reader": f"usd-core {U.GetVersion()}",
            "faces": faces,
            "cameras": cameras,
            "largest_distance": worst,
            "ok": bool(ok),
        }


def _identifiers(things: Any) -> list[str]:
    """Names of things as identifiers of USD: letters, digits and '_', not beginning with a digit."""
    import re

    return [
        "_" * name[0].isdigit() + name
        for name in (re.sub(r"\W", "_", name, flags=re.ASCII) for name in names_of(things))
    ]


def _mesh(stage: Any, part: Part, material: Material, path: str, shader: Any) -> None:
    from pxr import Sdf, UsdGeom, UsdShade, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(part.positions, dtype=np.float32)))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(part.faces), 3, dtype=np.int32)))
    mesh.CreateFaceVertexIndicesAttr(
        Vt.IntArray.FromNumpy(np.ascontiguousarray(part.faces.reshape(-1), dtype=np.int32))
    )
    mesh.CreateSubdivisionSchemeAttr("none")
    mesh.CreateDoubleSidedAttr(material.two_sided)
    if part.normals is not None:
        mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(part.normals, dtype=np.float32)))
        mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    if part.uvs is not None:
        uv = part.uvs @ material.uv[:, :2].T + material.uv[:, 2]
        uv[:, 1] = 1 - uv[:, 1]
        primvar = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(
            "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex
        )
        primvar.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(uv, dtype=np.float32)))
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(shader)


def _material(stage: Any, material: Material, name: str, root: Path, written: Written) -> Any:
    from pxr import Gf, Sdf, UsdShade

    path = f"/scene/materials/{name}"
    result = UsdShade.Material.Define(stage, path)
    shader = UsdShade.Shader.Define(stage, f"{path}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    result.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    types = Sdf.ValueTypeNames

    def put(slot: str, value: Any, color: bool) -> None:
        kind = types.Color3f if color else types.Float
        field = shader.CreateInput(slot, kind)
        if not is_image(value):
            field.Set(Gf.Vec3f(*(float(x) for x in np.broadcast_to(value, 3))) if color else float(np.mean(value)))
            return
        file = root / "textures" / f"{name}-{slot}.png"
        storage.write_bytes(
            file, color_png(np.asarray(value)) if color else data_png(np.repeat(np.asarray(value), 3, axis=2))
        )
        written.files.append(file)
        field.ConnectToSource(
            _texture(stage, f"{path}/{slot}", file.name, material, color).ConnectableAPI(), "rgb" if color else "r"
        )

    put("diffuseColor", material.base_color, True)
    put("roughness", material.roughness, False)
    put("metallic", material.metallic, False)
    put("opacity", material.opacity * (1 - material.transmission), False)
    put("ior", material.ior if material.specular else 1.0, False)
    put("clearcoat", material.clearcoat, False)
    put("clearcoatRoughness", material.clearcoat_roughness, False)
    if material.emission is not None:
        put("emissiveColor", material.emission, True)
        if is_image(material.emission) and np.max(material.emission) > 1:
            written.lost.append(f"'{material.name}': emission above 1 is clipped in its image")
    if material.normal is not None:
        written.lost.append(f"'{material.name}': its normal map is left out")
    if material.transmission:
        written.lost.append(f"'{material.name}': a preview surface does not refract; it is written as see-through")
    return result


def _texture(stage: Any, path: str, file: str, material: Material, color: bool) -> Any:
    from pxr import Sdf, UsdShade

    types = Sdf.ValueTypeNames
    reader = UsdShade.Shader.Define(stage, f"{path}_st")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    texture = UsdShade.Shader.Define(stage, f"{path}_texture")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", types.Asset).Set(f"textures/{file}")
    texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB" if color else "raw")
    texture.CreateInput("st", types.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
    reader.CreateOutput("result", types.Float2)
    for axis in ("wrapS", "wrapT"):
        texture.CreateInput(axis, types.Token).Set(material.wrap)
    texture.CreateOutput("rgb", types.Float3)
    texture.CreateOutput("r", types.Float)
    return texture


def _pose(prim: Any, matrix: Any) -> None:
    """USD writes matrices for rows of vectors."""
    from pxr import Gf, UsdGeom

    UsdGeom.Xformable(prim).AddTransformOp().Set(Gf.Matrix4d(*(float(x) for x in np.asarray(matrix).T.reshape(-1))))


def _lights(stage: Any, asset: Asset, root: Path, written: Written) -> None:
    from pxr import Sdf, UsdLux

    if asset.environment is not None:
        file = root / "textures" / "environment.exr"
        storage.write_bytes(file, encode_exr(asset.environment.for_others()))
        written.files.append(file)
        dome = UsdLux.DomeLight.Define(stage, "/scene/environment")
        dome.CreateTextureFileAttr(Sdf.AssetPath("textures/environment.exr"))
        dome.CreateTextureFormatAttr(UsdLux.Tokens.latlong)
        pose = np.eye(4)
        pose[:3, :3] = asset.environment.to_world
        _pose(dome, pose)
    for light, name in zip(asset.lights, _identifiers(asset.lights), strict=True):
        _light(stage, light, f"/scene/{name}")


def _light(stage: Any, light: Light, path: str) -> None:
    from pxr import Gf, UsdLux

    if light.kind == "directional":
        made = UsdLux.DistantLight.Define(stage, path)
        made.CreateAngleAttr(0.0)
    else:  # as large as a point: intensity is radiance times area unless it is normalised
        made = UsdLux.SphereLight.Define(stage, path)
        made.CreateTreatAsPointAttr(True)
        made.CreateNormalizeAttr(True)
        if light.kind == "spot":
            UsdLux.ShapingAPI.Apply(made.GetPrim()).CreateShapingConeAngleAttr(float(np.degrees(light.outer)))
    strength = max(float(light.color.max()), 1e-30)
    made.CreateColorAttr(Gf.Vec3f(*(float(x) for x in light.color / strength)))
    made.CreateIntensityAttr(strength)
    _pose(made, _along(light.direction, light.position))


def _camera(stage: Any, view: View, path: str, written: Written) -> None:
    from pxr import UsdGeom

    camera, made = view.camera, UsdGeom.Camera.Define(stage, path)
    focal_y = camera.focal if camera.focal_y is None else camera.focal_y
    made.CreateHorizontalApertureAttr(APERTURE)
    made.CreateFocalLengthAttr(APERTURE * camera.focal / camera.width)
    made.CreateVerticalApertureAttr(APERTURE * camera.focal / camera.width * camera.height / focal_y)
    made.CreateHorizontalApertureOffsetAttr(APERTURE * (0.5 - camera.cx / camera.width))
    made.CreateVerticalApertureOffsetAttr(
        APERTURE * (camera.cy - 0.5 * camera.height) / focal_y * camera.focal / camera.width
    )
    _pose(made, mitsuba_to_opengl(camera.to_world))
    if camera.distortion:
        written.lost.append(f"camera '{view.name}': its distortion is left out")
