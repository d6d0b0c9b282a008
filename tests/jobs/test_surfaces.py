"""Meshes at the end of a run: the distance between surfaces, the files, and goals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from pbdr import cli
from pbdr.job.surfaces import distance
from pbdr.parameters.meshes import Triangles
from validation.scenes import surfaces

HEAD = '''version = 1
name = "shape"
[scene]
file = "start.xml"
[data]
target = "truth.xml"
target_spp = 4
[render]
integrator = { type = "pathspace", max_depth = 2 }
spp = 2
[optim]
steps = 3
views_per_step = 1
[output]
eval_spp = 2
'''


def triangles(mesh: trimesh.Trimesh) -> Triangles:
    return Triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))


def test_distance_between_spheres() -> None:
    inner, outer = (triangles(surfaces.ball(5, radius)) for radius in (0.8, 0.9))
    assert distance(inner, outer) == pytest.approx(0.1, rel=0.01)
    assert distance(inner, inner) < 1e-6
    shifted = triangles(trimesh.Trimesh(surfaces.ball(5, 0.8).vertices + [0.01, 0, 0], surfaces.ball(5, 0.8).faces))
    assert distance(inner, shifted) == pytest.approx(0.005, rel=0.05)  # the mean of |cos| is 1/2


@pytest.fixture
def job(tmp_path: Path) -> Callable[[str], Path]:
    """A job of three steps with two views; the argument is put at its end."""
    for name, mesh in (("start", surfaces.ball(1)), ("truth", surfaces.peanut(2))):
        mesh.export(tmp_path / f"{name}.ply")
        cameras = "".join(
            f"""<sensor type="perspective" id="camera-{k}"><float name="fov" value="45"/><transform name="to_world">
            <lookat origin="{x}, 0.1, 0.2" target="0, 0, 0" up="0, 0, 1"/></transform>
            <film type="hdrfilm"><integer name="width" value="16"/><integer name="height" value="16"/>
            <rfilter type="box"/><string name="pixel_format" value="rgb"/></film></sensor>"""
            for k, x in enumerate((3, -3))
        )
        (tmp_path / f"{name}.xml").write_text(
            f"""<scene version="3.0.0">{cameras}<emitter type="constant" id="sky"/><shape type="ply" id="object">
            <string name="filename" value="{name}.ply"/><boolean name="face_normals" value="true"/></shape></scene>"""
        )

    def made(more: str) -> Path:
        (tmp_path / "job.toml").write_text(HEAD + more)
        return tmp_path / "job.toml"

    return made


def run(path: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, Path | None]:
    code = cli.main(["fit", str(path), "--output.dir", str(path.parent / "runs")])
    out = capfd.readouterr()
    return code, out.out + out.err, next(iter((path.parent / "runs").glob("shape/*")), None)


def test_a_job_with_new_faces_leaves_meshes(job: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gpytoolbox")
    more = "[vars.shape]\nmatch = 'object/positions'\nremesh = [{ step = 1, edge = 0.15 }]\n[goal]\ndistance = { shape = 0.001 }\n"
    code, text, folder = run(job(more), capfd)
    assert code == 5 and "distance of shape" in text and "NOT met" in text, text
    assert folder is not None and "new faces in place of 80" in (folder / "log.txt").read_text()
    meshes: dict[str, Any] = {
        name: trimesh.load(folder / "eval" / "parameters" / "object-positions" / f"{name}.ply", process=False)
        for name in ("init", "estimate", "target")
    }
    assert len(meshes["init"].faces) == 80 and len(meshes["target"].faces) == 320 and len(meshes["estimate"].faces) > 150
    np.testing.assert_allclose(meshes["init"].vertices, surfaces.ball(1).vertices, atol=1e-6)
    assert meshes["estimate"].is_watertight and 0 < meshes["estimate"].volume < meshes["init"].volume * 1.2
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("match = '*/base_color'\n[goal]\ndistance = { x = 0.1 }\n", "it is for vertex positions of meshes"),
        ("match = 'object/positions'\nremesh = [{ step = 5, edge = 0.1 }, { step = 2, edge = 0.1 }]\n", "steps must increase"),
        ("match = '*/base_color'\nremesh = [{ step = 5, edge = 0.1 }]\n", "about the vertex positions of a mesh"),
        ("match = 'object/positions'\n[guard]\ncollapse = 'shortn'\n", "Closest: 'shorten'"),
        ("match = 'object/positions'\n[goal]\ndistance = { y = 0.1 }\n", "there is no [vars.y]"),
    ],
)
def test_mistakes_are_told_before_anything_is_rendered(
    job: Callable[[str], Path], capfd: pytest.CaptureFixture[str], more: str, message: str
) -> None:
    code, text, folder = run(job("[vars.x]\n" + more), capfd)
    assert code == 2 and message in text and "Traceback" not in text and folder is None, text
