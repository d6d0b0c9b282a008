"""docs/theory.md and the code name each other: numbered equations, citations, implementing functions."""

import ast
import re
from pathlib import Path

NUMBER = r"\((\d+[a-e]?)\)"
EQUATION = re.compile(rf"^ {{4,}}\S.* {NUMBER}$", re.MULTILINE)
ROW = re.compile(rf"^\| {NUMBER} \| (.+) \|$", re.MULTILINE)
CITATION = re.compile(r"#.*?\bEqs?\.\s*((?:\(\d+[a-e]?\)(?:,\s*|\s+and\s+)?)+)")
MISSING = "not implemented yet"


def equations(text: str) -> list[str]:
    """Numbers of the displayed equations of the document, in order."""
    return EQUATION.findall(text)


def table(text: str) -> dict[str, set[str]]:
    """Equation number -> dotted names of the functions that implement it; empty where there is none yet."""
    rows = ROW.findall(text)
    assert len({number for number, _ in rows}) == len(rows), "an equation has two rows"
    return {number: set() if cell == MISSING else set(re.findall(r"`([^`]+)`", cell)) for number, cell in rows}


def citations(path: Path, module: str) -> set[tuple[str, str]]:
    """(equation number, dotted name of the function whose line cites it) of one file."""
    source = path.read_text()
    spans: list[tuple[int, int, str]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert child.end_lineno is not None
                name = f"{prefix}.{child.name}"
                if not isinstance(child, ast.ClassDef):
                    spans.append((child.lineno, child.end_lineno, name))
                    continue  # a nested function counts as the one that contains it
                visit(child, name)

    visit(ast.parse(source), module)
    found = set()
    for line_number, line in enumerate(source.splitlines(), start=1):
        for match in CITATION.finditer(line):
            owners = [name for start, end, name in spans if start <= line_number <= end]
            for number in re.findall(NUMBER, match[1]):
                found.add((number, owners[0] if owners else f"{module} (no function), line {line_number}"))
    return found


def all_citations(root: Path) -> set[tuple[str, str]]:
    result: set[tuple[str, str]] = set()
    for path in sorted((root / "pbdr").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        result |= citations(path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return result


def disagreements(documented: dict[str, set[str]], cited: set[tuple[str, str]]) -> list[str]:
    """What the document's table and the code's citations say differently, in words."""
    lines = [
        f"{function} cites Eq. ({number}), which docs/theory.md does not have"
        for number, function in sorted(cited)
        if number not in documented
    ]
    for number, functions in documented.items():
        actual = {function for cited_number, function in cited if cited_number == number}
        lines += [f"docs/theory.md: the row of ({number}) lacks `{name}`" for name in sorted(actual - functions)]
        lines += [f"docs/theory.md: `{name}` does not cite Eq. ({number})" for name in sorted(functions - actual)]
    return lines


def test_every_equation_has_a_row(root):
    text = (root / "docs" / "theory.md").read_text()
    assert equations(text) == [
        "1",
        "2",
        "3a",
        "3b",
        "3",
        "4",
        "5",
        "6",
        "6a",
        "6b",
        "6c",
        "6d",
        "7",
        "8",
        "9",
        "9a",
        "9b",
        "9c",
        "9d",
        "9e",
        "10",
        "10a",
        "10b",
        "11",
        "12",
        "13",
        "14",
        "14a",
        "15",
        "16",
        "17",
        "18",
        "19",
        "20",
        "21",
        "21a",
        "22",
        "23",
        "24",
        "25",
        "29",
        "30",
        "31",
        "32",
        "33",
    ]
    assert sorted(table(text)) == sorted(equations(text))


def test_rows_and_citations_agree(root):
    documented = table((root / "docs" / "theory.md").read_text())
    assert disagreements(documented, all_citations(root)) == []


def test_disagreements_are_caught(tmp_path):
    """Negative control: an unknown number, a function not named, a function that does not cite, a stale 'not yet'."""
    path = tmp_path / "module.py"
    path.write_text(
        "class A:\n    def f(self):\n        return 1  # Eq. (1)\n\n"
        "def g():\n    def inner():\n        return 2  # per ray, Eqs. (2), (9)\n    return inner\n\n"
        "x = 3  # Eq. (7)\n"
    )
    cited = citations(path, "m")
    assert cited == {("1", "m.A.f"), ("2", "m.g"), ("9", "m.g"), ("7", "m (no function), line 10")}
    text = "| (1) | `m.A.f` |\n| (2) | `m.g`, `m.h` |\n| (9) | not implemented yet |\n"
    assert disagreements(table(text), cited) == [
        "m (no function), line 10 cites Eq. (7), which docs/theory.md does not have",
        "docs/theory.md: `m.h` does not cite Eq. (2)",
        "docs/theory.md: the row of (9) lacks `m.g`",
    ]
    assert disagreements(table(text), {("1", "m.A.f"), ("2", "m.g"), ("2", "m.h")}) == []


def test_no_equation_is_missing(root):
    documented = table((root / "docs" / "theory.md").read_text())
    assert [number for number, functions in documented.items() if not functions] == []
