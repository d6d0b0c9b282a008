"""Meshes that are no clean surfaces, and meshes that pass through each other, against finite differences of Mitsuba's `path`.

Light comes from far away, so that images have little noise. Every case also fails without its primary boundary.
"""

import dataclasses
import warnings

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.boundary import motion, sides
from pbdr.boundary.table import piercings
from pbdr.rendering import gradient
from pbdr.transport import support
from validation.agreement import assert_differs
from validation.finite_differences import REPLICAS, Differences, check, gradients, replicas
from validation.scenes import zoo
from validation.scenes.meshes import BOX, QUIET, SHAPES, SUNK, TRIANGLES, TURN, TWO_SIDED, box, frustum, scene
from validation.scenes.small import diffuse, everywhere, mesh
from validation.scenes.zoo import T


def agrees(made, name, tangent, *, step=0.02, spp=4096, **options):
    """Finite differences and the gradient agree; without the primary boundary they do not."""
    exact = Differences(made, name, tangent, step, spp=spp, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.05)
    found = gradients(made, {name: tangent}, weights, spp=256, max_depth=2, **options)[name]
    check(found, expected, max_relative_se=0.02)
    part = gradients(made, {name: tangent}, weights, spp=64, max_depth=2, terms=("interior", "direct"), **options)[name]
    assert_differs(part, expected.mean(), by=0.1)
    return weights, expected


MOTIONS = {"x": (1, 0, 0), "z": (0.3, 0, 1)}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sheets_that_are_no_surface(tmp_path, shape, motion):
    vertices, faces = SHAPES[shape]()
    made = scene(thing=mesh(tmp_path, shape, vertices, faces, bsdf=TWO_SIDED))
    agrees(made, "thing/positions", everywhere(*MOTIONS[motion], vertices=len(vertices)))


def test_faces_on_a_line_are_refused(tmp_path):
    vertices = [[0, 0, 0.5], [1, 0, 0.5], [0.4, 0, 0.5], [0.5, 1, 0.5]]
    made = scene(thing=mesh(tmp_path, "sliver", vertices, [[0, 1, 3], [0, 2, 1]], bsdf=TWO_SIDED))
    with pytest.raises(pbdr.errors.SceneError, match="'thing' has 1 faces without area"):
        gradient(made, "thing/positions", np.ones((16, 16, 3)), spp=1, integrator={"type": "pathspace", "max_depth": 2})


# ---------------------------------------------------------------------- meshes that pass through each other


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_box_sunk_into_the_floor(monkeypatch, motion):
    """Negative control: without the curve in which they meet, the gradient is another one."""
    made = scene(box=box(0.2))
    tangent = everywhere(*MOTIONS[motion], vertices=24)
    weights, expected = agrees(made, "box/positions", tangent)
    monkeypatch.setattr(piercings, "along", lambda *_: None)
    part = gradients(scene(box=box(0.2)), {"box/positions": tangent}, weights, spp=64, max_depth=2)["box/positions"]
    assert_differs(part, expected.mean(), by=0.02)


def test_the_floor_rises_around_a_box():
    made = scene(box=box(0.2))
    rise = np.zeros((3, 4))
    rise[2, 3], rise[2, 0] = 1, 0.5
    agrees(made, "floor/pose", rise)


def test_a_mesh_that_passes_through_itself(tmp_path):
    """Two boxes in one mesh."""
    vertices = np.concatenate([0.4 * BOX @ TURN.T, 0.25 * BOX @ TURN + [0.3, -0.2, 0.35]]) + [0, 0, 0.8]
    faces = np.concatenate([TRIANGLES, np.array(TRIANGLES) + 8])
    made = scene(thing=mesh(tmp_path, "two", vertices, faces, bsdf=TWO_SIDED))
    apart = everywhere(1, 0, 0.3, vertices=16) * (np.arange(16) >= 8)[:, None]
    agrees(made, "thing/positions", apart)


class Sinking(Differences):
    """One-sided: from the parameter as it is against its tangent."""

    def image(self, step, seed):
        move = self.move
        self.move = dataclasses.replace(move, start=move.start - step * move.tangent)
        try:
            return super().image(step, seed)
        finally:
            self.move = move


