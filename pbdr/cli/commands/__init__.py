"""The commands, in the order of `pbdr --help`. A new one is a file here and a place in the list below."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from .bench import Bench
from .check import Check
from .compare import Compare
from .demo import Demo
from .doctor import Doctor
from .eval import Eval
from .export import Export
from .fit import Fit
from .gradient import Gradient
from .init import Init
from .params import Params
from .render import Render
from .report import Report
from .resume import Resume
from .sweep import Sweep
from .verify import Verify
from .video import Video
from .view import View

_LISTED = (
    Demo, Init, Check, Fit, Resume, View, Sweep, Eval, Compare, Export, Video, Render, Gradient, Verify, Params, Report, Bench,
    Doctor,
)  # fmt: skip
COMMANDS: dict[str, Any] = {command.__name__.lower(): command for command in _LISTED}


def union() -> Any:
    """All commands as one type, which tyro parses."""
    return reduce(or_, (Annotated[command, tyro.conf.subcommand(name)] for name, command in COMMANDS.items()))
