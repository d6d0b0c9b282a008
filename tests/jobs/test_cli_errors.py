"""Bad input to the command line: one clear line, the right exit code, no traceback, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pbdr
from pbdr import cli
from pbdr.cli import commands, console
from pbdr.cli.commands import COMMANDS, bench
from pbdr.data import Camera, encode_exr, write_transforms
from pbdr.errors import DataError, DataWarning, OptionError
from pbdr.job import checkpoint, storage
from validation.command_line import assert_one_line, run

Tiny = Callable[..., Path]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


JOB_MISTAKES = [
    ({"steps = 12": "stepz = 12"}, 2, "[optim] has no key 'stepz'. Closest: 'steps'."),
    ({"steps = 12": "steps = 'many'"}, 2, "[optim] steps = 'many'"),
    ({'"scene.xml"': '"scen.xml"'}, 3, "Closest: scene.xml"),
    ({'"truth.xml"': '"thruth.xml"'}, 3, "thruth.xml: no such target scene. Closest there: 'truth.xml'"),
    ({"mat/base_color": "mat/base_colour"}, 2, "'mat/base_colour' is not in"),
    ({'type = "prb"': 'type = "prbb"'}, 3, "prbb"),
    ({'"mat/base_color"\ninit = 0.5\nbounds = [0.0, 1.0]': '"ball/pose"\ninit = 0.5'}, 2, "is one number, and (3, 4) have no use"),
    ({"bounds = [0.0, 1.0]": "bounds = [0.6, 1.0]"}, 2, "outside its bounds [0.6, 1]"),
    ({"bounds = [0.0, 1.0]": 'map = "exp"\nbounds = [1.0, 0.0]'}, 2, "not in increasing order"),
    ({"init = 0.5": "init = [0.5, 0.5]"}, 2, "has shape (2,)"),
    ({'holdout = "every:4"': 'holdout = "every:1"'}, 2, "leaves no training view"),
    ({'holdout = "every:4"': 'define = "x"'}, 2, "[data] has no key 'define'"),
]


@pytest.mark.parametrize(("changes", "code", "message"), JOB_MISTAKES, ids=[m for _, _, m in JOB_MISTAKES])
def test_mistakes_in_the_job(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, str], code: int, message: str
) -> None:
    got, out, err = run(
        capfd, "fit", str(tiny(changes)), "--output.dir", str(tmp_path / "runs"), "--data.target_spp", "1"
    )
    assert got == code, err
    assert_one_line(err, message)
    assert out == ""


def test_a_mistyped_name_leaves_no_run_directory(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(capfd, "fit", str(tiny({"mat/base_color": "mat/colour"})), "--output.dir", str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_about_the_scene_at_once(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every variable, the hold-out rule, the gauge and the integrator; with --json all of them are in the object."""
    job = tiny(
        {
            'holdout = "every:4"': 'holdout = "each:4"',
            'match = "mat/base_color"': 'match = ["mat/base_colour", "mat/base_colors"]',
            "[goal]": '[vars.sky]\nmatch = "sky/radiance"\nprior = { tv = 1.0, tv_relative = 1.0 }\n[vars.ball]\n'
            'match = "ball/pose"\nmap = "clamp"\n[gauge]\nfix = "nonsense"\n[goal]',
            'type = "prb"': 'type = "prbb"',
        }
    )
    code, out, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"), "--json")
    assert code == 2 and not (tmp_path / "runs").exists()
    told = [mistake["message"] for mistake in json.loads(out)["mistakes"]]
    wanted = (
        "holdout = 'each:4' is not a rule", "variable 'albedo': 'mat/base_colour' is not in", "'mat/base_colors' is not in",
        "prior tv of 'sky:", "prior tv_relative of 'sky:", "'ball/pose' is a pose", "prbb",
    )  # fmt: skip
    for message in wanted:
        assert sum(message in line for line in told) == 1, (message, told)
        assert_one_line(err, message)
    assert len(told) == len(wanted)


