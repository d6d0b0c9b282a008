"""Options of the plugin `pathspace`: parsed from its properties, and checked before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pbdr.boundary.warp.options import WarpOptions
from pbdr.errors import OptionError, closest
from pbdr.pathspace import memory
from pbdr.transport import channels, media

BOUNDARIES = ("edge", "warp", "none")
SEQUENCES = ("sobol", "independent")
GUIDING = ("edges", "none")
AUTO = "auto"  # of `replay`
#: Options of one type, and those that are a number of one of these types, or None.
KINDS = {
    "max_depth": int, "rr_depth": int, "hide_emitters": bool, "warp_rays": int, "warp_unbiased": bool, "boundary": str, "aovs": str,
    "sequence": str, "guiding": str, "media": str,
}  # fmt: skip
NUMBERS: dict[str, type | tuple[type, ...]] = {
    "n_primary": int,
    "n_direct": int,
    "n_indirect": int,
    "blend_distance": (int, float),
}


def _option(default: Any, what: str, when: str, values: str = "") -> Any:
    """An option: its default, what it does, when to change it, and the values it takes (else its type says so)."""
    return field(default=default, metadata={"what": what, "when": when, "values": values})


def _samples(part: str, share: str) -> Any:
    return _option(
        None, f"Number of samples of the {part} boundary, in a whole call.",
        f"Give more where this part is the noisy one (`pbdr.allocate` measures that); 0 switches it off. By default {share} "
        "of the samples of all pixels together.", "a number ≥ 0",
    )  # fmt: skip


@dataclass(frozen=True)
class PathspaceOptions:
    """Validated options of `pathspace`. docs/reference/options.md is made from what is written here."""

    max_depth: int = _option(
        6, "Longest path, in edges: 1 shows emitters only, 2 direct light, 3 light that was reflected once; -1 is unlimited.",
        "Each vertex more costs time, and gradients a few more terms from 3 on.", "-1, or a number ≥ 1",
    )  # fmt: skip
    rr_depth: int = _option(
        5, "Number of edges from which on Russian roulette may end a path.",
        "Raise it where the noise of long paths matters more than their time.", "a number ≥ 1",
    )  # fmt: skip
    hide_emitters: bool = _option(
        False, "The camera does not see area lights and the environment; they light the scene all the same.",
        "Set it where the picture has no lamps in it.",
    )  # fmt: skip
    boundary: str = _option(
        "edge", "How the boundary is estimated: by sampling edges, by warping rays around them, or not at all.",
        "`warp` is a second, independent estimator, slower and for fewer scenes. `none` leaves gradients of geometry wrong, and is "
        "right for parameters that move nothing, such as colours.", ", ".join(f"`{x}`" for x in BOUNDARIES),
    )  # fmt: skip
    n_primary: int | None = _samples("primary", "a third")
    n_direct: int | None = _samples("direct", "a quarter")
    n_indirect: int | None = _samples("indirect", "a sixth")
    blend_distance: float | None = _option(
        None, "Distance at which the motion of path vertices blends between that of directions and that of surfaces, h of "
        "equation (3a), in scene units.", "The result does not depend on it, the noise does. By default half the size of the "
        "smallest moving shape.", "a length > 0",
    )  # fmt: skip
    warp_rays: int = _option(
        WarpOptions.rays, "With `boundary = 'warp'`: auxiliary rays of each segment.", "More rays lower the bias of the warp.",
    )  # fmt: skip
    warp_concentration: float = _option(
        WarpOptions.concentration, "With `boundary = 'warp'`: how closely auxiliary rays follow their segment.",
        "See docs/theory.md, section 7.",
    )  # fmt: skip
    warp_exponent: float = _option(
        WarpOptions.exponent, "With `boundary = 'warp'`: power of the distance by which edges weigh.",
        "See docs/theory.md, section 7.",
    )  # fmt: skip
    warp_unbiased: bool = _option(
        WarpOptions.unbiased, "With `boundary = 'warp'`: a random number of rays, so that the mean has no bias.",
        "Costs noise; set it to tell bias from noise.",
    )  # fmt: skip
    aovs: str = _option(
        "", "Extra channels of the film, as Mitsuba's `aov` integrator names them: `\"depth:depth, normals:sh_normal\"`.",
        "Set it where a loss compares depth, normals, masks or albedo as well.", "names and kinds",
    )  # fmt: skip
    sequence: str = _option(
        "sobol", "Random numbers of gradients: scrambled Sobol' points, or independent ones (the sensor's own sampler for the "
        "interior).", "`independent` is the reference that Sobol' points are measured against.",
        ", ".join(f"`{x}`" for x in SEQUENCES),
    )  # fmt: skip
    guiding: str = _option(
        "edges", "What the indirect boundary learns from one call to the next: which directions past which edges matter.",
        "`none` makes calls with the same seed on the same integrator equal.", ", ".join(f"`{x}`" for x in GUIDING),
    )  # fmt: skip
    adjoint_sampling: bool | None = _option(
        None, "Reverse mode puts samples where the derivative of the loss is large.",
        "Switch it off where forward and reverse mode must take the same samples. By default on with Sobol' points.",
    )  # fmt: skip
    media: str = _option(
        "trace", "What to do about participating media: trace them as Mitsuba's `volpath` does, or ignore them.",
        "`ignore` where the medium does not matter for what is estimated: surfaces alone cost less.",
        ", ".join(f"`{x}`" for x in media.HANDLING),
    )  # fmt: skip
    replay: bool | str = _option(
        False, "Gradient passes in reverse mode are recorded and replayed in later calls, for all cameras of one kind.",
        "Saves most of the time of small images. `true` records the first call and refuses scenes that it is not for; `auto` "
        "records the second call, and traces what cannot be replayed.", "true, false, or `auto`",
    )  # fmt: skip
    memory: str | int | float | None = _option(
        None, "Ceiling of the memory that a call takes on top of the scene; calls that need more are cut into parts.",
        "Give one where the machine runs out of memory.", "bytes, or a string such as `4GB`",
    )  # fmt: skip

    @staticmethod
    def parse(props: Any) -> PathspaceOptions:
        """Read plugin properties; OptionError names what is wrong and what is allowed."""
        known = PathspaceOptions.__dataclass_fields__
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
        options = PathspaceOptions(**values)
        options.check()
        return options

    @property
    def memory_bytes(self) -> int | None:
        """The ceiling in bytes; None if there is none."""
        return None if self.memory is None else memory.parse(self.memory)

    @property
    def records(self) -> bool:
        """Whether gradients may be recorded and replayed."""
        return bool(self.replay) and self.boundary != "warp" and self.sequence == "sobol" and not self.aovs

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
        for name, kind in KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise OptionError(
                    f"pathspace: {name} = {value!r}; give {kind.__name__} instead of {type(value).__name__}."
                )
        for name, types in NUMBERS.items():
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
        if not (isinstance(self.replay, bool) or self.replay == AUTO):
            raise OptionError(f"pathspace: replay = {self.replay!r}; give true, false or '{AUTO}'.")
        if self.replay is True and (self.boundary == "warp" or self.sequence != "sobol" or self.aovs):
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
