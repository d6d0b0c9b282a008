"""What pixels mean: transfer function, exposure, texels of environments."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .capture import MANY, Array, Capture, Finding, Shot, few, listed, projected, to_shape
from .unseen import visible

#: Slopes of log image over log start that a transfer function too many or too few makes: 2.2 and 1 / 2.2, with room.
STEEP, FLAT = (1.75, 2.9), (0.34, 0.58)
STOPS = 0.35  # of exposure that may differ
TIMES = 8  # as large as the scatter of ratios, which is small only where surfaces are where the start says
MOST = 0.7  # of the pairs of images must be alike; else the surfaces are not those of the images
SLANT = 0.5  # least cosine between a surface's normal and the view
ALIKE = 0.2  # stops by which ratios of the points that two images share may differ from their median


def encoding(capture: Capture) -> list[Finding]:
    """sRGB taken for linear, or the other way round."""
    if capture.color == "linear":
        photographs = [shot.name for shot in capture.shots if shot.suffix in (".jpg", ".jpeg")]
        if photographs:
            text = f"{len(photographs)} images are JPEG files, which hold sRGB, and are read as linear ({listed(photographs)})"
            return [Finding("encoding", f'{text}: set [data] color = "srgb"')]
    levels = [shot.name for shot in capture.shots if shot.levels]
    if levels:
        text = (
            f"{len(levels)} files of floating-point numbers hold only the 256 levels of 8-bit images ({listed(levels)})"
        )
        return [Finding("encoding", f"{text}: sRGB was written as if it were linear; use the 8-bit files")]
    return _slope(capture)


def _slope(capture: Capture) -> list[Finding]:
    """Are images a power of what the start shows?"""
    pairs = []
    for shot in few([shot for shot in capture.shots if shot.start is not None], 16):
        assert shot.start is not None
        start = to_shape(shot.start, shot.image.shape[:2])
        good = ((shot.image > 0.004) & (shot.image < 0.98) & (start > 0.004)).all(-1)
        if shot.mask is not None:
            good &= to_shape(shot.mask, shot.image.shape[:2]) > 0.9
        if good.sum() > 20:
            rows = np.stack([np.log(start[good].mean(-1)), np.log(shot.image[good].mean(-1))])
            pairs.append(rows - rows.mean(1, keepdims=True))  # exposures may differ
    if not pairs:
        return []
    x, y = np.concatenate(pairs, axis=1)
    if x.std() < 0.2 or y.std() < 0.1:
        return []  # nearly one brightness: no slope
    correlation = float(np.corrcoef(x, y)[0, 1])
    slope = float(y.std() / x.std())
    if correlation < 0.95:
        return []
    words = f"images are about the power {slope:.2f} of what the start shows (correlation {correlation:.2f})"
    if STEEP[0] < slope < STEEP[1]:
        return [
            Finding("encoding", f'{words}: linear numbers were probably decoded as sRGB; set [data] color = "linear"')
        ]
    if FLAT[0] < slope < FLAT[1]:
        return [
            Finding(
                "encoding",
                f'{words}: sRGB was probably taken for linear; set [data] color = "srgb", or decode EXR files of encoded numbers',
            )
        ]
    return []


def exposure(capture: Capture) -> list[Finding]:
    """Points of the scene that several images show differently bright, image by image."""
    shots = capture.posed[:MANY]
    if (
        capture.exposures_unknown
        or len(shots) < 2
        or not len(capture.points)
        or len(capture.normals) != len(capture.points)
    ):
        return []
    logs = np.array([_brightness(shot, capture) for shot in shots])
    found = _exposures(logs)
    if found is None:
        return []
    stops, scatter = found
    spread = float(np.ptp(stops))
    if spread < max(STOPS, TIMES * scatter):
        return []
    bright, dark = shots[int(np.argmax(stops))].name, shots[int(np.argmin(stops))].name
    return [
        Finding(
            "exposure",
            f"images show the same surfaces up to {spread:.1f} stops differently bright ({bright} brightest, {dark} darkest): "
            "divide them by their exposures, or make these unknown by a section [exposure] of the job",
        )
    ]


def _brightness(shot: Shot, capture: Capture) -> Array:
    """(N,) log2 of the image at each point; NaN where the view does not see it well: hidden, slanted, beside the mask."""
    assert shot.camera is not None
    result, points = np.full(len(capture.points), np.nan), capture.points
    place, _ = projected(shot.camera, points)
    towards = shot.camera.to_world[:3, 3] - points
    cosine = np.abs(np.sum(towards * capture.normals, 1)) / np.linalg.norm(towards, axis=1)
    seen = visible(shot.camera, points) & (cosine > SLANT)
    h, w = shot.image.shape[:2]
    rows, columns = (place[seen, 1] * h).astype(int), (place[seen, 0] * w).astype(int)
    values = shot.image[rows, columns].mean(-1)
    good = (values > 0.02) & (values < 0.9)
    if shot.mask is not None:
        good &= ndimage.minimum_filter(to_shape(shot.mask, (h, w)), 3)[rows, columns] > 0.9
    result[seen] = np.where(good, np.log2(np.maximum(values, 1e-9)), np.nan)
    return result


def _exposures(logs: Array) -> tuple[Array, float] | None:
    """Exposure of every image in stops, mean zero, from pairs that show the same points; and how well they agree with it."""
    count, own = len(logs), np.isfinite(logs).sum(1)
    rows, values, scatter = [], [], []
    for i in range(count):
        for j in range(i + 1, count):
            both = logs[i] - logs[j]
            both = both[np.isfinite(both)]
            if len(both) < max(20, 0.05 * min(own[i], own[j])):  # a few are mostly taken for seen and hidden in truth
                continue
            middle = float(np.median(both))
            # An exposure is one factor; where points differ each in its own way, they are not the same places.
            apart = float(np.median(np.abs(both - middle)))
            scatter.append(apart)
            if apart < ALIKE:
                row = np.zeros(count)
                row[i], row[j] = 1, -1
                rows.append(row)
                values.append(middle)
    if len(rows) < MOST * len(scatter) or not rows:
        return None
    matrix = np.array([*rows, np.ones(count)])
    linked = np.abs(np.array(rows)).sum(0) > 0
    solution = np.linalg.lstsq(matrix, np.array([*values, 0.0]), rcond=None)[0]
    residual = float(np.median(np.abs(np.array(rows) @ solution - np.array(values))))
    return np.where(linked, solution, 0.0), max(residual, float(np.median(scatter)))


def environments(capture: Capture) -> list[Finding]:
    """Texels that are no radiance: negative, or not finite."""
    found = [Finding("environments", note, "note") for note in capture.notes if "negative" in note]
    for name, texels in capture.environments.items():
        each = np.asarray(texels).reshape(-1, np.asarray(texels).shape[-1])
        below, bad = int((each < 0).any(1).sum()), int((~np.isfinite(each)).any(1).sum())
        if bad:
            found.append(
                Finding("environments", f"{name}: {bad} of {len(each)} texels are not finite: repair the image")
            )
        if below:
            text = f"{name}: {below} of {len(each)} texels are negative, the lowest {np.nanmin(each):.4g}"
            found.append(Finding("environments", f"{text}: set [scene] clamp = true, or repair the image"))
    return found
