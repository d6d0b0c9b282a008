"""What is held where everything may move: with all cameras and objects unknown, the world is nowhere in particular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pbdr.parameters import Variables, owner_of
from pbdr.scene import mitsuba_scene

#: The light that is the same from everywhere.
UNIFORM = "ConstantBackgroundEmitter"


def held(bound: Variables, sensors: Sequence[Any]) -> list[str]:
    """Return the latents that stay as they are, so that the others have a frame: the pose of the first view's camera, or none.

    That is needed where the poses of all cameras and of all shapes are unknown, and no light has a direction or place of its own.
    Nothing else is: with one thing known, all is relative to it. `sensors`: the `mitsuba.Sensor` of every view.
    """
    places: dict[int, str] = {}
    for key, latent in bound.latents.items():
        if latent.parameter.row.length:
            places[id(owner_of(bound.scene, latent.parameter))] = key
    scene = mitsuba_scene(bound.scene)
    lights = [light for light in scene.emitters() if light.class_name() != UNIFORM and light.get_shape() is None]
    placed = (*scene.shapes(), *lights, *sensors)
    return [places[id(sensors[0])]] if all(id(thing) in places for thing in placed) else []


def notes(bound: Variables, keys: Sequence[str]) -> list[str]:
    """Return what to tell of latents that are held."""
    text = "is held as it is: all cameras and objects are unknown, and nothing says where the world is"
    return [f"{bound.latents[key].parameter.name} {text}" for key in keys]
