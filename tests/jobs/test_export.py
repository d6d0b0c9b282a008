"""Exports: every format read again by another program, with the conventions that go wrong one test each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest

from pbdr import cli
from pbdr.data import Camera, encode_exr
from pbdr.errors import OptionError
from pbdr.export import FORMATS, chosen, glb, lens_camera, proof
from pbdr.export.asset import View, read_asset
from pbdr.export.format import Format, Source
from pbdr.export.formats.gltf import tangents
from pbdr.export.materials import is_image
from pbdr.parameters import list_parameters, read, traverse
from pbdr.parameters.recipe import with_values
from pbdr.scene import Scene, load_scene
from pbdr.srgb import linear_to_srgb

Tiny = Callable[..., Path]
TEXELS = np.array([[[0.9, 0.1, 0.1], [0.1, 0.5, 0.1]], [[0.1, 0.1, 0.9], [0.3, 0.3, 0.3]]], np.float32)
#: A quad in the plane y = 0, seen from z up, whose corners have the texture coordinates of the centres of the texels.
QUAD = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
property float u
property float v
element face 2
property list uchar int vertex_indices
end_header
0 0 0 0.25 0.25
1 0 0 0.75 0.25
0 0 5 0.25 0.75
1 0 5 0.75 0.75
3 0 1 3
3 0 3 2
"""
SCENE = """<scene version="3.0.0">
<emitter type="envmap" id="sky"><string name="filename" value="sky.exr"/><float name="scale" value="2"/>
  <transform name="to_world"><rotate x="1" angle="90"/></transform></emitter>
<emitter type="spot" id="spot"><transform name="to_world"><lookat origin="1,2,3" target="0,0,0" up="0,0,1"/></transform>
  <rgb name="intensity" value="1,2,0.5"/></emitter>
<bsdf type="twosided" id="paint"><bsdf type="diffuse"><texture type="bitmap" name="reflectance">
  <string name="filename" value="color.exr"/>
  <boolean name="raw" value="true"/></texture></bsdf></bsdf>
<bsdf type="roughconductor" id="metal"><string name="material" value="Au"/><float name="alpha" value="0.25"/>
  <string name="distribution" value="ggx"/></bsdf>
<bsdf type="principled" id="gloss"><rgb name="base_color" value="0.2,0.4,0.6"/><float name="roughness" value="0.4"/></bsdf>
<shape type="ply" id="quad"><string name="filename" value="quad.ply"/><ref id="paint"/></shape>
<shape type="sphere" id="ball"><point name="center" x="3" y="1" z="1"/><float name="radius" value="0.5"/><ref id="metal"/></shape>
<shape type="cube" id="box"><transform name="to_world"><rotate x="1" y="2" z="0" angle="30"/><translate x="-3"/></transform>
  <ref id="gloss"/></shape>
<shape type="rectangle" id="lamp"><transform name="to_world"><translate z="6"/></transform>
  <emitter type="area"><rgb name="radiance" value="3,2,1"/></emitter></shape>
<sensor type="perspective" id="left"><float name="fov" value="50"/><float name="principal_point_offset_x" value="0.1"/>
  <transform name="to_world"><lookat origin="2,9,4" target="0,0,1" up="0,0,1"/></transform>
  <film type="hdrfilm"><integer name="width" value="24"/><integer name="height" value="16"/></film></sensor>
<sensor type="opencv" id="right"><float name="fov" value="50"/><float name="k1" value="0.05"/><float name="p2" value="0.01"/>
  <transform name="to_world"><lookat origin="-2,9,4" target="0,0,1" up="0,0,1"/></transform>
  <film type="hdrfilm"><integer name="width" value="20"/><integer name="height" value="20"/></film></sensor>
</scene>""".replace('<rotate x="1" y="2" z="0" angle="30"/>', '<rotate x="0.6" y="0.8" z="0" angle="30"/>')


