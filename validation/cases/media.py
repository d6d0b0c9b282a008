"""Participating media: coefficients, borders that move, and what is refused there."""

from __future__ import annotations

from pbdr.scene import load_scene
from validation.cases.case import Cases, along, one
from validation.scenes import media

CASES = Cases()
add = CASES.add

COEFFICIENTS = "tests/gradient/test_media_coefficients.py::test_against_differences"
BORDERS = "tests/gradient/test_media_interfaces.py::test_against_differences"
for _name, _scene, _parameter, _step in (
    ("density of a grid", "grid", "thing/sigma_t", 0.3),
    ("albedo of a grid", "albedo grid", "thing/albedo", 0.1),
    ("phase function, four segments", "homogeneous", "thing/phase_g", 0.1),
    ("tinted, density", "tinted", "thing/sigma_t", 0.03),
    ("behind glass", "glass", "thing/sigma_t", 0.4),
    ("around the camera", "around the camera", "camera/sigma_t", 0.04),
    ("floor below a medium", "grid", "floor/base_color", 0.05),
):
    add(f"media: {_name}", "media", "material", lambda folder, scene=_scene: load_scene(media.CASES[scene]()), _parameter, one,
        (f"{COEFFICIENTS}[{_name}]",), step=_step, depth=4)  # fmt: skip
for _parameter, _step in (("peaks", 0.3), ("centers", 0.01), ("log_scales", 0.05)):
    add(f"media: Gaussians, {_parameter.replace('_', ' ')}", "media", "material",
        lambda folder: load_scene(media.scene(media.gaussians())), f"thing/{_parameter}", one,
        ("tests/gradient/test_gaussian_medium.py::test_gradients_of_the_shadow",), step=_step, depth=4)  # fmt: skip
add("media: lamp above a medium", "media", "light", lambda folder: load_scene(media.CASES["tinted"]()), "lamp/radiance", one,
    (f"{COEFFICIENTS}[lamp above a medium]",), step=0.1, depth=4)  # fmt: skip
add("media: box moves", "media", "shape", lambda folder: load_scene(media.scene(media.fog(2.5, 0.7), bulb=media.POINT)),
    "thing/positions", along(1, 0.3, 0.5), (f"{BORDERS}[box moves]",), spp=1024)  # fmt: skip
add("media: ball moves", "media", "shape", lambda folder: load_scene(media.scene(media.fog(2.5, 0.7), "sphere", sky=media.SKY)),
    "thing/pose", along(1, 0.3, 0.5), (f"{BORDERS}[ball moves]",), spp=4096)  # fmt: skip
for _parameter, _kind in (("lamp/pose", "light"), ("floor/pose", "shape"), ("camera/pose", "camera")):
    add(f"media: {_parameter.replace('/', ': ')}", "media", _kind, lambda folder: load_scene(media.CASES["grid"]()), _parameter,
        along(1, 0.3, 0.5), ("tests/gradient/test_media.py::test_every_motion_is_refused",),
        refusal="there is a medium")  # fmt: skip
