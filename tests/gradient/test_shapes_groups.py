"""Instances of shape groups: the instance moves, what it shows moves, the camera moves, or something else moves beside it."""

from __future__ import annotations

import numpy as np
import pytest

import pbdr.errors
from pbdr.geometry import groups
from pbdr.parameters import read
from pbdr.parameters.names import traverse
from pbdr.rendering import derivative, gradient
from validation.agreement import assert_differs
from validation.finite_differences import Differences, check, gradients, parameters
from validation.scenes import zoo
from validation.scenes.instances import grouped
from validation.scenes.meshes import T, scene
from validation.scenes.small import everywhere, shift

TURN = np.array([[0, -0.5, 0.2], [0.5, 0, 0.3], [-0.2, -0.3, 0]])


def rows_of(frame, moved):
    return np.column_stack([moved @ frame[:, :3], [0, 0, 0]])


@pytest.fixture(scope="module")
def instances():
    return grouped()


def compare(made, name, tangent, step=0.02):
    """Finite differences and the gradient agree; without the primary boundary they do not."""
    exact = Differences(made, name, tangent, step, spp=8192, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.1)
    options = {"spp": 128, "max_depth": 2, "n_primary": 2**15, "n_direct": 2**16}
    check(gradients(made, {name: tangent}, weights, **options)[name], expected, max_relative_se=0.01)
    part = gradients(made, {name: tangent}, weights, terms=("interior", "direct"), **options)[name]
    assert_differs(part, expected.mean(), by=0.1)


MOTIONS = {
    "moves": lambda frame: shift(1, 0, 0.5),
    "turns": lambda frame: rows_of(frame, TURN),
    "grows": lambda frame: rows_of(frame, np.diag([1.0, 0.5, 0.7])),
}


@pytest.mark.slow  # test_sightlines.py compares an instance that moves, with all its terms, in the default suite
@pytest.mark.parametrize("motion", MOTIONS)
def test_the_instance_moves(instances, motion):
    frame = read(None, parameters(instances)["one/pose"], traverse(instances))
    compare(instances, "one/pose", MOTIONS[motion](frame))


@pytest.mark.slow
def test_what_it_shows_moves(instances):
    compare(instances, "group/group__large_positions", everywhere(0.5, 0, 1, vertices=24))


@pytest.mark.slow
def test_the_camera_moves(instances):
    compare(instances, "camera/pose", shift(0.5, 0, 0.3))


@pytest.mark.slow
def test_static_instances_beside_a_moving_box():
    """The box is turned: an edge along a row of pixels has no derivative where it crosses to the next."""
    made = grouped(
        box={
            "type": "cube",
            "to_world": T().translate([0.1, -0.9, 0.8]).rotate([0.6, 0, 0.8], 25).scale(0.15),
            "bsdf": zoo.GREEN,
        }
    )
    compare(made, "box/positions", everywhere(1, 0, 0.5, vertices=24))


@pytest.mark.slow  # the matrix at small size asks the same of such cases
@pytest.mark.parametrize("name", ["one/pose", "group/group__large_positions", "camera/pose"])
@pytest.mark.parametrize("term", ["interior", "primary", "direct"])
def test_both_modes_agree(instances, name, term):
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(16, 16, 3)).astype(np.float32)
    integrator = {"type": "pathspace", "max_depth": 2, "adjoint_sampling": False}
    options = {"spp": 4, "seed": 3, "terms": (term,), "integrator": integrator}
    reverse = getattr(gradient(instances, name, weights, **options), term)[name].astype(np.float64)
    tangent = rng.normal(size=reverse.shape)
    forward = derivative(instances, {name: tangent}, **options)[term].astype(np.float64)
    size = np.abs(reverse * tangent).sum()
    assert size > 0
    assert np.sum(weights * forward) == pytest.approx(np.sum(reverse * tangent), abs=5e-4 * size)


def test_the_table_knows_what_instances_show(instances):
    shown = groups.members(instances.mi)
    assert [[shape.id() for shape in shapes] for shapes in shown.values()] == [["group__large", "group__small"]] * 2


def refused(made, names, match):
    options = {"spp": 1, "integrator": {"type": "pathspace", "max_depth": 2}}
    with pytest.raises(pbdr.errors.PbdrError, match=match):
        gradient(made, names, np.ones((16, 16, 3)), **options)


def test_instance_and_group_at_once_are_refused(instances):
    refused(instances, ["one/pose", "group/group__large_positions"], r"one\.to_world.*together with")


def test_round_shapes_in_groups_are_refused():
    instance = {"type": "instance", "to_world": T().translate([0, 0, 1]), "group": {"type": "ref", "id": "group"}}
    made = scene(group={"type": "shapegroup", "inner": {"type": "sphere", "radius": 0.3}}, one=instance)
    refused(made, "one/pose", "Sphere in a shape group")