def sky() -> np.ndarray:
    image = np.full((16, 32, 3), 0.1, np.float32)
    image[3, 5] = 9.0
    return image


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("scene")
    (folder / "quad.ply").write_text(QUAD)
    (folder / "sky.exr").write_bytes(encode_exr(sky()))
    (folder / "color.exr").write_bytes(encode_exr(TEXELS))
    (folder / "scene.xml").write_text(SCENE)
    scene = load_scene(folder / "scene.xml")
    # Values that the file does not have: what is exported must be these.
    params = traverse(scene)
    params["box.vertex_positions"] = params["box.vertex_positions"] + 0.25
    params["gloss.base_color.value"] = mi.Color3f(0.3, 0.2, 0.1)
    params["metal.alpha.value"] = mi.Float(0.36)
    params["left.x_fov"] = mi.Float(45.0)
    params.update()
    moved = ["box.vertex_positions", "gloss.base_color.value", "metal.alpha.value", "left.x_fov"]
    views = [
        View(str(s.id()), camera, f"{s.id()}.exr") for s in scene.sensors if (camera := lens_camera(s)) is not None
    ]
    rebuilt = with_values(scene, moved, folder / "moved")
    return Source(rebuilt, scene, read_asset(rebuilt, views), {"type": "path", "max_depth": 3})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


def written(source: Source, folder: Path, name: str) -> tuple[Format, Any]:
    one = FORMATS[name]()
    pytest.importorskip(one.requires or "trimesh")
    return one, one.write(source, folder)


@pytest.mark.parametrize("name", ["mitsuba", "obj", "ply", "usd", "environment", "transforms", "colmap"])
def test_what_is_read_again_is_what_was_written(source: Source, folder: Path, name: str) -> None:
    """By Mitsuba, trimesh, usd-core and pycolmap. The Mitsuba scene has all 60 or so parameters and the image of the estimate."""
    one, files = written(source, folder, name)
    assert all(path.is_file() for path in files.files) and files.files
    found = one.check(source, files)
    assert found["ok"], found
    if name == "mitsuba":
        assert found["parameters"] > 40 and found["largest_sigmas"] < proof.SIGMAS
        assert str(folder) not in files.files[0].read_text()  # it can be moved
        loaded = load_scene(files.files[0])
        by_name = {p.name: p for p in list_parameters(loaded)}
        assert read(loaded, by_name["metal/roughness"]) == pytest.approx(0.36)
        assert loaded.named == source.original.named


def test_a_scene_that_is_not_the_estimate_is_told(source: Source, folder: Path) -> None:
    """Negative controls: a roughness that differs by 1 %; and images of which one is 3 % brighter, all parameters aside."""
    one, files = written(source, folder / "wrong", "mitsuba")
    text = files.files[0].read_text()
    assert text.count('"0.36000001430511475"') == 1
    files.files[0].write_text(text.replace('"0.36000001430511475"', '"0.3636"'))
    found = one.check(source, files)
    assert not found["ok"] and found["different"] == ["metal/roughness"]
    noise = np.random.default_rng(0).normal(1.0, 0.2, (2, proof.BATCHES, 32, 32, 3))
    assert proof.within_noise(*noise)["largest_sigmas"] < proof.SIGMAS
    assert proof.within_noise(noise[0], 1.03 * noise[1] + 0.03)["largest_sigmas"] > proof.SIGMAS


def codes(linear: Any) -> np.ndarray:
    return np.rint(255 * linear_to_srgb(np.asarray(linear))).astype(int)


def test_texture_coordinates_and_colours(source: Source, folder: Path) -> None:
    """Row 0 of the texture is at v = 0 in Mitsuba and glTF, at v = 1 in OBJ, USD and trimesh; images are sRGB. The four corners
    have four colours, so that any flip or exchange of u and v shows, and linear texels would be off by up to 70 codes."""
    import trimesh

    expected = codes(TEXELS.reshape(-1, 3))
    for name in ("gltf", "obj"):
        _, files = written(source, folder, name)
        meshes = trimesh.load(files.files[0], process=False, force="scene").geometry
        mesh = next(
            mesh
            for key, mesh in meshes.items()
            if "quad" in key or (len(mesh.vertices) == 4 and mesh.bounds[1].max() < 5.5)
        )
        order = np.lexsort(mesh.vertices.T[[0, 2]])
        colors = np.asarray(mesh.visual.to_color().vertex_colors)[order][:, :3]
        assert np.abs(colors.astype(int) - expected).max() <= 1, name
    _, files = written(source, folder, "ply")
    mesh = trimesh.load(files.files[0], process=False)
    assert np.abs(np.asarray(mesh.visual.vertex_colors)[:, :3].astype(int) - expected).max() <= 1


