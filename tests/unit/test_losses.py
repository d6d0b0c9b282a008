"""Losses against their formulas, their derivatives, masks, and the bias that noise brings."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
from scipy import ndimage

from pbdr.errors import OptionError
from pbdr.inverse import losses
from pbdr.srgb import linear_to_srgb

RNG = np.random.default_rng(11)
IMAGE = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
TARGET = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
OTHER = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
MASK = (RNG.uniform(size=(6, 5)) > 0.4).astype(np.float32)
WEIGHTS = RNG.uniform(0.2, 2, (6, 5)).astype(np.float32)

FORMULAS = {
    "l1": lambda i, t: np.abs(i - t),
    "l2": lambda i, t: (i - t) ** 2,
    "relmse": lambda i, t: (i - t) ** 2 / (t**2 + 0.01),
    "log": lambda i, t: (np.log1p(i) - np.log1p(t)) ** 2,
    "l2_dual": lambda i, t: (i - t) * (OTHER - t),
    "auto": lambda i, t: (i - t) * (OTHER - t),
}
DUAL = ("l2_dual", "auto", "relative_dual")


def value(name, image, target, mask=None, weights=None):
    extra = {"other": mi.TensorXf(OTHER)} if name in DUAL else {}
    tensors = [None if x is None else mi.TensorXf(x) for x in (image, target, mask, weights)]
    return losses.get_loss(name)(*tensors, **extra)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_value_is_the_weighted_mean_of_the_formula(name, mask, weights):
    weight = np.ones((6, 5)) if mask is None else mask.astype(float)
    weight = weight if weights is None else weight * weights
    error = FORMULAS[name](IMAGE.astype(float), TARGET.astype(float))
    expected = (error * weight[..., None]).sum() / (3 * weight.sum())
    assert float(value(name, IMAGE, TARGET, mask, weights).array[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["l1", "l2", "relmse", "log"])
def test_derivative_matches_finite_differences(name):
    leaf = mi.TensorXf(IMAGE)
    dr.enable_grad(leaf)
    dr.backward(value(name, leaf, TARGET, MASK))
    gradient = np.array(dr.grad(leaf))
    weight = MASK.astype(float)[..., None]
    for index in ((0, 0, 0), (2, 3, 1), (5, 4, 2)):
        shifted = [IMAGE.astype(float).copy(), IMAGE.astype(float).copy()]
        shifted[0][index] -= 1e-5
        shifted[1][index] += 1e-5
        low, high = ((FORMULAS[name](x, TARGET.astype(float)) * weight).sum() / (3 * MASK.sum()) for x in shifted)
        assert gradient[index] == pytest.approx((high - low) / 2e-5, rel=1e-3, abs=1e-7)
    assert (gradient[MASK == 0] == 0).all()


def test_dual_derivative_takes_the_mean_of_both_residuals():
    leaf = mi.TensorXf(IMAGE)
    dr.enable_grad(leaf)
    dr.backward(value("l2_dual", leaf, TARGET))
    np.testing.assert_allclose(np.array(dr.grad(leaf)), (IMAGE + OTHER - 2 * TARGET) / IMAGE.size, rtol=1e-4, atol=1e-8)


def test_dual_loss_is_unbiased_under_noise_and_the_plain_one_is_not():
    rng = np.random.default_rng(12)
    truth, sigma, replicas = TARGET + 0.05, 0.3, 400
    plain, dual = [], []
    for _ in range(replicas):
        first, second = (mi.TensorXf((truth + rng.normal(0, sigma, truth.shape)).astype(np.float32)) for _ in range(2))
        target = mi.TensorXf(TARGET)
        plain.append(float(losses.get_loss("l2")(first, target).array[0]))
        dual.append(float(losses.get_loss("l2_dual")(first, target, other=second).array[0]))
    error = np.std(dual) / np.sqrt(replicas)
    assert error < 0.0005  # power: a fifth of the loss itself would be seen at five standard errors
    assert abs(np.mean(dual) - 0.05**2) < 4 * error
    assert np.mean(plain) - 0.05**2 == pytest.approx(sigma**2, rel=0.05)


@pytest.mark.parametrize("name", FORMULAS)
def test_nan_is_not_hidden(name):
    image = IMAGE.copy()
    image[2, 2, 1] = np.nan
    assert np.isnan(float(value(name, image, TARGET).array[0]))


def test_an_unknown_loss_offers_the_closest():
    with pytest.raises(OptionError, match=r"'relmes' is unknown\. Closest: relmse"):
        losses.get_loss("relmes")


def between(image, target, mask):
    """Codes, the image replaced by the target where the mask does not count."""
    image, target = linear_to_srgb(image), linear_to_srgb(target)
    return target + mask[..., None] * (image - target), target


def reference_ssim(image, target, mask):
    """The map of scikit-image, with windows that reflect at the borders."""
    from skimage.metrics import structural_similarity

    image, target = between(image, target, mask)
    full = structural_similarity(
        image,
        target,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
        full=True,
    )[1]
    return np.sum((1 - full) * mask[..., None]) / (3 * mask.sum())


def reference_ms_ssim(image, target, mask):
    """Wang, Simoncelli and Bovik (2003) with scipy's filters, on as many scales as windows fit."""
    image, target = between(image, target, mask)
    total = 1.0
    scales = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[
        : max(1, sum(min(mask.shape) >> k >= 11 for k in range(5)))
    ]
    for level, power in enumerate(scales / scales.sum()):
        blur = lambda x: ndimage.gaussian_filter(x, (1.5, 1.5, 0), truncate=3.5)  # noqa: E731
        x, y = blur(image), blur(target)
        cov = blur(image * target) - x * y
        seen = (2 * cov + 9e-4) / (blur(image**2) - x**2 + blur(target**2) - y**2 + 9e-4)
        if level == len(scales) - 1:
            seen = seen * (2 * x * y + 1e-4) / (x**2 + y**2 + 1e-4)
        total = total * (np.sum(seen * mask[..., None], axis=(0, 1)) / mask.sum()) ** power
        h, w = (n // 2 * 2 for n in mask.shape)
        half = lambda x, h=h, w=w: sum(x[i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)) / 4  # noqa: E731
        image, target, mask = half(image), half(target), half(mask)
    return 1 - total.mean()


def reference_laplacian(image, target, mask):
    """Matrices of Burt and Adelson's kernel, one axis at a time."""

    def reduction(size):
        m = np.zeros((-(-size // 2), size))
        for k in range(len(m)):
            for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
                at = 2 * k + offset
                at = -1 - at if at < 0 else 2 * size - 1 - at if at >= size else at
                m[k, at] += weight / 16
        return m

    def expansion(size):
        coarse = -(-size // 2)
        m = np.zeros((size, coarse))
        for k in range(size):
            for j in range(-1, coarse + 1):
                if abs(k - 2 * j) <= 2:
                    m[k, min(max(j, 0), coarse - 1)] += (6, 4, 1)[abs(k - 2 * j)] / 8
        return m

    level, weight, total = (image - target) * (mask > 0)[..., None], mask, 0.0
    for band in range(4):
        h, w = level.shape[:2]
        last = band == 3 or min(h, w) < 4
        coarse = np.einsum("ij,jkc,lk->ilc", reduction(h), level, reduction(w))
        detail = level if last else level - np.einsum("ij,jkc,lk->ilc", expansion(h), coarse, expansion(w))
        total += np.sum(np.abs(detail) * weight[..., None]) / (3 * weight.sum())
        if last:
            break
        level, weight = coarse, reduction(h) @ weight @ reduction(w).T
    return total


REFERENCES = {"ssim": reference_ssim, "ms_ssim": reference_ms_ssim, "laplacian": reference_laplacian}


def pictures(height, width):
    """A smooth picture, and the same with noise: structures that are alike in part, as where a loss is of use."""
    rng = np.random.default_rng(13)
    target = ndimage.gaussian_filter(rng.uniform(0, 2, (height, width, 3)), (1.5, 1.5, 0)) - 0.2
    image = np.abs(target + rng.normal(0, 0.1, target.shape))
    mask = np.clip(rng.uniform(-0.5, 1.5, (height, width)), 0, 1)
    return image, target, mask


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("size", "masked"), [((24, 31), True), ((9, 7), False)], ids=["masked", "small"])
def test_losses_of_neighbourhoods_are_those_of_others(name, size, masked):
    if name == "ssim":
        pytest.importorskip("skimage", reason="compares with scikit-image, of the extra dev")
    image, target, mask = pictures(*size)
    if name == "ssim" and min(size) < 11:
        pytest.skip("scikit-image has no windows larger than the image")
    mask = mask if masked else np.ones(size)
    leaf = mi.TensorXf(image.astype(np.float32))
    dr.enable_grad(leaf)
    found = value(name, leaf, target.astype(np.float32), mask.astype(np.float32) if masked else None)
    assert float(found.array[0]) == pytest.approx(REFERENCES[name](image, target, mask), rel=2e-4)
    dr.backward(found)
    gradient = np.array(dr.grad(leaf), dtype=np.float64)
    assert (gradient[mask == 0] == 0).all()
    for seed in range(2):
        # Chance alone may be almost orthogonal to the gradient.
        direction = np.random.default_rng(seed).normal(size=image.shape) + 4 * gradient / np.linalg.norm(gradient)
        step = 1e-6
        ends = [REFERENCES[name](image + s * direction, target, mask) for s in (step, -step)]
        expected = (ends[0] - ends[1]) / (2 * step)
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=5e-3)
        assert abs(expected) > 0.5 * np.linalg.norm(gradient)  # power: a derivative of 0 would be seen


def test_equal_images_have_no_loss_and_structure_costs_more_than_level():
    image, target, _ = (x.astype(np.float32) for x in pictures(24, 31))
    for name in REFERENCES:
        assert float(value(name, target, target).array[0]) == pytest.approx(0, abs=1e-5)
    level = target + np.sqrt(np.mean((image - target) ** 2))  # the same squared error as the noise has
    assert float(value("ssim", level, target).array[0]) < 0.5 * float(value("ssim", image, target).array[0])


def test_a_list_of_losses_has_weights():
    terms = losses.get_losses(["l1", {"type": "relmse", "weight": 0.5, "floor": 0.1}])
    assert [(weight, loss.name) for weight, loss in terms] == [(1.0, "l1"), (0.5, "relmse")] and terms[1][
        1
    ].floor == 0.1
    for given, message in (([], "empty"), ([{"type": "l1", "weight": 0}], "above 0"), (["l3"], "'l3' is unknown")):
        with pytest.raises(OptionError, match=message):
            losses.get_losses(given)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("silhouette", lambda i, t, m: np.mean((i - t) ** 2)),
        ("depth", lambda i, t, m: np.sum(np.abs(i - t) / t * m[..., None]) / m.sum()),
        ("normal", lambda i, t, m: np.sum((i - t) ** 2 * m[..., None]) / (3 * m.sum())),
    ],
)
def test_losses_of_planes(name, formula):
    width = losses.PLANES[name][0]
    image, plane = IMAGE[..., :width], TARGET[..., :width].copy()
    loss = losses.get_loss(name)
    if name != "silhouette":
        plane[:2] = 0  # nothing was measured there
    measured = loss.measured(plane)
    assert (measured is None) == (name == "silhouette")
    mask = np.ones((6, 5)) if measured is None else measured.astype(float)
    with np.errstate(all="ignore"):
        expected = formula(image.astype(float), np.where(mask[..., None] > 0, plane, 1e9), mask)
    tensors = [mi.TensorXf(x) for x in (image, plane)] + [
        None if measured is None else mi.TensorXf(mask.astype(np.float32))
    ]
    assert float(loss(*tensors).array[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_relative_dual_weighs_pixels_by_their_brightness_and_keeps_its_unit(mask):
    weight = np.ones((6, 5, 1)) if mask is None else mask.astype(float)[..., None]
    square = TARGET.astype(float).mean(axis=2, keepdims=True) ** 2
    typical = (square * weight).sum() / weight.sum()
    error = (IMAGE.astype(float) - TARGET) * (OTHER - TARGET) * typical / (square + 0.05 * typical)
    expected = (error * weight).sum() / (3 * weight.sum())
    assert float(value("relative_dual", IMAGE, TARGET, mask).array[0]) == pytest.approx(expected, rel=1e-5)
    # Negative control: without the brightness it is another number.
    assert float(value("l2_dual", IMAGE, TARGET, mask).array[0]) != pytest.approx(expected, rel=1e-2)


def test_relative_dual_has_the_derivative_of_the_weighted_square_of_the_mean_residual():
    leaf = mi.TensorXf(IMAGE)
    dr.enable_grad(leaf)
    dr.backward(value("relative_dual", leaf, TARGET))
    square = TARGET.astype(float).mean(axis=2, keepdims=True) ** 2
    factor = square.mean() / (square + 0.05 * square.mean())
    expected = (IMAGE.astype(float) + OTHER - 2 * TARGET) * factor / IMAGE.size
    np.testing.assert_allclose(np.array(dr.grad(leaf)), expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(
        np.array(losses.get_loss("relative_dual").weights(leaf, mi.TensorXf(TARGET))),
        np.repeat(factor, 3, axis=2),
        rtol=1e-5,
    )


def test_auto_is_relative_where_nothing_moves():
    assert [losses.get_loss("auto").suited(still).name for still in (True, False)] == ["relative_dual", "l2_dual"]
    assert losses.get_loss("l1").suited(True).name == "l1"
