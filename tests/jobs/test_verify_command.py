"""`pbdr verify` and `pbdr gradient` as commands: exit codes, JSON, files, and one line for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbdr.cli.derivatives import integrator_options
from pbdr.errors import OptionError
from validation.command_line import assert_one_line, run

SCENE = """<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="2"/></integrator>
  <sensor type="perspective"><float name="fov" value="40"/>
    <transform name="to_world"><lookat origin="0, -4, 2" target="0, 0, 0.5" up="0, 0, 1"/></transform>
    <film type="hdrfilm"><integer name="width" value="16"/><integer name="height" value="12"/><rfilter type="box"/></film></sensor>
  <shape type="sphere" id="ball"><point name="center" value="0, 0, 0.6"/><float name="radius" value="0.6"/>
    <bsdf type="diffuse" id="paint"><rgb name="reflectance" value="0.5, 0.4, 0.3"/></bsdf></shape>
  <emitter type="constant"><rgb name="radiance" value="1, 0.9, 0.8"/></emitter>
</scene>"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "mine.xml"
    path.write_text(SCENE)
    return path


def test_a_colour_agrees(scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "page.html"
    words = ["--param", "paint/base_color", "--budget", "60", "--out", str(page), "--json"]
    code, out, err = run(capfd, "verify", str(scene), *words)
    assert code == 0, err
    record = json.loads(out)
    assert record["ok"] and record["verdict"] == "agrees" and record["exit_code"] == 0
    assert record["integrator"] == {"type": "pathspace", "max_depth": 2} and record["resolution"] == [16, 12]
    assert record["along"][0]["reverse_agrees"] is True and record["along"][0]["other"]["status"] == "not tried"
    assert "Agrees" in page.read_text(encoding="utf-8")


def test_prb_without_a_boundary_is_wrong(scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--param", "ball/pose", "--direction", "x", "--integrator", "prb", "--budget", "60", "--no-reverse"]
    code, out, err = run(capfd, "verify", str(scene), *words, "--out", str(tmp_path / "page.html"))
    assert code == 5, err
    assert "wrong" in out and "page.html" in out


def test_a_first_look_is_quick(scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Half a second where it was measured, once kernels are compiled; no page, and what is wrong is wrong."""
    words = ["--quick", "--out", str(tmp_path / "page.html"), "--json"]
    for _ in range(2):
        code, out, err = run(capfd, "verify", str(scene), "--param", "paint/base_color", *words)
    record = json.loads(out)
    assert code == 0 and record["verdict"] == "agrees" and record["page"] is None, err
    assert record["seconds"] < 5  # ten times the usual: other work may share the machine
    assert len(record["along"]) == 1 and not (tmp_path / "page.html").exists()
    code, out, err = run(capfd, "verify", str(scene), "--param", "ball/pose", *words, "--integrator", "prb")
    assert code == 5 and json.loads(out)["verdict"] == "wrong", err


def test_gradient_images(scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "images"
    words = ["--param", "ball/pose", "--direction", "x", "--spp", "16", "--out", str(folder), "--json"]
    code, out, err = run(capfd, "gradient", str(scene), *words)
    assert code == 0, err
    record = json.loads(out)
    assert [entry["term"] for entry in record["images"]] == ["interior", "primary", "direct", "indirect", "total"]
    assert len(list(folder.glob("*.exr"))) == 5 and len(list(folder.glob("*.png"))) == 5
    largest = {entry["term"]: entry["largest"] for entry in record["images"]}
    assert largest["primary"] > 0 and largest["indirect"] == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["verify", "--param", "paint/color"], 2, "Closest: 'paint/base_color'"),
        (["verify", "--param", "paint/base_color", "--integrator", "prbb"], 3, "prbb"),
        (["verify", "--param", "paint/base_color", "--option", "guiding"], 2, "NAME=VALUE"),
        (["verify", "--param", "paint/base_color", "--out", "page.pdf"], 2, ".html"),
        (["verify", "--param", "paint/base_color", "--direction", "x"], 2, "no position"),
        (["gradient", "--param", "paint/base_color", "--spp", "0"], 2, "--spp 0"),
        (["gradient", "--param", "paint/base_color", "--sensor", "3"], 3, "sensor 3"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistakes(scene: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: int, message: str) -> None:
    got, out, err = run(capfd, words[0], str(scene), *words[1:])
    assert got == code, err
    assert_one_line(err, message)
    assert out == ""


def test_options_of_integrators() -> None:
    assert integrator_options(["a=3", "b=0.5", "c=true", "d=none", "e=1e-3"]) == {
        "a": 3,
        "b": 0.5,
        "c": True,
        "d": "none",
        "e": 1e-3,
    }
    for wrong in ("a", "=3", "type=prb"):
        with pytest.raises(OptionError, match="NAME=VALUE"):
            integrator_options([wrong])
