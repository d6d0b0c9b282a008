"""What `pbdr verify` and `pbdr gradient` share: the parameter, the directions, options of the integrator."""

from __future__ import annotations

import re
from typing import Annotated, Any

import tyro

from ..errors import OptionError

Param = Annotated[
    str, tyro.conf.arg(metavar="NAME", help="The parameter, by name or raw key; `pbdr params SCENE` lists them.")
]
Directions = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="DIRECTION",
        help="How the parameter moves: x, y, z (translations), smooth (waves over the vertices), all (every entry by 1), random, "
        "or numbers such as 1,0.5,0; may be repeated. By default what suits the parameter.",
    ),
]
IntegratorOptions = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(metavar="NAME=VALUE", help="An option of the integrator, such as guiding=none; may be repeated."),
]


def integrator_options(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE words as an integrator's options: whole numbers, numbers, true and false, else text."""
    result: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or name == "type":
            raise OptionError(f"--option {pair}: expected NAME=VALUE (the type is --integrator)")
        if re.fullmatch(r"[+-]?\d+", value):
            result[name] = int(value)
        elif value in ("true", "false"):
            result[name] = value == "true"
        else:
            try:
                result[name] = float(value)
            except ValueError:
                result[name] = value
    return result
