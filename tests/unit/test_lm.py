"""Levenberg–Marquardt on problems without a renderer: it arrives, and noise of the derivatives does not shorten its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.inverse.least_squares import Normal
from pbdr.inverse.optimisers import Adam, Groups, LevenbergMarquardt, Memory
from pbdr.inverse.optimisers.lm import LEAST, is_noise, solved, within

POINTS = np.linspace(0, 3, 40)
TRUTH = np.array([1.5, 0.8, 0.3])


def curve(x: np.ndarray) -> np.ndarray:
    return x[0] * np.exp(-x[1] * POINTS) + x[2]


def slopes(x: np.ndarray) -> np.ndarray:
    return np.stack([np.exp(-x[1] * POINTS), -x[0] * POINTS * np.exp(-x[1] * POINTS), np.ones_like(POINTS)])


class Fit:
    """A system that fits an exponential to `POINTS`: residuals and derivatives with noise of these standard deviations."""

    keys = ("x",)
    finest = 0.03
    reach = np.full(3, np.inf)
    units = (0, 1, 2)

    def __init__(self, latents: Mapping[str, Any], seed: int, residual: float = 0.0, derivative: float = 0.0) -> None:
        self.start, self.seed, self.residual, self.derivative = (
            np.array(latents["x"], np.float64),
            seed,
            residual,
            derivative,
        )
        self.asked = 0
        self.entries = [("x", k) for k in range(3)]

    def tensors(self, vector: np.ndarray) -> dict[str, Any]:
        return {"x": mi.TensorXf(vector.astype(np.float32))}

    def _residuals(self, vector: np.ndarray, draw: int) -> np.ndarray:
        noise = np.random.default_rng([self.seed, draw]).normal(size=(2, len(POINTS)))
        return curve(vector) - curve(TRUTH) + self.residual * noise

    def loss(self, vector: np.ndarray, blur: float, draw: int) -> float:
        return float((self._residuals(vector, draw).mean(axis=0) ** 2).sum())

    def normal(self, vector: np.ndarray, blur: float, draw: int) -> Normal:
        self.asked += 1
        noise = np.random.default_rng([self.seed, 99]).normal(size=(2, 3, len(POINTS)))
        a, b = slopes(self.start) + self.derivative * noise
        mean, spread = 0.5 * (a + b), 0.5 * (a - b)
        residuals = self._residuals(vector, draw)
        half = 0.5 * (residuals[0] - residuals[1])
        extra = spread @ spread.T
        return Normal(
            self.loss(vector, blur, draw),
            mean @ residuals.mean(axis=0),
            mean @ mean.T - extra,
            extra,
            (mean * half**2) @ mean.T,
        )


def run(steps: int, **noise: float) -> tuple[np.ndarray, int, LevenbergMarquardt]:
    optimiser = LevenbergMarquardt()
    latents: dict[str, Any] = {"x": mi.TensorXf(np.array([0.5, 2.0, 0.0], np.float32))}
    memory = optimiser.init(latents)
    for step in range(steps):
        latents, memory = optimiser.step(memory, latents, Fit(latents, step, **noise), {})
        if optimiser.settled(memory, ["x"]):
            break
    return np.array(latents["x"], np.float64), step + 1, optimiser


def test_it_arrives_in_a_few_steps() -> None:
    found, steps, _ = run(20)
    np.testing.assert_allclose(found, TRUTH, rtol=1e-4)
    assert steps <= 20


def test_it_settles_within_the_noise() -> None:
    """With a noise of 0.02 of each of the two halves; the answers of single images scatter by about 3 %, their mean by less."""
    found, steps, _ = run(40, residual=0.02, derivative=0.1)
    assert steps < 40  # settled
    np.testing.assert_allclose(found, TRUTH, rtol=0.05)


def test_noise_of_the_derivatives_is_taken_out() -> None:
    """Over 400 seeds, the mean matrix is JᵀJ within 4 standard errors, its step the true one; with the bias, two thirds of it."""
    at = TRUTH + [0, 0, 0.01]
    latents = {"x": mi.TensorXf(at.astype(np.float32))}
    found = [Fit(latents, seed, derivative=0.5).normal(at, 0.0, 0) for seed in range(400)]
    exact = slopes(at) @ slopes(at).T
    matrices = np.array([one.matrix for one in found])
    error = matrices.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(matrices.mean(axis=0) - exact) < 4 * error).all() and (error < 0.05 * np.abs(exact).max()).all()
    gradient, noise = np.mean([one.gradient for one in found], axis=0), np.mean([one.noise for one in found], axis=0)
    steps = [
        solved(Normal(0.0, gradient, matrices.mean(axis=0) + bias, 0 * noise, 0 * noise), LEAST)
        for bias in (0 * noise, noise)
    ]
    np.testing.assert_allclose(steps[0][2], -0.01, rtol=0.15)
    assert abs(steps[1][2]) < 0.008


def test_directions_that_are_not_seen_do_not_move() -> None:
    zero = Normal(1.0, np.array([1.0, 0.0]), np.diag([1.0, 0.0]), np.zeros((2, 2)), np.zeros((2, 2)))
    np.testing.assert_allclose(solved(zero, 0.0), [-1.0, 0.0])


def test_what_is_hardly_seen_stays_beside_what_has_the_same_unit() -> None:
    """A turn whose derivative is a hundredth of that of a shift, under a damping of 0.01: with a unit of its own, it goes all the
    way for a gradient that is mostly noise; in one unit with the shift, a hundredth of it."""
    one = Normal(1.0, np.array([1.0, 1e-4]), np.diag([1.0, 1e-4]), np.zeros((2, 2)), np.zeros((2, 2)))
    np.testing.assert_allclose(solved(one, 0.01, (0, 1)), [-1 / 1.01, -1 / 1.01])
    np.testing.assert_allclose(solved(one, 0.01, (0, 0)), [-1 / 1.01, -0.01 / 1.01])
    np.testing.assert_allclose(solved(one, 0.0, (0, 0)), [-1.0, -1.0])


def test_noise_is_taken_for_noise_as_often_as_it_should() -> None:
    """90 % of 400 draws within 4 standard errors, 6 %; a gradient of five times the noise never is."""
    generator = np.random.default_rng(3)
    root = generator.normal(size=(4, 4))
    draws = [root @ generator.normal(size=4) for _ in range(400)]
    assert abs(np.mean([is_noise(draw, root @ root.T, 0.9) for draw in draws]) - 0.9) < 0.06
    assert not is_noise(5 * root @ np.ones(4), root @ root.T, 0.9999)


def test_groups_solve_for_those_that_want_it() -> None:
    groups = Groups(Adam(), {"x": LevenbergMarquardt()})
    latents: dict[str, Any] = {
        "x": mi.TensorXf(np.array([0.5, 2.0, 0.0], np.float32)),
        "y": mi.TensorXf(np.ones(2, np.float32)),
    }
    memory = groups.init(latents)
    assert groups.wanting("gradients", latents) == ["y"] and not groups.settled(memory, latents)
    moved, after = groups.solve(memory, latents, ["x", "y"], lambda now, keys: Fit(now, 1))
    assert after.t == {"x": 1, "y": 0} and np.array(moved["x"])[0] != 0.5
    np.testing.assert_array_equal(np.array(moved["y"]), 1)
    assert isinstance(after, Memory) and set(after.slots) == {"m", "v", "damping", "blur", "averaged"}


def test_a_step_keeps_to_its_reach() -> None:
    """The whole step is shortened, so that its direction stays; a step within reach is what it was."""
    move = np.array([0.5, -0.1, 0.2])
    np.testing.assert_allclose(within(move, np.array([0.1, 1.0, np.inf])), move / 5)
    np.testing.assert_array_equal(within(move, np.full(3, 0.5)), move)
