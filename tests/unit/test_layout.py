"""The rules of docs/architecture.md that can be read off the code; ruff and mypy as tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# What is called -> the files under pbdr/ that may call it.
HOMES = {
    "mi.load_dict": ("scene.py",),
    "mi.load_file": ("scene.py",),
    "mi.load_string": ("scene.py",),
    "mi.traverse": ("parameters/",),
    "mi.register_integrator": ("pathspace/plugin.py",),
    "mi.PluginManager.instance": ("seeds.py",),
    "mi.PCG32": ("seeds.py",),
    "print": ("cli/",),
}


def calls(source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of every call in a source text."""
    return [(node.lineno, ast.unparse(node.func)) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]


def strays(source: str, path: str) -> list[str]:
    """Calls in `source`, the file `path` below pbdr/, that belong elsewhere."""
    return [
        f"pbdr/{path}:{line}: {name} belongs in pbdr/{' or pbdr/'.join(HOMES[name])}"
        for line, name in calls(source)
        if name in HOMES and not path.startswith(HOMES[name])
    ]


def test_each_mitsuba_entry_point_has_one_home(root):
    package = root / "pbdr"
    files = sorted(package.rglob("*.py"))
    assert len(files) > 10
    assert [s for file in files for s in strays(file.read_text(), file.relative_to(package).as_posix())] == []


def test_a_stray_call_is_caught():
    source = "import mitsuba as mi\nscene = mi.load_dict({})\nprint(mi.traverse(scene))\n"
    assert strays(source, "boundary/edges.py") == [
        "pbdr/boundary/edges.py:2: mi.load_dict belongs in pbdr/scene.py",
        "pbdr/boundary/edges.py:3: print belongs in pbdr/cli/",
        "pbdr/boundary/edges.py:3: mi.traverse belongs in pbdr/parameters/",
    ]
    assert len(strays(source, "scene.py")) == 2


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("command", [("ruff", "check", "."), ("mypy",)], ids=lambda command: command[0])
def test_linters_find_nothing(root, command):
    result = run(root, *command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_linters_find_something_where_there_is_something(root, tmp_path):
    """Negative control: the same configuration does flag an unused import and a wrong return type."""
    bad = tmp_path / "bad.py"
    bad.write_text('import os\n\n\ndef f() -> int:\n    return ""\n')
    config = str(root / "pyproject.toml")
    assert "F401" in run(root, "ruff", "check", "--config", config, str(bad)).stdout
    assert "return-value" in run(root, "mypy", "--config-file", config, str(bad)).stdout


LONGEST_FILE, LONGEST_FUNCTION = 350, 60  # lines


def too_long(name: str, text: str) -> list[str]:
    """What is too long in a file."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    long = [f"{name}: {n.name}" for n in functions if (n.end_lineno or 0) - n.lineno >= LONGEST_FUNCTION]
    return long + ([name] if text.count("\n") > LONGEST_FILE else [])


def test_files_and_functions_are_short(root):
    files = sorted((root / "pbdr").rglob("*.py"))
    assert [x for file in files for x in too_long(file.relative_to(root).as_posix(), file.read_text())] == []
    assert too_long("a.py", "x = 1\n" * 351) == ["a.py"]
    assert too_long("a.py", "def f():\n" + "    x = 1\n" * 60) == ["a.py: f"]
