"""Motion in a fog: one homogeneous medium everywhere, in which the camera is, and in which opaque shapes and lights move.

Ways have one piece there, and every transmittance is e^(−σ_t d) of its length d. What else moves in scenes with media is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import groups
from pbdr.transport.media.piece import interaction

BEAMS = ("SpotLight", "Projector")  # whose borders go through the fog
LONGEST = 2  # segments of the paths whose boundary terms know of fog


def around(scene: Any, sensor: Any) -> Any:
    """The medium, or None where there is another one, or where it is not homogeneous."""
    fog = sensor.get_medium()
    if fog is None or not fog.is_homogeneous():
        return None
    bounded = any(shape.is_medium_transition() for shape in groups.everything(scene))
    return None if bounded else fog


def obstacle(scene: Any, sensor: Any, nodes: Iterable[Any], max_depth: int) -> str:
    """Why what moves in the fog of `scene`, `nodes`, has no gradient all the same; "" if it has."""
    if around(scene, sensor) is None:
        return "the only one whose shapes and lights may move is a homogeneous medium around the camera, and no other"
    if max_depth > LONGEST:
        return f"in fog, what moves has a gradient up to max_depth = {LONGEST}"
    if any(isinstance(node, mi.Sensor) for node in nodes):
        return "in fog, shapes and lights may move, but the camera may not"
    if any(emitter.class_name() in BEAMS for emitter in scene.emitters()):
        return "in fog, beams of spot lights and projectors may not be there when anything moves"
    if groups.members(scene):
        return "instances in fog may not be there when anything moves"
    for shape in groups.everything(scene):
        flags = shape.bsdf().flags() if shape.bsdf() is not None else 0
        if mi.has_flag(flags, mi.BSDFFlags.Delta) or mi.has_flag(flags, mi.BSDFFlags.Null):
            return f"'{shape.id()}' has delta lobes, and in fog there is no gradient of what is seen by them"
    return ""


def transmittance(fog: Any, ray: Any, distance: Any, active: Any = True) -> Any:
    """e^(−σ_t d), detached."""
    _, _, extinction = fog.get_scattering_coefficients(
        interaction(ray, mi.Float(0), mi.MediumPtr(fog)), mi.Bool(active)
    )
    extinction = mi.Spectrum(extinction)
    return dr.detach(dr.select(extinction > 0, dr.exp(-extinction * distance), 1))


def scattered(fog: Any, ray: Any, distance: Any, omega: Any, active: Any) -> Any:
    """σ_s times the phase function for light from `omega` that leaves against the ray, at a distance; detached."""
    mei = interaction(ray, distance, mi.MediumPtr(fog))
    scattering, _, _ = fog.get_scattering_coefficients(mei, active)
    value, _ = fog.phase_function().eval_pdf(mi.PhaseFunctionContext(), mei, omega, active)
    return dr.detach(mi.Spectrum(scattering) * mi.Spectrum(value))
