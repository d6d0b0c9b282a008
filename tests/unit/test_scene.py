"""Loading: deterministic ids, float textures, files beside the scene, and one clear line for every mistake."""

import shutil
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import SceneError
from pbdr.parameters import list_parameters, traverse
from pbdr.scene import integrator_of, load_object, load_scene, sensor_of

SENSOR = """<sensor type="perspective"><transform name="to_world"><lookat origin="0,0,-5" target="0,0,0" up="0,1,0"/>
</transform><film type="hdrfilm"><integer name="width" value="$res"/><integer name="height" value="8"/></film>
</sensor>"""

XML = f"""<scene version="3.0.0">
  <default name="res" value="16"/>
  {SENSOR}
  <bsdf type="twosided" id="wall"><bsdf type="diffuse"><texture type="bitmap" name="reflectance">
    <string name="filename" value="maps/bricks.png"/></texture></bsdf></bsdf>
  <shape type="sphere"><ref id="wall"/></shape>
  <shape type="sphere" id="sphere-2"><bsdf type="diffuse" id="skin"/></shape>
  <shape type="sphere"><bsdf type="roughconductor"/></shape>
  <shape type="rectangle"><emitter type="area"/></shape>
  <emitter type="constant"/>
</scene>"""

XML_START = '<scene version="3.0.0"><sensor type="perspective"/><emitter type="constant"/>'


def minimal(**extra):
    return {"type": "scene", "sky": {"type": "constant"}, "camera": {"type": "perspective"}, **extra}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "maps").mkdir()
    pixels = (np.arange(48).reshape(4, 4, 3) * 5).astype(np.uint8)
    mi.Bitmap(pixels).write(str(tmp_path / "maps" / "bricks.png"))
    (tmp_path / "scene.xml").write_text(XML)
    return tmp_path


def test_ids_are_deterministic_and_avoid_those_in_use(folder):
    scene = load_scene(folder / "scene.xml")
    shapes = [s.id() for s in scene.mi.shapes()]
    assert shapes == ["sphere-1", "sphere-2", "sphere-3", "rectangle-1"]
    assert [s.id() for s in scene.sensors] == ["perspective-1"]
    assert {"wall", "skin", "constant-1"} <= set(scene.named)
    again = load_scene(str(folder / "scene.xml"))
    assert [p.name for p in list_parameters(again)] == [p.name for p in list_parameters(scene)]
    assert not any("0x" in p.raw or "_unnamed" in p.raw for p in list_parameters(scene))


def test_files_are_found_beside_the_scene_from_anywhere(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    params = traverse(load_scene(folder / "scene.xml"))
    texture = params["wall.brdf_0.reflectance.data"]
    assert isinstance(texture, mi.TensorXf) and texture.shape == (4, 4, 3)


def test_files_of_an_included_file_are_found_beside_the_scene_too(folder, tmp_path_factory, monkeypatch):
    (folder / "parts").mkdir()
    (folder / "parts" / "all.xml").write_text(XML)
    (folder / "whole.xml").write_text('<scene version="3.0.0"><include filename="parts/all.xml"/></scene>')
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert traverse(load_scene(folder / "whole.xml"))["wall.brdf_0.reflectance.data"].shape == (4, 4, 3)


def test_plain_mitsuba_keeps_the_same_texture_as_integers(folder, monkeypatch):
    monkeypatch.chdir(folder)
    params = traverse(mi.load_file(str(folder / "scene.xml"), optimize=False))
    assert isinstance(params["wall.brdf_0.reflectance.data"], mi.TensorXu8)


def test_a_dictionary_keeps_its_keys_and_its_own_objects():
    ball = mi.load_dict({"type": "sphere", "center": [3, 0, 0]})
    nested = {"type": "sphere", "bsdf": {"type": "diffuse", "id": "skin"}}
    names = [p.name for p in list_parameters(load_scene(minimal(ball=ball, head=nested)))]
    assert {"ball/pose", "ball/base_color", "head/pose", "skin/base_color", "sky/radiance"} <= set(names)


def test_shapes_are_not_merged():
    cubes = {f"cube{i}": {"type": "cube"} for i in range(3)}
    assert [s.id() for s in load_scene(minimal(**cubes)).mi.shapes()] == ["cube0", "cube1", "cube2"]


def test_the_image_is_that_of_mitsubas_own_loader(folder, monkeypatch):
    monkeypatch.chdir(folder)
    path = mi.load_dict({"type": "path", "max_depth": 3})
    ours = np.array(mi.render(load_scene(folder / "scene.xml").mi, integrator=path, spp=64, seed=3))
    theirs = np.array(mi.render(mi.load_file("scene.xml", optimize=False), integrator=path, spp=64, seed=3))
    assert ours.shape == (8, 16, 3)
    # The texture is a float here and an 8-bit integer there: equal up to rounding.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_define_sets_defaults(folder):
    assert list(load_scene(folder / "scene.xml", define={"res": 5}).sensors[0].film().size()) == [5, 8]
    with pytest.raises(SceneError, match="colour"):
        load_scene(folder / "scene.xml", define={"colour": 5})
    with pytest.raises(SceneError, match="dictionary"):
        load_scene(minimal(), define={"res": 5})


def test_an_edit_leaves_the_original_alone(folder):
    scene = load_scene(folder / "scene.xml")

    def fewer_bounces(state):
        next(n for n in state.nodes if n.props.id() == "skin").props["reflectance"] = mi.ScalarColor3f(0.1, 0.2, 0.3)

    edited = scene.edited(fewer_bounces)
    key = "sphere-2.bsdf.reflectance.value"
    np.testing.assert_allclose(np.array(traverse(edited)[key]).ravel(), [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(np.array(traverse(scene)[key]).ravel(), [0.5], rtol=1e-6)
    assert scene.edited(lambda state: None).mi is not scene.mi


def wrap(body):
    return f'<scene version="3.0.0"><sensor type="perspective"/><emitter type="constant"/>{body}</scene>'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (wrap("<bsdf>"), "XML"),
        (wrap('<bsdf type="difuse"/>'), "difuse"),
        (wrap('<shape type="sphere"><ref id="nobody"/></shape>'), "nobody"),
        (wrap('<shape type="sphere"><float name="radiuss" value="1"/></shape>'), "radiuss"),
        (wrap('<shape type="obj"><string name="filename" value="no.obj"/></shape>'), r"no\.obj"),
        ('<scene version="3.0.0"><sensor type="perspective"/></scene>', "no emitter"),
        ('<scene version="3.0.0"><emitter type="constant"/></scene>', "no sensor"),
        ('<bsdf type="diffuse" version="3.0.0"/>', "not a scene"),
        ({"type": "sphere"}, "not a scene"),
        (minimal(ball={"type": "sphere", "bsdf": {"type": "difuse"}}), "difuse"),
        (minimal(ball={"radius": 2.0}), "type"),
        (7, "int"),
    ],
)
def test_a_wrong_scene_is_one_clear_line(source, message):
    with pytest.raises(SceneError, match=message) as caught:
        load_scene(source)
    assert "\n" not in str(caught.value)
    assert ".cpp" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cow.obj", "v 0 0 0", 'is no Mitsuba scene \\(.xml\\); a scene has it as <shape type="obj">'),
        ("cow.glb", "glTF", "export it as OBJ or PLY"),
        ("t.json", "{}", "an XML file begins with <"),
        ("", "", "is a folder; give the scene file in it: it holds no .xml file"),
    ],
)
def test_what_is_no_scene(tmp_path: Path, name: str, content: str, message: str) -> None:
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(SceneError, match=message):
        load_scene(tmp_path / name)


