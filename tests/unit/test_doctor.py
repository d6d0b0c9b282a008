"""The capture doctor: every check finds its injected fault, and none says anything of a right capture.

The capture is made without Mitsuba: three spheres under a sun and a sky, traced by the formula of ray and sphere, with exact masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pbdr.data import Camera
from pbdr.data.doctor import CHECKS, Capture, Shot, examine
from pbdr.srgb import linear_to_srgb, srgb_to_linear

SPHERES = ((np.array([0.0, 0.0, 0.0]), 1.0), (np.array([1.1, 0.2, 0.1]), 0.5), (np.array([-0.2, 0.5, 1.1]), 0.35))
COLOURS = np.array([[0.7, 0.3, 0.2], [0.2, 0.6, 0.3], [0.3, 0.3, 0.8]])
SUN = np.array([0.4, -0.5, 0.77])
WIDTH, HEIGHT = 96, 72
GLINTS = np.random.default_rng(5).standard_normal((40, 3))


def surface(count: int = 6000) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Points on the spheres, in proportion to their areas; their normals and names."""
    random, points, normals, labels = np.random.default_rng(0), [], [], []
    for k, (centre, radius) in enumerate(SPHERES):
        v = random.standard_normal((round(count * radius**2), 3))
        normals.append(v / np.linalg.norm(v, axis=1, keepdims=True))
        points.append(centre + radius * normals[-1])
        labels += [f"ball-{k}"] * len(points[-1])
    return np.concatenate(points), np.concatenate(normals), labels