def test_weights_of_views_that_do_not_exist(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = tiny({"[optim]": '[loss]\nviews = { "r_*" = 0.5 }\n[optim]'})
    code, _, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"))
    assert code == 2 and not (tmp_path / "runs").exists()
    assert_one_line(err, "[loss] views = 'r_*' matches no view. Closest: view-000")


def test_late_mistakes_leave_no_run_directory(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Once the names are right: the gauge, a goal without truth, and a rule that leaves no view. Nothing is rendered."""
    job = tiny(
        {
            'holdout = "every:4"': 'holdout = "last:4"',
            "[goal]": '[gauge]\nfix = "mean_luminance(mat/base_color) = 0.5"\n[goal]',
        }
    )
    edit(tmp_path / "truth.xml", 'id="mat"', 'id="other"')
    code, _, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"))
    assert code == 2 and not (tmp_path / "runs").exists()
    for message in ("leaves no training view of 4", "needs a light among", "[goal] rmse of 'albedo'"):
        assert_one_line(err, message)


SCENE_MISTAKES = [
    ('<emitter type="constant" id="sky"><rgb name="radiance" value="$sky"/></emitter>', "", "has no emitter"),
    ('type="sphere"', 'type="spheer"', "spheer"),
    ("</scene>", "", "scene.xml"),
    ("<sensor", "<!-- <sensor", "scene.xml"),
]


@pytest.mark.parametrize(
    ("old", "new", "message"), SCENE_MISTAKES, ids=["no emitter", "plugin", "broken XML", "open comment"]
)
def test_mistakes_in_the_scene(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    job = tiny()
    edit(tmp_path / "scene.xml", old, new)
    code, _, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"))
    assert code == 3, err
    assert_one_line(err, message)


def test_a_scene_without_sensor(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    code, _, err = run(capfd, "render", str(tmp_path / "truth.xml"), "--out", str(tmp_path / "x.exr"))
    assert code == 3 and "has no sensor" in err


@pytest.fixture
def images(tiny: Tiny, tmp_path: Path) -> Path:
    """The tiny job on given images and a transforms.json instead of rendered targets."""
    job = tiny(
        {'cameras = "scene"\ntarget = "truth.xml"': 'cameras = "transforms.json"', "rmse = { albedo = 0.05 }": ""}
    )
    cameras = [Camera.look_at([4, i, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7) for i in range(4)]
    names = [f"{i}.exr" for i in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(encode_exr(np.full((12, 12, 3), 0.5, np.float32)))
    write_transforms(tmp_path / "transforms.json", cameras, names)
    return job


def nan_image(folder: Path) -> None:
    bad = np.full((12, 12, 3), 0.5, np.float32)
    bad[3, 4] = np.nan
    (folder / "2.exr").write_bytes(encode_exr(bad))


DATA_MISTAKES: list[tuple[Callable[[Path], Any], str]] = [
    (nan_image, "2.exr: 1 pixels are NaN or infinite, the first at row 3, column 4"),
    (lambda f: (f / "2.exr").unlink(), "no image"),
    (lambda f: (f / "2.exr").write_bytes(b"junk"), "2.exr: not an image"),
    (lambda f: (f / "2.exr").write_bytes(encode_exr(np.zeros((6, 12, 3)))), "12 x 6 pixels but 'h' is 12"),
    (lambda f: (f / "transforms.json").write_text("{"), "not valid JSON"),
    (lambda f: (f / "transforms.json").unlink(), "no such transforms.json"),
    (lambda f: edit(f / "transforms.json", '"frames"', '"k4": 0.1, "frames"'), "distortion k4 = 0.1"),
]


def test_planes_that_losses_lack_leave_no_run_directory(
    images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--output.dir", str(tmp_path / "runs"), "--loss.silhouette", "1.0", "--render.integrator.type", "pathspace")
    code, _, err = run(capfd, "fit", str(images), *words)
    assert code == 3 and not (tmp_path / "runs").exists(), err
    assert_one_line(err, "the loss 'silhouette' needs its silhouette")


@pytest.mark.parametrize(
    ("damage", "message"), DATA_MISTAKES, ids=["nan", "missing", "junk", "shape", "json", "no json", "distortion"]
)
def test_mistakes_in_the_images(
    images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: Callable[[Path], Any], message: str
) -> None:
    damage(tmp_path)
    code, _, err = run(capfd, "fit", str(images), "--output.dir", str(tmp_path / "runs"))
    assert code == 3, err
    assert_one_line(err, message)
    assert not (tmp_path / "runs").exists()


def test_transforms_json_fits(images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The control of the test above: undamaged, the same job runs."""
    code, out, err = run(capfd, "fit", str(images), "--output.dir", str(tmp_path / "runs"), "--optim.steps", "2")
    assert code == 0, err
    assert "report: " in out


def test_unwritable_output_folder(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    code, _, err = run(capfd, "fit", str(tiny()), "--output.dir", str(tmp_path / "taken"))
    assert code == 2
    assert_one_line(err, "cannot be written")
    assert "--output.dir" in err
    code, _, err = run(capfd, "init", str(tmp_path / "scene.xml"), "--no-probe", "--out", str(tmp_path / "taken" / "j.toml"))
    assert code == 2
    assert_one_line(err, "of one file by --out")


def test_read_only_output_folder(tiny: Tiny, tmp_path: Path) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "runs").mkdir(mode=0o500)
    assert cli.main(["fit", str(tiny()), "--output.dir", str(tmp_path / "runs")]) == 2


def test_full_disk_keeps_the_last_checkpoint_and_resumes(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint finds the disk full: exit 3, the first is intact, and with room again the run finishes."""
    write = checkpoint._write

    def full(path: Path, content: bytes) -> None:
        if "step-000008" in str(path) and path.name == "arrays.npz":
            path.write_bytes(content[:10])  # what fitted
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(checkpoint, "_write", full)
    code, _, err = run(capfd, "fit", str(tiny()), "--output.dir", str(tmp_path / "runs"))
    assert code == 3
    assert_one_line(err, "the disk is full")
    folder = next((tmp_path / "runs" / "tiny").iterdir())
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step-000004"]
    assert storage.read_json(folder / "status.json")["state"] == "failed"
    assert "disk is full" in (folder / "report.html").read_text()
    monkeypatch.undo()
    code, _, err = run(capfd, "resume", str(folder))
    assert code == 0, err
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 13))


def test_full_disk_from_the_start(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run(capfd, "fit", str(tiny()), "--output.dir", str(tmp_path / "runs"))
    assert code == 3
    assert_one_line(err, "the disk is full")


def test_files_that_may_not_grow_are_no_wrong_option(tmp_path: Path) -> None:
    """`ulimit -f`: exit code 3, as for a full disk; what is there stays."""
    for code, kind in ((errno.EFBIG, DataError), (errno.ENOSPC, DataError), (errno.EROFS, OptionError)):
        found = storage.explain(OSError(code, os.strerror(code)), tmp_path / "x")
        assert type(found) is kind and os.strerror(code) in str(found)


USAGE = [
    (["fitt", "x"], "there is no command 'fitt'. Closest: 'fit'."),
    (["fit"], "pbdr fit: JOB.toml is missing. See pbdr fit --help"),
    (["fit", "--dry-run", "x.toml"], "--dry-run is not an option here: a dry run is `pbdr check JOB.toml`"),
    (["init", "x.xml", "--estimate", "al"], "invalid choice 'al' for argument '--estimate'. Expected one of ('material', 'light'"),
    (["eval", "x", "--spp", "many"], "Error parsing --spp: no type matching {None}|INT"),
    (["resume", "nowhere"], "no such run directory"),
    (["render", "nowhere.xml"], "nowhere.xml does not exist"),
    (["render", "x.xml", "--out", "x.bmp"], "must end in .exr or .png"),
    (["doctor", "--wide"], "--wide"),
    (["params", "x.xml", "-D", "novalue"], "expected NAME=VALUE"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(w) for w, _ in USAGE])
def test_usage_mistakes(capfd: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    code, out, err = run(capfd, *words)
    assert code in (2, 3) and "Traceback" not in err and "╭" not in err
    assert_one_line(err, message)
    assert out == ""
    code, out, _ = run(capfd, *words, "--json")
    told = json.loads(out)
    assert told["ok"] is False and told["exit_code"] == code != 0


def test_resume_of_what_is_not_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capfd, "resume", str(tmp_path))
    assert code == 3 and "not a run directory" in err
    (tmp_path / "runs" / "a" / "20260101-000000").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "20260101-000000" / "job.toml").write_text("")
    code, _, err = run(capfd, "resume", str(tmp_path / "runs"))
    assert code == 3 and f"it holds runs of {tmp_path / 'runs' / 'a'}: give one of these" in err
    code, _, err = run(capfd, "resume", str(tmp_path / "runs" / "a" / "20260101-000000" / "job.toml"))
    assert code == 3 and "a file, not a run directory; `pbdr fit " in err


def test_json_is_one_object_on_stdout(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = (
        "fit",
        str(tiny()),
        "--output.dir",
        str(tmp_path / "runs"),
        "--json",
        "--optim.steps",
        "2",
        "--output.eval_spp=2",
    )
    code, out, err = run(capfd, *words)
    told = json.loads(out)
    assert told["exit_code"] == code == 5 and told["verdict"] == "Target not met" and told["ok"] is False
    assert Path(told["report"]).is_file() and told["step"] == 2
    assert "run directory" in err


def test_goals_decide_the_exit_code(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "fit", str(tiny()), "--output.dir", str(tmp_path / "runs"))
    assert code == 0 and "met)" in out
    estimate = json.loads(next((tmp_path / "runs").rglob("parameters.json")).read_text())["parameters"][0]
    np.testing.assert_allclose(estimate["estimate"], [0.8, 0.4, 0.2], atol=0.05)


def test_divergence_exits_4(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Light far above what floats hold makes the loss infinite in every step."""
    job = tiny({"[render]": "[guard]\nmax_skips = 2\n\n[render]"})
    edit(tmp_path / "scene.xml", '<default name="sky" value="1.0"/>', '<default name="sky" value="1e30"/>')
    code, _, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"))
    assert code == 4, err
    assert "DivergedError" in err and "Traceback" not in err


def test_params_doctor_and_render(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    scene = str(tmp_path / "scene.xml")
    code, out, _ = run(capfd, "params", scene, "--json", "--integrator", "prb")
    found = {p["name"]: p for p in json.loads(out)["parameters"]}
    assert code == 0 and found["mat/base_color"]["gradient"] is True and found["sky/radiance"]["gradient"] is True
    code, out, _ = run(capfd, "params", scene, "--match", "mat/*", "--no-probe")
    assert code == 0 and "mat/base_color" in out and "not probed" in out and "sky" not in out
    code, out, _ = run(capfd, "doctor", "--json")
    assert json.loads(out)["ok"] is (code == 0)
    picture = tmp_path / "deep" / "x.png"
    code, out, _ = run(
        capfd, "render", scene, "-o", str(picture), "--spp", "2", "--integrator", "path", "-D", "sky=0.5"
    )
    assert code == 0 and picture.read_bytes()[:4] == b"\x89PNG"


def test_version_and_size_of_the_image(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    code, out, _ = run(capfd, "--version")
    assert code == 0 and out.strip() == f"pbdr {pbdr.__version__}"
    words = ["render", str(tmp_path / "scene.xml"), "-o", str(tmp_path / "x.exr"), "--spp", "1", "--integrator", "path"]
    code, out, _ = run(capfd, *words, "--resolution", "20x10", "--json")
    found = json.loads(out)
    assert code == 0 and (found["width"], found["height"]) == (20, 10)
    for wrong in ("20", "0x10", "axb"):
        code, _, err = run(capfd, *words, "--resolution", wrong)
        assert code == 2 and "for instance 640x480" in err


def test_parameters_are_probed_in_every_view(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the first view does not see and the second one does has a gradient; what neither sees has none."""
    tiny()
    path = tmp_path / "scene.xml"
    for name, x in (("far", 40), ("hidden", -400)):
        shape = f'''<shape type="sphere" id="{name}"><point name="center" value="{x}, 0, 0"/>
          <bsdf type="diffuse" id="mat-{name}"/></shape></scene>'''
        path.write_text(path.read_text().replace("</scene>", shape))
    text = path.read_text().replace('origin="0, 4, 1" target="0, 0, 0"', 'origin="40, 4, 1" target="40, 0, 0"')
    path.write_text(text)
    code, out, _ = run(capfd, "params", str(path), "--match", "*/base_color", "--json", "--integrator", "prb")
    assert code == 0
    found = {p["name"]: p["gradient"] for p in json.loads(out)["parameters"]}
    assert found == {"mat/base_color": True, "mat-far/base_color": True, "mat-hidden/base_color": False}


def test_errors_within_an_integrator_are_those_of_the_user(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dr.Jit makes a RuntimeError of what is raised in a custom operation."""

    def broken(words: list[str]) -> None:
        try:
            raise OptionError("the scene has no shape of that id")
        except OptionError as error:
            raise RuntimeError("drjit.custom(…): see above") from error

    monkeypatch.setattr(cli, "_run", broken)
    code, _, err = run(capfd, "fit", "x.toml")
    assert code == 2 and err == "OptionError: the scene has no shape of that id\n"
    monkeypatch.setattr(cli, "_run", lambda words: 1 / 0)
    code, _, err = run(capfd, "fit", "x.toml")
    assert code == 1 and "Traceback" in err and "This is a bug in pbdr (ZeroDivisionError)" in err


def test_shapes_that_losses_name(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loss = '[loss]\nsilhouette = { weight = 1.0, shape = "bal" }\n[optim]'
    job = tiny({"[optim]": loss, 'type = "prb"': 'type = "pathspace"'})
    code, _, err = run(capfd, "fit", str(job), "--output.dir", str(tmp_path / "runs"))
    assert code == 2 and not (tmp_path / "runs").exists()
    assert_one_line(err, f"loss 'silhouette' in {tmp_path / 'scene.xml'}: aovs asks for mask(bal), but the scene has no shape")


def test_warnings_are_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    with console.plain_warnings():
        for text in ("texels are negative", "texels are negative", "frames are left out"):
            warnings.warn(text, DataWarning, stacklevel=1)
            warnings.warn(text, DataWarning, stacklevel=1)
    assert capfd.readouterr().err.splitlines() == ["warning: texels are negative", "warning: frames are left out"]


def test_the_package_is_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pbdr", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == f"pbdr {pbdr.__version__}\n"


def test_help_lists_the_commands_and_is_quick() -> None:
    begin = time.monotonic()
    command = [sys.executable, "-m", "pbdr.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and time.monotonic() - begin < 20
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py") if path.stem != "__init__"}
    assert set(COMMANDS) == files and len(files) > 10
    for name in COMMANDS:
        assert f"• {name}" in done.stdout


def test_benchmarks_need_a_checkout(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench"]) == 0 and "matrix" in capfd.readouterr().out
    assert cli.main(["bench", "nonsense"]) == 2
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert cli.main(["bench", "run"]) == 2 and "clone the repository" in capfd.readouterr().err
