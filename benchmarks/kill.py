"""A job that is stopped in every way that a machine knows, and resumed each time.

Kinds of events: SIGKILL at a random moment; SIGKILL at a file operation of the run (checkpoints, metrics, images, report), or in
the middle of a write; a full disk (a small file system of its own, where this process may mount one); files that may not grow;
folders that turn read-only; a second process on the same run. Steps are
arithmetic and images noise; `kill_resume` kills a job that renders.

After each event every file is whole, a whole checkpoint is at most one interval behind the last step that was recorded, no saved
step is lost, and the process has said what is wrong in one line, with the right exit code. Runs that come to their end hold every
step once, with the losses of a run that was left alone, and no remains of writes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from . import kill_child, kill_files
from .harness import ROOT, Result, table

EVENTS = 200
STEPS, EVERY = 24, 4  # of the job; steps between checkpoints
TOLERANCE = 0.02  # relative difference of the losses: sums in another order, on several threads
TOGETHER = "two processes on one run"
#: Kind → share of the events, exit codes that are right, words of the message.
KINDS: dict[str, tuple[float, tuple[int, ...], str]] = {
    "SIGKILL at a random moment": (0.30, (-9,), ""),
    "SIGKILL at a file operation": (0.35, (-9,), ""),
    "killed in the middle of a write": (0.10, (-25,), ""),
    "disk full": (0.08, (3,), "disk is full"),
    "file-size limit": (0.05, (3,), "may not grow"),
    "read-only folder": (0.06, (2,), "cannot be written"),
    TOGETHER: (0.06, (3,), "another process"),
}
SCENE = """<scene version="3.0.0">
  <default name="albedo" value="0.5, 0.5, 0.5"/>
  <emitter type="constant" id="sky"/>
  <shape type="sphere" id="ball"><bsdf type="diffuse" id="mat"><rgb name="reflectance" value="$albedo"/></bsdf></shape>
  SENSORS
</scene>
"""
SENSOR = """<sensor type="perspective" id="camera-{i}"><float name="fov" value="40"/>
    <transform name="to_world"><lookat origin="{x}, {y}, 1" target="0, 0, 0" up="0, 0, 1"/></transform>
    <film type="hdrfilm"><integer name="width" value="12"/><integer name="height" value="12"/><rfilter type="box"/></film>
  </sensor>"""
JOB = f"""version = 1
name = "small"
[scene]
file = "scene.xml"
[data]
target = "truth.xml"
target_spp = 64
[render]
integrator = {{ type = "prb", max_depth = 3 }}
spp = 4
[optim]
steps = {STEPS}
views_per_step = 1
[vars.albedo]
match = "mat/base_color"
init = 0.5
lr = 0.05
[output]
image_every = 4
checkpoint_every = {EVERY}
eval_spp = 8
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--lanes", type=int, default=1, help="campaigns side by side")
    parser.add_argument("--minutes", type=float, default=60.0, help="no event begins later than this")


