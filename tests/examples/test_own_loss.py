"""`examples/own_loss.py` runs as it stands, and what it registers is known by name; what is no loss is refused."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import pbdr
from pbdr.errors import OptionError
from pbdr.inverse.losses import LOSSES, Loss
from validation import examples


@pytest.fixture(scope="module")
def example(root):
    module = examples.load("own_loss")
    yield module
    LOSSES.forget("huber")
    del sys.modules["own_loss"]


def test_an_own_loss_finds_what_a_squared_error_does_not(example, capsys):
    squared, *own = example.main().values()
    assert all(grey == pytest.approx(example.TRUTH, abs=0.1) for grey in own) and len(own) == 2
    assert squared > example.TRUTH + 0.2  # negative control: it follows the wrong pixels
    assert capsys.readouterr().out.count("grey") == 3


def test_the_job_file_knows_it(example):
    from pbdr.job.config import parse_job

    text = 'version = 1\nname = "a"\n[scene]\nfile = "s.xml"\n[data]\ncameras = "t.json"\n[vars.x]\nmatch = "a/b"\n[loss]\nimage = '
    assert parse_job(text + "'huber'", "job.toml").loss.image == "huber"
    table = {"type": "huber", "delta": 0.1}
    assert parse_job(text + "{ type = 'huber', delta = 0.1 }", "job.toml").loss.image == table
    for given, message in (
        ("'hubber'", "= 'hubber': not one of the choices. Closest: 'huber'"),
        ("{ type = 'huber', dleta = 0.1 }", "loss 'huber' has no option 'dleta'. Closest: delta. Options: delta"),
        ("{ type = 'huber', delta = 'x' }", "give a finite number"),
        ("{ delta = 0.1 }", "with its name as type"),
    ):
        with pytest.raises(OptionError) as caught:
            parse_job(text + given, "job.toml")
        assert message in str(caught.value) and str(caught.value).startswith("job.toml:10: [loss] image")


def test_what_is_no_loss_is_refused(example):
    @dataclass(frozen=True)
    class Taken(Loss):
        name: ClassVar[str] = "l1"

        def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any: ...

    @dataclass(frozen=True)
    class Needy(Taken):
        name: ClassVar[str] = "needy"
        needs: ClassVar[tuple[str, ...]] = ("sound",)

    class Plain(Loss):
        def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any: ...

    for entry, message in ((Taken, "already"), (Needy, "needs 'sound'"), (Plain, "dataclass"), (len, "is no loss")):
        with pytest.raises(OptionError, match=message):
            pbdr.register_loss(entry)
    before = list(LOSSES)
    assert pbdr.register_loss(example.Huber) is example.Huber  # again: nothing happens
    assert list(LOSSES) == before
