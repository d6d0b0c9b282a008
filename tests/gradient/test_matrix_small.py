"""The cases of `python -m benchmarks matrix` at small size: forward and reverse mode on identical samples, or the refusal.

Term by term, ⟨a, J t⟩ = ⟨Jᵀ a, t⟩ whatever the noise. Each case has negative controls: other samples are told apart, and the term
that matters most cannot be left out. Whether derivatives are right is asked by the tests that a case names, and by the benchmark.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from agreement import summary

import pbdr.errors
from benchmarks.matrix_cases import CASES
from pbdr.rendering import TERMS, derivative, gradient
from pbdr.seeds import hashed

ROUNDING = 5e-4  # of the sum of magnitudes: float32 sums of some thousand samples
REPLICAS = 4
SPP = 4
BUDGETS = {"n_primary": 2048, "n_direct": 2048, "n_indirect": 2048}


@dataclass
class Small:
    """A case with few samples."""

    name: str
    folder: Any

    def __post_init__(self):
        self.case = CASES[self.name]
        self.scene = self.case.make(self.folder)
        film = self.scene.mi.sensors()[0].film()
        extra = {k: v for k, v in self.case.options.items() if not k.startswith("n_")}
        self.integrator = {"type": "pathspace", "max_depth": self.case.depth, **extra, **BUDGETS}
        # Depth, normals and positions have three channels at most that the aovs of a case add to r, g, b.
        added = sum({"depth": 1}.get(entry.split(":")[-1], 3) for entry in extra.get("aovs", "").split(",") if entry)
        shape = int(film.crop_size()[1]), int(film.crop_size()[0]), int(film.base_channels_count()) + added
        self.adjoint = np.random.default_rng(5).uniform(0.2, 1, shape).astype(np.float32)

    def reverse(self, seed, terms):
        """Contributions of the entries of the parameter to the derivative, by term."""
        found = gradient(self.scene, self.case.parameter, self.adjoint, seed=seed, terms=terms, **self._options())
        along = self.tangent
        return {t: getattr(found, t)[self.case.parameter].astype(np.float64) * along for t in terms}

    def forward(self, seed, terms):
        """Contributions of the pixels to the derivative, by term."""
        found = derivative(self.scene, {self.case.parameter: self.tangent}, seed=seed, terms=terms, **self._options())
        return {t: found[t].astype(np.float64) * self.adjoint for t in terms}

    @property
    def tangent(self):
        return self.case.tangent(self.scene, self.case.parameter)

    def _options(self):
        return {"spp": SPP, "integrator": self.integrator}


def size(*contributions):
    return max(np.abs(x).sum() for x in contributions)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pbdr.transport.support.IncompleteGradientWarning")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refusal])
def test_forward_is_the_transpose_of_reverse(name, tmp_path):
    small = Small(name, tmp_path)
    seeds = [hashed(0, "small", name, k) for k in range(REPLICAS)]
    reverse = small.reverse(seeds[0], TERMS)
    forward = small.forward(seeds[0], TERMS)
    for term in TERMS:
        scale = size(reverse[term], forward[term])
        assert abs(reverse[term].sum() - forward[term].sum()) <= ROUNDING * scale, term
    matters = {term: size(forward[term]) for term in TERMS}
    assert max(matters.values()) > 0
    # Negative control of the comparison: the same estimator with other samples differs by more.
    term = max(matters, key=lambda t: matters[t])
    others = [small.reverse(seed, (term,))[term] for seed in seeds[1:]]
    assert abs(others[0].sum() - forward[term].sum()) > ROUNDING * size(forward[term])
    # Negative control of the term: without it the derivative is another one.
    values = np.array([x.sum() for x in (reverse[term], *others)])
    mean, error = summary(values)
    rest = sum(x.sum() for t, x in reverse.items() if t != term)
    assert abs(mean) > 3 * error, f"{term}: {mean:.3g} ± {error:.2g}"
    assert abs(mean) > 0.02 * abs(mean + rest)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refusal])
def test_refusals(name, tmp_path):
    """Both modes refuse by name before rendering. Negative control: what the case names is in the message, and not by chance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = Small(name, tmp_path)
    for mode in (small.reverse, small.forward):
        with pytest.raises(pbdr.errors.PbdrError) as caught:
            mode(1, ("interior",))
        assert small.case.refusal in str(caught.value)