def prepare(folder: Path) -> Path:
    """The job; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    views = "\n  ".join(SENSOR.format(i=i, x=x, y=y) for i, (x, y) in enumerate([(4, 0), (0, 4)]))
    text = SCENE.replace("SENSORS", views)
    (folder / "scene.xml").write_text(text, encoding="utf-8")
    (folder / "truth.xml").write_text(text.replace("0.5, 0.5, 0.5", "0.8, 0.4, 0.2"), encoding="utf-8")
    (folder / "job.toml").write_text(JOB, encoding="utf-8")
    return folder / "job.toml"


def run(options: argparse.Namespace) -> Result:
    """All events, then what they left behind."""
    from pbdr import backend

    backend.activate()
    if options.lanes > 1:
        return _side_by_side(options)
    folder = (options.out / "kill").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    campaign = Campaign(prepare(folder), folder, np.random.default_rng(options.seed))
    events = campaign.events(options.events, options.minutes)
    wrong = [event for event in events if event["wrong"]]
    data = {
        "steps": STEPS, "checkpoint_every": EVERY, "own_disk": campaign.disk, "operations": campaign.operations,
        "runs_finished": campaign.finished, "wrong": len(wrong),
        "faults": campaign.faults, "stillborn": campaign.stillborn, "events": events,
    }  # fmt: skip
    return Result("kill", data, markdown(data), not wrong and not campaign.faults)


def _side_by_side(options: argparse.Namespace) -> Result:
    """Several campaigns, each in a process and a folder of its own; their events, one after the other."""
    lanes = []
    for k in range(options.lanes):
        words = {"events": -(-options.events // options.lanes), "minutes": options.minutes, "seed": options.seed + k}
        given = [word for name, value in words.items() for word in (f"--{name}", str(value))]
        out = options.out / "kill_lanes" / str(k)
        lanes.append(
            (out, subprocess.Popen([sys.executable, "-m", "benchmarks", "kill", *given, "--out", str(out)], cwd=ROOT))
        )
    found = []
    for out, process in lanes:
        if process.wait() not in (0, 5):
            raise RuntimeError(f"the campaign of {out} ended with exit code {process.returncode}")
        found.append(json.loads((out / "kill.json").read_text(encoding="utf-8")))
    data = {key: found[0][key] for key in ("steps", "checkpoint_every", "own_disk", "operations")}
    data |= {key: sum(one[key] for one in found) for key in ("runs_finished", "wrong", "stillborn")}
    data |= {key: [item for one in found for item in one[key]] for key in ("faults", "events")}
    return Result("kill", data, markdown(data), not data["wrong"] and not data["faults"])


class Campaign:
    """The runs of a job, one after the other, each stopped until it comes to its end."""

    def __init__(self, job: Path, folder: Path, random: np.random.Generator) -> None:
        self.job, self.folder, self.random = job, folder, random
        self.finished = 0
        self.stillborn = 0  # folders of processes that were killed before there was a job in them
        self.faults: list[str] = []
        self.disk = kill_files.mount(folder / "disk")
        alone = folder / "alone"
        begin = time.time()
        ended = kill_child.live(["fit", str(job), "--output.dir", str(alone)], folder / "alone.log", counted=alone)
        if ended.code not in (0, 5):
            raise RuntimeError(f"the job alone ended with exit code {ended.code}; see {folder / 'alone.log'}")
        self.seconds, self.operations = ended.seconds, ended.operations
        self.losses = kill_files.losses(kill_files.newest(alone))
        # Until the run is finished; the report comes after that, and takes longer than all steps together.
        self.working = (kill_files.newest(alone) / "status.json").stat().st_mtime - begin

    @property
    def runs(self) -> Path:
        """Where the runs are: on a disk of their own, if there is one."""
        return self.folder / "disk" / "runs"

    def events(self, count: int, minutes: float) -> list[dict[str, Any]]:
        """Events of all kinds in random order, until there are `count`; lives that end before their event are no events."""
        shares = np.array([share for share, _, _ in KINDS.values()])
        kinds = np.repeat(list(KINDS), np.maximum(np.round(shares * count).astype(int), 1)).tolist()
        self.random.shuffle(kinds)
        found: list[dict[str, Any]] = []
        misses, limit = 0, time.monotonic() + 60 * minutes
        while kinds and misses < 3 * count + 10 and time.monotonic() < limit:
            event = self.event(kinds[-1])
            if event is None:
                misses += 1
                continue
            found.append(event)
            kinds.pop()
            print(f"{len(found)} of {count}: {event}", file=sys.stderr, flush=True)
        while kill_files.newest(self.runs) is not None and self.life(kill_child.live) is not None:
            pass  # the last run comes to its end
        return found

    def life(self, start: Any) -> tuple[Any, dict[str, Any], dict[str, Any]] | None:
        """One process, from the newest run or a new one: (its end, the files before, the files after); None if it finished."""
        current = kill_files.newest(self.runs)
        words = ["resume", str(current)] if current else ["fit", str(self.job), "--output.dir", str(self.runs)]
        before = kill_files.state(self.runs)
        log = self.folder / "killed.log"
        log.write_bytes(b"")
        ended = start(words, log)
        after = kill_files.state(self.runs)
        if ended.code in (0, 5):
            self._check_finished(after)
            shutil.rmtree(self.runs)
            return None
        return ended, before, after

    def event(self, kind: str) -> dict[str, Any] | None:
        """One event; None if the process ended before."""
        done = kill_files.state(self.runs)["saved"] / STEPS
        left = 1 - done
        whole = self.seconds if self.random.random() < 0.5 else self.working
        moment = float(self.random.uniform(0.05, 1.0) * whole * (0.4 + 0.6 * left))
        number = int(self.random.integers(1, max(int(self.operations * (0.2 + 0.8 * left)), 2)))
        size = int(10 ** self.random.uniform(2.3, 5.6))
        starts = {
            "SIGKILL at a random moment": lambda w, log: kill_child.live(w, log, kill_after=moment),
            "SIGKILL at a file operation": lambda w, log: kill_child.live(w, log, counted=self.runs, kill_at=number),
            "killed in the middle of a write": lambda w, log: kill_child.live(w, log, largest=size, deadly=True),
            "file-size limit": lambda w, log: kill_child.live(w, log, largest=size),
            "disk full": lambda w, log: self._full(w, log, size),
            "read-only folder": lambda w, log: self._read_only(w, log, number),
            TOGETHER: lambda w, log: self._two(w, log, number),
        }
        found = self.life(starts[kind])
        if found is None:
            return None
        ended, before, after = found
        wrong = list(after["broken"])
        _, codes, words = KINDS[kind]
        told = (self.folder / "killed.log").read_text(encoding="utf-8", errors="replace")
        if ended.code not in codes:
            wrong.append(f"exit code {ended.code}")
        if words and words not in told:
            wrong.append(f"does not say '{words}'")
        if "Traceback" in told:
            wrong.append("traceback")
        lost = after["recorded"] - after["saved"]
        if lost > EVERY:
            wrong.append(f"{lost} steps lost")
        if after["saved"] < before["saved"]:
            wrong.append(f"checkpoint {before['saved']} is gone")
        return {
            "kind": kind, "seconds": round(ended.seconds, 2), "at": ended.last, "exit_code": ended.code,
            "from_step": before["saved"], "recorded": after["recorded"], "saved": after["saved"], "lost": lost, "wrong": wrong,
        }  # fmt: skip

    def _full(self, words: list[str], log: Path, room: int) -> Any:
        """The disk has `room` bytes left."""
        if not self.disk:
            return kill_child.live(words, log, largest=room)
        self.runs.mkdir(parents=True, exist_ok=True)
        with kill_files.filled(self.folder / "disk", room):
            return kill_child.live(words, log)

    def _read_only(self, words: list[str], log: Path, number: int) -> Any:
        """The folders of the run turn read-only at a file operation."""
        self.runs.mkdir(parents=True, exist_ok=True)
        try:
            then = (number, lambda _: kill_files.allow(self.runs, False))
            return kill_child.live(words, log, counted=self.runs, powerless=True, then=then)
        finally:
            kill_files.allow(self.runs, True)

    def _two(self, words: list[str], log: Path, number: int) -> Any:
        """Another process tries the run that one is working on, which waits at a file operation and is killed afterwards."""
        other: list[Any] = []

        def second(worker: int) -> None:
            current = kill_files.newest(self.runs)
            if current is not None and (current / ".lock").exists():
                other.append(kill_child.live(["resume", str(current)], log))
            os.kill(worker, signal.SIGKILL)

        first = kill_child.live(words, self.folder / "first.log", counted=self.runs, then=(number, second))
        if not other or first.code in (0, 5) or other[0].code in (0, 5):
            # Too early, or too late: whoever came second may have found a finished run, or one that nobody worked on any more.
            return (
                first
                if first.code in (0, 5)
                else kill_child.Ended(0, 0.0, 0, "")
                if self._done()
                else self._again(words, log, number + 1)
            )
        return other[0]

    def _done(self) -> bool:
        current = kill_files.newest(self.runs)
        return current is not None and kill_files.status(current) == "finished"

    def _again(self, words: list[str], log: Path, number: int) -> Any:
        current = kill_files.newest(self.runs)
        return self._two(["resume", str(current)] if current else words, log, number)

    def _check_finished(self, after: dict[str, Any]) -> None:
        """A run that is done holds every step once, with the losses of the run that was left alone, and no remains of writes."""
        self.finished += 1
        current = kill_files.newest(self.runs)
        assert current is not None
        self.stillborn += sum(not (path / "job.toml").exists() for path in current.parent.iterdir())
        found = kill_files.losses(current)
        if list(found) != list(range(1, STEPS + 1)):
            self.faults.append(f"a finished run has the steps {list(found)}")
            return
        difference = max(abs(found[k] - self.losses[k]) / abs(self.losses[k]) for k in found)
        if difference > TOLERANCE:
            self.faults.append(f"losses of a resumed run differ by {difference:.2%}")
        remains = [name for name in after["remains"] if current.name in name]
        if after["broken"] or remains:
            self.faults.append(f"a finished run has broken files or remains: {after['broken']} {remains}")


def markdown(data: dict[str, Any]) -> str:
    """Kinds, then all events."""
    events = data["events"]
    kinds = Counter(event["kind"] for event in events)
    rows = []
    for kind, (_, codes, words) in KINDS.items():
        mine = [event for event in events if event["kind"] == kind]
        most = max((event["lost"] for event in mine), default=0)
        bad = sum(bool(event["wrong"]) for event in mine)
        rows.append([kind, kinds[kind], " or ".join(map(str, codes)), words or "nothing", most, bad])
    every = [
        [n + 1, e["kind"], f"{e['seconds']:.1f}", e["at"], e["exit_code"], e["from_step"], e["recorded"], e["saved"], e["lost"],
         "; ".join(e["wrong"]) or "nothing"]
        for n, e in enumerate(events)
    ]  # fmt: skip
    head = ["event", "number", "exit code", "says", "most steps lost", "wrong"]
    columns = [
        "",
        "event",
        "seconds",
        "last file operation",
        "exit code",
        "from step",
        "recorded",
        "checkpoint",
        "lost",
        "wrong",
    ]
    faults = "".join(f"; but {fault}" for fault in data["faults"])
    disk = "on a disk of its own" if data["own_disk"] else "with a file-size limit in place of a full disk"
    return (
        f"A job of {data['steps']} steps, a checkpoint every {data['checkpoint_every']}, {data['operations']} file operations, "
        f"{disk}. {len(events)} events, {data['wrong']} wrong; {data['runs_finished']} runs came to their end, each with "
        f"every step once and the losses of a run left alone{faults}. "
        f"{data['stillborn']} processes were killed before their folder held a job: nothing finds such a folder.\n\n"
        + table(head, rows)
        + "\n\n"
        + table(columns, every)
    )
