"""Where all cameras and objects may move, the first camera is held; with one thing known, none is."""

from __future__ import annotations

from typing import Any

import pytest

import pbdr
from pbdr.inverse import anchor
from pbdr.parameters import Variables, VariableSpec
from validation.scenes import zoo

ALL = ("camera-*/pose", "ball/pose", "floor/pose")


def held(match: tuple[str, ...], light: dict[str, Any]) -> list[str]:
    """Names of what is held in a scene of two shapes and two cameras."""
    scene = pbdr.load_scene(
        {
            "type": "scene", "camera-0": zoo.camera(), "camera-1": zoo.camera(), "light": light,
            "ball": {"type": "sphere"}, "floor": {"type": "rectangle"},
        }
    )  # fmt: skip
    bound = Variables(scene, {"all": VariableSpec(match)})
    return [bound.latents[key].parameter.name for key in anchor.held(bound, scene.sensors)]


@pytest.mark.parametrize(
    ("match", "light", "expected"),
    [
        (ALL, {"type": "constant"}, ["camera-0/pose"]),
        (ALL[:2], {"type": "constant"}, []),
        (("camera-0/pose", *ALL[1:]), {"type": "constant"}, []),
        (ALL, {"type": "point"}, []),
        ((*ALL, "light/position"), {"type": "point"}, ["camera-0/pose"]),
    ],
)
def test_the_first_camera_is_held_where_nothing_else_is(
    match: tuple[str, ...], light: dict[str, Any], expected: list[str]
) -> None:
    assert held(match, light) == expected
