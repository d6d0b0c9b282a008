"""Physically based differentiable rendering on Mitsuba 3: gradients of light transport that can be trusted.

Importing the package finds LLVM or CUDA, activates a Mitsuba variant if none is active, and registers the integrator
plugin `pathspace` for the active and every later variant.
"""

from importlib.metadata import PackageNotFoundError, version

from pbdr import backend

backend.prepare()
backend.activate()

from pbdr import integrator as _integrator  # noqa: E402 (needs an active variant)

_integrator.register()

try:
    __version__ = version("pbdr")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+unknown"
