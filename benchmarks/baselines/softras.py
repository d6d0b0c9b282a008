"""Soft Rasterizer (Liu, Li, Chen, Li: ICCV 2019): every triangle covers every pixel a little, and colours are a softmax over depth.

    D_j = sigmoid(δ_j d_j² / σ)                                                  probability map, its equation (1)
    I_s = 1 - Π_j (1 - D_j)                                                      silhouette, (4)
    I   = Σ_j w_j C_j + w_b C_b,   w_j = D_j exp(z_j / γ) / (Σ_k D_k exp(z_k / γ) + exp(ε / γ))    colour, (2) and (3)

d is the distance on the screen to the border of the triangle, δ its sign (1 inside), z the normalised inverse depth, which is 1
on the near plane and 0 on the far one. The derivative is exact; what it is the derivative of is a blurred image.
"""

from __future__ import annotations

import torch

from .screen import Triangles, barycentric, centres
from .world import Tensor

SIGMA, GAMMA, EPSILON = 1e-4, 1e-4, 1e-3  # of the paper's experiments; its ε is "a small constant"
NEAR, FAR = 0.1, 100.0


def squared_distances(points: Tensor, corners: Tensor) -> Tensor:
    """Squared distances (..., F) of points (..., 2) to the borders of triangles (F, 3, 2)."""
    a = corners
    edge = a.roll(-1, 1) - a
    away = points[..., None, None, :] - a
    along = ((away * edge).sum(-1) / (edge * edge).sum(-1)).clamp(0, 1)
    return ((away - along[..., None] * edge) ** 2).sum(-1).amin(-1)


def probabilities(given: Triangles, points: Tensor, sigma: float) -> Tensor:
    """D (..., F): how likely each triangle covers each point."""
    inside = (barycentric(points, given.screen, given.faces) > 0).all(-1)
    squared = squared_distances(points, given.screen[given.faces])
    return torch.sigmoid(torch.where(inside, squared, -squared) / sigma)


def silhouette(given: Triangles, size: int, sigma: float = SIGMA) -> Tensor:
    """I_s (size, size)."""
    return 1 - (1 - probabilities(given, centres(size), sigma)).prod(-1)


def colours(given: Triangles, size: int, sigma: float = SIGMA, gamma: float = GAMMA, background: float = 0.0) -> Tensor:
    """I (size, size). Outside a triangle, its depth is that of the nearest barycentric coordinates within."""
    points = centres(size)
    covered = probabilities(given, points, sigma)
    place = barycentric(points, given.screen, given.faces).clamp(0, 1)
    place = place / place.sum(-1, keepdim=True)
    inverse = (place / given.depth[given.faces]).sum(-1)
    nearness = (inverse - 1 / FAR) / (1 / NEAR - 1 / FAR)
    # The softmax with the background as one more entry; a triangle that covers nothing has weight 0.
    exponents = torch.log(covered.clamp(min=1e-300)) + nearness / gamma
    last = torch.full_like(exponents[..., :1], EPSILON / gamma)
    weights = torch.softmax(torch.cat([exponents, last], -1), -1)
    return (weights[..., :-1] * given.colours).sum(-1) + weights[..., -1] * background
