"""The end of a run: held-out images, parameters against the truth when there is one, goals, and the verdict."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inverse import View
from ..parameters import Parameter, Variables, list_parameters, read
from . import bars, coverage, metrics, remarks, results, storage, surfaces
from .config import Job
from .rundir import RunDirectory
from .views import Dataset

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Score:
    """Errors of one view: encoded PSNR at the start and at the end, in dB; other `measures` (SSIM, FLIP) at the end, by name."""

    view: str
    group: str
    source: str
    initial: float
    final: float
    measures: Mapping[str, float] = field(default_factory=dict)


def write(
    job: Job, run: RunDirectory, data: Dataset, variables: Variables, initial: Values, final: Values,
    scores: Sequence[Score], details: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write eval/: metrics.json, per_view.csv, parameters.json and the arrays; returns what metrics.json holds.

    ``initial`` and ``final`` are values by parameter name. ``details`` is kept as it is (steps, stop reason, losses).
    """
    parameters = _parameters(run, data, variables, initial, final)
    storage.write_json(run.path / "eval" / "parameters.json", {"parameters": parameters})
    _per_view(run, scores)
    goals = _goals(job, scores, parameters)
    result: dict[str, Any] = {
        "protocol": _protocol(job),
        "held_out": _group(scores, "held-out"),
        "training": _group(scores, "training"),
        "goals": goals,
        **details,
    }
    worse = remarks.worse({"training": result["training"], "held-out": result["held_out"]})
    unmoved = remarks.unmoved({name: spec.start for name, spec in job.vars.items()}, run.read_metrics())
    result["verdict"] = _verdict(goals, details, unmoved, worse)
    storage.write_json(run.path / "eval" / "metrics.json", result, durable=True)
    return result


def _protocol(job: Job) -> dict[str, Any]:
    tail = "" if job.exposure is None else f"; {metrics.EXPOSURE_PROTOCOL}"
    words = {"psnr": metrics.PSNR_PROTOCOL, "ssim": metrics.SSIM_PROTOCOL, "flip": metrics.FLIP_PROTOCOL}
    return {**{name: text + tail for name, text in words.items()}, "spp": job.output.eval_spp}


def _group(scores: Sequence[Score], group: str) -> dict[str, Any] | None:
    chosen = [score for score in scores if score.group == group]
    if not chosen:
        return None
    return {
        "views": len(chosen),
        "psnr": float(np.mean([score.final for score in chosen])),
        "psnr_init": float(np.mean([score.initial for score in chosen])),
        **{name: float(np.mean([score.measures[name] for score in chosen])) for name in chosen[0].measures},
    }


