"""What boundary = 'warp' cannot do, refused by name before rendering."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.table import contacts
from pbdr.errors import SceneError
from pbdr.geometry import registry
from pbdr.geometry.edges import EdgeTable
from pbdr.transport import camera
from pbdr.transport.features import Features
from pbdr.transport.support import incomplete

SENSORS = (camera.PERSPECTIVE, camera.DISTORTED_CAMERA)
INSTEAD = "Use boundary='edge'."


def check(scene: Any, sensor: Any, features: Features, max_depth: int) -> None:
    """Raise SceneError for the first thing in the scene whose boundary term this version cannot warp."""
    for reason in _reasons(scene, sensor, features, max_depth):
        raise SceneError(f"boundary='warp': {reason} {INSTEAD}")


def _reasons(scene: Any, sensor: Any, features: Features, max_depth: int) -> Any:
    """Why not, in words; each says which shape, light or sensor it is."""
    if sensor.class_name() not in SENSORS:
        yield (
            f"the sensor is a {sensor.class_name()}: camera rays follow edges about one viewpoint. Give a perspective or opencv "
            "sensor."
        )
    for emitter in scene.emitters():
        delta = any(
            mi.has_flag(emitter.flags(), f) for f in (mi.EmitterFlags.DeltaPosition, mi.EmitterFlags.DeltaDirection)
        )
        if delta and max_depth > 1:
            yield (
                f"the light '{emitter.id()}' has no size: its hard shadows are no integral over directions that could be warped."
            )
    for shape in scene.shapes():
        name = f"the shape '{shape.id()}'"
        bsdf = shape.bsdf()
        kind = registry.among(features.kinds, shape)
        reason = "" if kind is None else kind.unwarped(shape)
        if reason:
            yield f"{name} {reason}"
        if bsdf is not None and mi.has_flag(bsdf.flags(), mi.BSDFFlags.Delta) and max_depth > 1:
            yield (
                f"{name} is a mirror, glass or cut-out: the ray that leaves it has one direction, around which nothing is "
                "integrated that could be warped."
            )


def warn_of_contacts(scene: Any, table: EdgeTable) -> None:
    """Warn where edges that move, or what they stand on, touch another shape."""
    shapes = scene.shapes()
    touching = contacts.touching(scene, table, table.moving, range(len(shapes)))
    dr.eval(touching)
    found = dr.compress(touching)
    if dr.width(found):
        shape = shapes[int(dr.gather(mi.UInt32, table.shape, found)[0])].id()
        incomplete(
            f"edges of '{shape}' touch another shape: boundary='warp' takes them for silhouettes, which is right only where both "
            f"stay in touch, as a block that slides over the floor. {INSTEAD}"
        )
