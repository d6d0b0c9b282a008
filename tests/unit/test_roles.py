"""The table of roles: it knows what the zoo's scenes have, nothing else compares roles, and every column is asked for."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from pathlib import Path

import pytest

from pbdr.parameters import is_radiometric, list_parameters
from pbdr.parameters.roles import ALIASES, OTHER, TABLE, Kind, Role, find, preset
from pbdr.scene import load_scene
from pbdr.verify.directions import NAMES
from validation.scenes import plugins, zoo

#: Roles of the zoo that are made of a path, so that they have no row: parts of textures and volumes, and what is inside a group.
MADE_OF_A_PATH = {
    "base_color_color0", "base_color_color1", "base_color_volume",
    "group__inner_bsdf_base_color", "group__inner_normals", "group__inner_positions", "group__inner_texcoords",
}  # fmt: skip

#: Files that may compare roles, and why.
MAY_COMPARE = {
    "parameters/roles.py": "the table itself",
    "transport/support.py": "names combinations of a plugin and a role for which a term is missing: facts about plugins, not roles",
    "transport/features.py": "names what a pass differentiates, so that its kernels leave out what does not move",
}


def zoo_scenes(folder):
    yield from (zoo.scene(bsdf=make()) for make in zoo.MATERIALS.values())
    yield from (zoo.scene(light=make()) for make in zoo.EMITTERS.values())
    yield from (make(folder) for make in plugins.SCENES.values())


def test_every_role_of_the_zoo_has_a_row(tmp_path):
    found = {p.role for scene in zoo_scenes(tmp_path) for p in list_parameters(load_scene(scene))}
    assert len(found) > 50
    without = {role for role in found if find(role) is OTHER}
    assert without == MADE_OF_A_PATH


def comparisons(source: str) -> list[int]:
    """Lines in which something called `role` is compared with texts or constants, or asked how it begins or ends."""

    def is_role(node):
        return (isinstance(node, ast.Attribute) and node.attr == "role") or (
            isinstance(node, ast.Name) and node.id == "role"
        )

    def is_fixed(node):
        leaves = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
        texts = [isinstance(x, ast.Constant) and isinstance(x.value, str) for x in leaves]
        names = [ast.unparse(x).rsplit(".", 1)[-1].isupper() for x in leaves]
        return any(texts) or any(names)

    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(is_role, sides)) and any(map(is_fixed, sides)):
                lines.append(node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in ("startswith", "endswith") and is_role(node.value):
            lines.append(node.lineno)
    return lines


def test_nothing_but_the_table_compares_roles(root):
    package = root / "pbdr"
    found = {
        path.relative_to(package).as_posix(): comparisons(path.read_text()) for path in sorted(package.rglob("*.py"))
    }
    assert {path: lines for path, lines in found.items() if lines and path not in MAY_COMPARE} == {}
    assert all(found[path] for path in MAY_COMPARE), "an entry of MAY_COMPARE is not needed any more"


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ('parameter.role == "radiance"', True),
        ('role in ("positions", "center")', True),
        ('"k" != p.role', True),
        ("p.role in ANGLES", True),
        ("p.role in cones.ANGLES", True),
        ('p.role.endswith("_values")', True),
        ("first.role == second.role", False),
        ('p.kind == "transform"', False),
        ("role in there", False),
    ],
)
def test_the_search_finds_comparisons(line, caught):
    assert bool(comparisons(line)) == caught


def test_every_column_is_asked_for(root):
    """What nobody reads does not belong into the table."""
    code = "".join(path.read_text() for path in sorted((root / "pbdr").rglob("*.py")) if path.name != "roles.py")
    attributes = [
        node
        for node in ast.walk(ast.parse(code.replace("from __future__", "from f")))
        if isinstance(node, ast.Attribute)
    ]
    read = {node.attr for node in attributes if re.search(r"\brow$|\bfind\(.*\)$", ast.unparse(node.value))}
    inside = {"keys", "radiometric", "preset"}  # by the table itself: ALIASES, moves_nothing, preset
    assert {column.name for column in dataclasses.fields(Role)} - read - inside == set()


def test_the_table_is_consistent():
    assert all(row.bounds[0] < row.bounds[1] and set(row.directions) <= set(NAMES) for row in TABLE.values())
    assert not set(ALIASES) & set(TABLE)
    assert {row.name for row in preset("materials")} == {"base_color", "roughness", "metallic"}
    assert {row.name for row in preset("lighting")} == {"radiance", "intensity", "irradiance"}
    # What moves points or cameras is never taken for something that scales light.
    assert not any(
        row.radiometric and (row.length or row.kind in (Kind.GEOMETRY, Kind.CAMERA)) for row in TABLE.values()
    )


def test_measured_spectra_and_unknown_roles():
    assert find("base_color_values").bounds == (0.0, 1.0)
    assert find("base_color_wavelengths").bounds == (-math.inf, math.inf)
    assert is_radiometric("wall.bsdf.reflectance.values", "base_color_values")
    assert not find("base_color_values").replayed and not find("radiance_d65_values").emitted
    assert find("no_such_thing") is OTHER and not is_radiometric("a.no_such_thing")
    assert is_radiometric("a.bsdf.specular_reflectance.value") and not is_radiometric("a.bsdf.specular.value")


def test_a_row_is_all_that_a_role_needs(monkeypatch):
    """A new row gives the name, the bounds and the directions; without it (negative control) there is none of this."""
    scene = load_scene(zoo.scene(bsdf=zoo.MATERIALS["plastic"]()))
    raw = "ball.bsdf.eta" if any(p.raw == "ball.bsdf.eta" for p in list_parameters(scene)) else "light.scale"
    before = next(p for p in list_parameters(scene) if p.raw == raw)
    row = Role("gloss", Kind.MATERIAL, (before.role,), (0.0, 7.0), directions=("smooth",))
    monkeypatch.setitem(TABLE, "gloss", row)
    monkeypatch.setitem(ALIASES, before.role, "gloss")
    find.cache_clear()
    after = next(p for p in list_parameters(scene) if p.raw == raw)
    assert (after.role, after.bounds, after.row.directions) == ("gloss", (0.0, 7.0), ("smooth",))
    assert before.role != "gloss" and before.bounds != after.bounds
    monkeypatch.undo()
    find.cache_clear()


def test_files_that_may_compare_exist(root):
    assert all((Path(root) / "pbdr" / path).is_file() and reason for path, reason in MAY_COMPARE.items())
