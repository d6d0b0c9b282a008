"""Guiding of the indirect boundary: the same expectation, less noise where few edges matter, nothing kept that does not belong.

The scene is that of test_indirect.py. Its gate is one of many moving quads: the others hang below the floor, where no surface that
the camera sees can see them. Replicas are calls of one integrator: each samples from what the ones before have learned, so that
they are not independent, but each has the right expectation given those, and none is correlated with another.
"""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np
import pytest

from pbdr import inverse
from pbdr.boundary.edges import reflected
from pbdr.boundary.sampling import guiding
from pbdr.parameters import VariableSpec, read, resolve, traverse, write
from pbdr.parameters.attach import attached
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_object
from pbdr.seeds import hashed
from validation.agreement import Array, assert_agrees, assert_differs
from validation.finite_differences import adjoint
from validation.kernels import compiled
from validation.scenes.indirect import BLACK, DEPTH, SPOT, court
from validation.scenes.small import mesh

pytestmark = pytest.mark.needs("guiding")
T = mi.ScalarTransform4f
NAME = "low/positions"
HIDDEN = 12  # quads below the floor, as large as the gate
LEARNING = 5  # calls before those that count
SAMPLES = 60_000  # of the indirect term
REPLICAS = 16


def quads(poses):
    """Vertices and faces of quads with these poses."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    points = [(np.array(pose.matrix)[:3, :3] @ corners.T).T + np.array(pose.matrix)[:3, 3] for pose in poses]
    faces = [np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(len(poses))]
    return np.concatenate(points), np.concatenate(faces)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    gate = T().translate([0.9, 0.1, 0.45]).rotate([0, 1, 0], -70).scale(0.3)
    below = [
        T().translate([-2 + 0.05 * k, 0, -1 - 0.01 * k]).rotate([0, 1, 0], 3 * k).scale(0.3) for k in range(HIDDEN)
    ]
    points, faces = quads([gate, *below])
    return court(SPOT, low=mesh(tmp_path_factory.mktemp("gate"), "low", points, faces, bsdf=BLACK))


def tracer(**options: Any) -> Any:
    return load_object({"type": "pathspace", "max_depth": DEPTH, "n_indirect": SAMPLES, **options})


def raised(scene: Any, integrator: Any, count: int, *stream: str | int) -> Array:
    """Replicas (count,) of the derivative for raising the upper border of the gate."""
    options = {"spp": 4, "integrator": integrator, "terms": ("indirect",)}
    found = [gradient(scene, NAME, adjoint(), seed=hashed(0, *stream, k), **options).total[NAME] for k in range(count)]
    return np.array([np.sum(x.astype(np.float64) * upper(x.shape)) for x in found])


def upper(shape: tuple[int, ...]) -> Array:
    """That motion."""
    tangent = np.zeros(shape, np.float32)
    tangent[1:3, 2] = 1.0
    return tangent


@pytest.mark.needs("outward")  # where nothing goes outwards, guiding changes nothing
def test_less_noise_and_the_same_expectation(scene, monkeypatch):
    """Unguided, the gate gets a thirteenth of the samples that go outwards; guided, nearly all that are not defensive.

    Its variance falls to 0.1; if the gate's samples were no more than doubled it would be 0.5. The negative control leaves the
    clusters out of the density: samples where there are most of them then weigh too much.
    """
    reference = raised(scene, tracer(guiding="none", n_indirect=4 * SAMPLES), REPLICAS, "reference")
    original = reflected.outward_share  # from here on, nearly all is left to the technique that is guided
    monkeypatch.setattr(reflected, "outward_share", lambda cosine, distance, _: original(cosine, distance, 30.0))
    plain = raised(scene, tracer(guiding="none"), REPLICAS, "plain")
    guide = tracer()
    raised(scene, guide, LEARNING, "learning")
    guided = raised(scene, guide, REPLICAS, "guided")
    assert guided.var(ddof=1) < 0.3 * plain.var(ddof=1)
    scale = abs(reference.mean())
    assert_agrees(guided - reference, 0.0, scale=scale, max_relative_se=0.05)
    place = guiding.Guide.place

    def wrong(self: Any, u: Any) -> Any:
        found = place(self, u)
        found.probability *= found.weight
        return found

    monkeypatch.setattr(guiding.Guide, "place", wrong)
    assert_differs(raised(scene, guide, 8, "wrong"), reference.mean(), scale=scale, by=0.5)


def test_forward_mode_learns_and_agrees(scene):
    """From the same memory both modes draw the same samples; forward mode adds to it, too."""
    guide = tracer(n_indirect=6000)
    raised(scene, guide, 2, "learning")
    kept = guide.learned.kept()
    reverse = raised(scene, guide, 1, "one")[0]
    guide.learned.restore(kept)
    options = {"spp": 4, "integrator": guide, "terms": ("indirect",), "seed": hashed(0, "one", 0)}
    image = derivative(scene, {NAME: upper((4 * (1 + HIDDEN), 3))}, **options)["indirect"]
    assert reverse != 0
    assert np.sum(image.astype(np.float64) * adjoint()) == pytest.approx(reverse, rel=1e-3)
    before, after = np.array(kept["number"]), np.array(guide.learned.kept()["number"])
    assert after[0] == pytest.approx(guiding.KEPT * before[0] + 2000)


def test_what_is_learned_belongs_to_edges_and_to_what_moves(scene):
    """Asked for the inputs of a pass, which comes before anything is sampled."""
    guide = tracer()

    def remembers(*names: str) -> bool:
        """Whether something learned before a call with these parameters is still there; learns something."""
        with attached(scene.mi, {name: resolve(scene, name)[0] for name in names}):
            sensor, _, features, options = guide._prepare(scene.mi, 0)
            one = guide._pass(sensor, features, options, 1, 1, ("indirect",))
            memory = guide._inputs(scene.mi, sensor, one, 0, 0, None, guide._edges(scene.mi, features)).learned.memory
        before = float(memory.number[0])
        memory.number += 1
        return before > 0

    assert [remembers(NAME) for _ in range(3)] == [False, True, True]
    assert not remembers(NAME, "high/pose")
    assert not remembers(NAME) and remembers(NAME)
    params = traverse(scene)
    faces = type(params["low.faces"])(params["low.faces"])
    params["low.faces"] = mi.UInt32(np.array(faces).reshape(-1, 3)[::-1].ravel())
    params.update()
    assert not remembers(NAME)  # as many edges, others
    params["low.faces"] = faces
    params.update()
    guide.learned.restore({})
    assert not remembers(NAME)


def test_no_kernel_is_compiled_after_the_first_steps(scene):
    guide, (parameter,), params = tracer(n_indirect=600), resolve(scene, NAME), traverse(scene)
    start, counts = read(scene, parameter), []
    for step in range(6):
        write(params, parameter, start * (1 + 0.01 * step))
        params.update()
        options = {"spp": 1, "seed": step, "integrator": guide, "terms": ("indirect",)}
        counts.append(compiled(lambda options=options: gradient(scene, NAME, adjoint(), **options)))
    write(params, parameter, start)
    params.update()
    assert sum(counts[2:]) == 0, counts


def test_a_step_depends_on_its_state_alone(scene):
    """The state of a fit holds what was learned, on its way through a checkpoint, too: resumed runs go on as if uninterrupted."""
    integrator = {"type": "pathspace", "max_depth": DEPTH, "n_indirect": 6000}
    options = inverse.Options(steps=4, spp=4, integrator=integrator)
    target = np.zeros((*adjoint().shape[:2], 3), np.float32)
    specs = {"gate": VariableSpec(match=NAME, lr=1e-3)}
    problem = inverse.Problem(scene, [inverse.View(target)], specs, options)
    state = inverse.init(problem)
    for _ in range(2):
        state, _ = inverse.step(problem, state)
    assert float(state.learned["number"][0]) > 2000
    resumed = inverse.State.from_arrays(*state.to_arrays())
    first, second, third = (inverse.step(problem, x)[1].gradient_norms["gate"] for x in (state, state, resumed))
    assert first == pytest.approx(second, rel=1e-4) and first == pytest.approx(third, rel=1e-4)