def test_a_missing_file_names_what_lies_beside_it(folder):
    with pytest.raises(SceneError, match=r"scnee\.xml does not exist.*scene\.xml"):
        load_scene(folder / "scnee.xml")
    shutil.rmtree(folder / "maps")
    with pytest.raises(SceneError, match=r"bricks\.png.*does not exist"):
        load_scene(folder / "scene.xml")


def test_a_scene_without_sensor_loads_when_cameras_come_from_elsewhere():
    source = {"type": "scene", "sky": {"type": "constant"}}
    assert load_scene(source, sensor_required=False).sensors == []


def test_sensors_and_integrators_are_checked():
    scene = load_scene(minimal())
    assert sensor_of(scene, 0) is scene.sensors[0]
    with pytest.raises(SceneError, match="1 sensor"):
        sensor_of(scene, 1)
    with pytest.raises(SceneError, match="pathspce"):
        integrator_of(scene, {"type": "pathspce"})
    with pytest.raises(SceneError, match="str"):
        integrator_of(scene, "path")
    with pytest.raises(SceneError, match="fovv"):
        load_object({"type": "perspective", "fovv": 3})


SKEWED = mi.ScalarTransform4f().rotate([1, 1, 0], 40)


@pytest.mark.parametrize(
    "part",
    [
        {"plate": {"type": "rectangle", "to_world": SKEWED}},
        {"camera": {"type": "perspective", "to_world": mi.ScalarTransform4f().translate([0, 0, 3]) @ SKEWED}},
        {"sky": {"type": "envmap", "bitmap": mi.Bitmap(np.ones((4, 8, 3), np.float32)), "to_world": SKEWED}},
        {
            "group": {"type": "shapegroup", "inner": {"type": "cube"}},
            "copy": {"type": "instance", "to_world": SKEWED, "group": {"type": "ref", "id": "group"}},
        },
    ],
)
def test_rotations_about_axes_that_are_not_normalised_are_refused(part):
    name = "copy" if "copy" in part else next(iter(part))
    with pytest.raises(SceneError, match=rf"to_world.*{name}.*length 1"):
        load_scene(minimal(**part))
    text = (
        '<shape type="cube" id="block"><transform name="to_world"><rotate x="1" y="1" angle="40"/></transform></shape>'
    )
    with pytest.raises(SceneError, match=r"to_world.*block.*length 1"):
        load_scene(XML_START + text + "</scene>")


def test_every_other_transform_passes():
    """Negative control: strong and mirrored scales, far away, and turned about a normalised axis."""
    far = mi.ScalarTransform4f().translate([1e4, -3e3, 7]).rotate([0.6, 0, 0.8], 25).scale([1e3, -1e-2, 1])
    look = mi.ScalarTransform4f().look_at([3, 4, 5e3], [1, 2, 3], [0.1, 1, 0.3])
    scene = load_scene(
        minimal(plate={"type": "rectangle", "to_world": far}, camera={"type": "perspective", "to_world": look})
    )
    assert scene.named
    with pytest.raises(SceneError, match="to_wrold"):
        load_scene(minimal(plate={"type": "rectangle", "to_wrold": far}))
