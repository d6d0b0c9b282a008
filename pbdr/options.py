"""Options of the plugin `pathspace`: parsed from its properties, and checked before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pbdr import memory
from pbdr.boundary.warp import WarpOptions
from pbdr.errors import OptionError, closest
from pbdr.transport import channels, media

BOUNDARIES = ("edge", "warp", "none")
SEQUENCES = ("sobol", "independent")
GUIDING = ("edges", "none")


@dataclass(frozen=True)
class Options:
    """Validated options of `pathspace`; sample counts are absolute, per call; None means chosen automatically.

    sequence  random numbers of gradients: "sobol" (sequence.py), or "independent": the sensor's own sampler for the interior, PCG32
              for the boundary
    guiding   of the indirect boundary: "edges" (boundary/guiding.py), or "none"
    adjoint_sampling  reverse mode samples pixels, and edges on the film, in proportion to |δL| (transport/pixels.py); its samples
              are then not those of forward mode. None: with "sobol"
    media     participating media of the scene: gradients are "refuse"d and images warn, or both "ignore" them (transport/media.py)
    replay    gradient passes in reverse mode are recorded in the first call and replayed in later ones (replay.py)
    """

    max_depth: int = 6
    rr_depth: int = 5
    hide_emitters: bool = False
    boundary: str = "edge"
    n_primary: int | None = None
    n_direct: int | None = None
    n_indirect: int | None = None
    blend_distance: float | None = None
    warp_rays: int = WarpOptions.rays
    warp_concentration: float = WarpOptions.concentration
    warp_exponent: float = WarpOptions.exponent
    warp_unbiased: bool = WarpOptions.unbiased
    aovs: str = ""
    sequence: str = "sobol"
    guiding: str = "edges"
    adjoint_sampling: bool | None = None
    media: str = "refuse"
    replay: bool = False
    memory: str | int | float | None = None

    @staticmethod
    def parse(props: Any) -> Options:
        """Read plugin properties; OptionError names what is wrong and what is allowed."""
        known = Options.__dataclass_fields__
        if "warp_shapes" in props:
            raise OptionError(
                "pathspace: boundary='warp' is for all shapes of a scene or for none; leave warp_shapes out."
            )
        for name in props.keys():
            if name not in known and name != "id":
                hint = closest(name, list(known))
                raise OptionError(
                    f"pathspace: unknown option '{name}'. " + (f"Closest: '{hint[0]}'. " if hint else "")
                    + f"Options: {', '.join(known)}."
                )  # fmt: skip
        values = {name: props[name] for name in known if name in props}
        options = Options(**values)
        options.check()
        return options

    @property
    def memory_bytes(self) -> int | None:
        """The ceiling in bytes; None if there is none."""
        return None if self.memory is None else memory.parse(self.memory)

    @property
    def follows_adjoint(self) -> bool:
        """Whether reverse mode samples in proportion to the adjoint."""
        return self.sequence == "sobol" if self.adjoint_sampling is None else self.adjoint_sampling

    @property
    def warp(self) -> WarpOptions:
        """Those of boundary = 'warp'."""
        return WarpOptions(self.warp_rays, self.warp_concentration, self.warp_exponent, self.warp_unbiased)

    def check(self) -> None:
        """Raise OptionError for values of the wrong type or out of range."""
        for name, kind in (
            ("max_depth", int),
            ("rr_depth", int),
            ("hide_emitters", bool),
            ("warp_rays", int),
            ("warp_unbiased", bool),
            ("boundary", str),
            ("aovs", str),
            ("sequence", str),
            ("guiding", str),
            ("media", str),
            ("replay", bool),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise OptionError(
                    f"pathspace: {name} = {value!r}; give {kind.__name__} instead of {type(value).__name__}."
                )
        for name, types in (
            ("n_primary", int),
            ("n_direct", int),
            ("n_indirect", int),
            ("blend_distance", (int, float)),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, types):
                raise OptionError(f"pathspace: {name} = {value!r}; give a number instead of {type(value).__name__}.")
        if self.max_depth < 1 and self.max_depth != -1:
            raise OptionError(f"pathspace: max_depth = {self.max_depth}; give -1 (unlimited) or a number ≥ 1.")
        if self.rr_depth < 1:
            raise OptionError(f"pathspace: rr_depth = {self.rr_depth}; give a number ≥ 1.")
        if self.boundary not in BOUNDARIES:
            raise OptionError(f"pathspace: boundary = '{self.boundary}'; give one of {', '.join(BOUNDARIES)}.")
        if self.sequence not in SEQUENCES:
            raise OptionError(f"pathspace: sequence = '{self.sequence}'; give one of {', '.join(SEQUENCES)}.")
        if self.guiding not in GUIDING:
            raise OptionError(f"pathspace: guiding = '{self.guiding}'; give one of {', '.join(GUIDING)}.")
        if self.media not in media.HANDLING:
            raise OptionError(f"pathspace: media = '{self.media}'; give one of {', '.join(media.HANDLING)}.")
        if self.adjoint_sampling is not None and not isinstance(self.adjoint_sampling, bool):
            raise OptionError(f"pathspace: adjoint_sampling = {self.adjoint_sampling!r}; give true or false.")
        if self.adjoint_sampling and self.sequence != "sobol":
            raise OptionError(
                f"pathspace: adjoint_sampling with sequence = '{self.sequence}': the sensor's own sampler takes all pixels alike. "
                "Leave one of them out."
            )
        if self.replay and (self.boundary == "warp" or self.sequence != "sobol" or self.aovs):
            raise OptionError(
                "pathspace: replay = true goes with boundary = 'edge' or 'none', sequence = 'sobol' and no aovs. Leave it out."
            )
        for name in ("n_primary", "n_direct", "n_indirect"):
            count = getattr(self, name)
            if count is not None and count < 0:
                raise OptionError(f"pathspace: {name} = {count}; give a sample count ≥ 0 (0 switches the term off).")
        channels.parse(self.aovs)
        if self.memory is not None:
            memory.parse(self.memory)
        self.warp.check()
        if self.blend_distance is not None and not self.blend_distance > 0:
            raise OptionError(f"pathspace: blend_distance = {self.blend_distance}; give a length > 0 in scene units.")