def test_usd_textures_go_up(source: Source, folder: Path) -> None:
    usd = pytest.importorskip("pxr.Usd")
    geometry = pytest.importorskip("pxr.UsdGeom")
    from PIL import Image

    _, files = written(source, folder, "usd")
    stage = usd.Stage.Open(str(files.files[0]))
    assert geometry.GetStageUpAxis(stage) == "Z"
    mesh = geometry.Mesh(stage.GetPrimAtPath("/scene/quad"))
    st = np.array(geometry.PrimvarsAPI(mesh).GetPrimvar("st").Get())
    image = np.asarray(Image.open(folder / "usd" / "textures" / "paint-diffuseColor.png").convert("RGB")).astype(int)
    height, width = image.shape[:2]
    seen = [image[int((1 - t) * height), int(s * width)] for s, t in st]  # the origin of st is the lower left corner
    assert np.abs(np.array(seen) - codes(TEXELS.reshape(-1, 3))).max() <= 1


def test_gltf_is_upright_and_has_its_extensions(source: Source, folder: Path) -> None:
    """z is up in the scene, y in the file: the lamp is at y = 6. A camera under the root sees a point where ours does."""
    import trimesh

    pygltflib = pytest.importorskip("pygltflib")
    _, files = written(source, folder, "gltf")
    assert source.asset.up == "z"
    loaded = trimesh.load(files.files[0])
    bounds = loaded.bounds
    assert bounds[1][1] == pytest.approx(6.0, abs=1e-5)  # the lamp
    document = pygltflib.GLTF2().load(str(files.files[0]))
    root, camera = (
        document.nodes[0],
        next(node for node in document.nodes if node.camera is not None and node.name == "left"),
    )
    turned = trimesh.transformations.quaternion_matrix(np.array(root.rotation)[[3, 0, 1, 2]])
    pose = turned @ np.array(camera.matrix).reshape(4, 4).T
    lens = document.cameras[camera.camera].perspective
    ours = source.views[0].camera
    point = np.array([0.5, 0.0, 2.0])
    local = np.linalg.inv(pose) @ turned @ [*point, 1.0]
    y = 0.5 * ours.height * (1 - local[1] / -local[2] / np.tan(lens.yfov / 2))
    x = 0.5 * ours.width * (1 + local[0] / -local[2] / np.tan(lens.yfov / 2) / lens.aspectRatio)
    expected = ours.project(point[None])[0]
    assert y == pytest.approx(expected[1], abs=1e-3)
    assert x + 0.5 * 0.2 * -ours.width == pytest.approx(
        expected[0], abs=1e-3
    )  # without the principal point, which is told
    assert any("principal point" in line for line in FORMATS["gltf"]().write(source, folder).lost)
    assert set(document.extensionsUsed) == {
        "KHR_lights_punctual",
        "KHR_materials_emissive_strength",
        "KHR_materials_specular",
    }
    gold = next(material for material in document.materials if material.name == "metal").pbrMetallicRoughness
    assert gold.metallicFactor == 1 and gold.roughnessFactor == pytest.approx(0.6)  # α = 0.36
    assert gold.baseColorFactor[0] > gold.baseColorFactor[1] > gold.baseColorFactor[2]


def test_gltf_looks_like_the_estimate(source: Source, folder: Path) -> None:
    """Its materials as a viewer has them, under five lights. Negative control: colours of the file that are 0.1 off."""
    one, files = written(source, folder, "gltf")
    found = one.check(source, files)
    assert found["ok"]
    for entry in found["render"]["lights"].values():
        assert entry["psnr"] > 27, found["render"]
    document, buffer = glb.unpack(files.files[0])
    for material in document["materials"]:
        material["pbrMetallicRoughness"]["baseColorFactor"][:3] = [0.4, 0.4, 0.4]
    builder = glb.Builder()
    builder.content = bytearray(buffer)
    files.files[0].write_bytes(builder.pack(document))
    assert one.check(source, files)["render"]["psnr"] < found["render"]["psnr"] - 5


