"""Optimisers by name. A new one is a file here and a place in the list below."""

from __future__ import annotations

from pbdr.inverse.optimisers.adam import Adam
from pbdr.inverse.optimisers.adam_uniform import AdamUniform
from pbdr.inverse.optimisers.groups import Groups
from pbdr.inverse.optimisers.lm import LevenbergMarquardt
from pbdr.inverse.optimisers.optimiser import Memory, Optimiser
from pbdr.registry import Registry

__all__ = ["OPTIMISERS", "Adam", "AdamUniform", "Groups", "LevenbergMarquardt", "Memory", "Optimiser"]

OPTIMISERS: Registry[Optimiser] = Registry("optimiser", "Optimisers", (Adam, AdamUniform, LevenbergMarquardt))
