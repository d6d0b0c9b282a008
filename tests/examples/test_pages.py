"""Every block of code and every command of README, tutorials, how-to pages and notebooks: read by default, run by `make test-all`.

A comment before a block says what is special about it: `<!-- slow: why -->`, `<!-- not run: why -->`, `<!-- output -->`, or
`<!-- file: name -->`.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import pbdr
from pbdr import cli
from pbdr.cli import usage
from pbdr.cli.shared import no_more
from pbdr.errors import PbdrError
from pbdr.job import preflight
from pbdr.job.config import load_job
from pbdr.job.overrides import parse_overrides

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/start.md", "docs/gallery.md"] + [
    path.relative_to(ROOT).as_posix()
    for name in ("tutorials", "howto", "notebooks")
    for path in sorted((ROOT / "docs" / name).glob("*.md"))
]
JOBS = sorted(path.parent.name for path in (ROOT / "examples" / "jobs").glob("*/job.toml"))
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
MARKS = ("slow", "not run", "output", "file")
#: Commands that only blocks that are not run may have.
MACHINE = ("pip", ".venv/bin/pip", "jupytext", "python3", ".venv/bin/pbdr")
#: What a page takes for granted.
BEFORE = {"README.md": "python examples/photographs.py ."}
FEWER = {
    "fit": "--optim.steps 6 --output.eval_spp 4",
    "demo": "--optim.steps 6 --data.target_spp 4 --output.eval_spp 4",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the mark before it and what that says."""

    language: str
    text: str
    mark: str = ""
    says: str = ""

    @property
    def cell(self) -> bool:
        """Whether the build of the pages runs it."""
        return self.language.startswith("{code-cell}")

    @property
    def code(self) -> str:
        """Python, without the options of a cell."""
        return re.sub(r"\A(:\w[^\n]*\n)+\n?", "", self.text) if self.cell else self.text


def blocks(page: str) -> list[Block]:
    """The blocks of a page that are code, commands, files or output; directives of the site are none."""
    found = []
    for match in FENCE.finditer((ROOT / page).read_text(encoding="utf-8")):
        language = match["language"].strip()
        if language.startswith("{") and not language.startswith("{code-cell}"):
            continue
        mark, _, says = (match["mark"] or "").partition(":")
        found.append(Block(language, match["text"], mark.strip(), says.strip()))
    return found


