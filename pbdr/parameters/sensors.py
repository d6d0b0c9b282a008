"""Sensors put into a scene, so that what they are made of can be unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mitsuba as mi

from pbdr.scene import Scene


def with_sensors(scene: Scene, sensors: Mapping[str, Mapping[str, Any]]) -> Scene:
    """Return the scene with these sensors, dictionaries by id, in place of its own."""
    config = mi.parser.ParserConfig(mi.variant())
    config.merge_equivalent = config.merge_meshes = False
    made = mi.parser.parse_dict(config, {"type": "scene", **{name: dict(value) for name, value in sensors.items()}})
    mi.parser.transform_all(config, made)

    def edit(state: Any) -> None:
        offset = len(state.nodes) - 1  # the scene that is around the sensors is left out
        for node in list(made.nodes)[1:]:
            copy = mi.parser.SceneNode()
            copy.type, copy.props = node.type, node.props
            for name in node.props.keys():
                if node.props.type(name) == mi.Properties.Type.ResolvedReference:
                    copy.props[name] = mi.Properties.ResolvedReference(node.props[name].index() + offset)
            state.nodes.append(copy)
        root = state.nodes[0].props
        for name in list(root.keys()):
            reference = root.type(name) == mi.Properties.Type.ResolvedReference
            if reference and state.nodes[root[name].index()].type == mi.ObjectType.Sensor:
                del root[name]
        outer = made.nodes[0].props
        for name in sensors:
            root[name] = mi.Properties.ResolvedReference(outer[name].index() + offset)

    return scene.edited(edit)
