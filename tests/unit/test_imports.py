"""The import contracts of setup.cfg, and what files of tests may import."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONTRACTS = 5
OWN = "benchmarks"  # the folder of tests/ that is about benchmarks, and the package that no other one may import


def lint_imports(root):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=300)


def test_imports_go_one_way(root):
    result = lint_imports(root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{CONTRACTS} kept, 0 broken" in result.stdout


@pytest.fixture(scope="module")
def empty(root, tmp_path_factory):
    """Packages of empty modules, one a layer, that the same contracts hold for."""
    folder, contracts = tmp_path_factory.mktemp("packages"), configparser.ConfigParser()
    contracts.read(root / "setup.cfg")
    (folder / "setup.cfg").write_text((root / "setup.cfg").read_text())
    for package in contracts["importlinter"]["root_packages"].split():
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    layers = [section for name, section in contracts.items() if "containers" in section]
    assert len(layers) == CONTRACTS - 1
    rooms = {section["containers"]: folder / section["containers"].replace(".", "/") for section in layers}
    for room in rooms.values():
        room.mkdir(exist_ok=True)
        (room / "__init__.py").touch()
    for section in layers:
        room = rooms[section["containers"]]
        for name in re.findall(r"\w+", section["layers"]):
            if not (room / name).exists():
                (room / f"{name}.py").touch()
    assert lint_imports(folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("pbdr.errors", "pbdr.cli"),
        ("pbdr.boundary.connect", "pbdr.boundary.edges"),
        ("validation.agreement", "validation.cases"),
        ("validation.switches", "benchmarks"),
    ],
)
def test_an_upward_import_is_caught(empty, low, high):
    """Negative control."""
    file = empty / f"{low.replace('.', '/')}.py"
    file.write_text(f"import {high}\n")
    result = lint_imports(empty)
    file.write_text("")
    assert result.returncode == 1
    assert f"{low} -> {high}" in result.stdout


# ---------------------------------------------------------------------- tests


def imported(source: str) -> list[str]:
    """First names of all modules that a source text imports, those in functions among them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")
    return [name.partition(".")[0] for name in found]


def strays(source: str, path: Path) -> list[str]:
    """Imports that a file must not have: of files of tests anywhere, and of benchmarks in tests that are not about them."""
    names = set(imported(source))
    wrong = {name for name in names if name.startswith("test_") or name in ("conftest", "tests")}
    if path.name == "conftest.py":
        wrong -= {"tests"}  # of the suite's own machinery: slow_cases, suite_cost
    if path.parts[0] == "tests" and path.parts[1] != OWN and OWN in names:
        wrong.add(OWN)
    return [f"{path} imports {name}; what files share lives in validation/" for name in sorted(wrong)]


def test_neither_tests_nor_benchmarks_import_the_other(root):
    files = [file for folder in ("tests", "validation", "benchmarks") for file in (root / folder).rglob("*.py")]
    assert len(files) > 150
    assert [x for file in files for x in strays(file.read_text(), file.relative_to(root))] == []
    used = [file for file in (root / "tests" / OWN).glob("*.py") if OWN in imported(file.read_text())]
    assert len(used) > 5


def test_a_stray_import_is_caught():
    """Negative control: in functions as well, and whatever the form."""
    source = "def f():\n    from benchmarks.matrix import run\n\nimport test_curves as curves\n"
    assert len(strays(source, Path("tests/unit/test_x.py"))) == 2
    assert len(strays(source, Path("tests/benchmarks/test_x.py"))) == 1
    assert len(strays("from tests import slow_cases", Path("benchmarks/x.py"))) == 1
    assert strays("from tests import slow_cases", Path("tests/conftest.py")) == []
    assert strays("import validation.cases, pbdr, numpy", Path("tests/unit/test_x.py")) == []
