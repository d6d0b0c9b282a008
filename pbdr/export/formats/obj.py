"""OBJ with MTL: the oldest format that everything reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...job import storage
from ..asset import Part
from ..format import Format, Source, Written, names_of
from ..materials import Material, is_image
from ..pixels import color_png, data_png


class Obj(Format):
    """All shapes in one file, with a material library and its textures."""

    name: ClassVar[str] = "obj"
    text: ClassVar[str] = (
        "OBJ and MTL with textures (sRGB colours; Pr, Pm: roughness, metallic), in the scene's axes; v goes up, as in every OBJ"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write obj/scene.obj, obj/scene.mtl and textures."""
        root, asset = folder / "obj", source.asset
        written = Written([root / "scene.obj", root / "scene.mtl"])
        names = names_of(asset.materials)
        lines = []
        for material, name in zip(asset.materials, names, strict=True):
            lines += _material(material, name, root, written)
        storage.write_text(root / "scene.mtl", "\n".join([*lines, ""]))
        lines = ["mtllib scene.mtl"]
        counts = np.ones(3, dtype=np.int64)  # indices begin at 1 and run through the file
        for part, name in zip(asset.parts, names_of(asset.parts), strict=True):
            lines += [f"o {name}", f"usemtl {names[part.material]}"]
            own, used = _part(part, asset.materials[part.material], counts)
            lines += own
            counts = counts + used
        storage.write_text(root / "scene.obj", "\n".join([*lines, ""]))
        if asset.lights or asset.environment or asset.views:
            written.lost.append("lights, environment and cameras are not in OBJ files")
        return written

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read by trimesh: number of faces and corner positions of all shapes."""
        import trimesh

        scene = trimesh.load(written.files[0], process=False, force="scene", split_object=True, group_material=False)
        meshes = list(scene.geometry.values())
        faces = sum(len(mesh.faces) for mesh in meshes)
        corners = np.sort(np.concatenate([mesh.triangles.reshape(-1, 3) for mesh in meshes]), axis=0)
        expected = np.sort(
            np.concatenate([part.positions[part.faces].reshape(-1, 3) for part in source.asset.parts]), axis=0
        )
        same = corners.shape == expected.shape
        worst = float(np.abs(corners - expected).max()) if same else float("inf")
        return {
            "reader": f"trimesh {trimesh.__version__}", "faces": faces, "largest_distance": worst,
            "ok": bool(same and worst <= 1e-5 * max(1.0, float(np.ptp(expected)))),
        }  # fmt: skip


def _part(part: Part, material: Material, counts: Any) -> tuple[list[str], Any]:
    """Lines of a part, and how many positions, texture coordinates and normals it has; `counts` of them precede it."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in part.positions]
    form = "{0}"
    if part.uvs is not None:
        uv = part.uvs @ material.uv[:, :2].T + material.uv[:, 2]
        lines += [f"vt {u:.9g} {1 - v:.9g}" for u, v in uv]
        form = "{0}/{1}"
    if part.normals is not None:
        lines += [f"vn {x:.7g} {y:.7g} {z:.7g}" for x, y, z in part.normals]
        form = "{0}/{1}/{2}" if part.uvs is not None else "{0}//{2}"
    for face in part.faces:
        lines.append("f " + " ".join(form.format(*(int(i) + counts)) for i in face))
    used = [0 if values is None else len(values) for values in (part.positions, part.uvs, part.normals)]
    return lines, np.array(used)


def _material(material: Material, name: str, root: Path, written: Written) -> list[str]:
    """Lines of a material; its images are written."""
    lines = [f"newmtl {name}"]

    def image(suffix: str, content: bytes) -> str:
        path = root / "textures" / f"{name}-{suffix}.png"
        storage.write_bytes(path, content)
        written.files.append(path)
        return f"textures/{path.name}"

    for key, kind, value in (("Kd", "base-color", material.base_color), ("Ke", "emission", material.emission)):
        if value is None:
            continue
        if is_image(value):
            lines += [f"{key} 1 1 1", f"map_{key} {image(kind, color_png(np.asarray(value)))}"]
            if np.max(value) > 1:
                written.lost.append(f"'{name}': {kind} above 1 is clipped in its image")
        else:
            lines.append(f"{key} " + " ".join(f"{float(x):.6g}" for x in np.broadcast_to(np.asarray(value), 3)))
    for key, kind, value in (("Pr", "roughness", material.roughness), ("Pm", "metallic", material.metallic)):
        if is_image(value):
            lines.append(f"map_{key} {image(kind, data_png(np.repeat(np.asarray(value), 3, axis=2)))}")
        lines.append(f"{key} {float(np.mean(value)):.6g}")
    if material.normal is not None:
        lines.append(f"norm {image('normal', data_png(material.normal))}")
        written.lost.append(
            f"'{name}': the green of its normal map goes along normal × tangent, which readers of OBJ may take for −v"
        )
    lines += [f"Ni {material.ior:.6g}", f"d {material.opacity:.6g}"]
    if material.transmission:
        lines.append(f"Tf {material.transmission:.6g} {material.transmission:.6g} {material.transmission:.6g}")
    lines.append("illum 2")
    if material.specular != 1 and material.metallic == 0:
        lines.append(
            "Ks 0 0 0"
            if material.specular == 0
            else f"Ks {material.specular:.4g} {material.specular:.4g} {material.specular:.4g}"
        )
    if material.clearcoat:
        written.lost.append(f"'{name}': its clear coat is left out")
    return lines