def commands(block: Block) -> list[str]:
    """Its lines that a shell runs: of `sh`, and of cells those after an exclamation mark."""
    if block.language == "sh":
        lines = block.text.replace("\\\n", " ").splitlines()
        return [line.split(" # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    return [line[1:].strip() for line in block.code.splitlines() if block.cell and line.startswith("!")]


def python(block: Block) -> str:
    """What Python runs of a block: a cell's commands and files are calls of the driver below; its last expression is shown."""
    if not block.cell:
        return block.text
    if block.code.startswith("%%writefile "):
        first, _, text = block.code.partition("\n")
        return f"_write({first.split()[1]!r}, {text!r})"
    lines = [f"_sh({line[1:].strip()!r})" if line.startswith("!") else line for line in block.code.splitlines()]
    tree = ast.parse("\n".join(lines))
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        tree.body[-1] = ast.Expr(ast.Call(ast.Name("_show", ast.Load()), [tree.body[-1].value], []))
    return ast.unparse(ast.fix_missing_locations(tree))


def mistakes(block: Block, root: Path = ROOT) -> list[str]:
    """What is wrong with a block, as far as that can be known without running it."""
    found = []
    if block.mark and block.mark not in MARKS:
        found.append(f"unknown mark '{block.mark}'")
    if block.mark in ("slow", "not run") and not block.says:
        found.append(f"'{block.mark}' without a reason")
    if block.language not in ("sh", "python", "toml", "text", "{code-cell} ipython3"):
        found.append(f"unknown language '{block.language}'")
    if block.language == "text" and block.mark != "output":
        found.append("text that is not marked as output")
    try:
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "python" or block.cell:
            compile(python(block), "page", "exec")
    except (SyntaxError, tomllib.TOMLDecodeError) as error:
        found.append(str(error))
    return found + [told for line in commands(block) if (told := wrong_command(line, block, root))]


def wrong_command(line: str, block: Block, root: Path) -> str:
    """What is wrong with a command; "" if nothing is."""
    words = shlex.split(line)
    if words[0] == "pbdr":
        try:
            _, rest = usage.parse(words[1:], "")
            if words[1] in (*usage.JOBS, "sweep"):
                settings = parse_overrides(rest)
                if words[2:] and (root / words[2]).is_file():
                    load_job(root / words[2], settings)
            else:
                no_more(rest)
        except PbdrError as error:
            return f"{line}: {error}"
        return ""
    if words[0] == "make":
        return "" if f"\n{words[1]}:" in (root / "Makefile").read_text(encoding="utf-8") else f"{line}: no such target"
    if words[0] == "python":
        return "" if (root / words[1]).is_file() else f"{line}: no such file"
    return "" if words[0] in MACHINE and block.mark == "not run" else f"{line}: not a command of this project"


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_well_formed(page: str) -> None:
    found = blocks(page)
    assert [told for block in found for told in mistakes(block)] == []
    assert found or page.endswith("index.md")


@pytest.mark.parametrize(
    ("language", "text", "mark", "told"),
    [
        ("sh", "pbdr fitt job.toml\n", "", "no command 'fitt'"),
        ("sh", "pbdr render scene.xml --sp 4\n", "", "--sp"),
        ("sh", "pbdr fit examples/jobs/material/job.toml --optim.step 4\n", "", "Closest: 'steps'"),
        ("sh", "python examples/gone.py\n", "", "no such file"),
        ("sh", "make tea\n", "", "no such target"),
        ("sh", "rm -r runs\n", "", "not a command"),
        ("sh", "pip install x\n", "", "not a command"),
        ("python", "x = (\n", "", "never closed"),
        ("{code-cell} ipython3", "!pbdr evall runs/x\n", "", "evall"),
        ("toml", "a = b\n", "", "Invalid value"),
        ("text", "ok\n", "", "not marked"),
        ("bash", "true\n", "", "unknown language"),
        ("sh", "pbdr doctor\n", "slow", "without a reason"),
        ("sh", "pbdr doctor\n", "slwo", "unknown mark"),
    ],
)
def test_mistakes_are_found(language: str, text: str, mark: str, told: str) -> None:
    """Negative control."""
    assert told in " ".join(mistakes(Block(language, text, mark)))


def test_every_page_is_collected() -> None:
    assert len(PAGES) > 15 and sum(len(blocks(page)) for page in PAGES) > 60
    for name, text in (("sh", "```sh"), ("python", "```python"), ("{code-cell} ipython3", "```{code-cell}")):
        there = sum((ROOT / page).read_text(encoding="utf-8").count(f"\n{text}") for page in PAGES)
        assert there == sum(block.language == name for page in PAGES for block in blocks(page)) > 3


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 20 and [x for x in links if not x.startswith("https://") and not (ROOT / x).exists()] == []


@pytest.mark.parametrize("name", JOBS)
def test_example_jobs_are_valid(name: str) -> None:
    job, _ = load_job(ROOT / "examples" / "jobs" / name / "job.toml")
    preflight.check(job)


def test_files_of_example_jobs_are_what_their_program_makes() -> None:
    names: dict[str, object] = {"__file__": str(ROOT / "examples" / "jobs" / "make.py"), "__name__": "make"}
    exec((ROOT / "examples" / "jobs" / "make.py").read_text(encoding="utf-8"), names)
    made = names["files"]()  # type: ignore[operator]
    assert len(made) == 5
    for name, content in made.items():
        assert (ROOT / "examples" / "jobs" / name).read_bytes() == content, name


def test_the_example_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands, and its two ways to one derivative agree."""
    monkeypatch.chdir(ROOT)
    (code,) = [block.text for block in blocks("README.md") if block.language == "python"]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    through_image = np.array(names["slope"]).ravel()
    by_name = names["gradient"].total["red/base_color"]
    # 32 spp: the two estimates use independent seeds and scatter by about 3 %; all three are clearly negative
    assert np.all(through_image < 0)
    np.testing.assert_allclose(by_name, through_image, rtol=0.1)


def test_cornell_has_the_radiance_its_readme_states() -> None:
    scene = pbdr.load_scene(ROOT / "scenes" / "cornell" / "scene.xml", define={"res": 64})
    image = np.array(pbdr.render(scene, spp=256, integrator={"type": "path", "max_depth": 4}))
    np.testing.assert_allclose(image.mean(axis=(0, 1)), [0.40, 0.32, 0.20], rtol=0.02)


# ---------------------------------------------------------------------- runs

DRIVER = """
import subprocess
from pathlib import Path

def _sh(line):
    print("$", line, flush=True)
    code = subprocess.run(line, shell=True, executable="/bin/bash").returncode
    if code not in (0, 5):  # 5: a target was not met, as after few steps
        raise SystemExit(f"{line}: exit code {code}")

def _write(name, text):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")

def _show(value):
    if hasattr(value, "_repr_html_"):
        assert len(value._repr_html_()) > 100
"""


def fewer(line: str) -> str:
    """The same command with few steps, unless it says how many itself."""
    words = line.split()
    if words[0] == "pbdr" and words[1] in FEWER and "--optim.steps" not in line:
        return f"{line} {FEWER[words[1]]}"
    return line


def program(page: str) -> str:
    """All that a page runs, in its order, as one program. Code is a string, so that a traceback names the block."""
    parts = [DRIVER, f"_sh({BEFORE[page]!r})" if page in BEFORE else ""]
    for number, block in enumerate(blocks(page), 1):
        if block.mark in ("not run", "output"):
            continue
        if block.mark == "file":
            parts.append(f"_write({block.says!r}, {block.text!r})")
        elif block.language == "sh":
            parts += [f"_sh({fewer(line)!r})" for line in commands(block)]
        elif (block.language == "python" or block.cell) and "workshop" not in block.text:
            parts.append(f"exec(compile({python(block)!r}, '{page}, block {number}', 'exec'))")
    return "\n".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page: str, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    import workshop

    if "torch" in page:
        pytest.importorskip("torch")
    workshop.fill(tmp_path)
    (tmp_path / "page.py").write_text(program(page), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "pbdr"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pbdr "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    settings = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_example_jobs_meet_their_goals(name: str, tmp_path: Path) -> None:
    job = str(ROOT / "examples" / "jobs" / name / "job.toml")
    assert cli.main(["fit", job, "--output.dir", str(tmp_path)]) == 0
