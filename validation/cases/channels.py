"""Extra channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pbdr.scene import load_scene
from validation.cases.case import Cases, along
from validation.cases.shapes import RED
from validation.scenes import channels_of_shapes, zoo
from validation.scenes.channels import wavy
from validation.scenes.zoo import T

CASES = Cases()
add = CASES.add


def sheet(folder: Path) -> Any:
    """A smooth-shaded sheet and a block above a floor that does not fill the view."""
    beside = T().translate([0.9, -1, 0.4]).rotate([0, 0, 1], 30).scale(0.3)
    film = zoo.film(pixel_format="rgba")
    return load_scene({
        "type": "scene", "camera": zoo.camera(film=film, sampler={"type": "ldsampler"}), "light": zoo.lamp(-0.5, 0.6, -1),
        "sheet": {**wavy(folder), "bsdf": RED}, "block": {"type": "cube", "to_world": beside, "bsdf": zoo.GREEN},
        "floor": {"type": "rectangle", "to_world": T().scale(1.2), "bsdf": {"type": "diffuse"}},
    })  # fmt: skip


CHANNELS = "tests/gradient/test_channels.py::"
for _channel, _aovs, _slice in (
    ("alpha", "", (3,)),
    ("depth", "depth:depth", (4,)),
    ("shading normal", "n:sh_normal", (4, 5, 6)),
    ("position", "p:position", (4, 5, 6)),
):
    add(f"{_channel}: block moves", "channels", "shape", sheet, "block/positions", along(0.5, 0.2, 0.4),
        (CHANNELS + ("test_masks" if _channel == "alpha" else "test_finite_differences[block/positions]"),),
        spp=128, options={"aovs": _aovs, "n_primary": 2**16} if _aovs else {"n_primary": 2**16}, channels=_slice,
        peer="boundary 0" if _channel != "position" else "")  # fmt: skip
add("depth: camera moves", "channels", "camera", sheet, "camera/pose", along(0.3, 0.2, -0.1),
    (CHANNELS + "test_finite_differences[camera/pose]",), spp=128, options={"aovs": "depth:depth", "n_primary": 2**16},
    channels=(4,),
    peer="boundary 0")  # fmt: skip

CHANNELS_OF_SHAPES = "tests/gradient/test_channels_shapes.py::test_shapes"
for _shape, _channel, _aovs, _slice in (
    ("instance of a flat mesh", "shading normal", "n:sh_normal", (3, 4, 5)),
    ("linear curve", "depth", "depth:depth", (3,)),
):
    add(f"{_channel}: {_shape}", "channels", "shape", lambda folder, kind=_shape: channels_of_shapes.scene(kind, folder),
        channels_of_shapes.SHAPES[_shape][1], channels_of_shapes.direction, (f"{CHANNELS_OF_SHAPES}[{_shape}]",), spp=128,
        options={"aovs": _aovs, "n_primary": 2**16}, channels=_slice, peer="0" if "instance" in _shape else "")  # fmt: skip
