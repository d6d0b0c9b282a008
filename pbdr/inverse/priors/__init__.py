"""Priors by name. A new one is a file here and a place in the list below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pbdr.errors import OptionError
from pbdr.inverse.priors.cluster import Cluster
from pbdr.inverse.priors.mesh import EdgeLength, Laplacian, NormalConsistency
from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.smooth import Smooth, TextureLaplacian
from pbdr.inverse.priors.sparse import Sparse
from pbdr.inverse.priors.tv import ColourVariation, RelativeTotalVariation, TotalVariation
from pbdr.inverse.priors.white_light import WhiteLight
from pbdr.registry import Registry

__all__ = ["PRIORS", "Prior", "get_priors"]

PRIORS: Registry[Prior] = Registry(
    "prior",
    "Priors",
    (
        TotalVariation, RelativeTotalVariation, ColourVariation, TextureLaplacian, Smooth, Sparse, WhiteLight, Cluster,
        Laplacian, NormalConsistency, EdgeLength,
    ),
)  # fmt: skip


def get_priors(
    table: Mapping[str, float | Mapping[str, Any]], registry: Registry[Any] = PRIORS
) -> list[tuple[float, Any]]:
    """Return (weight, prior) of a variable's table: name → weight, or name → { weight = …, and options }; zeros are left out.

    The names are those of `registry`. Raises OptionError for an unknown name or option, and for a weight that is no number
    of at least 0.
    """
    found = []
    for name, given in table.items():
        options = dict(given) if isinstance(given, Mapping) else {"weight": given}
        weight = options.pop("weight", None)
        prior = registry.make({"type": name, **options})
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < math.inf:
            raise OptionError(f"prior {name} = {given!r}: a weight is a number of at least 0")
        if weight:
            found.append((float(weight), prior))
    return found
