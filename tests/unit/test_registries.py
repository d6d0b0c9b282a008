"""Registries: names, options, their page, and that the state of any optimiser goes through a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import DataError, OptionError, ParameterError
from pbdr.fields.priors import FIELD_PRIORS
from pbdr.fields.registry import FIELDS
from pbdr.inverse.losses import LOSSES
from pbdr.inverse.optimisers import OPTIMISERS, Adam, Groups, Memory, Optimiser
from pbdr.inverse.priors import PRIORS
from pbdr.inverse.state import State
from pbdr.inverse.unknowns import check_variables
from pbdr.job.config import parse_job
from pbdr.parameters import Variables, VariableSpec, read
from pbdr.parameters.maps import MAPS, Map
from pbdr.registry import Registry, option, options, table
from pbdr.scene import load_scene

ALL = (LOSSES, PRIORS, OPTIMISERS, MAPS)
JOB = 'version = 1\nname = "a"\n[scene]\nfile = "s.xml"\n[data]\ncameras = "t.json"\n[vars.x]\nmatch = "a/b"\n'
PLACES = {"loss": "loss.image", "optimiser": "optim.optimiser", "map": "vars.x.map"}


@pytest.mark.parametrize("registry", (*ALL, FIELDS, FIELD_PRIORS), ids=lambda registry: registry.plural)
def test_the_page_lists_every_entry_with_its_options(registry, root):
    page = (root / "docs" / "reference" / "jobs.md").read_text()
    assert [row for row in table(registry) if row not in page] == []


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.what)
def test_the_job_file_takes_every_entry_by_name_and_with_its_options(registry):
    for name in registry:
        given = {key: default for key, (default, _) in options(registry[name]).items()}
        assert all(text for _, text in options(registry[name]).values())
        if registry is PRIORS:
            choices = ({"vars.x.prior": {name: 0.5}}, {"vars.x.prior": {name: {"weight": 0.5, **given}}})
        else:
            choices = ({PLACES[registry.what]: name}, {PLACES[registry.what]: {"type": name, **given}})
        for overrides in choices:
            parse_job(JOB, "job.toml", overrides)
    wrong = {"vars.x.prior": {"nonsense": 1.0}} if registry is PRIORS else {PLACES[registry.what]: "nonsense"}
    with pytest.raises(OptionError, match=f"{next(iter(registry))}"):
        parse_job(JOB, "job.toml", wrong)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("on", r"thing 'on' is unknown\. Closest: one\. Things: one"),
        ({"size": 1.0}, 'with its name as type: { type = "one" }'),
        ({"type": "one", "sise": 1.0}, r"has no option 'sise'\. Closest: size\. Options: size, count, soft, kind"),
        ({"type": "one", "size": True}, "size = True: give a finite number"),
        ({"type": "one", "size": float("nan")}, "give a finite number"),
        ({"type": "one", "count": 1.5}, "give a whole number"),
        ({"type": "one", "soft": 1}, "give true or false"),
        ({"type": "one", "kind": 1}, "give text"),
    ],
)
def test_a_wrong_choice_is_refused(choice, message):
    @dataclass(frozen=True)
    class One:
        name: ClassVar[str] = "one"
        size: float = option(0.5, "how large")
        count: int = option(2, "how many")
        soft: bool = option(False, "whether")
        kind: str = option("x", "which")

    things: Registry[One] = Registry("thing", "Things", (One,))
    assert things.make({"type": "one", "size": 3}) == One(size=3.0)
    with pytest.raises(OptionError, match=message):
        things.make(choice)


@dataclass(frozen=True)
class Shift(Map):
    """A pose that is moved, and nothing else: three numbers of latent for the twelve of the value."""

    name: ClassVar[str] = "to_the_side"
    poses: ClassVar[bool] = True

    def prepare(self, place):
        return read(place.scene, place.parameter).astype(np.float32)

    def to_latent(self, value, place):
        return value[:, 3] - place.prepared[:, 3]

    def to_value(self, latent, place):
        start = mi.TensorXf(place.prepared)
        column = np.zeros((3, 4), np.float32)
        column[:, 3] = 1
        return start + dr.reshape(latent, (3, 1)) * mi.TensorXf(column)


def test_a_map_of_a_pose_is_an_entry_like_any_other():
    """What is refused by default, because twelve numbers are not free, is not where the map says that it serves poses."""
    scene = load_scene(
        {"type": "scene", "camera": {"type": "perspective"}, "sky": {"type": "constant"}, "ball": {"type": "rectangle"}}
    )
    with pytest.raises(ParameterError, match="is a pose"):
        check_variables(Variables(scene, {"where": VariableSpec("ball/pose", map="clamp")}))
    MAPS.register(Shift)
    try:
        bound = Variables(scene, {"where": VariableSpec("ball/pose", map="to_the_side")})
        check_variables(bound)
        ((key, latent),) = bound.init().items()
        assert latent.shape == (3,)
        moved = mi.TensorXf(np.array([1, 2, 3], np.float32))
        np.testing.assert_array_equal(bound.numpy({key: moved})["ball/pose"][:, 3], [1, 2, 3])
        bound.apply({key: moved})
        np.testing.assert_allclose(read(scene, bound.latents[key].parameter)[:, 3], [1, 2, 3])
        np.testing.assert_array_equal(
            bound.numpy({key: moved})["ball/pose"][:, 3], [1, 2, 3]
        )  # from where it was bound
    finally:
        MAPS.forget("to_the_side")


@dataclass(frozen=True)
class Momentum(Optimiser):
    """Gradient descent with momentum: one slot."""

    name: ClassVar[str] = "momentum"
    slots: ClassVar[tuple[str, ...]] = ("mean",)
    share: float = option(0.5, "share of the past")

    def step(self, memory, latents, gradients, lr):
        mean = {**memory.slots["mean"]}
        for key, gradient in gradients.items():
            mean[key] = self.share * mean[key] + gradient
        moved = {key: value - lr[key] * mean[key] if key in gradients else value for key, value in latents.items()}
        return moved, Memory({"mean": mean}, {key: n + (key in gradients) for key, n in memory.t.items()})


@pytest.mark.parametrize("optimiser", [Adam(), Momentum()], ids=lambda optimiser: optimiser.name)
def test_what_an_optimiser_remembers_goes_through_a_checkpoint(optimiser):
    latents = {"x": mi.TensorXf(np.ones((2, 3), np.float32)), "still": mi.TensorXf(np.ones(1, np.float32))}
    gradients = {"x": mi.TensorXf(np.full((2, 3), 0.5, np.float32))}
    moved, memory = optimiser.step(optimiser.init(latents), latents, gradients, {"x": 0.1})
    arrays, meta = State(1, moved, memory).to_arrays()
    again = State.from_arrays(arrays, meta)
    assert again.memory.t == {"x": 1, "still": 0} and again.memory.slots.keys() == memory.slots.keys()
    first, second = (optimiser.step(m, moved, gradients, {"x": 0.1})[0]["x"] for m in (memory, again.memory))
    np.testing.assert_array_equal(np.array(first), np.array(second))
    del arrays[next(name for name in arrays if not name.startswith(("latent", "learned")))]
    with pytest.raises(DataError, match="incomplete"):
        State.from_arrays(arrays, meta)


def test_a_checkpoint_of_before_there_was_a_choice_is_adams():
    latents = {"x": mi.TensorXf(np.ones(3, np.float32))}
    arrays, meta = State(0, latents, Adam().init(latents)).to_arrays()
    assert set(arrays) == {"latent/x", "m/x", "v/x"}
    del meta["slots"]
    assert set(State.from_arrays(arrays, meta).memory.slots) == {"m", "v"}


def test_latents_may_have_optimisers_of_their_own():
    """Each moves as it would alone, and what both remember goes through a checkpoint."""
    latents = {"x": mi.TensorXf(np.ones(3, np.float32)), "y": mi.TensorXf(np.zeros(2, np.float32))}
    gradients = {"x": mi.TensorXf(np.full(3, 0.5, np.float32)), "y": mi.TensorXf(np.full(2, 2.0, np.float32))}
    rates = {"x": 0.1, "y": 0.3}
    both = Groups(Adam(), {"y": Momentum()})
    found, memory = both.step(both.init(latents), latents, gradients, rates)
    for optimiser, key in ((Adam(), "x"), (Momentum(), "y")):
        one = {key: latents[key]}
        alone, _ = optimiser.step(optimiser.init(one), one, {key: gradients[key]}, rates)
        np.testing.assert_array_equal(np.array(found[key]), np.array(alone[key]))
    assert {slot: set(tensors) for slot, tensors in memory.slots.items()} == {"m": {"x"}, "v": {"x"}, "mean": {"y"}}
    again = State.from_arrays(*State(1, found, memory).to_arrays()).memory
    assert again.t == {"x": 1, "y": 1} and again.slots.keys() == memory.slots.keys()
    only_y, _ = both.step(again, found, {"y": gradients["y"]}, rates)
    np.testing.assert_array_equal(np.array(only_y["x"]), np.array(found["x"]))
    assert (np.array(only_y["y"]) != np.array(found["y"])).all()
