"""Physically based differentiable rendering on Mitsuba 3."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pbdr")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+unknown"
