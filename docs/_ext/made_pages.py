"""Pages that the build makes: commands from their registry, measurements, the changelog; and how docstrings read as pages."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import inspect
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
COMMANDS = DOCS / "reference" / "commands.md"
MEASURED = DOCS / "measured"
CHANGES = DOCS / "changelog.md"
#: Links of the repository that are pages here.
MOVED = (
    (re.compile(r"\]\((?:\.\./)*benchmarks/results/?\)"), "](/measured/index.md)"),
    (re.compile(r"\]\((?:\.\./)*benchmarks/results/(\w+)\.md\)"), r"](/measured/\1.md)"),
    (re.compile(r"\]\((?:\.\./)*benchmarks/results/(\w+)/(\w+)\.md\)"), r"](/measured/\1-\2.md)"),
    (re.compile(r"\]\((?:\.\./)*CHANGELOG\.md\)"), "](/changelog.md)"),
)


def version() -> str:
    """Version of the package, from pyproject.toml."""
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def fingerprint() -> str:
    """Of all that pages run: results of cells are kept as long as it stays the same."""
    digest = hashlib.sha256()
    for folder in ("pbdr", "examples", "scenes", "docs/_ext"):
        for file in sorted(p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


# ---------------------------------------------------------------------- commands


def commands() -> str:
    """The page of commands."""
    from pbdr.cli.commands import COMMANDS as listed

    parts = [
        "# Commands\n\nThis page is made from the commands themselves; `pbdr COMMAND --help` says the same. `pbdr --version` "
        "prints the version. Words in capitals stand for what you give.\n\n"
        "| exit code | meaning |\n|---|---|\n| 0 | it worked |\n| 1 | a bug in pbdr |\n"
        "| 2 | a mistake in the words or the job |\n| 3 | a mistake in data or scene, or the machine lacks something |\n"
        "| 4 | the fit diverged, or a gradient is wrong |\n| 5 | a target was not met |\n| 130 | interrupted |\n"
    ]
    for name, command in listed.items():
        parts.append(_command(name, command))
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    text = _code(" ".join(inspect.cleandoc(command.__doc__ or "").split()))
    parser = _parser(name, command)
    words = [a for a in parser._actions if not a.option_strings]
    usage = " ".join(["pbdr", name, *(str(a.metavar or a.dest) for a in words), "[options]"])
    rows = [_row(a) for a in parser._actions if a.dest != "help"]
    table = "| option | what it is |\n|---|---|\n" + "\n".join(rows) if rows else "It has no options."
    return f"\n## `pbdr {name}`\n\n{text}\n\n```text\n{usage}\n```\n\n{table}\n"


def _parser(name: str, command: Any) -> argparse.ArgumentParser:
    import tyro

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = tyro.extras.get_parser(command, prog=f"pbdr {name}", config=(tyro.conf.FlagCreatePairsOff,))
    assert isinstance(found, argparse.ArgumentParser)
    return found


def _row(action: argparse.Action) -> str:
    names = [f"`{word}`" for word in action.option_strings] or [f"`{action.metavar or action.dest}`"]
    metavar = str(action.metavar or "").replace("{None}|", "")
    choices = metavar.strip("{}").split(",") if metavar.startswith("{") else []
    if action.option_strings and metavar and action.nargs != 0:
        names[-1] = names[-1][:-1] + f" {'WORD' if choices else metavar}`"
    help_text = str(action.help or "").replace("%%", "%").replace("|", "\\|")
    help_text = re.sub(r" \((default: (None|False)?|required)\)$", "", help_text)
    if choices:
        help_text += f" One of {', '.join(choices)}."
    return f"| {', '.join(names)} | {_code(help_text)} |"


def _code(text: str) -> str:
    """Globs and options in a text are no markup."""
    return re.sub(r"(?<![`\w])(\*[\w/.-]+|<[\w-]+>|--[a-z][\w.-]*[\w*])(?!`)", r"`\1`", text)


# ---------------------------------------------------------------------- measurements


def measured() -> Iterator[tuple[str, str]]:
    """(file name, text) of every page of measurements, and of their index."""
    from benchmarks.__main__ import BENCHMARKS

    names = []
    for file in sorted(RESULTS.rglob("*.md")):
        names.append("-".join(file.relative_to(RESULTS).with_suffix("").parts))
        text = file.read_text(encoding="utf-8").replace("](warp_bias.png)", "](../../benchmarks/results/warp_bias.png)")
        machine = "" if file.parent == RESULTS else f" ({file.parent.name})"
        yield f"{names[-1]}.md", re.sub(r"\A(# \S+)", rf"\1{machine}", text)
    listed = "\n".join(names)
    about = "\n".join(f"| [{name}]({name}.md) | {BENCHMARKS.get(name.split('-')[-1], '')} |" for name in names)
    yield (
        "index.md",
        "# Measurements\n\nEach page is what `python -m benchmarks NAME --record` wrote, with the machine and the commit that it "
        f"was measured on.\n\n| record | what was measured |\n|---|---|\n{about}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n",
    )


def write_pages(*_: Any) -> None:
    """Write the pages that are made; files that would not change are left alone, so that Sphinx does not read them again."""
    _write(COMMANDS, commands())
    _write(CHANGES, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    MEASURED.mkdir(exist_ok=True)
    for name, text in measured():
        _write(MEASURED / name, text)


def _write(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        if file.read_text(encoding="utf-8") == text:
            return
    file.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------- texts


def relink(_app: Any, _name: str, source: list[str]) -> None:
    """Links to files of the repository that are pages here."""
    for pattern, new in MOVED:
        source[0] = pattern.sub(new, source[0])


def docstring(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are written for a terminal: columns of names and texts become definitions."""
    made: list[str] = []
    column = False  # in the text of a column
    for line in lines:
        found = re.match(r"^(\w+(?:, \w+)*) {2,}(\S.*)$", line)
        column = bool(found) or (column and line.startswith("  "))
        if found:
            made += ["", f"``{found[1]}``: {found[2]}"]
        elif column:
            made.append(line.strip())
        else:
            made += [""] if line and made and made[-1].startswith("``") else []
            made.append(line)
    lines[:] = made


def forget(app: Any, exception: Exception | None) -> None:
    """Results of cells that belong to another state of the code are not kept."""
    kept = Path(app.config.nb_execution_cache_path)
    if exception is None and kept.parent.is_dir():
        for folder in kept.parent.iterdir():
            if folder != kept:
                shutil.rmtree(folder)


def setup(app: Any) -> dict[str, Any]:
    """Sphinx's entry."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", relink)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("build-finished", forget)
    return {"version": "1", "parallel_read_safe": True}
