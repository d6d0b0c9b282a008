"""The job file: a TOML document as a checked model. Unknown keys are errors, with the closest key and the place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..data.text import read_text
from ..errors import OptionError, unusual
from ..inverse.losses import LOSSES
from ..inverse.optimisers import OPTIMISERS
from ..inverse.priors import PRIORS
from ..inverse.problem import JOB, NONFINITE
from ..inverse.schedules import DECAYS
from ..parameters import VariableSpec
from ..parameters.maps import MAPS
from ..registry import Choice
from . import messages
from . import overrides as command_line
from .choices import entry_of, keys_of, one_of
from .overrides import Variant

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Define = str | bool | int | float


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SceneSection(Section):
    """What is rendered. ``clamp``: negative texels of environments become 0, and their number is told."""

    file: str = Field(min_length=1)
    define: dict[str, Define] = {}
    clamp: bool = True
    variant: Variant = "auto"


class DataSection(Section):
    """What the estimate is compared with.

    ``cameras`` is a transforms.json, or "scene": the sensors of the scene, with images rendered from the scene file
    ``target`` (by its sensors, if it has any) by Mitsuba's path tracer at ``target_spp``, or read from ``images`` (one per
    sensor; a folder, or a pattern in which parts that exist by their name are no patterns).
    ``missing``: frames of a transforms.json without image are an error, or left out. ``frame_masks``: read their `mask_path`.
    ``exif``: take pixels as they are stored, or turn images as their EXIF orientation says. ``layer``: of EXR files.
    """

    cameras: str = "scene"
    target: str | None = None
    target_define: dict[str, Define] = {}
    target_spp: Count = 512
    images: str | None = None
    color: Literal["srgb", "linear"] = "srgb"
    layer: str | None = None
    exif: Literal["ignore", "apply"] = "ignore"
    missing: Literal["error", "skip"] = "error"
    frame_masks: bool = True
    mask: Literal["none", "alpha", "opaque"] = "none"
    background: tuple[NonNegative, NonNegative, NonNegative] | None = None
    holdout: str = "none"

    @field_validator("background", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(float(v) if isinstance(v, int) else v for v in value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if self.cameras == "scene" and (self.target is None) == (self.images is None):
            raise ValueError('cameras = "scene" needs either target = "truth.xml" or images = "folder/*.exr"')
        if self.cameras != "scene" and (self.target or self.images):
            raise ValueError('target and images belong to cameras = "scene"; a transforms.json names its own images')
        return self


class ResolutionStep(Section):
    """From this step on, images are 1 / round(1 / scale) of their size."""

    step: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(gt=0, le=1)]

    @field_validator("scale", mode="before")
    @classmethod
    def _whole_factor(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, float) and 0 < value <= 1 and abs(1 / value - round(1 / value)) > 1e-6:
            raise ValueError("scale must be 1 divided by a whole number, such as 0.5 or 0.25")
        return value


class RenderSection(Section):
    """How the estimate is rendered while fitting; ``integrator`` is a Mitsuba integrator as a table."""

    integrator: dict[str, Any] = JOB.integrator
    spp: Count = JOB.spp
    spp_grad: Count | None = JOB.spp_grad
    resolution: list[ResolutionStep] = []

    @field_validator("integrator")
    @classmethod
    def _typed(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("type"), str):
            raise ValueError('an integrator needs its type: { type = "pathspace", max_depth = 6 }')
        return value

    @field_validator("resolution")
    @classmethod
    def _ordered(cls, value: list[ResolutionStep]) -> list[ResolutionStep]:
        steps = [entry.step for entry in value]
        if value and (steps[0] != 0 or steps != sorted(set(steps))):
            raise ValueError("steps must start at 0 and increase")
        return value


class LossSection(Section):
    """Image loss, one of `inverse.losses.LOSSES`: its name, or { type = "relmse", floor = 0.1 } with options."""

    image: Annotated[Choice, entry_of(LOSSES)] = JOB.loss


class OptimSection(Section):
    """Each step takes the next ``views_per_step`` views of a shuffled round.

    ``optimiser``: one of `inverse.optimisers.OPTIMISERS`, its name or a table of its type and options.
    """

    steps: Count = JOB.steps
    views_per_step: Count = JOB.views_per_step
    seed: Annotated[int, Field(ge=0, lt=2**32)] = JOB.seed
    lr_decay: Annotated[str, one_of(DECAYS)] = JOB.lr_decay
    optimiser: Annotated[Choice, entry_of(OPTIMISERS)] = JOB.optimiser


class VarSection(Section):
    """One estimated quantity: which parameters, how a latent maps to their value, and where it starts.

    ``prior``: for names of `inverse.priors.PRIORS` the weight, or { weight = 1e-3 } with the prior's options, of what is added to
    the loss.
    """

    match: str | list[str] | None = None
    raw: str | None = None
    texture: Annotated[int, Field(ge=1, le=16384)] | None = None
    map: Annotated[Choice, entry_of(MAPS)] = VariableSpec.map
    bounds: tuple[float, float] | None = None
    init: float | list[float] | None = None
    lr: Positive = VariableSpec.lr
    start: Annotated[int, Field(ge=0)] = VariableSpec.start
    prior: Annotated[dict[str, NonNegative | dict[str, Any]], keys_of(PRIORS)] = {}

    @field_validator("bounds", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(float(v) if isinstance(v, int) else v for v in value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _named_once(self) -> VarSection:
        if (self.match is None) == (self.raw is None):
            raise ValueError('give either match = "object/role" or raw = "mitsuba.key"')
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds = [{self.bounds[0]:g}, {self.bounds[1]:g}] are not in increasing order")
        return self


class GaugeSection(Section):
    """Which unobservable scale is fixed, for instance "mean_luminance(mat-*/base_color) = 0.5".

    `lr`: learning rate of the tint that these albedos and the lights exchange in a step of their own, which highlights settle.
    """

    fix: str
    lr: Positive | None = JOB.gauge_lr


class GuardSection(Section):
    """What happens when a loss or a gradient is not finite."""

    nonfinite: Annotated[str, one_of(NONFINITE)] = JOB.nonfinite
    max_skips: Annotated[int, Field(ge=0)] = JOB.max_skips


class StopSection(Section):
    """Reasons to end before the last step: no improvement for ``patience`` steps, or ``max_minutes`` of work."""

    patience: Count | None = JOB.patience
    max_minutes: Positive | None = JOB.max_minutes


class GoalSection(Section):
    """What the result must reach; exit code 5 when it does not.

    ``psnr``: held-out PSNR in dB, at least. ``rmse``: per variable, root mean square error against ``[data] target``,
    at most; texels that fewer than two training views see do not count.
    """

    psnr: float | None = None
    rmse: dict[str, Positive] = {}


class OutputSection(Section):
    """Where and how often results are written."""

    dir: Annotated[str, Field(min_length=1)] = "runs"
    image_every: Count = 50
    checkpoint_every: Count = 100
    keep_checkpoints: Count = 3
    eval_spp: Count = 64


class Job(Section):
    """A whole job file."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    scene: SceneSection
    data: DataSection
    render: RenderSection = RenderSection()
    loss: LossSection = LossSection()
    optim: OptimSection = OptimSection()
    vars: Annotated[dict[str, VarSection], Field(min_length=1)]
    gauge: GaugeSection | None = None
    guard: GuardSection = GuardSection()
    stop: StopSection = StopSection()
    goal: GoalSection = GoalSection()
    output: OutputSection = OutputSection()

    @field_validator("vars", mode="after")
    @classmethod
    def _plain_names(cls, value: dict[str, VarSection]) -> dict[str, VarSection]:
        for name in value:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"the variable name {name!r} may hold letters, digits, '-' and '_' only")
        return value

    @model_validator(mode="after")
    def _goals_exist(self) -> Job:
        for name in self.goal.rmse:
            if name not in self.vars:
                raise ValueError(f"[goal] rmse names the variable {name!r}, but there is no [vars.{name}]")
        if self.goal.rmse and self.data.target is None:
            raise ValueError("[goal] rmse compares with [data] target, which is not given")
        return self

    def resolved(self, base: Path) -> Job:
        """Every path made absolute, relative ones taken from ``base`` (the job file's folder; output: from here)."""

        def absolute(path: str | None) -> str | None:
            return None if path is None else _absolute(base, path)

        data = self.data.model_copy(
            update={
                "cameras": self.data.cameras if self.data.cameras == "scene" else absolute(self.data.cameras),
                "target": absolute(self.data.target),
                "images": absolute(self.data.images),
            }
        )
        return self.model_copy(
            update={
                "scene": self.scene.model_copy(update={"file": absolute(self.scene.file)}),
                "data": data,
                "output": self.output.model_copy(update={"dir": _absolute(Path.cwd(), self.output.dir)}),
            }
        )