def test_the_environment_has_openexrs_layout(source: Source) -> None:
    """The brightest pixel lies where OpenEXR's formula says, after the rotation of environment.json, and is scaled by 2.

    Mitsuba's rows begin at the pole: taken as they are, the light would be 2.2 degrees off.
    """
    environment = source.asset.environment
    assert environment is not None and environment.radiance.max() == pytest.approx(18.0)
    image = environment.for_others()
    height, width = image.shape[:2]
    row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
    latitude, longitude = np.pi / 2 - np.pi * (row + 0.5) / height, np.pi - 2 * np.pi * (column + 0.5) / width
    toward = [np.sin(longitude) * np.cos(latitude), np.sin(latitude), np.cos(longitude) * np.cos(latitude)]
    world = environment.to_world @ toward
    hit = mi.SurfaceInteraction3f()
    hit.wi = mi.Vector3f(*(-world).tolist())
    assert float(source.original.mi.environment().eval(hit)[0][0]) == pytest.approx(18.0, rel=0.1)


def test_lenses_of_colmap(source: Source, folder: Path) -> None:
    """Pixels of points by pycolmap, distortion included, are those that the sensor itself hits."""
    pycolmap = pytest.importorskip("pycolmap")
    _, files = written(source, folder, "colmap")
    model = pycolmap.Reconstruction(str(files.files[0].parent))
    assert model.images[2].name == "right.exr" and len(model.points3D) > 100
    sensor = source.original.sensors[1]
    ray, _ = sensor.sample_ray(0.0, 0.0, mi.Point2f(0.8, 0.3), mi.Point2f(0.5))
    point = np.array(ray.o + 3 * ray.d).reshape(3)
    image = model.images[2]
    local = image.cam_from_world().matrix() @ [*point, 1.0]
    pixel = np.asarray(model.cameras[image.camera_id].img_from_cam(local[None])).reshape(2)
    np.testing.assert_allclose(pixel, [0.8 * 20, 0.3 * 20], atol=2e-3)


