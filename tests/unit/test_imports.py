"""The import contract of setup.cfg: layers import downwards only."""

import subprocess
import sys


def lint_imports(root):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=300)


def test_imports_go_one_way(root):
    result = lint_imports(root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 kept, 0 broken" in result.stdout


def test_an_upward_import_is_caught(root, tmp_path):
    """Negative control: the same contract over a package of empty modules, of which the lowest imports the highest."""
    contract = (root / "setup.cfg").read_text()
    (tmp_path / "setup.cfg").write_text(contract)
    package = tmp_path / "pbdr"
    package.mkdir()
    (package / "__init__.py").touch()
    layers = contract.split("layers =", maxsplit=1)[1].split()
    for name in (layer.strip("()") for layer in layers if layer != "|"):
        (package / f"{name}.py").touch()
    assert lint_imports(tmp_path).returncode == 0
    (package / "errors.py").write_text("import pbdr.cli\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert "pbdr.errors -> pbdr.cli" in result.stdout
