"""No function of the transport or the boundary changes a mask that it was given: watched while gradients are computed.

What the code looks like is held by tests/unit/test_in_place.py; this sees what happens, in whatever way.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.boundary
import pbdr.transport
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.scenes import zoo

T = mi.ScalarTransform4f


def masks(value, depth=3):
    """The arrays of booleans in an argument, by where they are."""
    if isinstance(value, mi.Bool):
        return [value]
    if depth and isinstance(value, tuple | list):
        return [mask for item in value for mask in masks(item, depth - 1)]
    if depth and dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return [mask for name in names for mask in masks(getattr(value, name, None), depth - 1)]
    return []


def watched(function, changed):
    """`function`; its name joins `changed` where it leaves a mask behind that is another one than before."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        given = masks([*args, *kwargs.values()])
        before = [mask.index for mask in given]
        result = function(*args, **kwargs)
        if [mask.index for mask in given] != before:
            changed.add(f"{function.__module__}.{function.__qualname__}")
        return result

    return call


def watch(monkeypatch, changed):
    """Every function and method of the two packages."""
    seen = 0
    for package in (pbdr.boundary, pbdr.transport):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            module = importlib.import_module(found.name)
            holders = [module, *(c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == found.name)]
            for holder in holders:
                for name, item in list(vars(holder).items()):
                    inner = item.__func__ if isinstance(item, staticmethod) else item
                    if not inspect.isfunction(inner) or inner.__module__ != found.name or name.startswith("__"):
                        continue
                    new = watched(inner, changed)
                    monkeypatch.setattr(holder, name, staticmethod(new) if isinstance(item, staticmethod) else new)
                    seen += 1
    return seen


def scene(smooth_mesh):
    """A mirror, a ball with a normal map and a smooth mesh over a floor, under a lamp and a sun."""
    values = np.array([0.5, 0.5, 1.0]) + np.random.default_rng(3).uniform(-1, 1, (8, 8, 3)) * [0.2, 0.2, 0.1]
    normals = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True}
    return load_scene({
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "lamp": zoo.above(), "sun": zoo.lamp(-1, -0.2, -0.9),
        "floor": {"type": "rectangle", "to_world": T().scale(3)},
        "mirror": {"type": "rectangle", "to_world": T().translate([0, 2, 1]).rotate([1, 0, 0], 90), "bsdf": {"type": "conductor"}},
        "ball": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6,
                 "bsdf": {"type": "normalmap", "normalmap": normals, "nested": {"type": "roughconductor", "alpha": 0.3}}},
        "mesh": {"type": "ply", "filename": smooth_mesh},
    })  # fmt: skip


@pytest.fixture
def smooth_mesh(tmp_path):
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    faces = np.array(
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]], np.uint32
    )
    mesh = mi.Mesh("mesh", 6, 8, has_vertex_normals=True)
    values = mi.traverse(mesh)
    values["vertex_positions"], values["vertex_normals"] = (
        (0.5 * points + [1.2, 0, 0.5]).astype(np.float32).ravel(),
        points.ravel(),
    )
    values["faces"] = faces.ravel()
    values.update()
    mesh.write_ply(str(tmp_path / "mesh.ply"))
    return str(tmp_path / "mesh.ply")


def test_masks_of_callers_stay_as_they_are(monkeypatch, smooth_mesh):
    made, changed = scene(smooth_mesh), set()
    assert watch(monkeypatch, changed) > 300
    tracer = {"type": "pathspace", "max_depth": 3}
    found = gradient(made, ["ball/pose", "mesh/positions"], np.ones((16, 16, 3)), spp=1, integrator=tracer)
    assert all(np.isfinite(value).all() for value in found.total.values())
    assert not changed


def test_a_mask_that_is_narrowed_is_noticed():
    """Negative control, with the mask in the hands of the function and in a record."""

    @dataclasses.dataclass
    class Record:
        active: mi.Bool

    def narrow(active):
        active &= mi.Bool(False)
        return active

    def copy(active):
        return narrow(mi.Bool(active))

    changed = set()
    watched(copy, changed)(dr.opaque(mi.Bool, True, 4))
    assert not changed
    watched(narrow, changed)(dr.opaque(mi.Bool, True, 4))
    assert len(changed) == 1
    watched(lambda record: narrow(record.active), changed)(Record(dr.opaque(mi.Bool, True, 4)))
    assert len(changed) == 2
