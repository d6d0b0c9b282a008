"""Extra channels of the integrator that losses compare with planes of the views: how they are asked for, found and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pbdr.errors import DataError, OptionError
from pbdr.inverse.losses import PLANES, Loss
from pbdr.transport import channels as entries


def channel(channels: Sequence[str], image: Any, loss: Loss) -> Any:
    """Return the channel (H, W, components) of a rendered image that a loss compares; `channels` are the last of the image."""
    widths = [sum(len(c.film_names) for c in entries.parse(entry)) for entry in channels]
    number = list(channels).index(loss.channel())
    first = image.shape[2] - sum(widths[number:])
    return image[:, :, first : first + widths[number]]


def check(label: str, loss: Loss, plane: Any, size: tuple[int, int]) -> None:
    """Raise DataError unless a view has the plane that a loss compares."""
    components, source = PLANES[loss.plane]
    if plane is None:
        raise DataError(f"{label}: the loss {loss.name!r} needs its {loss.plane}, and it has none ({source})")
    values = np.asarray(plane)
    if values.shape not in ((*size, components), size if components == 1 else ()):
        raise DataError(
            f"{label}: its {loss.plane} has shape {values.shape}, its film needs ({size[0]}, {size[1]}, {components})"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{label}: its {loss.plane} has {int((~np.isfinite(values)).sum())} non-finite value(s)")
    measured = loss.measured(values if values.ndim == 3 else values[..., None])
    if measured is not None and not measured.any():
        raise DataError(f"{label}: its {loss.plane} holds no measurement anywhere; leave the view or the loss out")


def with_channels(integrator: Any, channels: Sequence[str]) -> Any:
    """An integrator as it was given, with extra channels for losses. Raises OptionError where it can have none."""
    if not channels:
        return integrator
    given = {"type": "pathspace"} if integrator is None else integrator
    if not isinstance(given, Mapping) or given.get("type") != "pathspace":
        what = given.get("type") if isinstance(given, Mapping) else type(given).__name__
        raise OptionError(
            f"losses of {', '.join(channels)} compare extra channels of 'pathspace', and the integrator is {what!r}: give "
            '{ type = "pathspace" }'
        )
    own = [f"loss{number}:{channel}" for number, channel in enumerate(channels)]
    return {**given, "aovs": ",".join([x for x in (str(given.get("aovs", "")),) if x] + own)}
