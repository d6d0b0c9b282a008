"""The whole job: its sections, and what must agree between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from ...errors import OptionError, unusual
from .data import DataSection
from .field import FieldSection
from .gaussians import GaussiansSection
from .outcome import GoalSection, GuardSection, OutputSection, StopSection
from .render import RenderSection
from .scene import SceneSection
from .section import Section
from .training import ExposureSection, GaugeSection, LossSection, OptimSection, WarmStartSection
from .variable import VarSection


class Job(Section):
    """A whole job file."""

    version: Literal[1]
    """Version of the format: 1."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    """Name of the job; its runs are in a folder of this name."""
    scene: SceneSection
    data: DataSection
    render: RenderSection = RenderSection()
    loss: LossSection = LossSection()
    optim: OptimSection = OptimSection()
    field: FieldSection | None = None
    gaussians: GaussiansSection | None = None
    vars: Annotated[dict[str, VarSection], Field(validate_default=True)] = Field(default_factory=dict)
    warm_start: WarmStartSection | None = None
    gauge: GaugeSection | None = None
    exposure: ExposureSection | None = None
    guard: GuardSection = GuardSection()
    stop: StopSection = StopSection()
    goal: GoalSection = GoalSection()
    output: OutputSection = OutputSection()

    @field_validator("vars", mode="after")
    @classmethod
    def _plain_names(cls, value: dict[str, VarSection], info: ValidationInfo) -> dict[str, VarSection]:
        others = ("field", "gaussians")
        if not value and all(other in info.data and info.data[other] is None for other in others):
            raise PydanticKnownError("missing")
        for name in value:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"the variable name {name!r} may hold letters, digits, '-' and '_' only")
        return value

    @property
    def own(self) -> str:
        """The section of what is estimated where that is no parameter of the scene: "field", "gaussians" or ""."""
        return "field" if self.field is not None else "gaussians" if self.gaussians is not None else ""

    @model_validator(mode="after")
    def _alone(self) -> Job:
        if not self.own:
            return self
        beside = {
            "[gaussians]": self.own == "field" and self.gaussians,
            "[vars]": self.vars, "[gauge]": self.gauge, "[exposure]": self.exposure,
            "[render]": self.render != RenderSection(integrator=self.render.integrator),
            "[optim] views_per_step": self.optim.views_per_step != OptimSection().views_per_step,
        }  # fmt: skip
        if self.own == "gaussians":
            optim = self.optim
            beside |= {
                "[loss]": self.loss != LossSection(),
                "[optim] optimiser": optim.optimiser != OptimSection().optimiser,
                "[optim] lr_decay": optim.lr_decay != OptimSection().lr_decay,
            }
        for name, given in beside.items():
            if given:  # of [render], the integrator says how targets are rendered
                raise ValueError(f"{name} means nothing beside [{self.own}]: leave one of them out")
        return self

    @model_validator(mode="after")
    def _goals_exist(self) -> Job:
        goals = {"rmse": self.goal.rmse, "distance": self.goal.distance}
        for kind, name in ((kind, name) for kind, limits in goals.items() for name in limits):
            if name not in self.vars:
                raise ValueError(f"[goal] {kind} names the variable {name!r}, but there is no [vars.{name}]")
        wrong = [kind for kind, limits in goals.items() if limits and self.data.target is None]
        if wrong:
            raise ValueError(f"[goal] {wrong[0]} compares with [data] target, which is not given")
        return self

    def resolved(self, base: Path) -> Job:
        """Every path made absolute, relative ones taken from ``base`` (the job file's folder; output: from here)."""

        def absolute(path: str | None) -> str | None:
            return None if path is None else _absolute(base, path)

        data = self.data.model_copy(
            update={
                "cameras": self.data.cameras if self.data.cameras == "scene" else absolute(self.data.cameras),
                **{key: absolute(getattr(self.data, key)) for key in ("target", "images", "masks", "depth", "normal")},
            }
        )
        return self.model_copy(
            update={
                "vars": {
                    name: section.model_copy(update={"function": _code(base, section.function)})
                    for name, section in self.vars.items()
                },
                "scene": self.scene.model_copy(update={"file": absolute(self.scene.file)}),
                "data": data,
                "gaussians": self.gaussians
                and self.gaussians.model_copy(update={"start": _start(base, self.gaussians.start)}),
                "output": self.output.model_copy(update={"dir": _absolute(Path.cwd(), self.output.dir)}),
            }
        )


def _start(base: Path, start: str) -> str:
    """A file or folder made absolute."""
    return start if start == "random" else _absolute(base, start)


def _code(base: Path, function: str | None) -> str | None:
    """`file:function` with the file's path, if it is beside the job; else what is installed is meant."""
    module, _, name = (function or "").rpartition(":")
    file = Path(module if module.endswith(".py") else f"{module}.py")
    return f"{_absolute(base, str(file))}:{name}" if module.endswith(".py") or (base / file).is_file() else function


def _absolute(base: Path, path: str) -> str:
    try:
        found = str((base / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a NUL
        raise OptionError(f"{path[:80]!r} is not the path of a file ({error})") from error
    if unusual(found):
        raise OptionError(unusual(found))
    return found
