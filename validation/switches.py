"""Parts of the sampling that can be switched off without a change of expectation: rows of the ablation, `pytest --without NAME`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any
from unittest import mock

FULL = "everything"


@dataclass(frozen=True)
class Switch:
    """What is different when one part is off.

    label    in words
    options  of `pathspace` that are overridden
    patches  dotted name of an attribute of a module → what stands in its place
    deep     only longer paths than camera – surface – light have this part (`max_depth` > 2)
    row      whether the ablation has a row of it
    """

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    patches: Mapping[str, Any] = field(default_factory=dict)
    deep: bool = False
    row: bool = True

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Modules without the part; for an integrator that has `options`."""
        with contextlib.ExitStack() as stack:
            for target, value in self.patches.items():
                stack.enter_context(mock.patch(target, value))
            yield

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """The same for every integrator made meanwhile, unless its own options say otherwise."""
        from pbdr.pathspace.options import PathspaceOptions

        changed = partialmethod(PathspaceOptions.__init__, **self.options)  # keywords of the call come last
        with self.patched(), mock.patch.object(PathspaceOptions, "__init__", changed):
            yield


def _by_chance(sampler: Any, count: int) -> Any:
    return sampler.next_1d()


def _unmixed(mass: Any, factor: Any, share: float) -> Any:
    return mass


def _unfavoured(mass: Any, chosen: Any, share: float) -> Any:
    return mass


def _outwards(share: float) -> Callable[..., Any]:
    return lambda cosine, distance, reach: share + 0 * distance


_EDGES = [
    f"pbdr.boundary.{name}"
    for name in (
        *(f"edges.{term}" for term in ("primary", "direct", "from_camera", "from_edges", "specular", "frustum")),
        "inside_faces.horizon",
    )
]

#: Name on the command line, which says what is gone → switch. The order is that of the ablation's rows.
SWITCHES = {
    "budgets": Switch(
        "sample counts all the same",
        patches={"pbdr.pathspace.plugin.SHARES": dict.fromkeys(("primary", "direct", "indirect"), 1 / 4)},
    ),
    "sequence": Switch("independent random numbers", {"sequence": "independent"}),
    "adjoint-sampling": Switch("pixels and edges whatever the adjoint", {"adjoint_sampling": False}),
    "pixels": Switch("pixels all the same", patches={"pbdr.transport.pixels.mixed": _unmixed}),
    "film-edges": Switch(
        "edges whatever the adjoint",
        patches={"pbdr.boundary.edges.primary.mixed": _unmixed, "pbdr.boundary.inside_faces.horizon.mixed": _unmixed},
    ),
    "systematic": Switch(
        "edge points by chance, not systematic", patches={f"{module}.systematic": _by_chance for module in _EDGES}
    ),
    "favour-moving": Switch(
        "edges that rest as often as those that move", patches={"pbdr.boundary.sampling.masses.favour": _unfavoured}
    ),
    "blend-area": Switch("motion: directions fixed (h = ∞)", {"blend_distance": 1e4}),
    "blend-directions": Switch("motion: area form (h → 0)", {"blend_distance": 1e-4}),
    "uniform-lobe": Switch("no uniform lobe", patches={"pbdr.pathspace.plugin.UNIFORM_LOBE": 0.0}),
    "outward": Switch(
        "edges from camera paths only", patches={"pbdr.boundary.edges.reflected.outward_share": _outwards(0.0)}, deep=True
    ),
    "from-camera": Switch(
        "edges outwards only", patches={"pbdr.boundary.edges.reflected.outward_share": _outwards(1.0)}, deep=True
    ),
    "guiding": Switch("no guiding", {"guiding": "none"}, deep=True),
    "candidates": Switch(
        "edge points for x_S by length alone", patches={"pbdr.boundary.edges.from_camera.CANDIDATES": 1}, deep=True
    ),
    "silhouettes": Switch(
        "no directions for silhouettes", patches={"pbdr.boundary.edges.from_edges.SILHOUETTES": 0.0}, deep=True
    ),
    "roulette": Switch("no Russian roulette", {"rr_depth": 2**20}, deep=True, row=False),
    "silhouette-lists": Switch(
        "every edge looked at from every light point", patches={"pbdr.boundary.sampling.silhouettes.FEW": 2**32}, row=False
    ),
}
