"""The job file: a TOML document as a checked model, one section a file. Unknown keys are errors, with the closest key.

A key is documented where it is declared: the text below it is what docs/reference/job.md and the JSON schema say. A new key needs
nothing else; a new section is a file here and a line in `job.Job`.
"""

from .data import DataSection
from .field import FieldSection
from .gaussians import GaussiansSection
from .job import Job
from .outcome import GoalSection, GuardSection, OutputSection, StopSection
from .read import load_job, parse_job
from .render import RenderSection, ResolutionStep
from .scene import SceneSection
from .section import Section
from .training import ExposureSection, GaugeSection, LossSection, OptimSection, WarmStartSection
from .variable import VarSection

__all__ = [
    "DataSection",
    "ExposureSection",
    "FieldSection",
    "GaugeSection",
    "GaussiansSection",
    "GoalSection",
    "GuardSection",
    "Job",
    "LossSection",
    "OptimSection",
    "OutputSection",
    "RenderSection",
    "ResolutionStep",
    "SceneSection",
    "Section",
    "StopSection",
    "VarSection",
    "WarmStartSection",
    "load_job",
    "parse_job",
]
