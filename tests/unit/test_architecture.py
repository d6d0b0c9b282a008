"""What docs/architecture.md names is there: a reader finds by it where an equation stands, and the place of something new."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path("docs") / "architecture.md"
NEW = re.compile(r"say `([^`]+)`")  # files that a recipe invents
EQUATION = re.compile(r"^\| \((\w+)\) \| .+ \| `(\S+\.py)` \| (.+) \|$", re.MULTILINE)
TREE = re.compile(r"^    pbdr/\n(.+?)^    validation/", re.MULTILINE | re.DOTALL)


def missing_files(text: str, root: Path) -> list[str]:
    """Paths in backticks that are neither there nor invented."""
    named = set(re.findall(r"`((?:pbdr|benchmarks|validation|tests|examples)/[\w/.]*)`", text)) - set(NEW.findall(text))
    return sorted(path for path in named if not (root / path).exists())


def functions(source: str, number: str) -> set[str]:
    """Functions of a file a line of which cites this equation."""
    lines = {k for k, line in enumerate(source.splitlines(), 1) if re.search(rf"# .*\({number}\)", line)}
    found = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = prefix + child.name
                if isinstance(child, ast.FunctionDef) and lines & set(range(child.lineno, (child.end_lineno or 0) + 1)):
                    found.add(name)
                visit(child, name + ".")

    visit(ast.parse(source), "")
    return found


def wrong_equations(text: str, root: Path) -> list[str]:
    """Rows of the table of equations whose functions do not cite them."""
    rows = EQUATION.findall(text)
    assert {"3a", "5", "8", "11"} <= {number for number, _, _ in rows}
    return [
        f"({number}) {name}"
        for number, path, names in rows
        for name in re.findall(r"`([\w.]+)`", names)
        if name not in functions((root / path).read_text(encoding="utf-8"), number)
    ]


def test_what_the_page_names_is_there(root):
    text = (root / PAGE).read_text(encoding="utf-8")
    assert missing_files(text, root) == []
    assert wrong_equations(text, root) == []


def test_every_folder_of_the_package_is_in_the_tree(root):
    tree = TREE.search((root / PAGE).read_text(encoding="utf-8"))
    assert tree is not None
    folders = {path.parent.name for path in (root / "pbdr").rglob("*.py")} - {"pbdr"}
    assert sorted(name for name in folders if f"{name}/" not in tree[1]) == []


def test_a_wrong_name_is_found(root):
    """Negative control."""
    text = (root / PAGE).read_text(encoding="utf-8")
    assert missing_files(text + "`pbdr/geometry/gone.py`", root) == ["pbdr/geometry/gone.py"]
    assert wrong_equations(text.replace("`weigh`", "`outside`"), root) == ["(5) outside"]
