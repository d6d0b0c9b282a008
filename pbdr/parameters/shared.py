"""Several parameters with one value: the focal length of a camera that took all views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pbdr.errors import ParameterError
from pbdr.parameters.names import Parameter
from pbdr.parameters.values import read


def followers_of(scene: Any, variable: str, chosen: Sequence[Parameter]) -> list[Parameter]:
    """Return all but the first of the parameters of a shared variable. Raises ParameterError where they cannot share a value."""
    first = chosen[0]
    value = read(scene, first)
    for other in chosen[1:]:
        if other.kind == "transform":
            raise ParameterError(f"variable {variable!r}: poses cannot be shared; leave out share = true")
        if other.shape != first.shape or not np.allclose(read(scene, other), value, rtol=1e-4):
            raise ParameterError(
                f"variable {variable!r}: {other.name!r} and {first.name!r} differ at the start, and cannot share a value"
            )
    return list(chosen[1:])
