"""Error bars of a run: found after the fit, written into eval/, told by the verdict and shown in the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import encode_exr, encode_png
from ..errors import PbdrError
from ..inverse import Problem, State
from ..inverse.identify import Identification, identify, summary
from . import storage
from .results import slug
from .rundir import RunDirectory

#: Offsets from the minimum, in standard deviations and in parts of the natural unit, from which on an unknown has not settled.
SIGMAS, UNITS = 3.0, 0.02
#: Unknowns that a verdict names, at most.
SHOWN = 9


def find(
    problem: Problem, state: State, run: RunDirectory, seed: int, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Write the maps of texels below eval/parameters and return what metrics.json holds; None without bars, which `say` tells."""
    try:
        found = identify(problem, state, seed=seed)
    except PbdrError as error:
        say(f"no error bars: {error}")
        return None
    return {**summary(found), "maps": _write(run, found)}


def _write(run: RunDirectory, found: Identification) -> dict[str, str]:
    paths = {}
    for name, deviation in found.texels.items():
        folder = run.path / "eval" / "parameters" / slug(name)
        image = np.repeat(deviation[..., None].astype(np.float32), 3, axis=2)
        storage.write_bytes(folder / "uncertainty.exr", encode_exr(image))
        storage.write_bytes(folder / "uncertainty.png", encode_png(image / _white(deviation)))
        paths[name] = str((folder / "uncertainty.png").relative_to(run.path))
    return paths


def _white(deviation: NDArray[Any]) -> float:
    return max(float(np.max(deviation)), 1e-12)


def remark(found: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return a word for the verdict and sentences: which unknowns the images leave open, and which have not settled; "" if none."""
    if found is None:
        return "", ""
    open_ones = list(dict.fromkeys(one["unknowns"] for one in found["open"]))
    moving = [bar["name"] + (f" ({bar['what']})" if bar["what"] else "") for bar in found["bars"] if _unsettled(bar)]
    text = ""
    if open_ones:
        text += f" The images leave open: {_some(open_ones, '; ')}: other values would explain them as well."
    if moving:
        text += f" Not yet at the minimum: {_some(moving, ', ')}."
    return ("ambiguous" if open_ones else "not settled" if moving else ""), text


def _some(names: Sequence[str], between: str) -> str:
    """The first of many names, and how many more; all of them are in metrics.json."""
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return between.join([*names[:SHOWN], *more])


def _unsettled(bar: Mapping[str, Any]) -> bool:
    return abs(float(bar["offset"])) > max(SIGMAS * float(bar["sd"]), UNITS * float(bar["unit"]))
