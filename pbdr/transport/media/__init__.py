"""Participating media (docs/theory.md, section 11): which scenes have them, and what is refused by name.

flight.py    straight ways through media, to the next collision or surface, and to lights; piece.py: what they are made of
volume.py    collisions as vertices of paths, and transmittance and light of ways with derivatives
emissive.py  media that shine; glow.py: what they add to a way
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mitsuba as mi

from pbdr.errors import ParameterError, SceneError
from pbdr.geometry import groups
from pbdr.parameters import is_radiometric, roles, traverse
from pbdr.transport import cones
from pbdr.transport.media import emissive, fog

HANDLING = ("trace", "ignore")
CLEAR = 1.001  # times the size of a shape, that the grid of a medium in it has to reach at least


def _placed(scene: Any, sensor: Any) -> list[tuple[Any, str]]:
    """The media that rays from `sensor` may cross, and where they are: "inside 'slab'", "around 'lamp'"."""
    found = []
    for shape in groups.everything(scene):
        for medium, where in ((shape.interior_medium(), "inside"), (shape.exterior_medium(), "around")):
            if medium is not None:
                found.append((medium, f"{where} '{shape.id()}'"))
    if sensor.get_medium() is not None:
        found.append((sensor.get_medium(), f"around the sensor '{sensor.id()}'"))
    return found


def places(scene: Any, sensor: Any) -> list[str]:
    """Where the media are that rays from `sensor` may cross."""
    return [where for _, where in _placed(scene, sensor)]


def shining(scene: Any, sensor: Any) -> bool:
    """Whether one of the media that rays from `sensor` may cross shines."""
    return any(emissive.glows(medium) for medium, _ in _placed(scene, sensor))


def reference(scene: Any, options: Mapping[str, Any]) -> str:
    """The integrator that renders all that `pathspace` with these options does: Mitsuba's `path`, with media `volpathmis`.

    Where media shine, which Mitsuba's do not, it is `pathspace` itself.
    """
    if options.get("media") == "ignore" or not any(places(scene, sensor) for sensor in scene.sensors()):
        return "path"
    return "pathspace" if any(shining(scene, sensor) for sensor in scene.sensors()) else "volpathmis"


def interfaces(scene: Any, attached: Iterable[Any]) -> tuple[Any, ...]:
    """Shapes that bound media, bend nothing, and are moved by one of the parameters `attached`.

    Raises where the medium has a grid that ends inside or at the shape: its border jumps, too, but does not move with the shape.
    """
    found: list[Any] = []
    for parameter in attached:
        shape = parameter.owners[0]
        if isinstance(shape, mi.Shape) and shape not in found and _is_interface(shape):
            _check_dark(scene, parameter.raw)
            _check_grids(shape, parameter.raw)
            found.append(shape)
    return tuple(found)


def _is_interface(shape: Any) -> bool:
    bounds = shape.interior_medium() is not None or shape.exterior_medium() is not None
    plain = bounds and shape.bsdf() is not None and not shape.is_emitter()
    return plain and (shape.bsdf().flags() & int(mi.BSDFFlags.All)) == int(mi.BSDFFlags.Null)


def _check_grids(shape: Any, raw: str) -> None:
    box = shape.bbox()
    centre = mi.Point3f(box.center())
    for medium in (shape.interior_medium(), shape.exterior_medium()):
        if medium is None or medium.is_homogeneous():
            continue
        for axis in range(3):
            direction = mi.Vector3f([float(axis == k) for k in range(3)])
            there, first, last = medium.intersect_aabb(mi.Ray3f(centre, direction))
            half = float(box.extents()[axis]) / 2
            inside = bool(there[0]) and float(first[0]) < -CLEAR * half and float(last[0]) > CLEAR * half
            if not inside:
                raise SceneError(
                    f"'{raw}' moves the border of a medium whose grid ends there, or inside: the border of a grid does not move "
                    "with the shape, and the image has a kink where they meet. Make the grid larger than the shape."
                )


def _check_dark(scene: Any, raw: str) -> None:
    """The end term of light that a medium adds on either side of its border is not there yet."""
    found = [shape.id() for shape in groups.everything(scene) for medium in (shape.interior_medium(), shape.exterior_medium())
               if medium is not None and emissive.glows(medium)]  # fmt: skip
    if found:
        raise SceneError(
            f"'{raw}' moves the border of a medium, and the medium of '{found[0]}' shines: what the border uncovers has no "
            "derivative in this version. Hold the border, or take the emission out."
        )


def _listed(found: list[str]) -> str:
    return ", ".join(found[:3]) + (f" and at {len(found) - 3} more places" if len(found) > 3 else "")


def check(scene: Any, sensor: Any, keys: Iterable[str], max_depth: int, replay: bool = False) -> None:
    """Raise where a gradient would lack what media do: with respect to those of the parameters `keys` that move something.

    In fog (fog.py), shapes and lights may move.

    Angles of beams do: the edge of a beam does not stop at surfaces. Interfaces do not (`interfaces`).
    """
    found = places(scene, sensor)
    if not found:
        return
    nodes = {key: row[2] for key, row in traverse(scene).properties.items()}
    moved = [
        key
        for key in keys
        if (not is_radiometric(key) or key.rsplit(".", 1)[-1] in cones.ANGLES)
        and not (isinstance(nodes.get(key), mi.Shape) and _is_interface(nodes[key]))
    ]
    why = fog.obstacle(scene, sensor, [nodes.get(key) for key in moved], max_depth) if moved else ""
    if not why and any(key.rsplit(".", 1)[-1] in cones.ANGLES for key in moved):
        why = "in fog, beams of spot lights keep their angles"
    if why:
        raise SceneError(
            f"there is a medium {_listed(found)}, and what {', '.join(moved)} moves changes how much of it light crosses, which "
            f"has no derivative in this version ({why}). Take the medium out, or give media = 'ignore': image and gradient are "
            "then those of the surfaces alone, as Mitsuba's 'path' renders them."
        )
    if replay:
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
            raise ParameterError(
                f"'{parameter.raw}' has no usable gradient in this version: of media, {known} have one."
            )