def test_round_shapes_are_where_mitsuba_has_them(source: Source) -> None:
    """Vertices of the ball lie on it, with Mitsuba's texture coordinates and outward faces."""
    part = next(part for part in source.asset.parts if part.name == "ball")
    assert np.allclose(np.linalg.norm(part.positions - [3, 1, 1], axis=1), 0.5, atol=1e-6)
    chosen_ = np.random.default_rng(0).choice(len(part.positions), 50)
    outside = part.positions + 0.5 * part.normals
    ray = mi.Ray3f(
        mi.Point3f(outside[chosen_].T.astype(np.float32)), mi.Vector3f(-part.normals[chosen_].T.astype(np.float32))
    )
    hit = source.original.mi.ray_intersect(ray)
    inner = (
        (part.uvs[chosen_, 0] % 1 > 0.01) & (np.abs(part.uvs[chosen_, 1] - 0.5) < 0.45) & (part.uvs[chosen_, 0] < 0.99)
    )
    assert np.allclose(np.array(hit.uv).T[inner], part.uvs[chosen_][inner], atol=2e-3) and inner.sum() > 30
    corners = part.positions[part.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", normal, corners.mean(axis=1) - [3, 1, 1]) > 0).all()


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A bump map, a checkerboard, Beckmann's distribution and a curve: all in words, none silently."""
    (tmp_path / "curve.txt").write_text("".join(f"{x} 0 0 0.1\n" for x in range(5)))
    scene = load_scene(f"""<scene version="3.0.0"><emitter type="constant"/>
      <bsdf type="bumpmap" id="bumps"><texture type="checkerboard" name="arbitrary"/><bsdf type="roughplastic"/></bsdf>
      <bsdf type="diffuse" id="chess"><texture type="checkerboard" name="reflectance"/></bsdf>
      <shape type="rectangle"><ref id="bumps"/></shape><shape type="rectangle"><ref id="chess"/></shape>
      <shape type="bsplinecurve" id="hair"><string name="filename" value="{tmp_path}/curve.txt"/></shape>
      <sensor type="perspective"><film type="hdrfilm"/></sensor></scene>""")
    asset = read_asset(scene)
    text = " ".join(asset.lost)
    for word in ("bump map", "checkerboard", "Beckmann", "hair"):
        assert word in text, text
    assert is_image(asset.materials[1].base_color) and np.ptp(np.asarray(asset.materials[1].base_color)) > 0.1


def test_the_command_exports_a_run(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = tiny({"match = ": "texture = 4\nmatch = "})
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs")]) in (0, 5)
    capfd.readouterr()
    code = cli.main(["export", str(tmp_path / "runs" / "tiny"), "--json", "-f", "mitsuba", "-f", "transforms"])
    found = json.loads(capfd.readouterr().out)
    assert code == 0 and found["ok"] and list(found["formats"]) == ["mitsuba", "transforms"] and found["up"] == "z"
    folder = Path(found["folder"])
    loaded = load_scene(folder / "mitsuba" / "scene.xml")
    run = folder.parent
    stored = json.loads((run / "eval" / "parameters.json").read_text())["parameters"][0]
    estimate = np.asarray(read(loaded, next(p for p in list_parameters(loaded) if p.name == "mat/base_color")))
    assert estimate.shape == (4, 4, 3) and estimate.mean() == pytest.approx(
        _estimate(run, stored["name"]).mean(), rel=1e-5
    )
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    assert (folder / frames[0]["file_path"]).is_file()  # the image that goes with it
    assert cli.main(["export", str(run), "-f", "gtlf"]) == 2
    assert "Closest: gltf" in capfd.readouterr().err


def _estimate(run: Path, name: str) -> np.ndarray:
    from pbdr.data import load_image
    from pbdr.job.results import slug

    return load_image(run / "eval" / "parameters" / slug(name) / "estimate.exr").rgb


def test_formats_by_name() -> None:
    assert [one.name for one in chosen(["obj", "gltf", "obj"])] == ["obj", "gltf"] and len(chosen([])) == len(FORMATS)
    with pytest.raises(OptionError, match="there is no format 'blend'"):
        chosen(["blend"])


def test_a_camera_with_distortion_is_kept_whole() -> None:
    camera = Camera(
        np.eye(4),
        20,
        10,
        15.0,
        10.0,
        5.0,
        None,
        "opencv",
        tuple(dict.fromkeys(("k1", "k2", "p1", "p2", "k3"), 0.01).items()),
    )
    from pbdr.scene import load_object

    found = lens_camera(load_object(camera.to_dict()))
    assert (
        found is not None
        and found.model == "opencv"
        and dict(found.distortion) == pytest.approx(dict(camera.distortion))
    )


def test_a_scene_of_other_values_is_built_again(source: Source) -> None:
    assert isinstance(source.scene, Scene)
    for parameter in list_parameters(source.original):
        other = next(p for p in list_parameters(source.scene) if p.name == parameter.name)
        np.testing.assert_allclose(
            read(source.scene, other), read(source.original, parameter), atol=1e-5, err_msg=parameter.name
        )


def test_shared_textures_spectra_and_other_faces(tmp_path: Path) -> None:
    """A bitmap that two materials share is an object of the scene; colours may be spectra; meshes may have got other faces."""
    from pbdr.parameters.meshes import Triangles

    (tmp_path / "color.exr").write_bytes(encode_exr(TEXELS))
    scene = load_scene(f"""<scene version="3.0.0"><emitter type="constant"/>
      <bsdf type="diffuse" id="a"><ref name="reflectance" id="tex"/></bsdf>
      <texture type="bitmap" id="tex"><string name="filename" value="{tmp_path}/color.exr"/>
        <boolean name="raw" value="true"/></texture>
      <bsdf type="diffuse" id="b"><ref name="reflectance" id="tex"/></bsdf>
      <bsdf type="diffuse" id="c"><spectrum name="reflectance" value="400:0.2, 550:0.3, 700:0.8"/></bsdf>
      <shape type="rectangle" id="first"><ref id="a"/></shape><shape type="rectangle" id="second"><ref id="b"/></shape>
      <shape type="cube" id="third"><ref id="c"/></shape>
      <sensor type="perspective"><film type="hdrfilm"/></sensor></scene>""")
    params = traverse(scene)
    params["a.reflectance.data"] = mi.TensorXf(0.5 * TEXELS)
    params.update()
    corner = Triangles(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]], np.uint32))
    corner.install(scene, next(p for p in list_parameters(scene) if p.raw == "third.vertex_positions"))
    rebuilt = with_values(scene, ["a.reflectance.data", "third.vertex_positions"], tmp_path / "moved")
    asset = read_asset(rebuilt)
    first, second, third = (asset.materials[part.material] for part in asset.parts)
    np.testing.assert_allclose(np.asarray(first.base_color), 0.5 * TEXELS, atol=1e-6)
    np.testing.assert_allclose(np.asarray(second.base_color), 0.5 * TEXELS, atol=1e-6)
    color = np.asarray(read(scene, next(p for p in list_parameters(scene) if p.name == "c/base_color")))
    np.testing.assert_allclose(np.asarray(third.base_color), color, rtol=1e-5)
    assert len(asset.parts[2].faces) == 1 and np.allclose(asset.parts[2].positions, corner.positions)


