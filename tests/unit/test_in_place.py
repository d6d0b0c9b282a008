"""Augmented assignment changes arrays of Dr.Jit in place, the caller's among them: `active &= …` narrows everybody's mask.

The rule: only what a function has made itself is changed in place. What it was given, or reads from another object, it binds anew:
`active = active & …`.
"""

import ast

import pytest

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def called(node: ast.Call) -> str:
    """Name of a function without its module; empty for Mitsuba's and Dr.Jit's, which copy what they are given."""
    if isinstance(node.func, ast.Attribute):
        return "" if ast.unparse(node.func.value) in ("mi", "dr") else node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def shares(node: ast.expr) -> bool:
    """Whether the value of an expression may be an object that something else refers to."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Starred):
        return True
    if isinstance(node, ast.IfExp):
        return shares(node.body) or shares(node.orelse)
    if isinstance(node, ast.BoolOp):
        return any(map(shares, node.values))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.UAdd) and shares(node.operand)
    if isinstance(node, ast.NamedExpr):
        return shares(node.value)
    return isinstance(node, ast.Call) and called(node) == "getattr"


def stored(statement: ast.stmt) -> set[str]:
    """Names whose objects a statement keeps elsewhere: under another name, in a container, in a record."""
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.expr):
        return set()
    kept: list[ast.expr | None] = [value] if isinstance(statement, ast.Assign) else []
    for node in ast.walk(value):
        if isinstance(node, ast.List | ast.Dict):
            kept += node.elts if isinstance(node, ast.List) else node.values
        elif isinstance(node, ast.Call) and (called(node)[:1].isupper() or called(node) in ("append", "replace")):
            kept += [*node.args, *(keyword.value for keyword in node.keywords)]
    return {node.id for node in kept if isinstance(node, ast.Name)}


class Scope:
    """Goes through the statements of a function; `others` are the names of objects that are not its own."""

    def __init__(self, others: set[str], found: set[int]) -> None:
        self.others, self.found = others, found

    def bind(self, target: ast.expr, other: bool) -> None:
        """A name gets a new object."""
        if isinstance(target, ast.Name):
            (self.others.add if other else self.others.discard)(target.id)
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                self.bind(item, other)

    def assign(self, node: ast.Assign) -> None:
        """Plain assignments, those of tuples item by item; of a chain, all targets are the same object."""
        for target in node.targets:
            pairs = [(target, node.value)]
            both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            if both and len(target.elts) == len(node.value.elts):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for item, other in [(item, shares(value)) for item, value in pairs]:
                self.bind(item, other or (len(node.targets) > 1 and not isinstance(node.value, ast.Constant)))

    def change(self, node: ast.AugAssign) -> None:
        """The place of the rule."""
        root: ast.expr = node.target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        if name in self.others or (isinstance(node.target, ast.Attribute) and name != "self"):
            self.found.add(node.lineno)

    def branches(self, *bodies: list[ast.stmt]) -> None:
        """One of these happens."""
        after: set[str] = set()
        for body in bodies:
            branch = Scope(set(self.others), self.found)
            branch.go(body)
            after |= branch.others
        self.others = after

    def go(self, body: list[ast.stmt]) -> None:
        """One statement after the other."""
        for node in body:
            kept = stored(node)
            if isinstance(node, FUNCTIONS):
                arguments = node.args
                named = [
                    *arguments.posonlyargs,
                    *arguments.args,
                    *arguments.kwonlyargs,
                    arguments.vararg,
                    arguments.kwarg,
                ]
                Scope(self.others | {a.arg for a in named if a is not None} - {"self"}, self.found).go(node.body)
            elif isinstance(node, ast.ClassDef):
                Scope(set(self.others), self.found).go(node.body)
            elif isinstance(node, ast.Assign):
                self.assign(node)
                kept -= {t.id for t in node.targets if isinstance(t, ast.Name)} if not shares(node.value) else set()
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self.bind(node.target, shares(node.value))
            elif isinstance(node, ast.AugAssign):
                self.change(node)
            elif isinstance(node, ast.If):
                self.branches(node.body, node.orelse)
            elif isinstance(node, ast.For | ast.While):
                for _ in range(2):  # what a pass leaves is what the next one finds
                    if isinstance(node, ast.For):
                        self.bind(node.target, True)
                    self.branches(node.body, [])
            elif isinstance(node, ast.With):
                self.go(node.body)
            elif isinstance(node, ast.Try):
                self.branches([*node.body, *node.orelse], *(handler.body for handler in node.handlers))
                self.go(node.finalbody)
            elif isinstance(node, ast.Match):
                self.branches(*(case.body for case in node.cases))
            self.others |= kept


def in_place(source: str) -> list[int]:
    """Lines that change in place what may be somebody else's."""
    found: set[int] = set()
    Scope(set(), found).go(ast.parse(source).body)
    return sorted(found)


def test_functions_change_only_what_they_made(root):
    files = sorted((root / "pbdr").rglob("*.py"))
    assert len(files) > 100
    strays = [f"{path.relative_to(root)}:{line}" for path in files for line in in_place(path.read_text())]
    assert not strays, f"these change arrays of their callers; write `x = x & y` instead of `x &= y`: {strays}"


@pytest.mark.parametrize(
    "body",
    [
        "active &= x",
        "mask = active\n    mask &= x",
        "mask, other = active, x & x\n    mask |= x",
        "mask = x.active\n    mask &= x",
        "x.active &= active",
        "mask = x[0]\n    mask *= active",
        "mask = active if x is None else active & x\n    mask &= x",
        "mask = x & active\n    if x is None:\n        mask = active\n    mask &= x",
        "mask = x & active\n    kept = mask\n    mask &= x\n    return kept",
        "mask = x & active\n    record = Record(mask)\n    mask &= x\n    return record",
        "mask = x & active\n    for one in x:\n        one += mask",
        "mask = x & active\n    while x:\n        mask &= x\n        mask = active",
        "def inner():\n        nonlocal active\n        active &= x\n    return inner",
    ],
)
def test_each_way_to_change_them_is_caught(body):
    assert in_place(f"def f(active, x):\n    {body}\n")


@pytest.mark.parametrize(
    "body",
    [
        "active = active & x\n    active &= x",
        "mask = mi.Bool(active)\n    mask &= x",
        "mask = dr.select(active, x, 0)\n    mask += x",
        "total = 0\n    for one in x:\n        total += one",
        "self.calls += 1",
        "mask, other = active & x, x\n    mask &= x",
    ],
)
def test_own_arrays_may_be_changed(body):
    assert not in_place(f"def f(self, active, x):\n    {body}\n")
