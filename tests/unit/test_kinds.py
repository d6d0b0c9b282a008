"""Kinds of geometry: scenes have those that they show, every kind says what it must, and codes of forms mean nothing."""

from __future__ import annotations

import dataclasses

import drjit as dr
import numpy as np
import pytest

from pbdr.boundary.table.builder import TableBuilder
from pbdr.geometry import registry
from pbdr.geometry.kind import Form, Kind
from pbdr.geometry.mesh import MESH
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.scenes import zoo

FLAGS = [field.name for field in dataclasses.fields(Form) if field.name not in ("name", "code")]


def scene(**shapes):
    """Shapes over the zoo's floor."""
    film = zoo.film(width=4, height=4)
    return load_scene(zoo.scene(light=zoo.EMITTERS["constant"](), sensor=zoo.camera(film=film)) | shapes)


def test_flags_of_scenes_of_meshes_are_constants():
    """So that Dr.Jit leaves what other kinds need out of their kernels. Negative control: beside a ball, they are not."""
    made = scene()
    with_ball = TableBuilder().build(made.mi, frozenset([0]))
    cubes = load_scene({"type": "scene", "cube": {"type": "cube"}}, emitter_required=False, sensor_required=False)
    alone = TableBuilder().build(cubes.mi, frozenset([0]))
    assert registry.present(cubes.mi) == alone.layout.kinds == (MESH,)
    constant = lambda table, flag: table.having(flag).state == dr.VarState.Literal  # noqa: E731
    assert all(constant(alone, flag) for flag in FLAGS)
    assert not all(constant(with_ball, flag) for flag in FLAGS) and len(with_ball.layout.kinds) == 2


@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS if kind.forms], ids=lambda kind: kind.__name__)
def test_what_kinds_with_rows_must_say(kind):
    assert kind.name and kind.curve is not Kind.curve and kind.rows is not Kind.rows
    assert kind.follows_pose or kind.moved is not Kind.moved
    assert len({form.name for form in kind.forms}) == len(kind.forms)


def test_codes_mean_nothing(monkeypatch):
    """Turned round, they leave gradients as they are."""
    disk = {"type": "disk", "to_world": zoo.T().translate([0.3, 0.2, 1.6]).scale(0.4)}
    made, weights = scene(disk=disk), np.ones((4, 4, 3), np.float32)
    options = {"spp": 4, "seed": 1, "integrator": {"type": "pathspace", "max_depth": 2}}
    before = gradient(made, "ball/pose", weights, **options).total["ball/pose"]
    forms = [form for kind in registry.KINDS for form in kind.forms]
    for form, code in zip(forms, reversed(range(len(forms))), strict=True):
        monkeypatch.setattr(form, "code", code)
    after = gradient(made, "ball/pose", weights, **options).total["ball/pose"]
    assert np.abs(before).max() > 0 and np.abs(after - before).max() < 1e-5 * np.abs(before).max()
