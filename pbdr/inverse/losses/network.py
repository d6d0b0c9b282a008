"""The convolutional networks of `lpips` on the host: features of an image, and the derivative of what is made of them.

An image of a step is small, a network is fixed, and only the derivative with respect to one image is needed: NumPy's matrix
products do, and PyTorch need not be there (docs/decisions/0017-perceptual.md). Images and features are (H, W, C), float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.inverse.losses.weights import Weights

Array = NDArray[np.float32]
EPSILON = 1e-10  # added to the length that features are divided by
#: What the networks were trained on: images in [−1, 1] minus SHIFT, divided by SCALE.
SHIFT, SCALE = (np.array(x, np.float32) for x in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))


@dataclass(frozen=True)
class Convolution:
    """A convolution and the positive part of its result, which is kept as a feature if `feature`."""

    padding: int
    stride: int = 1
    feature: bool = True


@dataclass(frozen=True)
class MaxPool:
    """The largest of `size` × `size` neighbours at every `stride`-th pixel."""

    size: int
    stride: int = 2


C, P = Convolution, MaxPool
#: Name in the files → layers (AlexNet: Krizhevsky 2014; VGG16: Simonyan and Zisserman 2015).
LAYERS: dict[str, tuple[str, tuple[Convolution | MaxPool, ...]]] = {
    "alex": ("AlexNet_0", (C(2, 4), P(3), C(2), P(3), C(1), C(1), C(1))),
    "vgg": (
        "VGG16_0",
        (
            C(1, feature=False), C(1), P(2), C(1, feature=False), C(1), P(2), C(1, feature=False), C(1, feature=False), C(1), P(2),
            C(1, feature=False), C(1, feature=False), C(1), P(2), C(1, feature=False), C(1, feature=False), C(1),
        ),
    ),
}  # fmt: skip
#: Side below which an image has no features at the last layer.
LEAST = {"alex": 32, "vgg": 16}


@dataclass
class Pass:
    """Features of one image, and what their derivative needs: per layer its input and its output."""

    features: list[Array] = field(default_factory=list)
    steps: list[tuple[Any, Array, Array]] = field(default_factory=list)


def distance(net: str, weights: Weights, image: Array, target: Array) -> tuple[float, Array]:
    """Return the LPIPS distance of two images (H, W, 3) in [0, 1], and its derivative with respect to the first."""
    first, second = (forward(net, weights, x) for x in (image, target))
    total, adjoints = 0.0, []
    for level, (a, b) in enumerate(zip(first.features, second.features, strict=True)):
        head = weights[f"NetLinLayer_{level}/Conv_0/kernel"].reshape(-1)
        length = np.sqrt(np.sum(a * a, axis=2, keepdims=True))
        difference = a / (length + EPSILON) - _normalised(b)
        total += float(np.mean(np.sum(head * difference * difference, axis=2, dtype=np.float64)))
        slope = 2 * head * difference / (a.shape[0] * a.shape[1])
        # d(a / (|a| + ε)): the part along `a` is divided by the square of the length.
        along = np.sum(slope * a, axis=2, keepdims=True)
        inward = along / (np.maximum(length, EPSILON) * np.square(length + EPSILON))
        adjoints.append(slope / (length + EPSILON) - a * inward)
    return total, backward(net, weights, first, adjoints)


def forward(net: str, weights: Weights, image: Array) -> Pass:
    """Return the features of an image in [0, 1]."""
    name, layers = LAYERS[net]
    found, number = Pass(), 0
    x = ((2 * np.asarray(image, np.float32) - 1) - SHIFT) / SCALE
    for layer in layers:
        before = x
        if isinstance(layer, MaxPool):
            x = pooled(x, layer)
        else:
            kernel, bias = (weights[f"{name}/Conv_{number}/{part}"] for part in ("kernel", "bias"))
            x = np.maximum(convolved(x, kernel, layer) + bias, 0)
            number += 1
            if layer.feature:
                found.features.append(x)
        found.steps.append((layer, before, x))
    return found


def backward(net: str, weights: Weights, made: Pass, adjoints: list[Array]) -> Array:
    """Return the derivative with respect to the image in [0, 1] of what has these derivatives with respect to its features."""
    name, layers = LAYERS[net]
    number, level = sum(isinstance(layer, Convolution) for layer in layers), len(adjoints)
    slope = np.zeros_like(made.steps[-1][2])
    for layer, before, after in reversed(made.steps):
        if isinstance(layer, MaxPool):
            slope = unpooled(slope, before, after, layer)
            continue
        number -= 1
        if layer.feature:
            level -= 1
            slope = slope + adjoints[level]
        slope = np.where(after > 0, slope, 0).astype(np.float32)
        slope = transposed(slope, weights[f"{name}/Conv_{number}/kernel"], layer, before.shape)
    return slope * np.float32(2) / SCALE


def convolved(x: Array, kernel: Array, layer: Convolution) -> Array:
    """Return the convolution of `x` (H, W, C) with a `kernel` (height, width, C, channels): one product for each of its entries."""
    x = np.pad(x, ((layer.padding,) * 2, (layer.padding,) * 2, (0, 0)))
    size = tuple((n - k) // layer.stride + 1 for n, k in zip(x.shape[:2], kernel.shape[:2], strict=True))
    total = np.zeros((*size, kernel.shape[3]), np.float32)
    for i, j in np.ndindex(*kernel.shape[:2]):
        total += _window(x, i, j, size, layer.stride) @ kernel[i, j]
    return total


def transposed(slope: Array, kernel: Array, layer: Convolution, shape: tuple[int, ...]) -> Array:
    """Return the transpose of `convolved` for an input of `shape`."""
    p = layer.padding
    total = np.zeros((shape[0] + 2 * p, shape[1] + 2 * p, shape[2]), np.float32)
    for i, j in np.ndindex(*kernel.shape[:2]):
        _window(total, i, j, slope.shape[:2], layer.stride)[...] += slope @ kernel[i, j].T
    return total[p : p + shape[0], p : p + shape[1]]


def pooled(x: Array, layer: MaxPool) -> Array:
    """Return the largest values of windows that lie inside."""
    size = _pooled_size(x, layer)
    total = _window(x, 0, 0, size, layer.stride).copy()
    for i, j in np.ndindex(layer.size, layer.size):
        np.maximum(total, _window(x, i, j, size, layer.stride), out=total)
    return total


def unpooled(slope: Array, x: Array, largest: Array, layer: MaxPool) -> Array:
    """Return the transpose of the derivative of `pooled`: to the first pixel of each window that has its largest value."""
    total, left = np.zeros_like(x), np.ones(largest.shape, bool)
    for i, j in np.ndindex(layer.size, layer.size):
        here = left & (_window(x, i, j, largest.shape[:2], layer.stride) == largest)
        _window(total, i, j, largest.shape[:2], layer.stride)[...] += np.where(here, slope, 0)
        left = left & ~here
    return total


def _pooled_size(x: Array, layer: MaxPool) -> tuple[int, ...]:
    return tuple((n - layer.size) // layer.stride + 1 for n in x.shape[:2])


def _window(x: Array, i: int, j: int, size: Any, stride: int) -> Array:
    """The pixels that entry (i, j) of a window meets, as a view."""
    return x[i : i + stride * (size[0] - 1) + 1 : stride, j : j + stride * (size[1] - 1) + 1 : stride]


def _normalised(x: Array) -> Array:
    return np.asarray(x / (np.sqrt(np.sum(x * x, axis=2, keepdims=True)) + EPSILON))
