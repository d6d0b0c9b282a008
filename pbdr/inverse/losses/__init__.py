"""Image losses by name. A new one is a file here and a place in the list; `register_loss` adds one from outside the package."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pbdr.errors import OptionError
from pbdr.inverse.losses.channels import Depth, Normal, Silhouette
from pbdr.inverse.losses.dual import Auto, L2Dual, RelativeDual
from pbdr.inverse.losses.loss import NEEDS, PLANES, Loss, mean
from pbdr.inverse.losses.perceptual import LPIPS
from pbdr.inverse.losses.pointwise import L1, L2, Log, RelMSE
from pbdr.inverse.losses.pyramid import LaplacianPyramid
from pbdr.inverse.losses.ssim import MSSSIM, SSIM
from pbdr.registry import Choice, Registry

__all__ = ["LOSSES", "NEEDS", "PLANES", "Loss", "Losses", "get_loss", "get_losses", "mean", "register_loss"]

LOSSES: Registry[Loss] = Registry(
    "loss",
    "Losses",
    (Auto, L1, L2, L2Dual, RelativeDual, RelMSE, Log, SSIM, MSSSIM, LaplacianPyramid, LPIPS, Silhouette, Depth, Normal),
)

#: One loss, or several that are added with weights: a name, a table of `type`, `weight` and options, or a list of these.
Losses = Choice | Sequence[Choice]


def get_loss(choice: Choice) -> Loss:
    """Return the loss that a name, or a table of `type` and options, means; OptionError lists what there is."""
    return LOSSES.make(choice)


def get_losses(given: Losses) -> list[tuple[float, Loss]]:
    """Return the (weight, loss) that are added up: of a name, of a table of `type`, `weight` (1 without) and options, or of a list.

    Raises OptionError for an unknown loss or option, for a weight that is no number above 0, and for an empty list.
    """
    found = []
    for choice in [given] if isinstance(given, str | Mapping) else list(given):
        options: dict[str, Any] = {"type": choice} if isinstance(choice, str) else dict(choice)
        weight = options.pop("weight", 1.0)
        loss = get_loss(options)
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < math.inf:
            raise OptionError(f"loss {loss.name}: weight = {weight!r}: give a number above 0")
        found.append((float(weight), loss))
    if not found:
        raise OptionError("the list of losses is empty: name at least one")
    return found


def register_loss(loss: type[Loss]) -> type[Loss]:
    """Make a loss of your own known by its name, to `Options.loss` and to jobs that this process runs; use it as a decorator.

    `loss` is a frozen dataclass below `pbdr.inverse.losses.Loss`, which says what it is called with; its fields are its options.
    `examples/own_loss.py` is one. Raises OptionError for anything else, and for a name that is taken.
    """
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise OptionError(f"{loss!r} is no loss: give a class below pbdr.inverse.losses.Loss")
    if loss.plane and (loss.plane not in PLANES or loss.needs):
        raise OptionError(
            f"loss {loss.__name__} has the plane {loss.plane!r} and the needs {loss.needs}: a plane is one of {', '.join(PLANES)}, "
            "and a loss of a plane needs nothing"
        )
    unknown = [need for need in loss.needs if need not in NEEDS]
    if unknown:
        raise OptionError(
            f"loss {loss.__name__} needs {unknown[0]!r}, which fit does not have. It has: {', '.join(NEEDS)}"
        )
    return LOSSES.register(loss)
