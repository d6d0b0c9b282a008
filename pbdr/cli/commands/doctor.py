"""`pbdr doctor`: what is installed, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import console
from ..shared import Json, Result, no_more


@dataclass
class Doctor:
    """Show versions, LLVM, GPU, and what is missing and how to install it."""

    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Look."""
        no_more(rest)
        from ... import backend

        found = backend.report()
        for line in _doctor_lines(found):
            console.out(line)
        return (0 if found["ok"] else 3), dict(found)


def _doctor_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"python      {found['python']}"]
    lines += [f"{name:<11} {version or 'not installed'}" for name, version in found["packages"].items()]
    chosen = found["backend"]
    if chosen:
        lines.append(f"backend     {chosen['kind']}, Mitsuba variant {chosen['variant']}")
    lines.append(f"cuda        {found['cuda']}")
    for library in found["llvm"]:
        note = f": {library['rejected']}" if library["rejected"] else ""
        used = " (used)" if chosen and library["path"] == chosen["library"] else note
        lines.append(f"llvm {library['version']:<6} {library['path']}{used}")
    missing = [name for name, there in found["extras"].items() if not there]
    lines.append(f"extras      {', '.join(n for n, there in found['extras'].items() if there) or 'none'}")
    if missing:
        lines.append(f"            not installed: {', '.join(missing)} (pip install 'pbdr[{missing[0]}]')")
    folder = found["folder"]
    lines.append(f"folder      {folder['path']} ({'writable' if folder['writable'] else 'NOT writable'})")
    if found["ok"]:
        return [*lines, "Everything that is needed is here."]
    commands = [f"  {system}: {command}" for system, command in found["install"].items()]
    return [*lines, f"Problem: {found['problem']}", *commands]
