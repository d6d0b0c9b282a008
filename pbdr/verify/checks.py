"""`pbdr.verify`: an integrator's derivative against finite differences of another primal renderer, direction by direction."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pbdr.errors import PbdrError
from pbdr.parameters import Parameter, is_radiometric, read
from pbdr.parameters.film import resized_film
from pbdr.scene import Scene, integrator_of, sensor_of
from pbdr.seeds import hashed
from pbdr.verify import diagnosis, statistics
from pbdr.verify.arguments import FULL, Effort, check_step, effort_of, fitting_size, one_parameter, with_depth
from pbdr.verify.decision import LEAST, UNDECIDED, WRONG, Decision, sequence
from pbdr.verify.directions import defaults, direction, feasible, longest_step
from pbdr.verify.functionals import GLOBALS, Functionals
from pbdr.verify.recording import Pilot, Recorded, extrapolated, recorded
from pbdr.verify.result import Along, Array, Estimate, Step, Verification
from pbdr.verify.sources import Derivative, Differences, blends, primal_of

Told = Callable[[str, float], None]
FIRST_SPP = 64  # of what is looked at once, beside the comparison
LANES = 1 << 21  # most samples of one launch
REPLICAS = 24  # that the budget should pay for, of each side
TRANSPOSED = 1e-3  # largest difference of forward and reverse mode that rounding explains, relative


def verify(
    scene: Any, param: str, *, integrator: Any = None, directions: Sequence[str] = (), sensor: Any = 0, budget: float | None = None,
    tolerance: float | None = None, resolution: int | None = FULL.resolution, step: float | None = None, primal: str = "path",
    seed: int = 0, other: bool = True, reverse: bool = True, quick: bool = False, progress: Told | None = None,
) -> Verification:  # fmt: skip
    """Is the derivative of the image with respect to `param` right? Against finite differences, with error bars.

    param       one parameter, by name or raw key
    integrator  dictionary of the integrator under test, any that Mitsuba has registered; None: `pathspace` with the scene's depth
    directions  see `pbdr.verify.directions.direction`; by default those that `defaults` gives
    budget      seconds of measuring, over all directions; compilation and the pilots come on top. None: 20, or 0.5 if `quick`
    tolerance   relative error below which the gradient counts as right. None: 0.02, or 0.1 if `quick`
    resolution  longest side of the image in pixels; None: the film's own. A film that is smaller keeps its size
    step        longest step of the differences, along a direction; by default from the object's size or the value
    primal      Mitsuba's integrator whose images are differenced; it shares no code with `pathspace`
    other       also compare with the other estimator of the boundary, edge or warp
    reverse     also compare reverse with forward mode, on the same samples
    quick       a first answer in seconds once kernels are compiled: one direction and a small image (`arguments.QUICK`)

    Raises ParameterError, OptionError, SceneError for what cannot be verified.
    """
    begin = time.perf_counter()
    effort = effort_of(quick, budget, tolerance, resolution)
    check_step(step)
    parameter = one_parameter(scene, param)
    options = with_depth(scene, integrator)
    tracer = integrator_of(scene, options)
    primal_options = primal_of(options, primal, scene)
    if primal_options["type"] == "path" and blends(scene):
        warnings.warn(
            "Mitsuba's path is biased in scenes with a blendbsdf, unless all lights are without size: what it says of a gradient "
            "is not reliable there. With max_depth = 2, another integrator of Mitsuba takes its place.", stacklevel=2,
        )  # fmt: skip
    camera = sensor_of(scene, sensor)
    names = (tuple(directions) or defaults(parameter))[: None if effort.whole else 1]
    tangents = {name: direction(scene, parameter, name, seed) for name in names}
    tell = progress or (lambda text, fraction: None)
    with resized_film(camera, fitting_size(camera, effort.resolution)):
        job = _Job(
            scene, parameter, options, tracer, integrator_of(scene, primal_options), camera, effort, len(names), step,
            seed, other and effort.whole, reverse and effort.whole,
        )  # fmt: skip
        along = []
        for number, name in enumerate(names):
            report = lambda text, fraction, n=number, name=name: tell(f"{name}: {text}", (n + fraction) / len(names))  # noqa: E731
            along.append(job.along(name, tangents[name], report))
        size = camera.film().crop_size()
    return Verification(
        scene.source if isinstance(scene, Scene) else "a mitsuba.Scene", parameter.name, options, primal_options,
        (int(size[0]), int(size[1])), effort.tolerance, effort.budget, time.perf_counter() - begin, seed, along,
    )  # fmt: skip


class _Job:
    """What all directions share."""

    def __init__(
        self, scene: Any, parameter: Parameter, options: dict[str, Any], tracer: Any, primal: Any, camera: Any, effort: Effort,
        share: int, step: float | None, seed: int, other: bool, reverse: bool,
    ) -> None:  # fmt: skip
        self.scene, self.parameter, self.options, self.tracer, self.primal = scene, parameter, options, tracer, primal
        self.camera, self.effort, self.step, self.seed = camera, effort, step, seed
        self.budget, self.tolerance = effort.budget / share, effort.tolerance
        self.other, self.reverse = other, reverse
        size = camera.film().crop_size()
        self.pixels = int(size[0]) * int(size[1])
        self.spp: dict[str, int] = {}

    def along(self, name: str, tangent: Array, tell: Told) -> Along:
        """One direction."""
        seed = hashed(self.seed, "verify", self.parameter.name, name)
        tangent, side = feasible(np.asarray(read(self.scene, self.parameter)), tangent, self.parameter.bounds)
        differences = Differences(
            self.scene, self.parameter, tangent, sensor=self.camera, integrator=self.primal, side=side
        )
        source = Derivative(self.scene, self.parameter, tangent, sensor=self.camera, integrator=self.tracer)
        tell("compiling", 0.02)
        spp = self._samples("ours", lambda n: source.images(hashed(seed, "warm"), n), self.budget / REPLICAS)
        tell("finite differences at several steps", 0.1)
        longest = self.step or longest_step(self.scene, self.parameter, tangent, side)
        fd_spp = self._samples(
            "reference", lambda n: differences.image(longest, hashed(seed, "warm"), n), self.budget / REPLICAS / 2
        )
        pilot = Pilot(differences, longest, fd_spp, seed, self.effort.pilot, self.effort.steps)
        look = Functionals.fitted(pilot.images[:, 1])
        steps, chosen = pilot.choose(look, self.tolerance)

        ours = recorded("ours", lambda number: source.images(number, spp), look)
        plateau, found = chosen is not None, None
        first = 0 if chosen is None else chosen
        begin = time.perf_counter()
        for k in range(
            first, self.effort.steps - 1
        ):  # shorter steps where the measurement shows that truncation matters
            pair = (pilot.steps[k], pilot.steps[k + 1])
            reference = recorded(
                f"reference {k}",
                lambda number, pair=pair: {str(h): differences.image(h, number, fd_spp) for h in pair},
                look,
                value=lambda rows: (4 * rows[1] - rows[0]) / 3,
            )
            left = max(self.budget - (time.perf_counter() - begin), 0.1)
            found = sequence(
                ours.stream, reference.stream, lambda rows: rows[1] - rows[0], look.apart, tolerance=self.tolerance,
                budget=left, seed=seed, told=lambda fraction, state: tell(_state(state), 0.2 + 0.7 * fraction),
            )  # fmt: skip
            if not (found.verdict == UNDECIDED and found.reason == "truncation"):
                break
        assert found is not None
        plateau = plateau and found.reason != "truncation"
        for k, row in enumerate(steps):
            row.used = pilot.steps[k] in pair
        result = self._result(name, found, look, ours, reference, source, steps, plateau, pair, spp, fd_spp, seed, tell)
        result.side = side
        if side:
            result.text = f"{result.text}; the differences are one-sided, because values lie at an end of their range"
        return result

    def _samples(self, side: str, draw: Callable[[int], Any], seconds: float) -> int:
        """Samples per pixel for which `draw` takes about `seconds`; the first call compiles and does not count."""
        if side not in self.spp:
            spp = self.effort.spp
            draw(spp)
            while True:  # powers of four: what every sampler of Mitsuba takes as it is
                start = time.perf_counter()
                draw(spp)
                spent = time.perf_counter() - start
                if 4 * spent > seconds or 4 * spp * self.pixels > LANES:
                    break
                spp = spp * 4
            self.spp[side] = spp
        return self.spp[side]

    def _result(
        self, name: str, found: Decision, look: Functionals, ours: Recorded, reference: Recorded, source: Derivative,
        steps: list[Step], plateau: bool, pair: tuple[float, float], spp: int, fd_spp: int, seed: int, tell: Told,
    ) -> Along:  # fmt: skip
        mine, right = ours.stream.values, reference.stream.values
        shares = diagnosis.noise(found, ours.stream, reference.stream, source.terms)
        text = diagnosis.words(found, self.tolerance, self.effort.budget, pair, shares)
        verdict = found.verdict
        own = source.terms != ("total",) and _plain(self.options)
        parts = {term: np.array([row[i] for row in ours.stream.samples]) for i, term in enumerate(source.terms)}
        terms_of, seconds = "the integrator", ours.stream.second
        pictures = {"ours": ours.mean(), "reference": extrapolated(reference)}
        if len(source.terms) > 1:
            pictures |= ours.means()
        if verdict == WRONG and not own:
            tell("terms of pathspace, to name what is missing", 0.92)
            found_terms = self._dictionary(source, look, spp, seed)
            if found_terms is not None:
                parts, seconds, terms_of = *found_terms, "pathspace"
        if verdict == WRONG and found.reason != "zero":
            means = {term: rows.mean(0) for term, rows in parts.items() if term != "total"}
            why = diagnosis.cause(found, mine.mean(0), right.mean(0), means, own)
            text += f"; {why}" if why else ""
        gap, transposed = None, None
        if self.reverse:
            tell("reverse mode", 0.94)
            gap, transposed = self._transposed(source, seed)
            if transposed is False and own:
                verdict, text = (
                    WRONG,
                    f"wrong: forward and reverse mode differ by {100 * (gap or 0.0):.2g} % on the same samples. {text}",
                )
        tell("the other estimator of the boundary", 0.97)
        against = self._against_other(source, look, mine, right, found, spp, seed)
        delta = found.difference
        blocks = np.abs(delta.mean[GLOBALS:])
        worst = int(np.argmax(blocks / np.maximum(delta.error[GLOBALS:], 1e-9 * max(found.scale, 1e-30))))
        row, column = np.unravel_index(worst, look.signs.shape)
        scale = found.scale or 1.0
        pictures["difference"] = pictures["ours"] - pictures["reference"]
        tables = {"ours": mine.mean(0), "reference": right.mean(0), "error": delta.error, "slack": found.slack}
        return Along(
            name, verdict, text, found.bias, found.bias_error, found.scale,
            Estimate.of("ours", mine[:, 0], ours.stream.second, spp),
            Estimate.of("reference", right[:, 0], reference.stream.second, fd_spp),
            [Estimate.of(term, rows[:, 0], seconds, spp) for term, rows in parts.items()] if "total" not in parts else [],
            terms_of, steps, plateau, (float(mine[:, 1].mean()), float(right[:, 1].mean()), float(delta.error[1])),
            (int(row), int(column), float(delta.mean[GLOBALS + worst]) / scale, float(delta.error[GLOBALS + worst]) / scale),
            float(found.p_blocks.min()), found.p_chi, found.heavy, found.needed, float(found.slack[0]) / scale, gap, transposed,
            against, pictures, {key: value[GLOBALS:].reshape(look.signs.shape) for key, value in tables.items()},
        )  # fmt: skip

    def _dictionary(
        self, source: Derivative, look: Functionals, spp: int, seed: int
    ) -> tuple[dict[str, Array], float] | None:
        """Replicas of the terms as plain `pathspace` has them, and their seconds; None where it refuses the scene."""
        plain = {
            "type": "pathspace",
            **{k: v for k, v in self.options.items() if k in ("max_depth", "rr_depth", "hide_emitters")},
        }
        try:
            other = Derivative(
                self.scene,
                self.parameter,
                source.tangent,
                sensor=self.camera,
                integrator=integrator_of(self.scene, plain),
            )
            record = recorded("terms", lambda number: other.images(number, spp), look)
            for _ in range(LEAST):
                record.stream.grow(seed)
        except PbdrError:
            return None
        rows = np.array(record.stream.samples)
        return {term: rows[:, i] for i, term in enumerate(other.terms)}, record.stream.second

    def _transposed(self, source: Derivative, seed: int) -> tuple[float | None, bool | None]:
        """⟨a, J t⟩ against ⟨Jᵀ a, t⟩ on one seed, relative to Σ |a · J t|.

        Only without `adjoint_sampling` are the samples of `pathspace` the same in both modes: forward mode knows no adjoint.
        """
        number, spp = hashed(seed, "transposed"), FIRST_SPP
        if getattr(self.tracer, "is_pathspace", False):
            alike = integrator_of(self.scene, {**self.options, "adjoint_sampling": False})
            source = Derivative(self.scene, self.parameter, source.tangent, sensor=self.camera, integrator=alike)
        image = np.sum(list(source.images(number, spp).values()), axis=0)
        adjoint = np.random.default_rng(number).standard_normal(image.shape).astype(np.float32)
        size = float(np.sum(np.abs(adjoint * image)))
        try:
            gap = abs(float(np.sum(adjoint * image)) - source.reverse(adjoint, number, spp))
        except PbdrError:
            return None, None
        gap = gap / size if size > 0 else float(gap > 0)
        return gap, gap <= TRANSPOSED

    def _against_other(
        self, source: Derivative, look: Functionals, mine: Array, right: Array, found: Decision, spp: int, seed: int
    ) -> dict[str, Any]:
        """The same total by the other estimator of the boundary, warp for edge and edge for warp.

        Welch's differences from the one under test and from the reference.
        """
        boundary = {"edge": "warp", "warp": "edge"}.get(self.options.get("boundary", "edge"))
        if not self.other:
            return {"status": "not tried", "reason": "switched off"}
        moves = not is_radiometric(self.parameter.raw, self.parameter.role)
        if boundary is None or not moves or not getattr(self.tracer, "is_pathspace", False):
            return {
                "status": "not tried",
                "reason": "only for boundaries of pathspace, and parameters that move something",
            }
        keep = {k: v for k, v in self.options.items() if not k.startswith(("n_", "warp_"))}
        try:
            tracer = integrator_of(self.scene, {**keep, "boundary": boundary})
            other = Derivative(self.scene, self.parameter, source.tangent, sensor=self.camera, integrator=tracer)
            other.images(hashed(seed, boundary, "warm"), FIRST_SPP)
            record = recorded(boundary, lambda number: other.images(number, spp), look)
            begin = time.perf_counter()
            while len(record.stream.samples) < LEAST or (
                time.perf_counter() - begin < 0.25 * self.budget and len(record.stream.samples) < len(mine)
            ):
                record.stream.grow(seed)
        except PbdrError as error:
            return {"status": "refused", "boundary": boundary, "reason": str(error)}
        values, scale = record.stream.values, found.scale or 1.0
        between, exact = statistics.welch(values[:, 0], mine[:, 0]), statistics.welch(values[:, 0], right[:, 0])
        return {
            "status": "compared",
            "boundary": boundary,
            "estimate": vars(Estimate.of(boundary, values[:, 0], record.stream.second, spp)),
            "against_ours": (float(between.mean) / scale, float(between.error) / scale, float(between.p_values())),
            "against_reference": (float(exact.mean) / scale, float(exact.error) / scale, float(exact.p_values())),
        }


def _state(found: Decision | None) -> str:
    return (
        "measuring" if found is None else f"difference {diagnosis.percent(found.bias)} ± {100 * found.bias_error:.2g} %"
    )


def _plain(options: Mapping[str, Any]) -> bool:
    return (
        set(options) <= {"type", "max_depth", "rr_depth", "hide_emitters", "boundary"}
        and options.get("boundary") != "none"
    )


__all__ = ["verify"]