def _per_view(run: RunDirectory, scores: Sequence[Score]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = list(scores[0].measures) if scores else []
    table.writerow(["view", "set", "psnr_init", "psnr", "source", *names])
    for score in scores:
        numbers = [f"{score.measures[name]:.5f}" for name in names]
        table.writerow([score.view, score.group, f"{score.initial:.4f}", f"{score.final:.4f}", score.source, *numbers])
    storage.write_text(run.path / "eval" / "per_view.csv", text.getvalue())


def _parameters(
    run: RunDirectory, data: Dataset, variables: Variables, initial: Values, final: Values
) -> list[dict[str, Any]]:
    truths: dict[str, Parameter] = {}
    if data.target is not None:
        truths = {parameter.name: parameter for parameter in list_parameters(data.target)}
    entries = []
    for variable, parameter, bounds in variables.estimated:
        estimate = np.asarray(final[parameter.name])
        seen = coverage.seen(variables.scene, parameter, data.training)
        truth = None
        if data.target is not None and parameter.name in truths:
            truth = metrics.match_size(read(data.target, truths[parameter.name]), estimate.shape)
        weight = _weight(parameter, estimate, seen, min(2, len(data.training)))
        entry: dict[str, Any] = {
            "variable": variable,
            "name": parameter.name,
            "raw": parameter.raw,
            "kind": parameter.kind,
            "shape": list(estimate.shape),
            "bounds": list(bounds),
            "init": results.summary(initial[parameter.name], weight),
            "estimate": results.summary(estimate, weight),
            "seen": None if seen is None else float(np.mean(seen >= min(2, len(data.training)))),
        }
        if truth is not None:
            entry["target"] = results.summary(truth, weight)
            if np.shape(initial[parameter.name]) == truth.shape:  # a mesh may have got other faces
                entry["rmse_init"] = metrics.rmse(initial[parameter.name], truth, weight)
            entry["rmse"] = metrics.rmse(estimate, truth, weight)
            scale = metrics.best_scale(estimate, truth, weight)
            entry["best_scale"] = scale
            entry["rmse_aligned"] = metrics.rmse(scale * estimate, truth, weight)
        arrays = {"init": initial[parameter.name], "estimate": estimate, "target": truth}
        entry["images"] = results.write_parameter(run.path, parameter.name, arrays, seen, min(2, len(data.training)))
        entry |= surfaces.write(run.path, variables, parameter, initial[parameter.name], estimate, data.target)
        entries.append(entry)
    return entries


def _weight(
    parameter: Parameter, value: NDArray[Any], seen: NDArray[Any] | None, views: int
) -> NDArray[np.float64] | None:
    """Texels count when at least ``views`` views see them; environments by solid angle."""
    if seen is not None and (seen >= views).any():
        return (seen >= views).astype(np.float64)
    if parameter.kind == "environment":
        return metrics.environment_weight(*value.shape[:2])
    return None


def _goals(job: Job, scores: Sequence[Score], parameters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    goals = []
    if job.goal.psnr is not None:
        name = "held-out" if any(score.group == "held-out" for score in scores) else "training"
        group = _group(scores, name) or {"psnr": float("nan"), "psnr_init": float("nan")}
        goals.append(
            {
                "kind": "psnr",
                "label": f"{name} PSNR",
                "limit": job.goal.psnr,
                "value": group["psnr"],
                "initial": group["psnr_init"],
                "met": bool(group["psnr"] >= job.goal.psnr),
            }
        )
    for kind, limits, word in (("rmse", job.goal.rmse, "RMSE"), ("distance", job.goal.distance, "distance")):
        goals += [_error_goal(kind, word, variable, limit, parameters) for variable, limit in limits.items()]
    return goals


def _error_goal(
    kind: str, word: str, variable: str, limit: float, parameters: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A goal for the worst one of a variable's parameters that have the error `kind`."""
    own = [entry for entry in parameters if entry["variable"] == variable and kind in entry]
    value = max((float(entry[kind]) for entry in own), default=float("nan"))
    return {
        "kind": kind,
        "label": f"{word} of {variable}" + ("" if own else " (the target has no such parameter)"),
        "limit": limit,
        "value": value,
        "initial": max((float(entry.get(f"{kind}_init", "nan")) for entry in own), default=float("nan")),
        "met": bool(value <= limit),
    }


def _verdict(
    goals: Sequence[Mapping[str, Any]], details: Mapping[str, Any], unmoved: str = "", worse: str = ""
) -> dict[str, Any]:
    """In words, and as "met": True, False, or None without goals. `unmoved`, `worse`: sentences of `remarks`."""
    settled = details.get("loss_change")
    tail = ""
    if settled is not None:
        change = abs(100 * settled)
        tail = f" Over the last fifth of the steps the loss {'fell' if settled < 0 else 'rose'} by {change:.1f} %."
    doubt, remark = bars.remark(details.get("identification"))
    tail += remark + unmoved + worse
    doubt = doubt or ("ambiguous" if unmoved else "")
    if not goals:
        text = f"No goal was set. {details.get('stop', '')}{tail}"
        doubt = "worse than at the start" if worse else doubt
        level = "warn" if doubt else "none"
        return {"met": None, "level": level, "word": f"Finished, {doubt}" if doubt else "Finished", "text": text}
    missed = [goal for goal in goals if not goal["met"]]
    if missed:
        names = "; ".join(f"{g['label']} is {g['value']:.4g}, required {g['limit']:.4g}" for g in missed)
        return {"met": False, "level": "bad", "word": "Target not met", "text": f"{names}.{tail}"}
    count = "The goal is" if len(goals) == 1 else f"All {len(goals)} goals are"
    word = f"Goals met, {doubt}" if doubt else "Converged"
    return {"met": True, "level": "warn" if doubt else "good", "word": word, "text": f"{count} met.{tail}"}


def loss_change(losses: Sequence[float]) -> float | None:
    """Relative change of the mean loss from the last but one fifth of the steps to the last; None below 20 steps."""
    finite = [loss for loss in losses if np.isfinite(loss)]
    fifth = len(finite) // 5
    if fifth < 4:
        return None
    before, after = float(np.mean(finite[-2 * fifth : -fifth])), float(np.mean(finite[-fifth:]))
    return (after - before) / abs(before) if before != 0 else None


def shown(data: Dataset, count: int = 4) -> list[View]:
    """The views whose images are kept: half held out, half training, spread over each."""
    held = _spread(data.held_out, min(len(data.held_out), count // 2))
    return sorted(held + _spread(data.training, count - len(held)), key=lambda view: view.name)


def _spread(views: list[View], count: int) -> list[View]:
    if count >= len(views):
        return list(views)
    return [views[round(i * (len(views) - 1) / max(1, count - 1))] for i in range(count)]


def scored(data: Dataset, training: int, always: Sequence[View]) -> list[View]:
    """Every held-out view, ``training`` training views spread over all, and the views in ``always``."""
    chosen = {view.name: view for view in [*data.held_out, *_spread(data.training, training), *always]}
    return [chosen[name] for name in sorted(chosen)]
