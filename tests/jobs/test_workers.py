"""Several processes on one run: the same step as one process, in expectation; a lost one ends the run, which can go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest
from scipy import stats

from pbdr import inverse
from pbdr.inverse.fit import gradients
from pbdr.inverse.workers import ALONE, Workers, _split
from pbdr.job import preflight, storage
from pbdr.job.config import load_job
from validation.tiny_job import write_job

pytest.importorskip("torch")
LIMIT = 30  # seconds in which a run ends that has lost a process


class Part(Workers):
    """One of several processes whose sums stay its own: what it adds can be seen."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def gradient(problem: inverse.Problem, workers: Workers, views: list[int], step: int = 0) -> np.ndarray:
    """Gradient with respect to the latents at the start, as this process contributes it."""
    import drjit as dr

    problem = problem.shared(workers)
    state = inverse.init(problem)
    leaves = {key: mi.TensorXf(value) for key, value in state.latents.items()}
    dr.enable_grad(*leaves.values())
    found = gradients(problem, problem.bound, leaves, list(leaves), views, 1.0, step)[2]
    return np.concatenate([np.array(x).ravel() for x in found.values()])


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    from pbdr.job import statement, views
    from pbdr.job.runner import create

    path = write_job(tmp_path_factory.mktemp("job"), {'holdout = "every:4"\n': ""})
    job, text = load_job(path, {"output.dir": str(path.parent / "runs")})
    prepared = preflight.check(job)
    data = views.load(job, prepared.scene, create(job, text), lambda line: None)
    return statement.problem(job, prepared.scene, data)


@pytest.mark.parametrize(("views", "size"), [(4, 1), (4, 2), (4, 3), (2, 5), (1, 3)])
def test_tasks_cover_a_step_once(views, size):
    """Every view is done, and the shares of each add up to one."""
    tasks = [task for rank in range(size) for task in Part(rank, size).tasks(list(range(10, 10 + views)))]
    for index in range(10, 10 + views):
        shares = [task for task in tasks if task.index == index]
        assert sum(1 / task.count for task in shares) == pytest.approx(1)
        assert sorted(task.number for task in shares) == list(range(shares[0].count))
    assert all(task.samples(16) * task.count >= 16 for task in tasks)


def test_views_of_a_step_add_up_to_the_step_of_one_process(problem):
    """The same seeds for every view, whoever renders it: equal to rounding. Without one process they are not."""
    views = [0, 1, 2, 3]
    alone = gradient(problem, ALONE, views)
    parts = [gradient(problem, Part(rank, 3), views) for rank in range(3)]
    np.testing.assert_allclose(np.sum(parts, axis=0), alone, rtol=2e-4)
    assert np.abs(np.sum(parts[:2], axis=0) - alone).max() > 0.05 * np.abs(alone).max()


@pytest.mark.parametrize("shapes", [[], [(2,)], [(2, 3), (1,), (4,)]])
def test_sums_come_back_in_their_shapes(shapes):
    """None, too: where least squares move all there is, no gradient is exchanged."""
    given = [np.random.default_rng(1).normal(size=shape).astype(np.float32) for shape in shapes]
    flat = np.concatenate([np.zeros(0, np.float32), *(array.ravel() for array in given)])
    found = [np.array(tensor) for tensor in _split(flat, given)]
    assert len(found) == len(given) and all((a == b).all() for a, b in zip(found, given, strict=True))


SCRIPT = """
import sys
import numpy as np
import pbdr
pbdr.activate("auto")
from pathlib import Path
from pbdr.job import preflight, statement, views, workers
from pbdr.job.config import load_job
from pbdr.job.rundir import RunDirectory
from test_workers import gradient
several = workers.join()
run = RunDirectory.open(sys.argv[1])
job = load_job(Path(sys.argv[1]).parents[2] / "job.toml", {})[0]
scene = preflight.check(job).scene
problem = statement.problem(job, scene, views.load(job, scene, run, lambda line: None))
found = [gradient(problem, several, [0], step) for step in range(int(sys.argv[2]))]
if several.first:
    np.save(sys.argv[3], np.array(found))
workers.leave(several)
"""


def torchrun(count: int, *words: str, **options) -> subprocess.Popen:
    """Start `count` processes of a command line."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *words]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options
    )


@pytest.mark.slow
def test_processes_that_share_a_view_expect_the_same_gradient(problem, tmp_path):
    """Two processes with half the samples each: the mean of 200 gradients agrees with that of one process within 3.5 standard
    errors, each below 2 % of the gradient. Losses that saw images of half the samples would differ (`l1` has a bias from noise)."""
    path = write_job(tmp_path, {"[render]": '[loss]\nimage = "l1"\n\n[render]', "spp = 4": "spp = 2"})
    subprocess.run(
        [sys.executable, "-m", "pbdr", "fit", str(path), "--optim.steps", "1"], cwd=tmp_path
    )  # misses its goal
    run = next((tmp_path / "runs" / "tiny").iterdir())
    script, found = tmp_path / "script.py", {}
    script.write_text(SCRIPT)
    for count in (1, 2):
        process = torchrun(count, str(script), str(run), "200", str(tmp_path / f"{count}.npy"), cwd=tmp_path)
        output = process.communicate(timeout=600)[0]
        assert process.returncode == 0, output
        found[count] = np.load(tmp_path / f"{count}.npy")
    one, two = found[1], found[2]
    error = np.hypot(stats.sem(one, axis=0), stats.sem(two, axis=0))
    assert (error < 0.02 * np.abs(one.mean(axis=0)).max()).all()
    assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 3.5 * error).all()
    assert not np.allclose(one, two)


def process_of(rank: int, parent: int) -> int:
    """Process id of a rank below `parent`."""
    for folder in Path("/proc").iterdir():
        try:
            status, env = (folder / "stat").read_text(), (folder / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        if int(status.rsplit(")", 1)[1].split()[1]) == parent and f"RANK={rank}".encode() in env.split(b"\0"):
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_run_whose_process_is_killed_ends_and_goes_on(tmp_path, rank):
    """Within 30 s, with all that was done (or, of the first process, its newest checkpoint); one process can go on."""
    path = write_job(tmp_path, {"steps = 12": "steps = 5000", "image_every = 6": "image_every = 9999"})
    process = torchrun(2, "-m", "pbdr", "fit", str(path), cwd=tmp_path)
    lines, end = [], time.monotonic() + 300
    while len(lines) < 10 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.2)
        lines = [x for file in tmp_path.glob("runs/tiny/*/metrics.jsonl") for x in file.read_text().splitlines()]
    assert len(lines) >= 10, process.communicate(timeout=60)[0]
    os.kill(process_of(rank, process.pid), signal.SIGKILL)
    start = time.monotonic()
    output = process.communicate(timeout=2 * LIMIT)[0]
    assert time.monotonic() - start < LIMIT
    assert process.returncode != 0 and "This is a bug" not in output
    run = next((tmp_path / "runs" / "tiny").iterdir())
    status = storage.read_json(run / "status.json")
    assert status["step"] >= (10 if rank else 4)
    if rank:
        assert status["state"] == "interrupted" and "pbdr resume" in output
    more = ["resume", str(run), "--optim.steps", str(status["step"] + 3)]
    resumed = subprocess.run([sys.executable, "-m", "pbdr", *more], cwd=tmp_path, capture_output=True, text=True)
    assert resumed.returncode in (0, 5), resumed.stderr
    assert storage.read_json(run / "status.json")["state"] == "finished"
    steps = [record["step"] for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())]
    assert steps == list(range(1, status["step"] + 4))
