"""Participating media (docs/theory.md, section 11): which scenes have them, and what is refused by name.

flight.py   straight ways through media, to the next collision or surface, and to lights
volume.py   collisions as vertices of paths, and transmittance with derivatives
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mitsuba as mi

from pbdr.errors import ParameterError, SceneError
from pbdr.geometry import groups
from pbdr.parameters import roles

HANDLING = ("trace", "ignore")


def places(scene: Any, sensor: Any) -> list[str]:
    """Where the media are that rays from `sensor` may cross: "inside 'slab'", "around 'lamp'"."""
    found = []
    for shape in groups.everything(scene):
        for medium, where in ((shape.interior_medium(), "inside"), (shape.exterior_medium(), "around")):
            if medium is not None:
                found.append(f"{where} '{shape.id()}'")
    if sensor.get_medium() is not None:
        found.append(f"around the sensor '{sensor.id()}'")
    return found


def reference(scene: Any, options: Mapping[str, Any]) -> str:
    """Mitsuba's integrator that renders all that `pathspace` with these options does: `path`, with media `volpathmis`."""
    media = options.get("media") != "ignore" and any(places(scene, sensor) for sensor in scene.sensors())
    return "volpathmis" if media else "path"


def _listed(found: list[str]) -> str:
    return ", ".join(found[:3]) + (f" and at {len(found) - 3} more places" if len(found) > 3 else "")


def check(scene: Any, sensor: Any, moved: Iterable[str], replay: bool = False) -> None:
    """Raise where a gradient with respect to the parameters `moved`, which move something, would lack what media do."""
    found, moved = places(scene, sensor), list(moved)
    if found and moved:
        raise SceneError(
            f"there is a medium {_listed(found)}, and what {', '.join(moved)} moves changes how much of it light crosses, which "
            "has no derivative in this version. Take the medium out, or give media = 'ignore': image and gradient are then those "
            "of the surfaces alone, as Mitsuba's 'path' renders them."
        )
    if found and replay:
        raise SceneError(
            f"replay = true: there is a medium {_listed(found)}, which recordings are not for. Leave it out."
        )


def check_parameters(attached: Iterable[Any], ignored: bool) -> None:
    """Raise for parameters of media without a gradient: all of them where media are `ignored`."""
    for parameter in attached:
        if not any(isinstance(owner, mi.Medium) for owner in parameter.owners):
            continue
        if ignored:
            raise ParameterError(
                f"'{parameter.raw}' has no gradient with media = 'ignore': the image does not depend on it. Leave the option out."
            )
        if roles.find(parameter.role).kind is not roles.Kind.MEDIUM:
            known = ", ".join(row.name for row in roles.TABLE.values() if row.kind is roles.Kind.MEDIUM)
            raise ParameterError(f"'{parameter.raw}' has no usable gradient in this version: of media, {known} have one.")
