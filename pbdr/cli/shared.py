"""What the commands share: their form, common options, the scene they work on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import tyro
from tyro.conf import Positional

from ..errors import OptionError

if TYPE_CHECKING:
    from ..scene import Scene

Result = tuple[int, dict[str, Any]]
Json = Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout; everything else goes to stderr.")]
SceneFile = Annotated[Positional[Path], tyro.conf.arg(metavar="SCENE", help="Mitsuba XML file.")]
Run = Annotated[Positional[Path], tyro.conf.arg(metavar="RUN", help="runs/NAME/TIME, or runs/NAME for its newest.")]
Code = Annotated[bool, tyro.conf.arg(help="Execute Python functions that the job names; read them first.")]
Defines = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(aliases=["-D"], metavar="NAME=VALUE", help="Set a $NAME of the scene file; may be repeated."),
]


class Command(Protocol):
    """One parsed command: a dataclass whose fields are its options and whose docstring is its help; its name is the command's."""

    def run(self, rest: list[str]) -> Result:
        """Do it, and return (exit code, object for --json). ``rest``: words that it does not know, for the job's settings.

        What is wrong raises a PbdrError. What needs Mitsuba is imported here, after `activate`, so that help comes quickly and
        `doctor` works without a backend.
        """


def activate(variant: str) -> None:
    """Backend, variant and integrator: what `import pbdr` leaves to the command line."""
    import pbdr

    if "LOCAL_RANK" in os.environ:  # one of several processes that torchrun started: it has a GPU of its own
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", os.environ["LOCAL_RANK"])
    pbdr.activate(variant)


def no_more(rest: list[str]) -> None:
    """Raise OptionError for words that the command does not know."""
    if rest:
        raise OptionError(f"{rest[0]!r} is not an option here; see --help of the command")


def width_and_height(text: str) -> tuple[int, int]:
    """(width, height) of words such as 640x480. Raises OptionError."""
    found = re.fullmatch(r"(\d{1,5})[x×*](\d{1,5})", text.strip().lower())
    if found is None or not (int(found[1]) and int(found[2])):
        raise OptionError(f"--resolution {text}: give width and height in pixels, for instance 640x480")
    return int(found[1]), int(found[2])


def load(path: Path, defines: list[str]) -> Scene:
    """Load a scene file with NAME=VALUE words; raises OptionError for other words, SceneError."""
    from ..scene import load_scene

    pairs = {}
    for entry in defines:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise OptionError(f"--define {entry}: expected NAME=VALUE")
        pairs[name] = value
    return load_scene(path, define=pairs)
