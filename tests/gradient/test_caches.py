"""What an integrator keeps between calls depends on all that it was made of: after any change, it gives what a new one gives.

Every entry that Mitsuba shows of the scenes of the zoo is changed, one after the other. After each change the old builder of the
edge table is compared with a new one; and the gradient of an old integrator with that of a new one after groups of changes.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table.builder import TableBuilder
from pbdr.errors import PbdrError
from pbdr.geometry.edges import COLUMNS
from pbdr.geometry.known import Known
from pbdr.parameters import traverse
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.finite_differences import adjoint
from validation.scenes import round_seams as round_shapes
from validation.scenes import zoo
from validation.scenes.plugins import SCENES
from validation.scenes.small import QUAD, diffuse, mesh

T = mi.ScalarTransform4f
UNTOUCHED = ("film.", "sampler", "filename")  # sizes of films, which are no part of a table


def changed(key, value, rng):
    """Another value of an entry; None if it is of no kind that changes."""
    kind = type(value).__name__
    if "Transform4f" in kind:
        return type(value)(T().translate(list(rng.uniform(-0.05, 0.05, 3)))) @ value
    if "Transform3f" in kind:
        return type(value)().rotate(20.0) @ value
    if kind.startswith("UInt"):
        return type(value)(np.array(value).reshape(-1, 3)[:, [1, 2, 0]].ravel() if key.endswith("faces") else value)
    if kind.startswith("TensorXf"):
        return type(value)(np.array(value) * rng.uniform(0.9, 1.1, value.shape).astype(np.float32))
    if kind in ("Float", "Color3f", "Point3f", "Vector3f", "Point2f", "Vector2f"):
        flat = np.array(value)
        return type(value)((flat * rng.uniform(0.97, 1.03, flat.shape)).astype(np.float32))
    return value * 1.02 if isinstance(value, float) else None


def columns(builder, scene, moving):
    """The table on the host, or why there is none."""
    try:
        table = builder.build(scene.mi, moving)
    except PbdrError as error:
        return str(error)
    names = [n for n in COLUMNS if hasattr(table, n)]
    found = {n: np.broadcast_to(np.array(getattr(table, n)), (3, table.count) if n in "abcd" else table.count) for n in names
             if getattr(table, n) is not None}  # fmt: skip
    found |= {f"face{k}": np.array(table.face[k]) for k in (0, 1)}
    return found | {f"corners{k}": np.array(table.corners[k]) for k in (0, 1)}


def assert_same(a, b, what):
    if isinstance(a, str) or isinstance(b, str):
        assert a == b, what
        return
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].shape == b[name].shape and (a[name] == b[name]).all(), f"{what}: column {name}"


TABLES = ("shapes", "instance", "sdfgrid", "bsplinecurve", "linearcurve", "round")


def scene_named(kind, folder):
    return round_shapes.scene(round_shapes.WRAPS["clamp"]) if kind == "round" else load_scene(SCENES[kind](folder))


@pytest.mark.parametrize("kind", TABLES)
def test_tables_after_a_change_of_every_entry(kind, tmp_path):
    scene, rng = scene_named(kind, tmp_path), np.random.default_rng(7)
    builder, moving = TableBuilder(), frozenset([0])
    columns(builder, scene, moving)
    params, count = traverse(scene), 0
    for key in [k for k in params.keys() if not any(part in k for part in UNTOUCHED)]:
        value = changed(key, params[key], rng)
        if value is None:
            continue
        params[key] = value
        params.update()
        assert_same(columns(builder, scene, moving), columns(TableBuilder(), scene, moving), key)
        count += 1
    assert count > 5
    for other in (frozenset([1]), frozenset([0, 1])):
        assert_same(columns(builder, scene, other), columns(TableBuilder(), scene, other), other)


def apart(folder, gap):
    """Two quads in one mesh, this far from each other."""
    half = lambda x: [[x, -1, 0.5], [x + 1, -1, 0.5], [x + 1, 1, 0.5], [x, 1, 0.5]]  # noqa: E731
    vertices = [*half(-1.0), *half(gap)]
    return mesh(folder, "pair", vertices, [*QUAD, *(np.array(QUAD) + 4).tolist()], bsdf=diffuse(0.5))


def come_together(folder):
    """Borders that close, open again, and lose their area."""
    scene = load_scene(
        {"type": "scene", "camera": zoo.camera(), "sky": {"type": "constant"}, "pair": apart(folder, 0.2)}
    )
    params, builder = traverse(scene), TableBuilder()
    start, counts = np.array(params["pair.vertex_positions"]).reshape(-1, 3), []
    for move in ([0, 0, 0], [-0.2, 0, 0], [0, 0, 0], [-0.2, 0.5, 0]):
        now = start.copy()
        now[4:] += move
        params["pair.vertex_positions"] = mi.Float(now.ravel())
        params.update()
        old = columns(builder, scene, frozenset())
        assert_same(old, columns(TableBuilder(), scene, frozenset()), move)
        counts.append(len(old["form"]))
    assert counts[0] == counts[2] == counts[1] + 1 and counts[3] != counts[0]
    now[2] = 0.5 * (now[0] + now[1])
    params["pair.vertex_positions"] = mi.Float(now.ravel())
    params.update()
    assert "without area" in columns(builder, scene, frozenset())


def test_vertices_that_come_together(tmp_path):
    come_together(tmp_path)


def test_negative_control(tmp_path, monkeypatch):
    """A topology that is kept whatever happens to the positions."""
    monkeypatch.setattr(Known, "holds", lambda *_: True)
    with pytest.raises(AssertionError, match="column"):
        come_together(tmp_path)


@pytest.mark.parametrize("replay", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_after_changes(replay):
    """One integrator through all changes, and a new one."""
    make = lambda: mi.load_dict({"type": "pathspace", "max_depth": 2, "guiding": "none", "replay": replay})  # noqa: E731
    scene, rng = scene_for_gradients(), np.random.default_rng(3)
    old, params, weights = make(), traverse(scene), adjoint()
    name = "floor/pose"
    gradient(scene, name, weights, spp=4, integrator=old)
    for group in groups_of(params):
        for key in group:
            value = changed(key, params[key], rng)
            if value is not None:
                params[key] = value
        params.update()
        if replay:  # recordings come into use with the second call
            gradient(scene, name, weights, spp=4, seed=1, integrator=old)
        # A `pbdr.Scene` keeps what is known of its edges; given Mitsuba's, the new integrator finds all anew.
        ours, fresh = (
            gradient(of, name, weights, spp=4, seed=2, integrator=each).total[name]
            for of, each in ((scene, old), (scene.mi, make()))
        )
        assert np.abs(ours - fresh).max() <= 1e-4 * np.abs(fresh).max(), group
        assert np.abs(fresh).max() > 0


def groups_of(params):
    """Entries by what they belong to: shapes, materials, lights, camera."""
    keys = [k for k in params.keys() if not any(part in k for part in UNTOUCHED)]
    return [[k for k in keys if part(k)] for part in (
        lambda k: "bsdf" in k, lambda k: "emitter" in k or k.startswith("lamp"), lambda k: k.startswith("camera"),
        lambda k: "bsdf" not in k and k.split(".")[0] in ("floor", "block", "ball", "disk"),
    )]  # fmt: skip


def scene_for_gradients():
    paint = {"type": "diffuse", "reflectance": round_shapes.ramp(wrap_mode="clamp")}
    parts = {
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": paint},
        "block": {**zoo.block(), "bsdf": diffuse(0.6)},
        "lamp": {"type": "point", "position": [1.5, -1, 3], "intensity": zoo.rgb(9.0)},
    }
    return load_scene({"type": "scene", "camera": zoo.camera(), **parts})
