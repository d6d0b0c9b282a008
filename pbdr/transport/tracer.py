"""What rays from the camera, and whatever lies behind them, need to know of the plugin `pathspace`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pbdr.transport import path
from pbdr.transport.channels import Channel


class Tracer:
    """Settings that every integral shares. Not a dataclass: Dr.Jit must not take it for loop state.

    max_depth      longest path, in Mitsuba's counting; bounded for memory when unlimited (`path.UNBOUNDED_DEPTH`)
    rr_depth       number of vertices after which paths may end by chance
    hide_emitters  area lights and environments are invisible to the camera
    channels       extra channels of the film (transport/channels.py)
    left_out       counts what sampling leaves out (boundary/sampling/left_out.py, not known here)
    """

    def __init__(
        self, max_depth: int, rr_depth: int, hide_emitters: bool, channels: Sequence[Channel], left_out: Any
    ) -> None:
        self.max_depth = path.UNBOUNDED_DEPTH if max_depth == -1 else max_depth
        self.rr_depth, self.hide_emitters = rr_depth, hide_emitters
        self.channels, self.left_out = channels, left_out

    def path_options(self, **changes: Any) -> path.PathOptions:
        """How paths are traced; `changes`: fields of `PathOptions` that are not those of primal rendering."""
        return path.PathOptions(self.max_depth, self.rr_depth, self.hide_emitters, **changes)

    def aov_names(self) -> list[str]:
        """Names of the extra channels on the film, in the order of the option `aovs`."""
        return [name for channel in self.channels for name in channel.film_names]
