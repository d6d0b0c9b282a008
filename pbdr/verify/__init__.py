"""Can a gradient be believed? `pbdr.verify(scene, "ball/positions")` compares it with finite differences, with error bars.

The package is callable: `pbdr.verify(...)` is `pbdr.verify.verify(...)`. (Importing a submodule binds the package to the name
`pbdr.verify`, whatever the name meant before.)
"""

from __future__ import annotations

import sys
import types
from typing import Any

from pbdr.verify.checks import verify
from pbdr.verify.decision import AGREES, UNDECIDED, WRONG
from pbdr.verify.result import Along, Estimate, Verification

__all__ = ["AGREES", "UNDECIDED", "WRONG", "Along", "Estimate", "Verification", "verify"]


class _Callable(types.ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Verification:
        return verify(*args, **options)


sys.modules[__name__].__class__ = _Callable
