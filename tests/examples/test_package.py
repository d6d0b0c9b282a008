"""The wheel holds the whole package, and works where nothing else of the project is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a wheel is made of.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "pbdr")
BUILD = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"


def copy(folder: Path) -> Path:
    """The sources alone: building writes beside them."""
    folder.mkdir()
    for name in SOURCES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def files(folder: Path) -> set[str]:
    """Files of the package below a folder."""
    found = (p for p in (folder / "pbdr").rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {p.relative_to(folder).as_posix() for p in found}


def wheel_of(folder: Path, out: Path) -> set[str]:
    """Files of the package in the wheel that is built of a folder."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with zipfile.ZipFile(out / done.stdout.split()[-1]) as wheel:
        return {name for name in wheel.namelist() if name.startswith("pbdr/")}


def test_the_wheel_holds_what_the_tree_holds(tmp_path: Path) -> None:
    folder = copy(tmp_path / "source")
    (folder / "pbdr" / "stray.bin").write_bytes(b"data of a kind that nobody has declared")  # the negative control
    (tmp_path / "out").mkdir()
    found, there = wheel_of(folder, tmp_path / "out"), files(folder)
    assert "pbdr/py.typed" in found and "pbdr/report.html.j2" in found
    assert there - found == {"pbdr/stray.bin"} and found - there == set()
    assert files(ROOT) == there - {"pbdr/stray.bin"}


@pytest.mark.slow
def test_an_installed_wheel_runs_the_demo_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("build")

    def run(*words: str, **settings: str) -> str:
        plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            words, cwd=empty, env={**plain, **settings}, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode in (0, 5), (
            done.stdout[-2000:] + done.stderr[-3000:]
        )  # 5: few steps do not meet the goals
        return done.stdout

    empty, environment = tmp_path / "empty", tmp_path / "environment"
    empty.mkdir()
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "out"), str(copy(tmp_path / "source")))
    (wheel,) = (tmp_path / "out").glob("pbdr-*.whl")
    run(sys.executable, "-m", "venv", str(environment))
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    run(str(scripts / "pip"), "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel))
    home = run(str(scripts / "python"), "-c", "import pbdr; print(pbdr.__file__)").strip()
    assert Path(home).is_relative_to(environment) and (Path(home).parent / "py.typed").is_file()
    words = ["--optim.steps", "4", "--data.target_spp", "4", "--output.eval_spp", "4", "--json"]
    told = json.loads(run(str(scripts / "pbdr"), "demo", *words))
    assert told["verdict"] == "Target not met" and Path(told["report"]).is_relative_to(empty)
    assert "data:image/png" in Path(told["report"]).read_text(encoding="utf-8")


def test_the_citation_names_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {project['version']}" in lines and f"license: {project['license']}" in lines
