"""What the viewer reads and shows, without a browser; what a job does for it."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, viewer
from pbdr.data import encode_exr
from pbdr.errors import OptionError
from pbdr.inverse.losses import get_losses
from pbdr.job import checkpoint, live, results, storage
from pbdr.job.rundir import RunDirectory
from pbdr.viewer import pictures, plots
from pbdr.viewer.files import Files
from pbdr.viewer.model import derivative


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, "looked-at")


def record(step: int, **values: float) -> dict[str, Any]:
    return {"step": step, "loss": 1.0 / step, "values": values}


def test_files_are_read_while_they_grow(run: RunDirectory) -> None:
    files = Files(run)
    assert not files.read() and files.step == 0 and files.state_step == -1
    run.append_metrics(record(1))
    assert files.read() and files.step == 1 and not files.read()
    with open(run.metrics, "a") as file:
        file.write('{"step": 2, "lo')  # the job is writing
    assert files.read() and files.step == 1
    run.truncate_metrics(0)
    run.append_metrics(record(1))
    run.append_metrics(record(2))
    assert files.read() and files.step == 2
    (run.path / "status.json").write_text("{")
    files.read()
    assert files.status == {}
    run.write_status("running", step=2, steps=9)
    assert files.read() and files.line() == "running, step 2 of 9"
    run.write_status("running", step=2, steps=9, paused=True)
    files.read()
    assert files.line() == "paused, step 2 of 9"


def test_a_run_is_at_work_while_its_process_lives(run: RunDirectory) -> None:
    assert not live.at_work(run)
    run.write_status("running")
    assert live.at_work(run)
    storage.write_json(run.path / "status.json", {"state": "running", "pid": 2**22 + 1})  # above Linux's largest
    assert not live.at_work(run)
    run.write_status("finished")
    assert not live.at_work(run)


def test_the_newest_state_is_shown_and_its_own_pictures(run: RunDirectory) -> None:
    files = Files(run)
    checkpoint.save(run.checkpoints, 10, {"x": np.zeros(1)}, {})
    assert files.state_step == 10
    checkpoint.save(live.folder(run), 12, {"x": np.ones(1)}, {}, keep=1)
    found = live.newest(run)
    assert files.state_step == 12 and found is not None and found.step == 12 and found.arrays["x"][0] == 1
    storage.write_bytes(run.images("step-000010") / "view-000.exr", encode_exr(np.zeros((2, 2, 3))))
    assert files.picture("view-000", 10) is not None and files.picture("view-000", 12) is None
    checkpoint.save(run.checkpoints, 14, {"x": np.zeros(1)}, {})
    found = live.newest(run)
    assert found is not None and found.step == 14


def test_values_have_their_error_bars(run: RunDirectory) -> None:
    run.append_metrics(record(1, **{"m/roughness": 0.3, "b/center[1]": 2.0}))
    bar = {"name": "b/center[1]", "what": "", "value": 2.0, "offset": 0.0, "sd": 0.1, "interval_95": [1.8, 2.2]}
    factor = {**bar, "name": "m/base_color", "what": "scale of red", "value": None}
    storage.write_json(run.path / "eval" / "metrics.json", {"identification": {"bars": [bar, factor]}})
    files = Files(run)
    files.read()
    rough, place, red = files.values()
    assert rough.sd is None and rough.value == 0.3
    assert (place.value, place.sd, place.interval) == (2.0, 0.1, (1.8, 2.2))
    assert red.name == "m/base_color: scale of red" and red.value is None and red.sd == 0.1
    table = plots.table([replace(place, name="<b>"), red])
    assert "± 0.1" in table and "1.8 to 2.2" in table and "&lt;b&gt;" in table


def test_the_slider_parts_target_and_current() -> None:
    current, target = np.full((4, 8, 3), 0.2), np.full((4, 8, 3), 0.7)
    both = pictures.Pictures(current, target)
    image = pictures.compared(both, 0.25, 0.0)
    factor = image.shape[1] // 8
    assert factor > 1 and image.shape[:2] == (4 * factor, 8 * factor)
    bright, dark = (pictures.shown(x, 0.0)[0, 0] for x in (target, current))
    line = 2 * factor
    assert (image[:, : line - 1] == bright).all() and (image[:, line + 1 :] == dark).all()
    assert (pictures.compared(both, 0.0, 0.0) == dark).all() and (pictures.compared(both, 1.0, 0.0) == bright).all()
    assert (pictures.compared(pictures.Pictures(current), 0.9, 0.0) == dark).all()


def test_exposure_is_in_stops_and_errors_follow_it() -> None:
    image = np.full((2, 2, 3), 0.1)
    assert (pictures.shown(image, 1.0) == pictures.shown(2 * image, 0.0)).all()
    image[0, 0, 1] = np.nan
    assert tuple(pictures.shown(image, 0.0)[0, 0]) == (255, 0, 255)
    current, target = np.full((2, 2, 3), 0.1), np.full((2, 2, 3), 0.12)
    grids = [pictures.grid(pictures.Pictures(current, target, current - target), stops) for stops in (0.0, 2.0)]
    half = grids[0].shape[0] // 2 + pictures.GAP
    error = [grid[half:, : grids[0].shape[1] // 2 - pictures.GAP].astype(int).sum() for grid in grids]
    assert error[1] > error[0] > 0
    blue = grids[0][-1, -1].astype(int)  # the loss falls where the image gets brighter
    assert blue[2] > blue[0]


@pytest.mark.parametrize("loss", ["l2", "l2_dual", [{"type": "l1", "weight": 0.5}, {"type": "l2", "weight": 2.0}]])
def test_the_gradient_of_an_image_is_the_derivative_of_the_loss(loss: Any) -> None:
    """In closed form: the mean square has 2 (I − T) w / Σ w, the mean of the size sign(I − T) w / Σ w."""
    rng = np.random.default_rng(3)
    image, target = rng.uniform(size=(2, 4, 5, 3))
    mask = (rng.uniform(size=(4, 5)) > 0.4).astype(np.float32)
    share = mask[..., None] / (3 * mask.sum())
    square, size = 2 * (image - target) * share, np.sign(image - target) * share
    expected = square if isinstance(loss, str) else 0.5 * size + 2 * square
    found = derivative(get_losses(loss), image, target, mask)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(derivative(get_losses("l1"), image, target, mask) - square).max() > 1e-3


def test_names_of_losses() -> None:
    assert results.loss_name({"image": "l1", "views": {}}) == "l1"
    assert (
        results.loss_name({"image": [{"type": "l1", "weight": 0.8}, "ssim"], "silhouette": 0.5})
        == "0.8 l1 + ssim + 0.5 silhouette"
    )


class Job:
    """A job whose steps do nothing."""

    def __init__(self, run: RunDirectory) -> None:
        self.step, self.told, self.stopped = 0, list[bool](), False
        self.attention = live.Attention(
            run, lambda: (self.step, {"x": np.zeros(1)}, {}), self.told.append, lambda: self.stopped
        )

    def go(self, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            self.attention.after(self.step)


def wait(condition: Any) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_job_pauses_steps_shows_and_goes_on(run: RunDirectory) -> None:
    job = Job(run)
    job.go(2)
    assert job.told == [] and live.newest(run) is None
    live.ask(run, live.Wish(show=1))
    job.go(1)
    job.go(1)
    found = live.newest(run)
    assert found is not None and found.step == 3 and job.told == []  # shown once
    live.ask(run, live.Wish(paused=True, until=5, show=1))
    thread = threading.Thread(target=job.go, args=(6,))
    thread.start()
    wait(lambda: job.told == [True])
    found = live.newest(run)
    assert found is not None and job.step == 5 == found.step
    live.ask(run, live.Wish(paused=True, until=6, show=1))
    wait(lambda: job.step == 6)
    time.sleep(2 * live.POLL)
    assert job.step == 6
    live.ask(run, live.Wish(show=1))
    thread.join(10)
    assert not thread.is_alive() and job.step == 10 and job.told == [True, False, True, False]
    assert live.asked(run) == live.Wish(show=1)
    Job(run)
    assert live.asked(run) == live.Wish() and live.newest(run) is None  # forgotten by the next process


def test_a_pause_ends_where_nobody_asks_for_it_any_more(run: RunDirectory) -> None:
    job = Job(run)
    live.ask(run, live.Wish(paused=True))
    old = time.time() - live.LEASE - 1
    os.utime(live.control(run), (old, old))
    job.go(2)
    assert job.told == []
    live.ask(run, live.Wish(paused=True))
    job.stopped = True  # asked to end, by Ctrl-C
    job.go(1)
    assert job.told == []
    job.stopped = False
    live.control(run).write_text("no json")
    job.go(1)
    assert job.step == 4


def test_a_missing_package_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "viser" else found(name, *rest)
    )
    with pytest.raises(OptionError, match="pip install"):
        viewer.check()
    assert cli.main(["view", "runs"]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "pip install 'pbdr[view]'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["view", "nowhere"], "no such run directory"),
        (["view", "nowhere.xml"], "nowhere.xml"),
        (["view", "x", "--port", "99999"], "1 to 65535"),
        (["view"], "missing"),
        (["fit", "x.toml", "--keep-viewer"], "--view"),
    ],
)
def test_mistakes_of_the_user(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("viser")
    assert cli.main(words) in (2, 3)
    err = capfd.readouterr().err
    assert message in err and "Traceback" not in err
