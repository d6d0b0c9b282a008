"""Where the time of a call goes: seconds of the host and of kernels, by part. Every launch is waited for, so that both add up."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

#: Part → where it is: (module, attribute or Class.attribute). What is called inside another part counts for itself.
PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "scene update": (("mitsuba", "SceneParameters.update"),),
    "traversals": (("mitsuba", "traverse"),),
    "values": (("pbdr.parameters.attach", "read"), ("pbdr.parameters.attach", "write"), ("pbdr.parameters.attach", "restored")),
    "names": (("pbdr.rendering", "_resolve"),),
    "looking": (("pbdr.pathspace.plugin", "inspect"), ("pbdr.pathspace.plugin", "attached_parameters")),
    "support": (
        ("pbdr.transport.support", "check_boundary"), ("pbdr.transport.support", "check_parameters"),
        ("pbdr.transport.support", "check_sky"), ("pbdr.transport.channels", "check"), ("pbdr.transport.media", "places"),
    ),
    "table": (("pbdr.boundary.table.builder", "TableBuilder.build"),),
    "intersections": (("pbdr.boundary.table.crossings", "Crossings.update"),),
    "contacts": (("pbdr.boundary.table.contacts", "touching"),),
    "silhouettes": (
        ("pbdr.boundary.sampling.silhouettes", "candidates"), ("pbdr.boundary.sampling.silhouettes", "regions"),
    ),
    "light points": (("pbdr.boundary.sampling.light_points", "Outlines.of"),),
    "guiding": (("pbdr.boundary.sampling.guiding", "State.begin"),),
    "images": (("mitsuba", "render"),),
    "passes": (("pbdr.pathspace.passes", "GradientPass.backward"),),
}  # fmt: skip
REST = "rest"


@dataclass
class Spent:
    """Seconds of the host and of kernels, how many of these were launched, and processor seconds of both."""

    host: float = 0.0
    kernels: float = 0.0
    launches: int = 0
    cpu: float = 0.0


def clocks() -> tuple[float, float]:
    """Seconds by the wall, and of the processor."""
    return time.perf_counter(), time.process_time()


@dataclass
class Parts:
    """What has been spent, by part; `inside`: the parts that are running, the innermost last."""

    spent: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    inside: list[str] = field(default_factory=lambda: [REST])
    since: tuple[float, float] = (0.0, 0.0)

    def switch(self) -> None:
        """Book what has been spent since the last change on the part that is running."""
        import drjit as dr

        now, work = clocks()
        history = dr.kernel_history()
        device = sum(entry["execution_time"] for entry in history) * 1e-3
        own = self.spent[self.inside[-1]]
        own.host += max(now - self.since[0] - device, 0.0)
        own.cpu += work - self.since[1]
        own.kernels += device
        own.launches += len(history)
        self.since = clocks()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, booked as this part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self.inside.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self.inside.pop()

        return call

    def total(self) -> Spent:
        """Of all parts."""
        found = list(self.spent.values())
        return Spent(*(sum(getattr(x, name) for x in found) for name in ("host", "kernels", "launches", "cpu")))


@contextmanager
def parts() -> Iterator[Parts]:
    """For the time of a block, book what its calls spend."""
    import drjit as dr

    found = Parts()
    with ExitStack() as stack:
        for flag in (dr.JitFlag.KernelHistory, dr.JitFlag.LaunchBlocking):
            stack.enter_context(dr.scoped_set_flag(flag, True))
        for name, places in PARTS.items():
            for module, path in places:
                owner: Any = importlib.import_module(module)
                *classes, attribute = path.split(".")
                for one in classes:
                    owner = getattr(owner, one)
                static = isinstance(vars(owner).get(attribute), staticmethod)
                wrapped = found.timed(name, getattr(owner, attribute))
                stack.enter_context(mock.patch.object(owner, attribute, staticmethod(wrapped) if static else wrapped))
        dr.sync_thread()
        dr.kernel_history_clear()
        found.since = clocks()
        yield found
        dr.sync_thread()
        found.switch()
