"""Python functions that a job names: loaded only where whoever runs the job has said so. A job file alone never executes code."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import OptionError, closest
from .config import Job

FLAG = "--allow-code"


def check(job: Job, allowed: bool) -> None:
    """Raise OptionError if the job names functions and whoever runs it has not allowed that."""
    named = {name: section.function for name, section in job.vars.items() if section.function is not None}
    if named and not allowed:
        listed = ", ".join(f"{function} ([vars.{name}])" for name, function in named.items())
        raise OptionError(
            f"the job executes Python code: {listed}. Read that code; if you trust it, add {FLAG} to the command"
        )


def load(text: str, variable: str) -> Callable[..., Any]:
    """Return the function that `module:function`, or `file.py:function`, names. Raises OptionError."""
    where, _, name = text.rpartition(":")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except OptionError as error:
        raise OptionError(f"variable {variable!r}: {error}") from None
    except Exception as error:
        raise OptionError(
            f"variable {variable!r}: {where!r} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [n for n, thing in vars(module).items() if callable(thing) and not n.startswith("_")]
        near = closest(name, names)
        raise OptionError(
            f"variable {variable!r}: {where} has no function {name!r}.{f' Closest: {near[0]}' if near else ''}"
        )
    found: Callable[..., Any] = function
    return found


def _from_file(path: Path) -> ModuleType:
    """The module of a file, which may import its neighbours."""
    if not path.is_file():
        raise OptionError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise OptionError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
