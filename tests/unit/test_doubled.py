"""Faces that lie on each other: refused where they look different and something moves that rays meet."""

from __future__ import annotations

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table import builder as table
from pbdr.errors import SceneError
from pbdr.geometry import doubled, topology
from pbdr.scene import load_scene
from pbdr.transport.features import inspect
from validation.scenes import zoo
from validation.scenes.small import mesh

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
FACES = [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]
SAME, TURNED, ROTATED = [0, 1, 2], [2, 1, 0], [1, 2, 0]
PLAIN = {"type": "diffuse"}
TEXTURED = {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
BOTH = {"type": "twosided", "bsdf": PLAIN}
TWO = {"type": "twosided", "front": PLAIN, "back": {"type": "plastic"}}
BENT = {"type": "twosided", "bsdf": {"type": "normalmap", "normalmap": zoo.normals(), "bsdf": PLAIN}}
LIT = {"emitter": {"type": "area"}}


def scene(folder, copy, texcoords=None, **rest):
    """A tetrahedron, of which a face is there twice, with vertices of its own if it has texture coordinates."""
    vertices, extra = CORNERS, copy
    if texcoords is not None:
        vertices, extra = np.concatenate([CORNERS, CORNERS[copy]]), [4, 5, 6]
        texcoords = np.concatenate([CORNERS[:, :2], np.array(texcoords)])
    thing = mesh(folder, "thing", vertices, [*FACES, extra], texcoords, **rest)
    return load_scene({"type": "scene", "camera": zoo.camera(), "sky": {"type": "constant"}, "thing": thing})


UV = CORNERS[SAME, :2].tolist()
CASES = {  # copy, texture coordinates of its corners, material and light, whether it looks different
    "the same": (SAME, None, {"bsdf": PLAIN}, False),
    "the same, rotated": (ROTATED, None, {"bsdf": PLAIN}, False),
    "textured by corners": (ROTATED, None, {"bsdf": TEXTURED}, True),
    "from behind": (TURNED, None, {"bsdf": PLAIN}, True),
    "on both sides": (TURNED, None, {"bsdf": BOTH}, False),
    "two materials": (TURNED, None, {"bsdf": TWO}, True),
    "bent on both sides": (TURNED, None, {"bsdf": BENT}, True),
    "a lamp": (TURNED, None, {"bsdf": BOTH, **LIT}, True),
    "the same texture": (SAME, UV, {"bsdf": TEXTURED}, False),
    "the same texture, turned": (TURNED, UV[::-1], {"bsdf": {"type": "twosided", "bsdf": TEXTURED}}, False),
    "another texture": (SAME, UV[::-1], {"bsdf": TEXTURED}, True),
    "coordinates that nothing reads": (SAME, UV[::-1], {"bsdf": PLAIN}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_copies_of_a_face(tmp_path, case):
    copy, texcoords, rest, different = CASES[case]
    thing = next(s for s in scene(tmp_path, copy, texcoords, **rest).mi.shapes() if s.id() == "thing")
    built = topology.of_mesh(thing)
    assert built.doubled.tolist() == [[0, 4]]
    assert doubled.differing(thing, built).tolist() == [different]


@pytest.mark.parametrize("twosided", [False, True])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_interpolated_normals(sign, twosided):
    """A copy that is turned round looks the same if its normals are not, and on two-sided materials if they are, too."""
    made = mi.Mesh("thing", 7, 5, has_vertex_normals=True)
    made.set_bsdf(mi.load_dict(BOTH if twosided else PLAIN))
    outwards = CORNERS - 0.25
    normals = np.concatenate([outwards, sign * outwards[:3] if sign else outwards[1:]])
    params = mi.traverse(made)
    params["vertex_positions"] = mi.Float(np.concatenate([CORNERS, CORNERS[:3]]).astype(np.float32).ravel())
    params["faces"] = mi.UInt32(np.array([*FACES, [6, 5, 4]], np.uint32).ravel())
    params["vertex_normals"] = mi.Float(normals.astype(np.float32).ravel())
    params.update()
    alike = sign == 1 or (sign == -1 and twosided)
    assert doubled.differing(made, topology.of_mesh(made)).tolist() == [not alike]


def test_refused_where_hits_move(tmp_path):
    """Not where a light without a shape moves: rays meet what they met before."""
    made = scene(tmp_path, TURNED, bsdf=PLAIN)
    features = inspect(made.mi, made.sensors[0], [])
    for moves in ({"sensor_moves": True}, {"moving_shapes": frozenset({0})}):
        changed = inspect(made.mi, made.sensors[0], [])
        vars(changed).update(moves)
        with pytest.raises(SceneError, match="'thing' has 1 faces twice"):
            table.TableBuilder().build(made.mi, changed.moving_shapes, changed)
    features.moving_lights = True
    assert table.TableBuilder().build(made.mi, frozenset(), features).count == 6
