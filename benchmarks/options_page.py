"""`python -m benchmarks.options_page`: docs/reference/options.md from what the options of `pathspace` say of themselves."""

from __future__ import annotations

import dataclasses
import sys

from pbdr.pathspace.options import PathspaceOptions

from .harness import ROOT, table, write_page

PAGE = ROOT / "docs" / "reference" / "options.md"
INTRODUCTION = """# Options of the integrator `pathspace`

Made by `python -m benchmarks.options_page` from `pbdr/pathspace/options.py`; a test compares the two. In Python they are entries
of the integrator's dictionary, `{"type": "pathspace", "max_depth": 3}`; in a job file, of its table `[integrator]`; in a scene
file, properties of `<integrator type="pathspace">`."""


def made() -> str:
    """The page."""
    rows = []
    for option in dataclasses.fields(PathspaceOptions):
        default = "chosen" if option.default is None else f"`{option.default!r}`".replace("'", '"')
        # A string, as it is written in the code, or what others have made of it in this process.
        kind = str(getattr(option.type, "__name__", option.type)).replace(" | None", "").replace(" | ", ", ")
        values = option.metadata["values"] or ("`true`, `false`" if kind == "bool" else f"a number ({kind})")
        rows.append([f"`{option.name}`", values, default, option.metadata["what"], option.metadata["when"]])
    return f"{INTRODUCTION}\n\n{table(['option', 'values', 'default', 'what it does', 'when to change it'], rows)}\n"


if __name__ == "__main__":
    sys.exit(write_page(PAGE, made()))
