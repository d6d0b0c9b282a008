"""What a prior is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pbdr.parameters.place import Place


class Prior(ABC):
    """What is known of a value before any image is seen, as a number that `fit` adds to the loss with the variable's weight.

    A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`). `name`: what the table `prior`
    of a variable calls it.
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, value: Any, place: Place) -> Any:
        """Return one number, an array of width 1 that is differentiable in `value`, for a value tensor of the parameter's shape.

        `fit` calls it in every step, once for each parameter of the variable.
        """

    def refusal(self, place: Place) -> str:
        """Return why the prior means nothing there, which is an error before anything is rendered; "" if it means something."""
        return ""
