"""Runs in the viewer: a job that is paused, stepped and looked at finds what it finds alone; the viewer in a real browser."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import viewer
from pbdr.job import checkpoint, live, runner
from pbdr.job.config import load_job
from pbdr.job.events import Silent
from pbdr.job.rundir import RunDirectory
from pbdr.scene import load_scene
from pbdr.viewer.model import Model, RunModel
from validation import browser
from validation.tiny_job import SCENE, SENSORS, write_job

Tiny = Callable[..., Path]
viser = pytest.importorskip("viser")


def fit(job: Path, folder: Path, events: Any = None) -> RunDirectory:
    loaded, text = load_job(job, {"output.dir": str(folder), "output.error_bars": False})
    run = runner.create(loaded, text)
    if events is not None:
        events.run = run
    runner.run(run, events)
    return run


class Onlooker(Silent):
    """After step 3 asks for a pause, then for two steps one by one, then to go on; remembers which states were shown."""

    run: RunDirectory

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.thread = threading.Thread(target=self._look)

    def stepped(self, record: Mapping[str, Any]) -> None:
        if record["step"] == 3:
            live.ask(self.run, live.Wish(paused=True, until=3, show=1))
            self.thread.start()

    def _look(self) -> None:
        for step in (3, 4, 5):
            live.ask(self.run, live.Wish(paused=True, until=step, show=1))
            limit = time.monotonic() + 30
            while checkpoint.steps(live.folder(self.run))[-1:] != [step] and time.monotonic() < limit:
                time.sleep(0.02)
            self.seen += checkpoint.steps(live.folder(self.run))[-1:]  # the one before may be there for a moment
        live.ask(self.run, live.Wish(show=1))


def test_a_job_that_is_watched_finds_what_it_finds_alone(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny()
    alone = fit(job, tmp_path / "alone")
    onlooker = Onlooker()
    watched = fit(job, tmp_path / "watched", onlooker)
    onlooker.thread.join(30)
    assert onlooker.seen == [3, 4, 5]
    first, second = (checkpoint.load(run.checkpoints) for run in (alone, watched))
    assert first is not None and second is not None and first.step == second.step == 12
    for name, value in first.arrays.items():
        np.testing.assert_allclose(second.arrays[name], value, rtol=1e-5, err_msg=name)
    assert len(watched.read_metrics()) == 12
    assert "paused after step 3" in (watched.path / "log.txt").read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("view")
    return fit(write_job(folder), folder / "runs")


def test_a_run_is_looked_at_without_a_trace(finished: RunDirectory) -> None:
    """Images of views that the job has kept, and of one that it has not; surfaces, cameras. No file of the run changes."""
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in finished.path.rglob("*") if p.is_file()}
    model = RunModel(finished, False, lambda _: None)
    assert model.refresh() and model.step == 12 and not model.refresh()
    assert [(place.name, place.group) for place in model.places()] == [
        ("view-000", "held-out"), ("view-001", "training"), ("view-002", "training"), ("view-003", "training"),
    ]  # fmt: skip
    kept = model.pictures("view-000")
    (finished.images("final") / "view-000.exr").unlink()
    model._kept.clear()
    rendered = model.pictures("view-000")
    assert kept.target is not None and kept.gradient is not None and kept.gradient.shape == kept.current.shape
    # the stored image is the one that is rendered again, with the same seed
    np.testing.assert_allclose(rendered.current, kept.current, rtol=1e-4, atol=1e-5)
    surfaces = model.surfaces()
    assert list(surfaces.meshes) == ["ball"] and surfaces.up == "z"  # up on the images: the sky is the same all around
    ball = surfaces.meshes["ball"]
    np.testing.assert_allclose(ball.vertex_normals, ball.vertices, atol=1e-3)
    color = surfaces.meshes["ball"].visual.face_colors[0].astype(float)
    assert abs(color[0] - color[2]) > 30  # an estimate on its way from grey to orange
    lost = finished.images("final") / "view-000.exr"
    content, _ = before.pop(lost)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in finished.path.rglob("*") if p.is_file()} == before
    lost.write_bytes(content)


def test_a_scene_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "scene.xml").write_text(SCENE.format(sensors=SENSORS))
    model = Model(load_scene(tmp_path / "scene.xml"), {"type": "direct"})
    pictures = model.pictures("camera-1")
    assert pictures.target is None and pictures.current.shape == (12, 12, 3) and len(model.places()) == 4
    assert viewer.serve(model, 8397, viewer.Ending(first=0.2), lambda _: None).startswith("http://127.0.0.1:")


def test_the_viewer_ends_by_itself(finished: RunDirectory) -> None:
    told: list[str] = []
    begin = time.monotonic()
    url = viewer.serve(RunModel(finished, False, told.append), 8391, viewer.Ending(first=0.5), told.append)
    assert url.startswith("http://127.0.0.1:") and f"viewer: {url}" in told and time.monotonic() - begin < 20


@pytest.mark.slow
def test_the_viewer_beside_a_job_ends_with_it(tiny: Tiny, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "pbdr",
        "view",
        str(tiny()),
        "--port",
        "8395",
        "--output.dir",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 5), done.stderr
    assert "report:" in done.stdout


@pytest.mark.slow
def test_a_viewer_that_is_kept_does_not_change_the_result(tiny: Tiny, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pbdr", "fit", str(tiny()), "--view", "--keep-viewer", "--output.dir", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "until Ctrl-C" in line:
            process.send_signal(signal.SIGINT)
            break
    assert process.wait(60) in (0, 5)


class Visitor:
    """Opens the viewer, and does what a person would; `results` is what the images were."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.results: dict[str, Any] = {}

    def visit(self) -> None:
        with browser.opened(self.url, 1000, 800) as driver:
            self.driver = driver
            self._images()
            self._render()

    def _find(self, xpath: str) -> Any:
        return browser.until(
            self.driver, lambda: [e for e in self.driver.find_elements("xpath", xpath) if e.is_displayed()]
        )[0]

    def _image(self) -> Any:
        return browser.pixels(self.driver, self._find("//img[starts-with(@src, 'blob:')]")).astype(int)

    def _changed(self, before: Any) -> Any:
        return browser.until(
            self.driver, lambda: [new for new in [self._image()] if new.shape != before.shape or (new != before).any()]
        )[0]

    def _type(self, label: str, number: str) -> None:
        field = self._find(f"//*[text()='{label}']/following::input[contains(@class, 'NumberInput')]")
        field.send_keys("\ue009" + "a" + "\ue000" + number + "\ue007")  # Ctrl+A, the number, Enter

    def _images(self) -> None:
        found = self.results
        browser.until(self.driver, lambda: [1 for _ in [0] if self._image().shape[0] > 100])
        found["first"] = self._image()
        self._find("//input[@value='view-000']").click()
        self._find("//*[@role='option' and contains(., 'view-002')]").click()
        found["other view"] = self._changed(found["first"])
        self._type("Target | current", "1")
        found["target"] = self._changed(found["other view"])
        self._type("Target | current", "0")
        found["current"] = self._changed(found["target"])
        self._type("Exposure", "-2")
        found["darker"] = self._changed(found["current"])

    def _render(self) -> None:
        self._find("//*[@role='tab' and contains(., 'Render')]").click()
        self._type("Pixels", "128")
        self._find("//*[contains(text(), 'Render here')]").click()
        self.results["rendered"] = browser.until(
            self.driver,
            lambda: [i for i in [self._image()] if max(i.shape) == 128 and "Render" in self.driver.page_source],
        )[0]
        self.results["told"] = self._find("//*[contains(text(), 'samples per pixel,')]").text


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.mark.slow  # Chromium draws the space without a graphics card
@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "-")
def test_in_a_browser(finished: RunDirectory, pool: ThreadPoolExecutor) -> None:
    """Pick a view, move the slider, change the exposure, render here: each changes the image as it must."""
    model = RunModel(finished, False, lambda _: None)
    addresses: list[str] = []
    jobs: list[Any] = []

    def tell(text: str) -> None:
        if text.startswith("viewer: "):
            addresses.append(text.removeprefix("viewer: "))
            jobs.append(visitor := Visitor(addresses[0]))
            jobs.append(pool.submit(visitor.visit))

    viewer.serve(model, 8393, viewer.Ending(alone=1.0, first=120.0), tell)
    jobs[1].result(timeout=60)
    found = jobs[0].results
    assert (found["other view"] != found["first"]).any()
    view = model.pictures("view-002")
    assert view.target is not None
    for name, image in (("target", view.target), ("current", view.current)):
        codes = viewer_codes(image)
        factor = found[name].shape[0] // codes.shape[0]
        middle = found[name][factor // 2 :: factor, factor // 2 :: factor]
        assert np.abs(middle - codes)[:, 1:-1].max() <= 1, name  # the line of the slider is at the edge
    assert found["darker"].mean() < 0.8 * found["current"].mean()
    assert found["rendered"].std() > 5 and "128" in found["told"]  # a ball before a sky


def viewer_codes(image: Any) -> Any:
    from pbdr.viewer.pictures import shown

    return shown(image, 0.0).astype(int)
