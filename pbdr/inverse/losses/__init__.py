"""Image losses by name. A new one is a file here and a place in the list; `register_loss` adds one from outside the package."""

from __future__ import annotations

from pbdr.errors import OptionError
from pbdr.inverse.losses.dual import L2Dual
from pbdr.inverse.losses.loss import NEEDS, Loss, mean
from pbdr.inverse.losses.pointwise import L1, L2, Log, RelMSE
from pbdr.registry import Choice, Registry

__all__ = ["LOSSES", "NEEDS", "Loss", "get_loss", "mean", "register_loss"]

LOSSES: Registry[Loss] = Registry("loss", "Losses", (L1, L2, L2Dual, RelMSE, Log))


def get_loss(choice: Choice) -> Loss:
    """Return the loss that a name, or a table of `type` and options, means; OptionError lists what there is."""
    return LOSSES.make(choice)


def register_loss(loss: type[Loss]) -> type[Loss]:
    """Make a loss of your own known by its name, to `Options.loss` and to jobs that this process runs; use it as a decorator.

    `loss` is a frozen dataclass below `pbdr.inverse.losses.Loss`, which says what it is called with; its fields are its options.
    `examples/own_loss.py` is one. Raises OptionError for anything else, and for a name that is taken.
    """
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise OptionError(f"{loss!r} is no loss: give a class below pbdr.inverse.losses.Loss")
    unknown = [need for need in loss.needs if need not in NEEDS]
    if unknown:
        raise OptionError(
            f"loss {loss.__name__} needs {unknown[0]!r}, which fit does not have. It has: {', '.join(NEEDS)}"
        )
    return LOSSES.register(loss)
