"""`python -m benchmarks.discontinuities`: docs/reference/discontinuities.md from what the plugins declare."""

from __future__ import annotations

import sys
from collections import Counter

from pbdr.transport.discontinuities import MISSING, PLUGINS, REFUSED, TERM, Plugin

from .harness import ROOT, table, write_page

PAGE = ROOT / "docs" / "reference" / "discontinuities.md"
INTRODUCTION = """# Where radiance jumps

Made by `python -m benchmarks.discontinuities` from `pbdr/transport/discontinuities.py`; a test compares the two, and another one
walks all plugins that Mitsuba ships. Every jump of a plugin is a boundary term, with the test that compares it with an independent
reference, or is refused by name where it would be seen to move. A plugin that is not listed is refused as soon as geometry, lights
or cameras carry derivatives, unless its class says by an attribute `discontinuities` what it has. Integrators and samplers are left
out: no radiance depends on them."""
KINDS = ("shape", "texture", "volume", "bsdf", "emitter", "sensor", "film", "filter", "medium", "phase")
COLUMNS = (TERM, REFUSED, MISSING, "smooth")


def groups(plugin: Plugin) -> set[str]:
    """In which columns of the overview a plugin counts."""
    return {jump.handled for jump in plugin.jumps} or {"smooth"}


def made() -> str:
    """The page."""
    count = Counter((plugin.kind, group) for plugin in PLUGINS for group in groups(plugin))
    of_kind = Counter(plugin.kind for plugin in PLUGINS)
    total = [str(sum(count[kind, group] for kind in KINDS)) for group in COLUMNS]
    rows = [[kind, str(of_kind[kind]), *(str(count[kind, group] or "") for group in COLUMNS)] for kind in KINDS]
    header = ["kind", "plugins", "with boundary terms", "with refusals", "with missing terms", "without jumps"]
    overview = table(header, [*rows, ["all", str(len(PLUGINS)), *total]])
    details = []
    for plugin in PLUGINS:
        jumps = "<br>".join(f"{jump.where}: {jump.handled} (`{jump.by}`)".replace(" (``)", "") for jump in plugin.jumps)
        tests = "<br>".join(sorted({f"`{jump.test.removeprefix('tests/')}`" for jump in plugin.jumps if jump.test}))
        details.append([f"`{plugin.name}`", plugin.kind, jumps or "none", tests, plugin.note])
    listed = table(["plugin", "kind", "jumps", "verified by", "note"], details)
    return "\n\n".join([INTRODUCTION, "## Overview", overview, "## Plugins", listed]) + "\n"


if __name__ == "__main__":
    sys.exit(write_page(PAGE, made()))