def test_any_environment_is_baked() -> None:
    """A sky model is looked at direction by direction: what other programs read is what Mitsuba's emitter gives."""
    scene = load_scene("""<scene version="3.0.0"><emitter type="sunsky" id="sky"><float name="sun_scale" value="0"/></emitter>
      <sensor type="perspective"><film type="hdrfilm"/></sensor></scene>""")
    asset = read_asset(scene)
    assert asset.environment is not None and "written as 256" in " ".join(asset.lost)
    toward = np.array([[0.6, 0.0, 0.8], [0.0, 0.6, 0.8], [-0.8, 0.36, 0.48]])
    hit = mi.SurfaceInteraction3f()
    hit.wi = mi.Vector3f(np.ascontiguousarray(-toward.T, dtype=np.float32))
    expected = np.array(scene.mi.environment().eval(hit)).T
    np.testing.assert_allclose(asset.environment.lookup(toward), expected, rtol=0.03)


def test_normal_maps_have_mitsubas_tangents(tmp_path: Path) -> None:
    """glTF's bitangent, normal × tangent · w, is the axis along which Mitsuba bends normals; whichever way v goes on the surface.

    The map says (0.3, 0.6, 0.74) everywhere. With v up and with v down on the surface, a diffuse material has the values, in two
    directions, that the normals of the file's tangents give, up to 2 %, by which Mitsuba darkens bent surfaces; with the other
    sense of green they would differ by half.
    """
    own = np.array([0.3, 0.6, np.sqrt(1 - 0.3**2 - 0.6**2)])
    (tmp_path / "normal.exr").write_bytes(encode_exr(np.full((2, 2, 3), 0.5 + 0.5 * own, np.float32)))
    (tmp_path / "down.ply").write_text(QUAD)
    (tmp_path / "up.ply").write_text(QUAD.replace(" 0.25\n", " 0.8\n").replace(" 0.75\n", " 0.2\n"))
    for name in ("up", "down"):
        scene = load_scene(f"""<scene version="3.0.0"><emitter type="constant"/>
          <bsdf type="normalmap" id="bent"><texture type="bitmap" name="normalmap">
            <string name="filename" value="{tmp_path}/normal.exr"/><boolean name="raw" value="true"/></texture>
            <bsdf type="diffuse"/></bsdf>
          <shape type="ply" id="quad"><string name="filename" value="{tmp_path}/{name}.ply"/><ref id="bent"/></shape>
          <sensor type="perspective"><film type="hdrfilm"/></sensor></scene>""")
        part = read_asset(scene).parts[0]
        assert part.normals is not None
        tangent, normal = tangents(part)[0], part.normals[0] / np.linalg.norm(part.normals[0])
        bitangent = np.cross(normal, tangent[:3]) * tangent[3]
        bent = own @ [tangent[:3], bitangent, normal]
        hit = scene.mi.ray_intersect(mi.Ray3f(mi.Point3f(0.5, -3, 2), mi.Vector3f(0, 1, 0)))
        for side in (tangent[:3], bitangent):
            toward = normal + 0.4 * side
            toward = toward / np.linalg.norm(toward)
            hit.wi = hit.to_local(mi.Vector3f(*normal.tolist()))
            value = hit.bsdf().eval(mi.BSDFContext(), hit, hit.to_local(mi.Vector3f(*toward.tolist())))
            assert float(value[0][0]) == pytest.approx(0.5 / np.pi * (bent @ toward), rel=0.02), name