def _absolute(base: Path, path: str) -> str:
    try:
        found = str((base / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a NUL
        raise OptionError(f"{path[:80]!r} is not the path of a file ({error})") from error
    if unusual(found):
        raise OptionError(unusual(found))
    return found


def load_job(path: str | Path, overrides: Mapping[str, Any] | None = None) -> tuple[Job, str]:
    """Read a job file and apply ``overrides`` ({"optim.steps": 10}) → (job with absolute paths, the file's text).

    Raises OptionError, naming file, line and key.
    """
    path = Path(path)
    if path.is_dir():
        raise OptionError(f"{path} is a folder, not a job file; to go on with a run, use `pbdr resume {path}`")
    try:
        text = read_text(path, OptionError)
    except FileNotFoundError as error:
        raise OptionError(messages.missing_file(path, "job file", ".toml")) from error
    return parse_job(text, str(path), overrides).resolved(path.resolve().parent), text


def parse_job(text: str, source: str, overrides: Mapping[str, Any] | None = None) -> Job:
    """Check the text of a job file. Paths stay as they are written."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except ValueError as error:
        raise OptionError(f"{source}: not valid TOML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise OptionError(f"{source}: not a job file: it is nested too deeply") from error
    given = dict(overrides or {})
    command_line.check_variables(document, given)
    for key, value in given.items():
        command_line.put(document, key, value)
    try:
        return Job.model_validate(document)
    except ValidationError as error:
        raise OptionError(messages.first(error, Job, source, text, given)) from error
