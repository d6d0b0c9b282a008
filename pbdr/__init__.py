"""Physically based differentiable rendering on Mitsuba 3: gradients of light transport that can be trusted.

Importing the package finds LLVM or CUDA, activates a Mitsuba variant if none is active, and registers the integrator
plugin `pathspace` for the active and every later variant. (The command line does the same, but only for the commands
that render, and reports what is missing on one line.)
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pbdr import backend

try:
    __version__ = version("pbdr")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+unknown"

_HOMES = {
    "load_scene": "pbdr.scene",
    "Scene": "pbdr.scene",
    "list_parameters": "pbdr.parameters",
    "VariableSpec": "pbdr.parameters",
    "FunctionSpec": "pbdr.parameters",
    "render": "pbdr.rendering",
    "gradient": "pbdr.rendering",
    "derivative": "pbdr.rendering",
    "Gradient": "pbdr.rendering",
    "allocate": "pbdr.pilot",
    "verify": "pbdr.verify",
    "fit": "pbdr.inverse",
    "register_loss": "pbdr.inverse.losses",
    "estimate_materials": "pbdr.inverse",
    "estimate_lighting": "pbdr.inverse",
    "open_run": "pbdr.job.rundir",
}
__all__ = ["__version__", "activate", *_HOMES]


def activate(variant: str = "auto") -> str:
    """Find the backend, activate `variant` unless one is active, register the plugins; returns the variant's name."""
    chosen = backend.activate(variant)
    import_module("pbdr.pathspace.plugin").register()
    import_module("pbdr.fields.gaussians.medium").register()
    return chosen


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        home = import_module(_HOMES[name])
        return home if home.__name__ == f"pbdr.{name}" else getattr(home, name)  # the package `verify` is callable
    raise AttributeError(f"module 'pbdr' has no attribute '{name}'")


if not backend.command_line():
    activate()