def traced(camera: Camera, colours: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(image, mask): diffuse spheres with a pattern, black behind them. Shadows are left out."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(camera.cx - x) / camera.focal, (camera.cy - y) / camera.focal, np.ones_like(x)], -1)
    rays = local @ camera.to_world[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    origin = camera.to_world[:3, 3]
    nearest, image = np.full(x.shape, np.inf), np.zeros((*x.shape, 3))
    for (centre, radius), colour in zip(SPHERES, colours, strict=False):
        b = rays @ (centre - origin)
        root = b**2 - (np.sum((centre - origin) ** 2) - radius**2)
        t = b - np.sqrt(np.maximum(root, 0))
        hit = (root > 0) & (t > 0) & (t < nearest)
        normal = (origin + t[..., None] * rays - centre) / radius
        light = 0.15 + 0.8 * np.maximum(normal @ SUN, 0)
        pattern = 1 + 0.3 * np.sin(3 * normal @ GLINTS[0])
        image[hit] = (light * pattern)[hit][:, None] * colour
        nearest[hit] = t[hit]
    return image, np.isfinite(nearest).astype(float)


def cameras(count: int = 10) -> list[Camera]:
    angles = 2 * np.pi * np.arange(count) / count + 0.3
    eyes = [(4.5 * np.cos(a), 4.5 * np.sin(a), 1.0 + 1.5 * np.sin(2 * a)) for a in angles]
    return [Camera.look_at(eye, [0.2, 0.1, 0.2], [0, 0, 1], WIDTH, HEIGHT, 0.8) for eye in eyes]


PAINTED = [traced(camera, COLOURS) for camera in cameras()]
PLAIN = [traced(camera, np.full((3, 3), 0.5))[0] for camera in cameras()]
POINTS, NORMALS, LABELS = surface()


def capture(
    *, camera: Callable[[Camera], Camera] = lambda c: c, image: Callable[[int, Any], Any] = lambda k, x: x,
    mask: Callable[[int, Any], Any] = lambda k, m: m, masks: bool = True, starts: bool = True, suffix: str = ".png", **more: Any,
) -> Capture:  # fmt: skip
    """The right capture, but for what is changed."""
    shots = [
        Shot.of(
            f"view-{k:03d}", image(k, PAINTED[k][0]), mask=mask(k, PAINTED[k][1]) if masks else None, suffix=suffix,
            camera=camera(c), start=PLAIN[k] if starts else None,
        )
        for k, c in enumerate(cameras())
    ]  # fmt: skip
    return Capture(shots, **{"points": POINTS, "normals": NORMALS, "labels": LABELS, **more})


def posed(change: NDArray[Any]) -> Callable[[Camera], Camera]:
    return lambda c: replace(c, to_world=c.to_world @ change)


def focal(factor: float) -> Callable[[Camera], Camera]:
    return lambda c: replace(c, focal=c.focal * factor)


def inverse(c: Camera) -> Camera:
    gl = np.diag([-1.0, 1, -1, 1])
    return replace(c, to_world=np.linalg.inv(c.to_world @ gl) @ gl)


def exchanged(k: int, value: Any, which: int) -> Any:
    return PAINTED[{2: 7, 7: 2}.get(k, k)][which]


def drift(k: int, image: Any) -> Any:
    return image * 2 ** (0.15 * (k - 5))


def other_size(k: int, image: Any) -> Any:
    return image[:, : WIDTH - 8] if k == 3 else image


def grid(image: Any) -> Any:
    return np.rint(np.clip(linear_to_srgb(image), 0, 1) * 255) / 255


FLIP = np.diag([1.0, -1, -1, 1])
_GROUND = np.random.default_rng(6).uniform([-4, -4, -1.05], [4, 4, -1], (6000, 3))
#: A scene with ground below what the masks show.
ON_FLOOR: dict[str, Any] = {
    "points": np.concatenate([POINTS, _GROUND]), "labels": [*LABELS, *["ground"] * 6000],
    "normals": np.concatenate([NORMALS, np.tile([0.0, 0, 1], (6000, 1))]),
}  # fmt: skip
FAULTS: dict[str, tuple[str, Capture, str]] = {
    "OpenCV as OpenGL": ("axes", capture(camera=posed(FLIP)), "OpenCV's axes"),
    "OpenCV as OpenGL, no masks": ("axes", capture(camera=posed(FLIP), masks=False, starts=False), "OpenCV's axes"),
    "inverse matrices": ("axes", capture(camera=inverse), "world-to-camera matrices are read"),
    "upside down": ("axes", capture(camera=posed(np.diag([-1.0, -1, 1, 1]))), "upside down"),
    "mirrored": ("axes", capture(camera=posed(np.diag([-1.0, 1, 1, 1]))), "mirrored"),
    "another frame": ("axes", capture(masks=False, starts=False, points=POINTS + [0, 0, 500.0]), "whatever the axes"),
    "focal of another size": ("field_of_view", capture(camera=focal(2.0)), "focal lengths 0.5 times as long"),
    "radians as degrees": ("field_of_view", capture(camera=focal(60.0)), "radians were taken for degrees"),
    "centre of another size": (
        "principal_point", capture(camera=lambda c: replace(c, cx=2 * c.cx, cy=2 * c.cy)), "far from the middle",
    ),
    "inverted masks": ("inverted_masks", capture(mask=lambda k, m: 1 - m), "invert them"),
    "inverted masks of one object": ("inverted_masks", capture(mask=lambda k, m: 1 - m, **ON_FLOOR), "invert them"),
    "inverted masks, no scene": ("inverted_masks", capture(mask=lambda k, m: 1 - m, points=np.zeros((0, 3)), labels=[]), "borders"),
    "exchanged": (
        "order", capture(image=lambda k, x: exchanged(k, x, 0), mask=lambda k, m: exchanged(k, m, 1)),
        "view-002 fits the camera of view-007",
    ),
    "exchanged, no masks": ("order", capture(image=lambda k, x: exchanged(k, x, 0), masks=False), "2 of 10 images"),
    "another size": ("sizes", capture(image=other_size, mask=other_size), "view-003: 88 x 72"),
    "twice": ("duplicates", capture(image=lambda k, x: PAINTED[4][0] if k == 5 else x), "view-004 = view-005"),
    "JPEG as linear": ("encoding", capture(suffix=".jpg", color="linear"), 'color = "srgb"'),
    "codes in EXR": ("encoding", capture(image=lambda k, x: grid(x), suffix=".exr"), "256 levels"),
    "sRGB as linear": (
        "encoding", capture(image=lambda k, x: linear_to_srgb(np.clip(x, 0, 1))), "sRGB was probably taken for linear",
    ),
    "linear as sRGB": ("encoding", capture(image=lambda k, x: srgb_to_linear(np.clip(x, 0, 1))), "decoded as sRGB"),
    "drift": ("exposure", capture(image=drift), "1.3 stops differently bright (view-009 brightest, view-000 darkest)"),
    "negative texels": ("environments", capture(environments={"sky": np.array([[[1.0, -0.5, 1.0]]])}), "1 of 1 texels are"),
    "texels that are NaN": ("environments", capture(environments={"sky": np.array([[[np.nan, 1, 1]]])}), "not finite"),
    "one side": ("unseen", Capture(capture().shots[:1], POINTS, labels=LABELS), "of ball-0"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FAULTS))
def test_every_fault_is_found(name: str) -> None:
    check, faulty, words = FAULTS[name]
    found = CHECKS[check](faulty)
    assert len(found) == 1 and words in found[0].text and "\n" not in found[0].text, found


def test_every_check_has_a_fault() -> None:
    assert {check for check, _, _ in FAULTS.values()} == set(CHECKS)


RIGHT: dict[str, Capture] = {
    "masks and starts": capture(),
    "masks of one object": capture(**ON_FLOOR),
    "no masks": capture(masks=False),
    "no starts": capture(starts=False),
    "images alone": capture(masks=False, starts=False),
    "no scene": capture(points=np.zeros((0, 3)), labels=[]),
    "no cameras": Capture([Shot.of("a", PAINTED[0][0]), Shot.of("b", PAINTED[1][0])]),
    "one view": Capture(capture().shots[:1], POINTS[:0]),
    "nothing": Capture([]),
    "a start of another size": capture(points=0.85 * POINTS, starts=False),
    "a start beside its place": capture(points=POINTS + [0.15, 0.1, 0.0], starts=False),
    "noise": capture(image=lambda k, x: x + 0.05 * np.random.default_rng(k).standard_normal(x.shape) * x),
    "small drift": capture(image=lambda k, x: x * 2 ** (0.02 * (k - 5))),
    "drift that is estimated": capture(image=drift, exposures_unknown=True),
    "EXR": capture(suffix=".exr"),
    "symmetric": Capture(
        [Shot.of(f"{k}", *traced(c, COLOURS[:1])[:1], mask=traced(c, COLOURS[:1])[1], camera=c) for k, c in enumerate(cameras())],
        POINTS[np.array(LABELS) == "ball-0"], NORMALS[np.array(LABELS) == "ball-0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(RIGHT))
def test_no_false_alarm(name: str) -> None:
    assert [finding for finding in examine(RIGHT[name]) if finding.level == "problem"] == []


def test_problems_come_first() -> None:
    bad = Capture(capture(image=drift).shots, POINTS, NORMALS, LABELS, notes=["sky: 3 of 9 texels are negative"])
    levels = [finding.level for finding in examine(bad)]
    assert levels[0] == "problem" and levels[-1] == "note"


def test_surfaces_are_not_compared_with_wrong_cameras() -> None:
    """The drift that is there is not told while focal lengths are wrong: what is seen where is unknown."""
    found = examine(capture(camera=focal(2.0), image=drift))
    assert "field_of_view" in {finding.check for finding in found}
    assert not {"exposure", "unseen"} & {finding.check for finding in found}
