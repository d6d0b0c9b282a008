"""Do images belong to their cameras: order, sizes, the same image twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment

from .capture import MANY, Array, Capture, Finding, Shot, listed, mask_on_grid, overlap, silhouette, to_shape

GAIN = 0.1  # by which exchanged images must fit better


def order(capture: Capture) -> list[Finding]:
    """Images that fit the cameras of other views better than their own."""
    masked = capture.masked[:MANY]
    if len(masked) >= 2 and len(masked) == len(capture.shots[:MANY]) and len(capture.points):
        return _exchanged(masked, _mask_scores(masked, capture), "masks overlap silhouettes")
    shots = [shot for shot in capture.shots if shot.start is not None][:MANY]
    if len(shots) < 2:
        return []
    return _exchanged(shots, _picture_scores(shots), "images correlate with the start")


def _mask_scores(shots: list[Shot], capture: Capture) -> Array:
    masks = [mask_on_grid(shot) for shot in shots]
    seen = [silhouette(shot.camera, capture.points) for shot in shots if shot.camera is not None]
    return np.array([[overlap(m, s) if m.shape == s.shape else 0.0 for s in seen] for m in masks])


def _picture_scores(shots: list[Shot]) -> Array:
    def flat(image: Array) -> Array:
        grey = np.log(np.maximum(to_shape(image.mean(-1), (16, 16)), 1e-3)).ravel()
        return np.asarray((grey - grey.mean()) / (grey.std() + 1e-9) / 16)

    images = np.array([flat(shot.image) for shot in shots])
    starts = np.array([flat(shot.start) for shot in shots if shot.start is not None])
    return np.asarray(images @ starts.T)


def _exchanged(shots: list[Shot], scores: Array, what: str) -> list[Finding]:
    rows, columns = linear_sum_assignment(-scores)
    own, best = float(np.diag(scores).mean()), float(scores[rows, columns].mean())
    moved = [(i, j) for i, j in zip(rows, columns, strict=True) if scores[i, j] > scores[i, i] + GAIN]
    # Where even the best order fits badly, something else is wrong.
    if best < 0.6 or len(moved) < 2:
        return []
    pairs = [f"{shots[i].name} fits the camera of {shots[j].name}" for i, j in moved]
    return [
        Finding(
            "order",
            f"{len(moved)} of {len(shots)} images are probably exchanged: {listed(pairs, 3)} ({what} by {own:.2f}, exchanged "
            f"by {best:.2f}); name images and cameras alike, or number both",
        )
    ]


def sizes(capture: Capture) -> list[Finding]:
    """A few images of another size than the others."""
    count = Counter(shot.size for shot in capture.shots)
    (width, height), most = count.most_common(1)[0] if count else ((0, 0), 0)
    others = [shot for shot in capture.shots if shot.size != (width, height)]
    if not others or most < 2 or len(others) * 4 > len(capture.shots):
        return []
    shown = listed([f"{s.name}: {s.size[0]} x {s.size[1]}" for s in others])
    return [
        Finding(
            "sizes",
            f"{len(others)} of {len(capture.shots)} images have another size than {width} x {height} ({shown}): were they cropped "
            "or scaled after their cameras were estimated?",
        )
    ]


def duplicates(capture: Capture) -> list[Finding]:
    """The same image for several cameras."""
    groups: dict[str, list[str]] = {}
    for shot in capture.shots:
        # A sky alone, or a black frame, may well be the same twice.
        if shot.digest and float(shot.image.std()) > 1e-6:
            groups.setdefault(shot.digest, []).append(shot.name)
    twice = [names for names in groups.values() if len(names) > 1]
    if not twice:
        return []
    shown = listed([" = ".join(names) for names in twice])
    return [
        Finding(
            "duplicates",
            f"{len(twice)} images are those of several cameras, pixel by pixel ({shown}): leave all but one out",
        )
    ]
