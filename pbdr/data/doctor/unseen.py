"""Parts of the scene that no view sees: nothing can be learned about them."""

from __future__ import annotations

import numpy as np

from ..cameras import Camera
from .capture import Array, Capture, Finding, Mask, cells, grid_of, inside, projected

#: Share of a shape's surface that may be unseen before it is told: the underside of what stands on a floor is.
SHARE = 0.25
NEAR = 0.03  # of the scene's size: what is this much farther than the nearest point of its cell is hidden


def visible(camera: Camera, points: Array) -> Mask:
    """(N,) which points the camera sees: those nearest to it in their cell of a grid."""
    place, depth = projected(camera, points)
    seen, shape = inside(place, depth), grid_of(camera)
    cell = cells(camera, np.where(seen[:, None], place, 0.0), shape)
    nearest = np.full(shape[0] * shape[1], np.inf)
    np.minimum.at(nearest, cell[seen], depth[seen])
    size = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    return np.asarray(seen & (depth <= nearest[cell] + NEAR * size))


def unseen(capture: Capture) -> list[Finding]:
    """Shapes of which the training views see too little."""
    cameras = [shot.camera for shot in capture.posed if shot.training and shot.camera is not None]
    if not cameras or not len(capture.points):
        return []
    seen = np.zeros(len(capture.points), dtype=bool)
    for camera in cameras:
        seen |= visible(camera, capture.points)
    labels = np.array(capture.labels or [""] * len(seen))
    parts = {str(name): 1 - float(seen[labels == name].mean()) for name in dict.fromkeys(labels)}
    hidden = {name: share for name, share in parts.items() if share > SHARE}
    if not hidden:
        return []
    shown = ", ".join(f"{100 * share:.0f} % of {name or 'the scene'}" for name, share in hidden.items())
    return [
        Finding(
            "unseen",
            f"no training view sees {shown}: what is estimated there rests on priors alone; add views, or a prior",
            "note",
        )
    ]
