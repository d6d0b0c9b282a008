"""Error bars: what is not finite is told as an error, not as a traceback of linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from pbdr.errors import DivergedError
from pbdr.inverse.identify import _solved, _Sums


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_derivatives_that_are_not_finite(value: float) -> None:
    sums = _Sums(1)
    jacobian = np.ones((4, 3, 1))
    jacobian[2, 1] = value
    with np.errstate(invalid="ignore"):
        sums.add(jacobian, jacobian, np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(DivergedError, match="not finite"):
        _solved([], sums, 1.0)
