"""Functions of the user's as variables: derivatives go through them, times keep apart, and jobs run them only when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr import cli, inverse, load_scene
from pbdr.errors import OptionError, ParameterError
from pbdr.inverse import Options, Problem, View
from pbdr.inverse.optimisers import OPTIMISERS, Memory, Optimiser
from pbdr.parameters import FunctionSpec, VariableSpec
from validation.tiny_job import write_job

START = 0.4
TRACER = {"type": "prb", "max_depth": 2}


def scene() -> Any:
    """Two balls under a white sky, which fill a film of one pixel each."""
    film = {"type": "hdrfilm", "width": 1, "height": 1, "rfilter": {"type": "box"}}
    ball = {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": START}}}
    return load_scene({
        "type": "scene", "camera": {"type": "perspective", "fov": 1, "film": film}, "sky": {"type": "constant"},
        "left": {**ball, "center": [0, 0, 5]}, "right": {**ball, "center": [0, 0, 500]},
    })  # fmt: skip


def paint(grey: Any) -> dict[str, Any]:
    """Both balls from one number; the one that is seen is its square."""
    square = mi.TensorXf(dr.square(grey.array))
    return {"left/base_color": dr.repeat(square.array, 3), "right/base_color": dr.zeros(mi.TensorXf, (3,))}


def moved(specs: dict[str, Any], views: list[View], **options: Any) -> tuple[dict[str, float], Any]:
    """Latents after a step of length 1 against the gradient of the mean error, minus their start; and the result."""

    @OPTIMISERS.register
    @dataclass(frozen=True)
    class Plain(Optimiser):
        name: ClassVar[str] = "plain"

        def step(self, memory: Memory, latents: Any, gradients: Any, lr: Any) -> Any:
            return {key: x - gradients.get(key, 0) for key, x in latents.items()}, memory

    try:
        problem = Problem(scene(), views, specs, Options(steps=1, optimiser="plain", integrator=TRACER, **options))
        first = inverse.init(problem)
        result = inverse.fit(problem)
    finally:
        OPTIMISERS.forget("plain")
    change = {key: float(np.sum(np.array(x) - np.array(first.latents[key]))) for key, x in result.state.latents.items()}
    return change, result


def test_derivatives_go_through_a_function() -> None:
    """Radiance is albedo under a white sky: d mean (g² − 1)² / dg = 4 g (g² − 1), here by way of the gradient of l2."""
    spec = FunctionSpec(paint, {"grey": START**0.5}, match=("left/base_color", "right/base_color"))
    view = View(np.ones((1, 1, 3), np.float32))
    change, result = moved({"paint": spec}, [view], loss="l2", spp=65536)
    grey = START**0.5
    assert change["paint:grey"] == pytest.approx(-4 * grey * (START - 1), rel=1e-2)
    new = grey + change["paint:grey"]
    assert result.values["paint/grey"] == pytest.approx([new], rel=1e-2)
    np.testing.assert_allclose(result.values["left/base_color"], [new**2] * 3, rtol=1e-2)
    np.testing.assert_array_equal(result.values["right/base_color"], 0)


def test_views_see_the_scene_at_their_own_time() -> None:
    """Albedo a · t at the times 1 and 3: the gradient of the mean error is the mean of both; not that of either time."""
    spec = FunctionSpec(lambda a, time: dr.repeat(a.array * time, 3), {"a": 0.2}, match="left/base_color")
    views = [View(np.ones((1, 1, 3), np.float32), time=t, name=str(t)) for t in (1.0, 3.0)]
    change, result = moved({"f": spec}, views, loss="l2", spp=65536, views_per_step=2)
    slopes = [2 * (0.2 * t - 1) * t for t in (1.0, 3.0)]
    assert change["f:a"] == pytest.approx(-np.mean(slopes), rel=1e-2)
    assert all(abs(change["f:a"] + slope) > 0.3 for slope in slopes)  # negative control
    assert "left/base_color" not in result.values and result.infos[0].loss == pytest.approx(
        np.mean([(0.2 * t - 1) ** 2 for t in (1.0, 3.0)]), rel=1e-2
    )


def test_torch_functions_have_the_same_derivative() -> None:
    pytest.importorskip("torch")
    spec = FunctionSpec(lambda grey: (grey**2).repeat(3), {"grey": START**0.5}, match="left/base_color", framework="torch")
    change, _ = moved({"paint": spec}, [View(np.ones((1, 1, 3), np.float32))], loss="l2", spp=65536)
    assert change["paint:grey"] == pytest.approx(-4 * START**0.5 * (START - 1), rel=1e-2)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda grey: {"left/colour": grey}, "gives 'left/colour', which `match` does not select. Closest: left/base_color"),
        (lambda grey: {}, "lacks 'left/base_color'"),
        (lambda grey: mi.TensorXf([0.1, 0.2]), r"the shape \(2,\) instead of \(3,\)"),
        (lambda grey: None, r"gives 'left/base_color' a NoneType, not a tensor of shape \(3,\)"),
        (lambda grey: 1 / 0, "raised ZeroDivisionError"),
        (lambda grey: dr.repeat(grey.array / 0, 3), "non-finite values for 'left/base_color'"),
        (lambda gray: gray, r"takes \(gray\), its latents are grey"),
    ],
)  # fmt: skip
def test_what_functions_get_wrong_is_told(function: Callable[..., Any], message: str) -> None:
    spec = FunctionSpec(function, {"grey": 0.5}, match="left/base_color")
    with pytest.raises((ParameterError, OptionError), match=message) as caught:
        Problem(scene(), [View(np.ones((1, 1, 3), np.float32))], {"f": spec})
    assert "variable 'f'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_parameter_has_one_owner() -> None:
    specs = {"a": FunctionSpec(lambda x: dr.repeat(x.array, 3), {"x": 0.5}, match="left/*"), "b": VariableSpec("*/base_color")}
    with pytest.raises(ParameterError, match="belongs to two variables, 'a' and 'b'"):
        Problem(scene(), [View(np.ones((1, 1, 3), np.float32))], specs)


CODE = "import drjit as dr\n\ndef grey(level):\n    return dr.repeat(level.array, 3)\n"
CHANGES = {
    "init = 0.5\nbounds = [0.0, 1.0]\n": 'function = "own.py:grey"\nlatents = { level = 0.5 }\n',
    "steps = 12": "steps = 2",
}


def test_a_job_runs_code_only_when_told_to(tmp_path: Path, capsys: Any) -> None:
    job = write_job(tmp_path, CHANGES)
    marker = tmp_path / "executed"
    (tmp_path / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\n{CODE}")
    runs = tmp_path / "runs"
    assert cli.main(["fit", str(job), "--output.dir", str(runs)]) == 2
    told = capsys.readouterr().err
    assert "--allow-code" in told and "own.py:grey" in told and not marker.exists() and not runs.exists()
    assert cli.main(["fit", str(job), "--output.dir", str(runs), "--allow-code"]) in (0, 5)
    assert marker.exists()
    (run,) = (runs / "tiny").glob("2*")
    marker.unlink()
    assert '"albedo/level"' in (run / "eval" / "parameters.json").read_text()
    assert '"albedo/level": ' in (run / "metrics.jsonl").read_text()
    (run / "status.json").write_text('{"state": "running"}')
    assert cli.main(["resume", str(run)]) == 2 and not marker.exists()
    assert cli.main(["resume", str(run), "--allow-code"]) in (0, 5)


@pytest.mark.parametrize(
    "line, message",
    [
        ("", "belong together"),
        ("latents = { level = 0.5 }\nbounds = [0.0, 1.0]\n", "bounds has no meaning beside function"),
        ('latents = { level = 0.5 }\nframework = "jax"\n', "jax"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path: Path, capsys: Any, line: str, message: str) -> None:
    wrong = {"init = 0.5\nbounds = [0.0, 1.0]\n": f'function = "own.py:grey"\n{line}'}
    assert cli.main(["fit", str(write_job(tmp_path, wrong)), "--allow-code"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "code, message",
    [
        ("", "has no function 'grey'"),
        ("def gray(level): pass\n", "Closest: gray"),
        ("import nothing_of_the_sort\n", "cannot be imported"),
    ],
)
def test_code_that_is_not_there(tmp_path: Path, capsys: Any, code: str, message: str) -> None:
    (tmp_path / "own.py").write_text(code)
    assert cli.main(["fit", str(write_job(tmp_path, CHANGES)), "--allow-code"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "spec, tracer, message",
    [
        ({"latents": {"x": np.zeros(201)}}, "pathspace", "renders a derivative for every number"),
        ({"latents": {"x": np.zeros(3)}}, "prb", 'needs derivative images of the integrator "pathspace"'),
    ],
)
def test_least_squares_that_cannot_be_had(spec: dict[str, Any], tracer: str, message: str) -> None:
    given = FunctionSpec(lambda x: dr.repeat(mi.Float(0.5), 3), match="left/base_color", optimiser="lm", **spec)
    with pytest.raises(OptionError, match=message):
        Problem(scene(), [View(np.ones((1, 1, 3), np.float32))], {"f": given}, Options(integrator={"type": tracer}))
