"""Running a job: load, fit, save, evaluate; and going on where an earlier process stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import inverse
from ..errors import DivergedError, PbdrError, WorkerError, counted, meant
from ..inverse import Problem, State, exposure
from ..inverse.workers import ALONE, Workers
from ..scene import Scene
from . import (
    bars,
    checkpoint,
    code,
    evaluate,
    inputs,
    live,
    metrics,
    remarks,
    results,
    statement,
    storage,
    tensorboard,
    toml,
    views,
    warm,
    workers,
)
from .config import Job
from .estimate import render_view, stored_job
from .events import Events, Silent, record
from .preflight import Prepared
from .rundir import RunDirectory
from .signals import Interruption
from .watch import Watch

SCORED_TRAINING = 16  # training views that are scored, at most; every held-out view is
INTERRUPTED = 130


@dataclass(frozen=True)
class Outcome:
    """Where a run is and how it ended; ``exit_code`` is 0, 5 (goal not met) or 130 (interrupted)."""

    run: RunDirectory
    exit_code: int
    step: int
    metrics: Mapping[str, Any]


def create(job: Job, text: str) -> RunDirectory:
    """Make the run directory of a job and put the job into it: as given (``text``) and as understood."""
    run = RunDirectory.create(job.output.dir, job.name)
    storage.write_text(run.path / "job.input.toml", text)
    storage.write_text(run.path / "job.toml", toml.dumps(job.model_dump(mode="python")), durable=True)
    storage.write_json(run.path / "env.json", {**inputs.environment(), "inputs": inputs.digests(job)})
    return run


def run(
    directory: RunDirectory,
    events: Events | None = None,
    prepared: Prepared | None = None,
    allow_code: bool = False,
    several: Workers = ALONE,
) -> Outcome:
    """Run the job of a run directory from its newest checkpoint, or from the start when it has none.

    ``prepared`` (from `preflight.check`) saves loading scene and images again; ``allow_code``: whether functions that the job names
    may be executed. ``several``: the processes that work on it, of which this is the first; the others call `workers.follow`.

    Raises PbdrError after noting it in status.json. A finished run is not touched.
    """
    job = stored_job(directory)
    watch = tensorboard.beside(job, directory, events or Silent())
    with directory.locked():
        storage.sweep(directory.path)
        status = directory.read_status()
        if status.get("state") == "finished":
            watch.message(f"{directory.path} is finished already")
            workers.invite(several, None)
            found = storage.read_json(directory.path / "eval" / "metrics.json")
            return Outcome(directory, int(status.get("exit_code", 0)), int(status.get("step", 0)), found)
        with Interruption() as interruption:
            worker = _Worker(job, directory, watch, interruption, allow_code, several)
            try:
                return worker.work(prepared)
            except KeyboardInterrupt:
                worker.say("interrupted")
                worker.note("interrupted", message=worker.resume_hint())
                return Outcome(directory, INTERRUPTED, worker.step, {})
            except Exception as raised:
                error = meant(raised)
                told, code = (str(error), error.exit_code) if isinstance(error, PbdrError) else (repr(error), 1)
                directory.log(f"error: {told}")
                worker.note("diverged" if isinstance(error, DivergedError) else "failed", message=told, exit_code=code)
                raise error  # noqa: B904 — it is the one that was raised, or what that was made of


class _Worker:
    """One process's work on a run. ``state`` is the newest complete state."""

    def __init__(
        self, job: Job, run: RunDirectory, events: Events, interruption: Interruption, allow_code: bool, several: Workers
    ) -> None:
        self.job = job
        self.several = several
        self.allow_code = allow_code
        self.run = run
        self.events = events
        self.interruption = interruption
        self.state: State | None = None
        self.steps_back = 0
        self.watch: Watch | None = None

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step if self.state is not None else max(checkpoint.steps(self.run.checkpoints), default=0)

    def say(self, text: str) -> None:
        """To the log and to whoever watches."""
        self.run.log(text)
        self.events.message(text)

    def note(self, state: str, **details: Any) -> None:
        """Write the status; a disk that is full now must not hide the error that is being reported."""
        with contextlib.suppress(PbdrError):
            self.run.write_status(state, step=self.step, steps=self.job.optim.steps, **details)

    def resume_hint(self) -> str:
        """How to go on."""
        flag = f" {code.FLAG}" if self.allow_code else ""
        return f"Interrupted at step {self.step} of {self.job.optim.steps}. Continue with: pbdr resume {self.run.path}{flag}"

    def work(self, prepared: Prepared | None) -> Outcome:
        """Everything from loading to evaluation."""
        self.run.write_status("running", step=self.step, steps=self.job.optim.steps)
        self.say(f"run directory {self.run.path}")
        for text in inputs.changed(self.job, self.run.path / "env.json"):
            self.say(text)
        scene = prepared.scene if prepared is not None else statement.load(self.job)
        for note in scene.notes:
            self.run.log(note)
        data = self._views(scene, prepared)
        workers.invite(self.several, self.run)
        self.say(f"{counted(len(data.training), 'training view')}, {len(data.held_out)} held out")
        problem = (prepared and prepared.problem) or statement.problem(self.job, scene, data, self.allow_code)
        for text in problem.notes:
            self.say(text)
        problem = problem.shared(self.several)
        first = inverse.init(problem)
        self.state = self._restore(first)
        shown = evaluate.shown(data)
        scores = self._initial(problem, first, data, shown)
        if self.state is first and self.job.warm_start is not None:
            self.state = warm.started(self.job, problem, first, self.say)
            self._save()
        reason = self._fit(problem, self.state, shown)
        if reason == "interrupted":
            self.say(self.resume_hint())
            self.note("interrupted", message=self.resume_hint())
            return Outcome(self.run, INTERRUPTED, self.step, {})
        return self._finish(problem, first, data, shown, scores, reason)

    def _views(self, scene: Scene, prepared: Prepared | None) -> views.Dataset:
        for line in prepared.told if prepared is not None else ():
            self.say(line)
        if prepared is None or prepared.data is None:
            return views.load(self.job, scene, self.run, self.say)
        views.note(self.run, prepared.data)
        return prepared.data

    # --- before ----------------------------------------------------------------------------------------------------

    def _restore(self, first: State) -> State:
        saved = checkpoint.load(self.run.checkpoints)
        if saved is None:
            self.run.truncate_metrics(0)
            return first
        self.run.truncate_metrics(saved.step)
        self.say(f"continuing after step {saved.step}")
        self.steps_back = int(saved.meta.get("steps_back", 0))
        return State.from_arrays(saved.arrays, saved.meta)

    def _initial(
        self, problem: Problem, first: State, data: views.Dataset, shown: list[inverse.View]
    ) -> dict[str, float]:
        """PSNR of the scored views at the start, and their images; done once per run."""
        path = self.run.path / "eval" / "initial.json"
        known = storage.read_json(path)
        if known:
            return {name: float("nan") if value is None else float(value) for name, value in known["psnr"].items()}
        scores = {name: found["psnr"] for name, found in self._score(problem, first, data, shown, "init").items()}
        storage.write_json(path, {"psnr": scores})
        return scores

    def _write_target(self, view: inverse.View, linear: bool) -> None:
        if not (self.run.images("target") / f"{view.name}.png").is_file():
            results.write_view(self.run.images("target"), view.name, np.asarray(view.target), linear=linear)

    def _score(
        self, problem: Problem, state: State, data: views.Dataset, shown: list[inverse.View], kind: str
    ) -> dict[str, dict[str, float]]:
        """PSNR, and at the end other measures, by view; writes images/<kind>, of the shown views with linear values."""
        names = {view.name for view in shown}
        found = {}
        for view in evaluate.scored(data, SCORED_TRAINING, shown):
            image, target = self._render(problem, state, view), np.asarray(view.target)
            mask = None if view.mask is None else np.asarray(view.mask)
            if kind == "init":
                self._write_target(view, view.name in names)
            results.write_view(self.run.images(kind), view.name, image, target, linear=view.name in names)
            found[view.name] = {"psnr": metrics.psnr(image, target, mask)}
            if kind == "final":
                found[view.name] |= metrics.measures(image, target, mask)
        return found

    def _render(self, problem: Problem, state: State, view: inverse.View) -> Any:
        """The image of a view at the exposure of the state."""
        return render_view(self.job, problem.integrator, problem.at(state), state.latents, view)

    # --- the loop --------------------------------------------------------------------------------------------------

    def _fit(self, problem: Problem, state: State, shown: list[inverse.View]) -> str:
        """Fit until the end or a signal, saving on the way; why it stopped."""
        self.interruption.patient = True
        self.events.started(state.step, self.job.optim.steps)
        try:
            audits = self.job.guard.audit and not self.job.own
            self.watch = Watch(problem, audits, self.say, self.steps_back)
            workers.send(self.several, state, self.steps_back)
            result = self.watch.fit(self._after_step(problem, shown), state, lambda: self._last_good(problem))
        except WorkerError as error:
            self.say(str(error))
            self.interruption.requested = True
            self._save()
            return "interrupted"
        finally:
            self.events.ended()
            self.interruption.patient = False
        self.state = result.state
        self._save()
        workers.leave(self.several)
        return "interrupted" if self.interruption.requested else result.reason

    def _last_good(self, problem: Problem) -> State:
        """The newest checkpoint, or the start; what was noted after it is forgotten."""
        saved = checkpoint.load(self.run.checkpoints)
        self.state = inverse.init(problem) if saved is None else State.from_arrays(saved.arrays, saved.meta)
        self.run.truncate_metrics(self.state.step)
        return workers.send(self.several, self.state)

    def _after_step(self, problem: Problem, shown: list[inverse.View]) -> Callable[[State, inverse.Info], bool]:
        attention = live.Attention(self.run, self._shown, self._told, lambda: self.interruption.requested)

        def after_step(state: State, info: inverse.Info) -> bool:
            self.state = state
            line = record(problem, state, info)
            self.run.append_metrics(line)
            self.events.stepped(line)
            for note in info.notes:
                self.run.log(f"step {state.step}: {note}")
            if info.skipped:
                self.say(f"step {state.step} was skipped: {info.reason}")
            if state.step % self.job.output.checkpoint_every == 0:
                self._save()
            if state.step % self.job.output.image_every == 0 and state.step < self.job.optim.steps:
                self._snapshot(problem, state, shown)
            attention.after(state.step)
            return self.interruption.requested

        return after_step

    def _snapshot(self, problem: Problem, state: State, shown: list[inverse.View]) -> None:
        """Images of the shown views after a step, and their PSNR."""
        folder, scores = self.run.images(f"step-{state.step:06d}"), {}
        for view in shown:
            image, target = self._render(problem, state, view), np.asarray(view.target)
            results.write_view(folder, view.name, image, target)
            scores[view.name] = metrics.psnr(image, target, None if view.mask is None else np.asarray(view.mask))
        storage.write_json(folder / "scores.json", {"step": state.step, "psnr": scores})

    def _shown(self) -> tuple[int, Mapping[str, Any], Mapping[str, Any]]:
        assert self.state is not None
        return self.state.step, *self.state.to_arrays()

    def _told(self, paused: bool) -> None:
        self.say(f"paused after step {self.step}" if paused else "going on")
        self.note("running", paused=paused)

    def _save(self) -> None:
        if self.state is None:
            return
        self.run.sync_metrics()
        arrays, meta = self.state.to_arrays()
        meta["steps_back"] = self.steps_back if self.watch is None else self.watch.steps_back
        checkpoint.save(self.run.checkpoints, self.state.step, arrays, meta, self.job.output.keep_checkpoints)
        self.run.write_status("running", step=self.step, steps=self.job.optim.steps)

    # --- after -----------------------------------------------------------------------------------------------------

    def _finish(
        self, problem: Problem, first: State, data: views.Dataset, shown: list[inverse.View],
        initial: dict[str, float], reason: str,
    ) -> Outcome:  # fmt: skip
        assert self.state is not None
        self.say("evaluating")
        final = self._score(problem, self.state, data, shown, "final")
        held_out = {view.name for view in data.held_out}
        scores = [
            evaluate.Score(
                name,
                "held-out" if name in held_out else "training",
                data.sources.get(name, ""),
                initial.get(name, float("nan")),
                measured.pop("psnr"),
                measured,
            )
            for name, measured in final.items()
        ]
        losses = [float(r["loss"]) for r in self.run.read_metrics() if r.get("loss") is not None]
        details = {
            "steps": self.state.step,
            "seconds": self.state.seconds,
            "skipped": self.state.skipped,
            "stop": remarks.stopped(self.job, self.state, reason),
            "loss_change": evaluate.loss_change(losses),
        }
        if self.job.exposure is not None:
            details["exposures"] = exposure.factors(self.state.latents)
        details["notes"] = list(problem.bound.scene.notes)
        if self.watch is not None:
            details["guard"] = self.watch.summary()
        if self.job.output.error_bars and not self.job.own:
            details["identification"] = bars.find(problem, self.state, self.run, self.job.optim.seed, self.say)
        bound = problem.at(self.state)
        before, after = problem.bound.numpy(first.latents), bound.numpy(self.state.latents)
        found = evaluate.write(self.job, self.run, data, bound, before, after, scores, details)
        verdict = found["verdict"]
        exit_code = 5 if verdict["met"] is False else 0
        self.say(f"{verdict['word']}. {verdict['text']}")
        self.run.write_status("finished", step=self.step, steps=self.job.optim.steps, exit_code=exit_code)
        return Outcome(self.run, exit_code, self.step, found)
