"""What the commands share: their form, common options, the scene they work on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import tyro

from ..errors import OptionError

if TYPE_CHECKING:
    from ..scene import Scene

Result = tuple[int, dict[str, Any]]
Json = Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout; everything else goes to stderr.")]
Defines = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(aliases=["-D"], metavar="NAME=VALUE", help="Set a $NAME of the scene file; may be repeated."),
]


class Command(Protocol):
    """One parsed command; ``rest`` are words that it does not know, kept for the job's settings."""

    def run(self, rest: list[str]) -> Result:
        """Do it."""


def activate(variant: str) -> None:
    """Backend, variant and integrator: what `import pbdr` leaves to the command line."""
    import pbdr

    pbdr.activate(variant)


def no_more(rest: list[str]) -> None:
    if rest:
        raise OptionError(f"{rest[0]!r} is not an option here; see --help of the command")


def load(path: Path, defines: list[str]) -> Scene:
    from ..scene import load_scene

    pairs = {}
    for entry in defines:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise OptionError(f"--define {entry}: expected NAME=VALUE")
        pairs[name] = value
    return load_scene(path, define=pairs)
