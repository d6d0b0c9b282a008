"""A job that is killed with SIGKILL at random moments and resumed each time, against the same job left alone.

Every life of the process ends at a moment drawn at random; the last one runs to the end. After each kill the run
directory must hold a whole checkpoint at most one interval behind the last step that was recorded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .harness import ROOT, Result, table

KILLS = 10
TOLERANCE = 0.01  # relative difference of the final loss
TAIL = 10  # steps that the final loss is the mean of
EVERY = 10  # steps between checkpoints


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument(
        "--job", choices=("demo", "spot"), default="demo", help="which job is killed; spot at small size"
    )
    parser.add_argument("--kills", type=int, default=KILLS)


def run(options: argparse.Namespace) -> Result:
    """Run the job alone, then with kills, and compare."""
    folder = options.out / "kill_resume"
    shutil.rmtree(folder, ignore_errors=True)
    job = _prepare(folder, options.job)
    start = time.perf_counter()
    _wait(_start(["fit", str(job), *_settings(folder / "alone")], folder / "alone.log"))
    alone, seconds = _newest(folder / "alone"), time.perf_counter() - start
    lives = _lives(job, folder, seconds, options)
    killed = _newest(folder / "killed")
    difference = _difference(alone, killed)
    lost = [life["lost"] for life in lives if life["killed"]]
    checks = {
        "every resume worked": lives[-1]["exit_code"] in (0, 5) and _steps(killed) == _steps(alone),
        f"at most {EVERY} steps lost": max(lost) <= EVERY,
        f"final loss within {TOLERANCE:.0%}": abs(difference["relative"]) <= TOLERANCE,
    }
    data = {
        "job": options.job, "steps": len(_steps(alone)), "checkpoint_every": EVERY, "seconds_alone": seconds,
        "lives": lives, "loss": difference, "checks": checks,
    }  # fmt: skip
    return Result("kill_resume", data, _markdown(data), all(checks.values()))


def _prepare(folder: Path, which: str) -> Path:
    if which == "demo":
        from pbdr import demo

        return demo.write(folder)
    from . import spot_scene

    small = spot_scene.Setting(size=64, target_spp=64, depth=3, texels=64, sky_rows=16, steps=100)
    return spot_scene.prepare(folder, small, psnr=20.0)


def _settings(runs: Path) -> list[str]:
    return ["--output.dir", str(runs), "--output.checkpoint_every", str(EVERY), "--output.eval_spp", "4"]


def _start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with open(log, "ab") as file:
        return subprocess.Popen([sys.executable, "-m", "pbdr.cli", *words], cwd=ROOT, stdout=file, stderr=file)


def _wait(process: subprocess.Popen[bytes]) -> None:
    code = process.wait()
    if code not in (0, 5):
        raise RuntimeError(f"the uninterrupted job ended with exit code {code}")


def _lives(job: Path, folder: Path, seconds: float, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Start, kill after a random time, look at what is left; at the end let it finish."""
    random = np.random.default_rng(options.seed)
    lives: list[dict[str, Any]] = []
    runs, log = folder / "killed", folder / "killed.log"
    while True:
        found = sorted(runs.glob("*/*/job.toml"))
        words = ["resume", str(found[-1].parent)] if found else ["fit", str(job), *_settings(runs)]
        before = _checkpoint(runs)
        process = _start(words, log)
        last = sum(life["killed"] for life in lives) == options.kills
        patience = None if last else random.uniform(0.05, 0.3) * seconds
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        recorded, saved = max(_steps(_newest(runs)), default=0), _checkpoint(runs)
        life = {
            "after_seconds": patience, "killed": code == -signal.SIGKILL, "exit_code": code, "from_step": before,
            "recorded_step": recorded, "checkpoint": saved, "lost": recorded - saved,
        }  # fmt: skip
        lives.append(life)
        if last:
            return lives
        if code in (0, 5):  # it was done before its time was up: the remaining kills hit a new run
            shutil.rmtree(runs)
        elif code != -signal.SIGKILL:
            raise RuntimeError(f"life {len(lives)} ended with exit code {code}; see {log}")


def _newest(runs: Path) -> Path | None:
    found = sorted(path.parent for path in runs.glob("*/*/job.toml"))
    return found[-1] if found else None


def _records(run: Path | None) -> list[dict[str, Any]]:
    """Whole lines of metrics.jsonl; a kill may leave half of one."""
    records = []
    if run is not None and (run / "metrics.jsonl").is_file():
        for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def _steps(run: Path | None) -> list[int]:
    return [record["step"] for record in _records(run)]


def _checkpoint(runs: Path) -> int:
    """Step of the newest whole checkpoint, read as a resume would; 0 when there is none."""
    from pbdr.job import checkpoint

    run = _newest(runs)
    saved = None if run is None else checkpoint.load(run / "checkpoints")
    return 0 if saved is None else saved.step


def _difference(alone: Path | None, killed: Path | None) -> dict[str, float]:
    first, second = (np.array([record["loss"] for record in _records(run)]) for run in (alone, killed))
    end, other = float(first[-TAIL:].mean()), float(second[-TAIL:].mean())
    count = min(len(first), len(second))
    worst = float(np.max(np.abs(first[:count] - second[:count]) / first[:count]))
    return {"alone": end, "killed": other, "relative": other / end - 1, "largest_of_any_step": worst}


def _markdown(data: dict[str, Any]) -> str:
    rows = [
        [
            number + 1,
            "to the end" if life["after_seconds"] is None else f"{life['after_seconds']:.1f}",
            life["from_step"],
            life["recorded_step"],
            life["checkpoint"],
            life["lost"] if life["killed"] else "finished",
        ]
        for number, life in enumerate(data["lives"])
    ]
    checks = "; ".join(f"{name}: {'yes' if met else '**no**'}" for name, met in data["checks"].items())
    loss = data["loss"]
    return (
        f"Job '{data['job']}', {data['steps']} steps, a checkpoint every {data['checkpoint_every']}; alone it took "
        f"{data['seconds_alone']:.0f} s. {checks}. "
        f"Loss over the last {TAIL} steps: {loss['alone']:.6g} alone, {loss['killed']:.6g} "
        f"with kills ({loss['relative']:+.2%}; largest difference of any step {loss['largest_of_any_step']:.2%}).\n\n"
        + table(["life", "seconds until SIGKILL", "resumed at", "last step recorded", "checkpoint", "steps lost"], rows)
    )
