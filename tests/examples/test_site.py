"""The site builds without a warning; its reference names every command and every public name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pbdr
from pbdr.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def made_pages(monkeypatch: pytest.MonkeyPatch) -> object:
    """The extension that makes pages."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import made_pages as module

    return module


def test_the_page_of_commands_names_every_command_and_option(made_pages) -> None:  # type: ignore[no-untyped-def]
    text = made_pages.commands()
    assert re.findall(r"^## `pbdr (\w+)`$", text, re.MULTILINE) == list(COMMANDS)
    for words in (
        "| `--param NAME` |",
        "| `-D`, `--define NAME=VALUE` |",
        "| `--quick` |",
        "| `RUN` |",
        "One of turntable, relight.",
    ):
        assert words in text, words


def test_the_page_of_the_interface_names_every_public_name() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"auto(?:function|class):: pbdr\.(\w+)$", text, re.MULTILINE))
    assert named == set(pbdr.__all__) - {"__version__"}


def test_links_to_records_become_pages(made_pages) -> None:  # type: ignore[no-untyped-def]
    moved = {
        "../../benchmarks/results/jobs.md": "/measured/jobs.md",
        "../benchmarks/results/h100/matrix.md": "/measured/h100-matrix.md",
        "../benchmarks/results": "/measured/index.md",
        "../CHANGELOG.md": "/changelog.md",
        "../reference/job.md": "../reference/job.md",
    }
    for old, new in moved.items():
        source = [f"[words]({old})"]
        made_pages.relink(None, "", source)
        assert source == [f"[words]({new})"]


def test_every_page_is_reached_from_the_first(made_pages) -> None:  # type: ignore[no-untyped-def]
    """Sphinx says so as well; here it costs nothing."""
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md") if "_build" not in p.parts}
    seen, waiting = set(), ["index"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        file = DOCS / f"{page}.md"
        tree = re.findall(
            r"```\{toctree\}\n(.*?)```", file.read_text(encoding="utf-8") if file.is_file() else "", re.DOTALL
        )
        for line in (line for part in tree for line in part.splitlines() if line and not line.startswith(":")):
            base = (file.parent / line).resolve().relative_to(DOCS).as_posix()
            found = [p for p in pages if re.fullmatch(base.replace("*", "[^/]*"), p)] or [base]
            waiting += [p for p in found if p not in seen]
    made = {"reference/commands", "changelog", "measured/index"}
    assert {p for p in pages - seen if not p.startswith("measured/")} == set()
    assert {p for p in seen - pages if not p.startswith("measured/")} <= made


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Cells are not run here: tests/examples/test_pages.py runs them."""
    for name in ("sphinx", "myst_nb", "furo", "sphinx_copybutton"):
        pytest.importorskip(name)
    words = ["-W", "--keep-going", "-q", "-b", "html", "-D", "nb_execution_mode=off", "-d", str(tmp_path / "trees")]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(DOCS), str(tmp_path / "html")], env=settings, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    first = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    assert "Getting started" in first and (tmp_path / "html" / "reference" / "commands.html").is_file()
