"""A run of several processes, started by `torchrun`: the first writes and talks, the others follow it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OptionError
from ..inverse import State
from ..inverse.workers import ALONE, Group, Workers
from . import statement, views
from .estimate import stored_job
from .preflight import Prepared
from .rundir import RunDirectory
from .signals import Interruption
from .watch import Watch


def wanted() -> int:
    """Number of processes of this run, as `torchrun` says in the environment; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def join() -> Workers:
    """Connect the processes of this run, and share the cores of the machine. Raises OptionError without torch."""
    size = wanted()
    if size == 1:
        return ALONE
    try:
        import torch.distributed as dist
    except ImportError as error:
        raise OptionError("several processes need torch: pip install 'pbdr[torch]'") from error
    import drjit as dr
    import mitsuba as mi

    backend = "nccl" if str(mi.variant()).startswith("cuda") and dist.is_nccl_available() else "gloo"
    if not dist.is_initialized():
        dist.init_process_group(backend)
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    dr.set_thread_count(max(2, cores))  # with one, Mitsuba never ends to write an EXR file: a second thread does that
    return Group(dist.get_rank(), dist.get_world_size(), backend)


def invite(workers: Workers, run: RunDirectory | None) -> None:
    """Tell the others which run to follow; None: there is nothing to do."""
    workers.from_first(None if run is None else str(run.path.resolve()))


def follow(workers: Workers, prepared: Prepared | None = None, allow_code: bool = False) -> None:
    """Take part in the run of the first process, to its end; writes nothing. Raises WorkerError when another process is lost."""
    path = workers.from_first(None)
    if path is None:
        return
    directory = RunDirectory(Path(path))
    job = stored_job(directory)
    with Interruption() as interruption:
        problem = None if prepared is None else prepared.problem
        if problem is None:
            scene = statement.load(job) if prepared is None else prepared.scene
            data = views.load(job, scene, directory, lambda text: None)
            problem = statement.problem(job, scene, data, allow_code)
        problem = problem.shared(workers)
        interruption.patient = True
        state, steps_back = receive(workers)
        watch = Watch(problem, False, lambda text: None, steps_back)
        watch.fit(lambda state, info: interruption.requested, state, lambda: receive(workers)[0])


def send(workers: Workers, state: State, steps_back: int = 0) -> State:
    """Give the others the state to go on from."""
    workers.from_first((*state.to_arrays(), steps_back))
    return state


def receive(workers: Workers) -> tuple[State, int]:
    """Take the state to go on from, and the number of steps back so far."""
    arrays, meta, steps_back = workers.from_first(None)
    return State.from_arrays(arrays, meta), int(steps_back)


def leave(workers: Workers) -> None:
    """Close the connections: those that follow need not wait for the evaluation."""
    if workers is not ALONE:
        import torch.distributed as dist

        dist.destroy_process_group()

