"""`python -m benchmarks.roles`: docs/reference/roles.md from the table of roles."""

from __future__ import annotations

import sys

from pbdr.parameters.maps import MAPS
from pbdr.parameters.roles import EVERYWHERE, TABLE, Role

from .harness import ROOT, table, write_page

PAGE = ROOT / "docs" / "reference" / "roles.md"
INTRODUCTION = """# Roles of parameters

Made by `python -m benchmarks.roles` from `pbdr/parameters/roles.py`; a test compares the two. A parameter's name is
`<object>/<role>`; `pbdr params SCENE` lists those of a scene. What the table does not know, such as the parameters of other
plugins, has no bounds, and counts as something that may move. So do roles made of a path, such as `base_color_color0` of a
checkerboard.

* **range**: values outside it are refused as initial values, and an optimiser keeps to it; `bounds` of a variable changes it.
* **moves nothing**: it scales light, so that its gradient has no boundary term. With a name: where Mitsuba calls it so.
* **map, rate**: how a variable's values are made and its learning rate, where it says nothing of them; `lm`: moved by that
  optimiser, to which rates mean nothing.
* **texture**: channels of the texture that a constant becomes; where none are given, as many as the constant has.
* **verified along**: directions that `pbdr verify` tries when none is given.
* **used by**: `estimate_materials` and `estimate_lighting` estimate it unasked; a gauge trades the scale of albedo with it; it may
  become an environment map; texels that views see are counted (coverage); gradients can be replayed (`replay = true`);
  textures whose variable names no prior have this one."""


def uses(row: Role) -> str:
    """What else treats the role in a way of its own."""
    named = {
        f"estimate_{row.preset}": bool(row.preset), "gauge": row.emitted, "environment": row.sky, "coverage": row.albedo,
        "replay": row.replayed, f"prior {row.prior}": bool(row.prior),
    }  # fmt: skip
    return ", ".join(name for name, used in named.items() if used)


def cells(row: Role) -> list[str]:
    """One row of the page."""
    low, high = row.bounds
    still = (
        ("yes" if row.radiometric else "")
        if isinstance(row.radiometric, bool)
        else f"as `{'`, `'.join(row.radiometric)}`"
    )
    return [
        f"`{row.name}`", row.kind.value, ", ".join(f"`{key}`" for key in row.keys),
        "" if row.bounds == EVERYWHERE else f"{low:g} to {high:g}".replace("inf", "∞"),
        still, f"`{row.map}`, " + ("`lm`" if "lm" in (row.optimiser, MAPS[row.map].optimiser) else f"{row.lr:g}"),
        str(row.channels or ""), ", ".join(row.directions), uses(row),
    ]  # fmt: skip


def made() -> str:
    """The page."""
    header = [
        "role",
        "of",
        "Mitsuba's names",
        "range",
        "moves nothing",
        "map, rate",
        "texture",
        "verified along",
        "used by",
    ]
    return "\n\n".join([INTRODUCTION, table(header, [cells(row) for row in TABLE.values()])]) + "\n"


if __name__ == "__main__":
    sys.exit(write_page(PAGE, made()))
