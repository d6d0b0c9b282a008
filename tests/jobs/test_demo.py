"""The demo's generated scene, and a few of its steps: the whole of it is what `make demo` runs."""

from __future__ import annotations

import json
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

from pbdr import cli, demo
from pbdr.job import preflight
from pbdr.job.config import load_job
from pbdr.parameters import list_parameters, read
from pbdr.scene import load_scene


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.write(tmp_path_factory.mktemp("demo"))


def test_the_job_file_is_valid_and_its_names_exist(job: Path) -> None:
    loaded, _ = load_job(job)
    assert loaded.render.integrator["type"] == "pathspace"
    preflight.check(loaded)


def test_the_object_is_closed_with_outward_normals(job: Path) -> None:
    """Divergence theorem: the volume from the faces is positive, and normals agree with the faces."""
    mesh = mi.load_dict({"type": "ply", "filename": str(job.parent / "object.ply")})
    params = mi.traverse(mesh)
    points = np.array(params["vertex_positions"]).reshape(-1, 3)
    normals = np.array(params["vertex_normals"]).reshape(-1, 3)
    faces = np.array(params["faces"]).reshape(-1, 3)
    corners = points[faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = np.einsum("ij,ij->i", corners[:, 0], outward).sum() / 6
    assert 3.0 < volume < 4.5  # a ball of radius 0.95 has 3.6
    np.testing.assert_allclose(outward.sum(axis=0), 0, atol=1e-4)  # closed
    assert (np.einsum("ij,ij->i", outward, normals[faces].mean(axis=1)) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)


def test_the_true_scene_holds_the_truth(job: Path) -> None:
    truth = load_scene(job.parent / "truth.xml")
    found = {p.name: read(truth, p) for p in list_parameters(truth)}
    np.testing.assert_allclose(found["object/base_color"], demo.color(2 * demo.TEXELS), atol=1e-6)
    np.testing.assert_allclose(found["sky/radiance"], demo.sky(demo.SKY_ROWS), rtol=1e-6)
    assert found["object/roughness"] == pytest.approx(demo.ROUGHNESS)


def test_start_and_truth_differ_and_are_physical() -> None:
    color, sky = demo.color(16), demo.sky(8)
    assert color.min() > 0.02 and color.max() < 0.95 and color.std() > 0.1
    assert sky.min() > 0 and sky.max() > 3
    np.testing.assert_allclose(demo.color(16)[:, 0], demo.color(16)[:, -1], atol=0.25)  # no seam


def test_a_short_demo_improves_but_does_not_claim_to_converge(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Negative control of the demo's verdict: too few steps must not pass its goals."""
    # Error bars take most of so short a run; test_watch has them.
    short = ["--optim.steps", "8", "--data.target_spp", "8", "--output.eval_spp", "4", "--output.error_bars", "false"]
    words = [*short, "--json"]
    code = cli.main(["demo", "--output.dir", str(tmp_path), *words])
    told = json.loads(capfd.readouterr().out)
    assert code == told["exit_code"] == 5 and told["verdict"] == "Target not met"
    assert told["held_out"]["psnr"] > told["held_out"]["psnr_init"]
    page = Path(told["report"]).read_text()
    assert "Target not met" in page and page.count("data:image/png") > 10
