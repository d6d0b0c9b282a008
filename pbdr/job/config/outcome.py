"""[guard], [stop], [goal] and [output]: when a run ends, what it must reach, what it leaves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...inverse.guards import COLLAPSE
from ...inverse.problem import JOB, NONFINITE
from ..choices import one_of
from .section import Count, Positive, Section


class GuardSection(Section):
    """What happens when a loss or a gradient is not finite, and when a step damages a mesh."""

    nonfinite: Annotated[str, one_of(NONFINITE)] = JOB.nonfinite
    """Leave the step out ("skip"), or end the run ("stop")."""
    max_skips: Annotated[int, Field(ge=0)] = JOB.max_skips
    """Skipped steps after which the run counts as diverged (exit code 4)."""
    collapse: Annotated[str, one_of(COLLAPSE)] = JOB.collapse
    """Shorten a step around faces of a mesh that it would turn over, fold or collapse ("shorten"), or take it whole ("ignore")."""
    audit: bool = True
    """Compare gradients with finite differences now and then, in at most 5 % of the time; a wrong one is named and ends the run
    (exit code 4)."""


class StopSection(Section):
    """Reasons to end before the last step."""

    patience: Count | None = JOB.patience
    """End after this many steps without a lower smoothed loss."""
    max_minutes: Positive | None = JOB.max_minutes
    """End after this many minutes of work, those before a resume included."""


class GoalSection(Section):
    """What the result must reach; exit code 5 when it does not."""

    psnr: float | None = None
    """Held-out PSNR in dB, at least."""
    rmse: dict[str, Positive] = Field(default_factory=dict)
    """Per variable, root mean square error against `[data] target`, at most; texels that fewer than two training views see do not
    count."""
    distance: dict[str, Positive] = Field(default_factory=dict)
    """Per variable of vertex positions, mean distance between its surface and that of `[data] target`, as a fraction of the
    target's size, at most."""


class OutputSection(Section):
    """Where and how often results are written."""

    dir: Annotated[str, Field(min_length=1)] = "runs"
    """Folder of the run directories, relative to where the command runs."""
    image_every: Count = 50
    """Steps between images of the estimate."""
    checkpoint_every: Count = 100
    """Steps between checkpoints."""
    keep_checkpoints: Count = 3
    """Checkpoints that are kept, the newest ones."""
    eval_spp: Count = 64
    """Samples per pixel of the images that are scored and shown."""
    error_bars: bool = True
    """After the fit, find error bars of what was estimated, and what the images leave open."""
    tensorboard: bool = False
    """Write curves for TensorBoard into the run's folder `tensorboard`, too (`pip install 'pbdr[tensorboard]'`)."""
