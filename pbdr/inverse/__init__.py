"""Inverse rendering: from images to the parameters of the scene they show."""

from pbdr.inverse.fit import Info, Result, fit, init, render_view, step
from pbdr.inverse.presets import Estimate, estimate_lighting, estimate_materials
from pbdr.inverse.problem import Options, Problem, View
from pbdr.inverse.state import State
from pbdr.inverse.unknowns import check_variables

__all__ = [
    "Estimate",
    "Info",
    "Options",
    "Problem",
    "Result",
    "State",
    "View",
    "check_variables",
    "estimate_lighting",
    "estimate_materials",
    "fit",
    "init",
    "render_view",
    "step",
]
