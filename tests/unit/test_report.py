"""report.html from a run directory made by hand: self-contained, complete, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbdr import report
from pbdr.job import results, storage
from pbdr.job.rundir import RunDirectory
from pbdr.srgb import linear_to_srgb, srgb_to_linear
from validation import browser
from validation.pages import Addresses

METRICS: dict[str, Any] = {
    "protocol": {"psnr": "PSNR as documented", "spp": 64},
    "held_out": {"views": 1, "psnr": 31.5, "psnr_init": 12.25},
    "training": None,
    "goals": [{"kind": "psnr", "label": "held-out PSNR", "limit": 30.0, "value": 31.5, "initial": 12.25, "met": True}],
    "verdict": {"met": True, "level": "good", "word": "Converged", "text": "The goal is met."},
}


@pytest.fixture
def finished(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(tmp_path, "bunny <1>")
    storage.write_text(run.path / "job.toml", 'name = "<script>alert(1)</script>"\n')
    storage.write_json(run.path / "env.json", {"python": "3.11"})
    rng = np.random.default_rng(0)
    target = rng.uniform(size=(8, 8, 3)).astype(np.float32)
    results.write_view(run.images("target"), "view-000", target)
    results.write_view(run.images("init"), "view-000", 0 * target, target)
    results.write_view(run.images("final"), "view-000", target, target)
    for step in range(1, 41):
        run.append_metrics(
            {
                "step": step,
                "loss": 1.0 / step,
                "gradient": {"albedo": 0.1},
                "values": {"m/roughness": 0.3},
                "seconds": 0.5,
            }
        )
    run.write_status("finished", step=40, steps=40, exit_code=0)
    storage.write_json(run.path / "eval" / "metrics.json", METRICS)
    storage.write_text(
        run.path / "eval" / "per_view.csv", "view,set,psnr_init,psnr,source\nview-000,held-out,12.25,31.5,a.exr\n"
    )
    maps = results.write_parameter(run.path, "m/base_color", {"init": 0 * target, "estimate": target, "target": target})
    entry = {"variable": "albedo", "name": "m/base_color", "kind": "texture", "shape": [8, 8, 3], "init": 0.0,
             "estimate": [0.5, 0.4, 0.3], "target": [0.5, 0.4, 0.3], "rmse": 0.0123, "rmse_init": 0.5, "images": maps}  # fmt: skip
    storage.write_json(run.path / "eval" / "parameters.json", {"parameters": [entry]})
    return run


def pictures(page: str) -> list[np.ndarray]:
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(d)))) for d in data]


def test_the_page_is_one_file_and_well_formed(finished: RunDirectory) -> None:
    page = report.write(finished).read_text()
    parser = Addresses()
    parser.feed(page)
    assert parser.open == []
    assert parser.found and all(a.startswith(("data:", "#")) for a in parser.found)
    assert (
        page.count("<script") == 1 and "&lt;script&gt;" in page and "bunny &lt;1&gt;" in page
    )  # our own, which loads nothing
    assert "fetch(" not in page and "import(" not in page
    assert not re.search(r"url\(\s*['\"]?http", page) and "@import" not in page


def test_it_shows_what_was_measured(finished: RunDirectory) -> None:
    page = report.build(finished)
    for text in (
        "Converged",
        "31.50 dB",
        "12.25 dB",
        "0.0123",
        "PSNR as documented",
        "view-000",
        "held-out",
        "20.0 s of fitting",
    ):
        assert text in page, text
    # loss over steps and seconds, gradient norms, values; neither learning rates nor images on the way were recorded
    assert page.count("<svg") == 4
    images = pictures(page)
    # target, start, estimate and two errors; start and end of the strip; three of the texture and its error
    assert len(images) == 5 + 2 + 4
    stored = np.asarray(Image.open(finished.images("target") / "view-000.png"))
    assert any(image.shape == stored.shape and np.array_equal(image, stored) for image in images)


def test_a_failed_goal_is_not_dressed_up(finished: RunDirectory) -> None:
    bad = json.loads(json.dumps(METRICS))
    bad["goals"][0].update(met=False, value=20.0)
    bad["verdict"] = {"met": False, "level": "bad", "word": "Target not met", "text": "held-out PSNR is 20"}
    storage.write_json(finished.path / "eval" / "metrics.json", bad)
    page = report.build(finished)
    assert "Target not met" in page and "Converged" not in page and ">no<" in page


@pytest.mark.parametrize(
    ("state", "word"),
    [("running", "Running"), ("interrupted", "Interrupted"), ("failed", "Failed"), ("diverged", "Diverged")],
)
def test_a_run_without_results_says_so(tmp_path: Path, state: str, word: str) -> None:
    run = RunDirectory.create(tmp_path, "early")
    run.write_status(state, step=3, steps=10, message="the disk is full")
    page = report.build(run)
    assert word in page and "the disk is full" in page and "Converged" not in page


def test_an_empty_run_directory_still_gives_a_page(tmp_path: Path) -> None:
    page = report.build(RunDirectory.create(tmp_path, "nothing"))
    assert "Not finished" in page


def test_images_are_whole_until_the_page_is_too_large(finished: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    big = np.random.default_rng(0).uniform(size=(60, 96, 3)).astype(np.float32)
    results.write_view(finished.images("target"), "view-000", big)
    assert (60, 96) in [image.shape[:2] for image in pictures(report.build(finished))]
    total = sum((finished.images(kind) / "view-000.png").stat().st_size for kind in ("target", "init", "final"))
    monkeypatch.setattr(report.pictures, "LIMIT", total // 4)
    page = report.build(finished)
    assert (30, 48) in [image.shape[:2] for image in pictures(page)] and "reduced to 50 %" in page


def test_every_view_that_was_scored_is_there(finished: RunDirectory) -> None:
    image = np.full((8, 8, 3), 0.25, np.float32)
    for kind in ("target", "init", "final"):
        results.write_view(finished.images(kind), "view-007", image, None if kind == "target" else image, linear=False)
    page = report.build(finished)
    assert "1 more views" in page and page.count('data-view="view-007"') == 5 and "<option>view-007</option>" in page


def test_highlights_come_with_the_image(finished: RunDirectory) -> None:
    bright = np.full((8, 8, 3), 4.0, np.float32)
    results.write_view(finished.images("final"), "view-000", bright, bright)
    page = report.build(finished)
    (found,) = re.findall(r'data-high="data:image/png;base64,([^"]+)"', page)
    code = np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))[0, 0, 0] / 255
    assert abs(srgb_to_linear(code) * results.HIGH - 4.0) < 0.05


def test_images_on_the_way_with_their_psnr(finished: RunDirectory) -> None:
    for step in (10, 20):
        image = np.full((8, 8, 3), 0.02 * step, np.float32)
        results.write_view(finished.images(f"step-{step:06d}"), "view-000", image, image)
        storage.write_json(
            finished.images(f"step-{step:06d}") / "scores.json", {"step": step, "psnr": {"view-000": 14.5 + step}}
        )
    page = report.build(finished)
    assert "24.50 dB" in page and "34.50 dB" in page and "step 10" in page
    assert page.count("<svg") == 6  # PSNR over steps and over seconds, besides
    found = report.curves.psnr(finished, 40)
    assert found == [("held-out", 1, {0: 12.25, 10: 24.5, 20: 34.5, 40: 31.5})]


def test_the_loss_is_named(finished: RunDirectory) -> None:
    assert "Loss: l1 + 0.5 ssim" not in report.build(finished)
    storage.write_text(finished.path / "job.toml", '[loss]\nimage = "l1"\nssim = 0.5\n')
    page = report.build(finished)
    assert "Loss: l1 + 0.5 ssim" in page and "Loss (l1 + 0.5 ssim), last 5 %" in page


def test_what_must_be_read_first(finished: RunDirectory) -> None:
    page = report.build(finished)
    assert "Read this first" not in page
    bar = {"name": "m/base_color", "what": "scale", "value": None, "offset": 0.0, "sd": 0.1, "interval_95": [-0.2, 0.2]}
    one = {"unknowns": "m/base_color × sky/radiance", "sd": 3.0, "shares": {"m/base_color": 0.7, "sky/radiance": -0.7}}
    more = {
        "guard": {"steps_back": 2}, "skipped": 3, "notes": ["sky: 2 texels were negative"],
        "identification": {"bars": [bar], "open": [one], "maps": {}},
    }  # fmt: skip
    storage.write_json(finished.path / "eval" / "metrics.json", {**METRICS, **more})
    storage.write_json(
        finished.path / "export" / "export.json",
        {
            "ok": False, "step": 40, "lost": ["sheen"],
            "formats": {"gltf": {"files": ["scene.glb"], "check": {"ok": False}, "lost": ["bump maps"]}},
        },
    )  # fmt: skip
    page = report.build(finished)
    first = page[page.index("Read this first") : page.index('class="cards"')]
    for text in (
        "diverged 2 times",
        "3 steps left out",
        "2 texels were negative",
        "m/base_color × sky/radiance",
        "see Exports",
    ):
        assert text in first, text
    assert (
        "m/base_color 0.7, sky/radiance −0.7" in page
        and "NOT the same" in page
        and "bump maps" in page
        and "sheen" in page
    )


def test_texels_that_nobody_saw_are_hatched() -> None:
    image = np.full((4, 4, 3), 128, np.uint8)
    where = np.zeros((4, 4), bool)
    where[3] = True
    found = report.parameters.hatched(image, where)
    factor = found.shape[0] // 4
    assert (found[: 3 * factor] == 128).all()
    lines = found[3 * factor :]
    assert {20, 128, 235} == set(np.unique(lines))


def test_meshes_are_drawn_with_their_error(tmp_path: Path) -> None:
    """A ball that has grown by 2 % of its size: the colour of that distance all over, none on the truth, nothing outside."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    meshes = {"target": ball, "estimate": trimesh.Trimesh(1.04 * ball.vertices, ball.faces, process=False)}
    for name, mesh in meshes.items():
        (tmp_path / f"{name}.ply").write_bytes(mesh.export(file_type="ply"))
    found = report.meshes.figures(tmp_path, {})
    assert [row["label"] for row in found["rows"]] == ["Estimate", "Target"]
    estimate, target = (decoded(row["images"][0]) for row in found["rows"])
    side = report.meshes.SIDE
    y, x = np.mgrid[:side, :side]
    radius = np.hypot(x + 0.5 - side / 2, y + 0.5 - side / 2) / (0.48 * side)
    for image, size in ((estimate, 1.0), (target, 1 / 1.04)):
        outside = image[..., 3] == 0
        assert outside[radius > size + 0.02].all() and not outside[radius < size - 0.02].any()  # no holes
    expected = report.meshes.shade(np.array([0.02]))[0]
    assert (report.meshes.shade(np.array([0.0]))[0] > expected).all()  # pale where it is right
    middle = estimate[side // 2 - 20 : side // 2, side // 2 - 20 : side // 2].reshape(-1, 4)[:, :3].mean(axis=0)
    np.testing.assert_allclose(middle / middle.sum(), expected / expected.sum(), atol=0.03)
    assert np.ptp(target[side // 2, side // 2, :3]) == 0


def decoded(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


@pytest.mark.slow  # starts Chromium
@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "-")
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (420, True)])
def test_in_a_browser(finished: RunDirectory, width: int, dark: bool) -> None:
    """Slider, exposure, choice of what is compared, zoom; nothing is wider than the window; dark where that is preferred."""
    bright = np.full((8, 8, 3), 4.0, np.float32)
    results.write_view(finished.images("final"), "view-000", bright, bright)
    target = np.asarray(Image.open(finished.images("target") / "view-000.png")).astype(int)
    report.write(finished)
    with browser.opened(finished.report.as_uri(), width, dark=dark) as driver:

        def shown() -> np.ndarray:
            return browser.pixels(driver, driver.find_element("id", "c-canvas")).astype(int)

        def put(name: str, value: str) -> None:
            event = "change" if name in ("view", "left", "right") else "input"
            driver.execute_script(
                f"const e = document.getElementById('c-{name}'); e.value = '{value}'; e.dispatchEvent(new Event('{event}'))"
            )

        browser.until(driver, lambda: shown().shape == (8, 8, 3))
        assert (shown()[:, :4] == target[:, :4]).all() and (shown()[:, 4:] == 255).all()
        put("place", "0.25")
        assert (shown()[:, :2] == target[:, :2]).all() and (shown()[:, 2:] == 255).all()
        put("stops", "-3")
        dark_code = 255 * linear_to_srgb(np.array(0.5))  # 4 · 2⁻³: the highlights are there
        assert np.abs(shown()[:, 2:] - dark_code).max() <= 3
        put("stops", "0")
        put("right", "error")
        expected = results.error_image(bright, srgb_to_linear(target / 255))
        assert np.abs(shown()[:, 2:] - expected[:, 2:].astype(int)).max() <= 3
        before = driver.execute_script("return document.getElementById('c-sheet').clientWidth")
        driver.find_element("id", "c-in").click()
        assert driver.execute_script("return document.getElementById('c-sheet').clientWidth") > 1.4 * before
        wide, window = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= window
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(x) for x in re.findall(r"\d+", paper)) < 200) == dark


def test_numbers_for_people() -> None:
    assert report.number(0.000123456) == "0.0001235" and report.number(-2.0) == "−2"
    assert report.number(float("inf")) == "∞" and report.number(float("nan")) == "NaN" and report.number(None) == ""
    assert (
        report.duration(59.96) == "60.0 s"
        and report.duration(78.2) == "1 min 18 s"
        and report.duration(7300) == "2 h 1 min"
    )


def test_error_images_are_zero_only_without_error() -> None:
    target = np.full((4, 4, 3), 0.5, np.float32)
    assert (results.error_image(target, target) == results.ERROR_COLORS[0]).all()
    off = target.copy()
    off[1, 2] = 5.0
    image = results.error_image(off, target)
    assert tuple(image[1, 2]) == results.ERROR_COLORS[-1] and tuple(image[0, 0]) == results.ERROR_COLORS[0]