@pytest.mark.parametrize("moves", ["block", "floor"])
def test_what_stands_on_the_floor_sinks_into_it(monkeypatch, tmp_path, moves):
    """Lifted off, light comes in below: the image has a kink there. Negative control: the edge moves as the block does."""
    made = scene(thing=frustum(tmp_path))
    lowered = np.zeros((3, 4))
    lowered[2, 3] = -1
    lifted = everywhere(0, 0, 1, vertices=8)
    name, tangent = {"block": ("thing/positions", lifted), "floor": ("floor/pose", lowered)}[moves]
    exact = Sinking(made, name, tangent, 0.02, spp=4096, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    samples = replicas(
        lambda seed: [float((exact.image(h, seed) * weights).sum()) for h in (0.02, 0.01)], REPLICAS, "sinks", moves
    )
    expected = samples @ [-1, 2]
    found = gradients(made, {name: tangent}, weights, spp=256, max_depth=2)[name]
    check(found, expected, max_relative_se=0.02)
    monkeypatch.setattr(motion.Motion, "_in_contact", lambda self, edge, contact, result: result)
    part = gradients(made, {name: tangent}, weights, spp=64, max_depth=2)[name]
    assert_differs(part, expected.mean(), by=0.1)


@pytest.mark.parametrize("case", QUIET)
def test_touching_is_no_crossing(case):
    """Objects on a floor, on each other, with lids: no warning, no refusal."""
    made = scene(**QUIET[case]())
    name = "box/positions" if case in ("standing", "stacked") else "box/pose"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(made, name, np.ones((16, 16, 3)), spp=1, integrator={"type": "pathspace", "max_depth": 2})


def test_a_box_that_stands_on_the_floor(monkeypatch):
    """Negative control: a background that starts at the edge itself would start below the floor."""
    made = scene(box=QUIET["standing"]()["box"])
    tangent = everywhere(1, 0.3, 0, vertices=24)
    weights, expected = agrees(made, "box/positions", tangent, step=0.01, spp=16384)

    monkeypatch.setattr(sides, "in_contact", lambda scene, edge, *rest: edge)
    part = gradients(made, {"box/positions": tangent}, weights, spp=64, max_depth=2)["box/positions"]
    assert_differs(part, expected.mean(), by=0.02)


@pytest.mark.parametrize("one_mesh", [False, True])
def test_a_lit_block_slides_over_the_floor(monkeypatch, tmp_path, one_mesh):
    """Where its lit sides stand on the floor, their shadow is covered. Control: segments from the floor past such edges."""
    made = scene(thing=frustum(tmp_path, one_mesh), **({"floor": None} if one_mesh else {}))
    tangent = everywhere(0, 1, 0, vertices=12 if one_mesh else 8) * (np.arange(12 if one_mesh else 8) < 8)[:, None]
    weights, expected = agrees(made, "thing/positions", tangent)
    monkeypatch.setattr(sides, "touches", lambda *_: mi.Bool(False))
    part = gradients(made, {"thing/positions": tangent}, weights, spp=64, max_depth=2)["thing/positions"]
    assert_differs(part, expected.mean(), by=0.1)


@pytest.mark.parametrize("shape", ["cylinder", "disk"])
def test_a_lit_can_and_a_coin_on_edge_slide_over_the_floor(tmp_path, shape):
    frame = T().translate([0, 0, 0.5]).rotate([0, 0, 1], 40).rotate([1, 0, 0], 90).scale(0.5)
    thing = {
        "cylinder": {"type": "cylinder", "p0": [0, 0, 0], "p1": [0, 0, 1], "radius": 0.4, "bsdf": diffuse(0.1)},
        "disk": {"type": "disk", "to_world": frame, "bsdf": TWO_SIDED},
    }[shape]
    slide = np.zeros((3, 4))
    slide[1, 3] = 1
    agrees(scene(thing=thing), "thing/pose", slide)


def test_the_warp_warns_of_contact(tmp_path):
    lamp = {"type": "constant", "radiance": zoo.rgb(1.0)}
    integrator = {"type": "pathspace", "max_depth": 2, "boundary": "warp"}
    made = scene(thing=frustum(tmp_path), light=lamp)
    for name in ("thing/positions", "floor/pose"):
        with pytest.warns(support.IncompleteGradientWarning, match="edges of 'thing' touch another shape"):
            gradient(made, name, np.ones((16, 16, 3)), spp=1, integrator=integrator)
    made = scene(thing=box(0.9), light=lamp)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(made, "thing/positions", np.ones((16, 16, 3)), spp=1, integrator=integrator)


@pytest.mark.parametrize("case", SUNK)
def test_round_shapes_that_pass_through_others_are_refused(case):
    made = scene(ball=SUNK[case], box=box(3.0))
    options = {"spp": 1, "integrator": {"type": "pathspace", "max_depth": 2}}
    for name in ("ball/pose", "floor/pose", "camera/pose"):
        with pytest.raises(pbdr.errors.SceneError, match=r"'ball'.*pass through"):
            gradient(made, name, np.ones((16, 16, 3)), **options)
    with pytest.warns(pbdr.transport.support.IncompleteGradientWarning, match=r"'ball'.*pass through"):
        gradient(made, "box/positions", np.ones((16, 16, 3)), **options)


def test_lights_that_pass_through_others_are_refused():
    made = scene(lamp=box(0.1, emitter={"type": "area", "radiance": zoo.rgb(1.0)}))
    with pytest.raises(pbdr.errors.SceneError, match="light 'lamp' passes through"):
        gradient(made, "lamp/positions", np.ones((16, 16, 3)), spp=1, integrator={"type": "pathspace", "max_depth": 2})
