"""Poses, focal lengths and masks, judged by where the surfaces of the scene are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..cameras import Camera, rigid_inverse
from .capture import Capture, Finding, agreement, few, share_seen

_OPENGL = np.diag([-1.0, 1.0, -1.0, 1.0])
_OPENCV = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Shapes of a scene among which those that masks show are looked for, at most.
SHAPES = 16
_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # y up → z up


@dataclass(frozen=True)
class Alternative:
    """What poses may have been meant: what was mistaken, what to do, and the pose (Mitsuba axes) that it makes of a given one."""

    what: str
    advice: str
    pose: Callable[[np.ndarray], np.ndarray]

    def __call__(self, camera: Camera) -> Camera:
        return replace(camera, to_world=self.pose(camera.to_world))


ALTERNATIVES = (
    Alternative(
        "poses with OpenCV's axes (y down, z forward) are read as OpenGL's",
        "negate the second and third column of every transform_matrix", lambda m: m @ _OPENGL @ _OPENCV,
    ),
    Alternative(
        "world-to-camera matrices are read as camera-to-world", "invert every matrix",
        lambda m: rigid_inverse(m @ _OPENGL) @ _OPENGL,
    ),
    Alternative(
        "world-to-camera matrices with OpenCV's axes (COLMAP's) are read as camera-to-world",
        "invert every matrix and negate the second and third column of the result", lambda m: rigid_inverse(m @ _OPENGL) @ _OPENCV,
    ),
    Alternative(
        "cameras look backwards", "negate the first and third column of every transform_matrix",
        lambda m: m @ np.diag([-1.0, 1.0, -1.0, 1.0]),
    ),
    Alternative(
        "images are upside down", "negate the first and second column of every transform_matrix, or turn the images",
        lambda m: m @ np.diag([-1.0, -1.0, 1.0, 1.0]),
    ),
    Alternative(
        "images are mirrored (a left-handed system)", "mirror the images, or negate one axis of the world in all poses",
        lambda m: m @ np.diag([-1.0, 1.0, 1.0, 1.0]),
    ),
    Alternative("poses have y up and the scene has z up", "turn the poses or the scene by 90° about x", lambda m: _UP @ m),
    Alternative("poses have z up and the scene has y up", "turn the poses or the scene by 90° about x", lambda m: _UP.T @ m),
)  # fmt: skip


def subject(capture: Capture, inverted: bool = False) -> tuple[np.ndarray, float]:
    """Return the (N, 3) points of the shapes that the masks show, or their complement, and how far silhouettes and masks overlap.

    Masks may show one object of many: shapes are added while the overlap grows. It is the whole scene where no part fits better.
    """
    masked, labels = few(capture.masked), np.asarray(capture.labels)
    chosen, best = np.ones(len(capture.points), dtype=bool), agreement(masked, capture.points, inverted=inverted)
    if len(labels) != len(capture.points) or not 1 < len(set(labels)) <= SHAPES:
        return capture.points, best
    part, value, names = np.zeros(len(labels), dtype=bool), 0.0, set(labels)
    while names:
        scores = {name: agreement(masked, capture.points[part | (labels == name)], inverted=inverted) for name in sorted(names)}
        name = max(scores, key=lambda one: scores[one])
        if scores[name] <= value:
            break
        part, value = part | (labels == name), scores[name]
        names.remove(name)
    if value > max(0.6, best + 0.1):
        chosen, best = part, value
    return capture.points[chosen], best


def axes(capture: Capture) -> list[Finding]:
    """Cameras look away from the scene, or masks fit its silhouettes better under another convention of axes."""
    if not len(capture.points) or not capture.posed:
        return []
    masked = few(capture.masked)
    if masked:
        given = agreement(masked, capture.points)
        best = max(ALTERNATIVES, key=lambda one: agreement(masked, capture.points, one))
        value = agreement(masked, capture.points, best)
        if value > max(0.5, given + 0.1) and 1 - value < 0.6 * (1 - given):
            return [
                Finding(
                    "axes",
                    f"silhouettes of the scene overlap the masks by {100 * given:.0f} %, and by {100 * value:.0f} % if "
                    f"{best.what}: {best.advice}",
                    overlap=value,
                )
            ]
        if given >= 0.2:
            return []
    return _looking_away(capture)


def _looking_away(capture: Capture) -> list[Finding]:
    """What can be said without masks: how much of the scene is within the films."""
    cameras = [shot.camera for shot in few(capture.posed) if shot.camera is not None]

    def seen(change: Callable[[Camera], Camera]) -> float:
        return float(np.mean([share_seen(change(camera), capture.points) for camera in cameras]))

    given = seen(lambda camera: camera)
    if given >= 0.1:
        return []
    best = max(ALTERNATIVES, key=seen)
    if seen(best) > max(0.5, given + 0.4):
        text = f"and {100 * seen(best):.0f} % if {best.what}: {best.advice}"
    elif given < 0.01:
        low, high = capture.points.min(0), capture.points.max(0)
        centre = np.mean([camera.to_world[:3, 3] for camera in cameras], axis=0)
        text = (
            f"whatever the axes: the scene spans {_vector(low)} to {_vector(high)}, cameras are around {_vector(centre)}; "
            "bring poses and scene into one frame and unit"
        )
    else:
        return []
    return [Finding("axes", f"cameras see {100 * given:.0f} % of the scene's surface, {text}")]


def _vector(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"


def field_of_view(capture: Capture) -> list[Finding]:
    """Fields of view that no camera has, or focal lengths that show the scene larger or smaller than the masks do."""
    degrees = [float(np.degrees(shot.camera.fov_x)) for shot in capture.posed if shot.camera is not None]
    wrong = [value for value in degrees if not 3.0 <= value <= 150.0]
    if wrong:
        unit = (
            "radians were taken for degrees"
            if wrong[0] < 3
            else "degrees were taken for radians, or pixels are of another size"
        )
        return [
            Finding(
                "field_of_view",
                f"{len(wrong)} of {len(degrees)} cameras have a field of view of {wrong[0]:.3g}°: probably {unit}; "
                "camera_angle_x is in radians, x_fov and a scene's fov are in degrees, fl_x is in pixels of the images",
            )
        ]  # fmt: skip
    masked = few(capture.masked)
    if not masked or not len(capture.points):
        return []
    factors = [float(f) for f in 2.0 ** np.arange(-2.0, 2.01, 0.25)]
    scores = {factor: agreement(masked, capture.points, partial(_zoomed, factor=factor)) for factor in factors}
    best = max(scores, key=lambda factor: scores[factor])
    given = scores[1.0]
    if abs(np.log2(best)) < 0.25 or scores[best] < max(0.6, given + 0.15):
        return []
    return [
        Finding(
            "field_of_view",
            f"masks and silhouettes overlap by {100 * given:.0f} %, and by {100 * scores[best]:.0f} % with focal lengths "
            f"{best:.2g} times as long (now {degrees[0]:.3g}°): do they belong to images of another resolution, or is the field of "
            "view that of another axis or unit? Or the scene has another size than the object",
            overlap=scores[best],
        )
    ]


def _zoomed(camera: Camera, factor: float) -> Camera:
    focal_y = None if camera.focal_y is None else camera.focal_y * factor
    return replace(camera, focal=camera.focal * factor, focal_y=focal_y)


def principal_point(capture: Capture) -> list[Finding]:
    """Principal points far from the middle of the image: intrinsics of another resolution."""
    cameras = [(shot.name, shot.camera) for shot in capture.posed if shot.camera is not None]
    off = [(name, c) for name, c in cameras if abs(c.cx / c.width - 0.5) > 0.3 or abs(c.cy / c.height - 0.5) > 0.3]
    if len(off) * 2 <= len(cameras):
        return []
    name, camera = off[0]
    return [
        Finding(
            "principal_point",
            f"{len(off)} of {len(cameras)} principal points are far from the middle ({name}: {camera.cx:.0f}, {camera.cy:.0f} "
            f"in an image of {camera.width} x {camera.height}): scale cx, cy and focal lengths to the images that are used",
        )
    ]


def inverted_masks(capture: Capture) -> list[Finding]:
    """Masks that show the background."""
    masked = few(capture.masked)
    if not masked:
        return []
    if len(capture.points):
        given, other = subject(capture)[1], subject(capture, inverted=True)[1]
        if other > max(0.5, given + 0.2):
            text = f"silhouettes of the scene overlap the masks by {100 * given:.0f} % and their complement by {100 * other:.0f} %"
            return [Finding("inverted_masks", f"{text}: masks are 1 where the object is; invert them", overlap=other)]
        return []
    border, centre = [], []
    for shot in masked:
        mask = np.asarray(shot.mask)
        h, w = mask.shape
        border.append(float(np.mean([mask[0].mean(), mask[-1].mean(), mask[:, 0].mean(), mask[:, -1].mean()])))
        centre.append(float(mask[h // 3 : -(h // 3) or None, w // 3 : -(w // 3) or None].mean()))
    if np.mean(border) > 0.9 and np.mean(centre) < 0.3:
        text = f"masks cover {100 * np.mean(border):.0f} % of the images' borders and {100 * np.mean(centre):.0f} % of their middle"
        return [
            Finding("inverted_masks", f"{text}: masks are 1 where the object is; invert them if they are not meant so")
        ]
    return []
