"""Gaussians composited as 3DGS does it, in double precision and without tiles: what images and derivatives are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.data.cameras import Camera, mitsuba_to_opencv
from pbdr.fields.gaussians import Gaussians
from pbdr.fields.gaussians.harmonics import basis, degree_of
from pbdr.fields.gaussians.model import rotation_matrices


def some(count: int = 20, degree: int = 2, seed: int = 0, size: float = 0.2, spread: float = 0.4) -> Gaussians:
    """Random Gaussians about the origin, elongated and turned, of all opacities and of colours that depend on the direction."""
    random = np.random.default_rng(seed)
    normal = lambda *shape: np.asarray(random.normal(size=shape), dtype=np.float32)  # noqa: E731
    return Gaussians(
        positions=spread * normal(count, 3),
        log_scales=np.float32(np.log(size)) + 0.4 * normal(count, 3),
        rotations=normal(count, 4),
        logits=normal(count),
        harmonics=0.4 * normal(count, (degree + 1) ** 2, 3),
    )


def splats(values: Mapping[str, Any], camera: Camera, low_pass: float) -> tuple[Any, ...]:
    """(depth, centre, inverse covariance, colour, opacity) of each Gaussian on the film of a pinhole with square pixels."""
    values = {name: np.asarray(value, np.float64) for name, value in values.items()}
    to_world = mitsuba_to_opencv(camera.to_world)
    offset = values["positions"] - to_world[:3, 3]
    at = offset @ to_world[:3, :3]
    axes = to_world[:3, :3].T @ (rotation_matrices(values["rotations"]) * np.exp(values["log_scales"])[:, None, :])
    limit = 1.3 * 0.5 * np.array([camera.width, camera.height]) / camera.focal
    jacobian = np.zeros((len(at), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = camera.focal / at[:, 2]
    jacobian[:, :, 2] = -camera.focal / at[:, 2:] * np.clip(at[:, :2] / at[:, 2:], -limit, limit)
    half = jacobian @ axes
    inverse = np.linalg.inv(half @ half.transpose(0, 2, 1) + low_pass * np.eye(2))
    centre = np.array([camera.cx, camera.cy]) + camera.focal * at[:, :2] / at[:, 2:]
    direction = offset / np.linalg.norm(offset, axis=1, keepdims=True)
    degree = degree_of(values["harmonics"].shape[1])
    functions = np.stack([np.broadcast_to(b, len(at)) for b in basis(degree, *direction.T)], axis=1)
    colors = np.maximum(np.einsum("nk,nkc->nc", functions, values["harmonics"]) + 0.5, 0)
    return at[:, 2], centre, inverse, colors, 1 / (1 + np.exp(-values["logits"]))


def composited(
    values: Mapping[str, Any], camera: Camera, *, low_pass: float = 0.3, cutoff: float = 1 / 255, near: float = 0.2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(image (H, W, 3) over black, transmittance (H, W)) of arrays by the names of `Gaussians`."""
    depth, centre, inverse, colors, opacity = splats(values, camera, low_pass)
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    image, left, live = np.zeros((*x.shape, 3)), np.ones(x.shape), np.ones(x.shape, bool)
    for k in np.argsort(depth, kind="stable"):
        if depth[k] <= near:
            continue
        d = np.stack([centre[k, 0] - x, centre[k, 1] - y], axis=-1)
        alpha = np.minimum(0.99, opacity[k] * np.exp(-0.5 * np.einsum("hwi,ij,hwj->hw", d, inverse[k], d)))
        here = (alpha >= cutoff) & live
        behind = left * (1 - alpha)
        live &= ~(here & (behind < 1e-4))
        here &= live
        image += np.where(here, alpha * left, 0)[..., None] * colors[k]
        left = np.where(here, behind, left)
    return image, left
