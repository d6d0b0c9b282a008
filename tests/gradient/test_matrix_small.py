"""The cases of `python -m benchmarks matrix` at small size: forward and reverse mode on identical samples, or the refusal.

Term by term, ⟨a, J t⟩ = ⟨Jᵀ a, t⟩ on identical samples. Negative control of each case: the term that matters most
cannot be left out. Whether derivatives are right is asked by the tests that a case names, and by the benchmark.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pbdr.errors
from pbdr.rendering import TERMS, derivative, gradient
from pbdr.seeds import hashed
from validation.cases import CASES

ROUNDING = 5e-4  # of the sum of magnitudes: float32 sums of some thousand samples
SPP = 4
ACCEPTED = [name for name, case in CASES.items() if not case.refusal]
# One case of each feature and kind of parameter; the other ones of a family are slow.
FAMILIES = {(CASES[name].feature, CASES[name].kind): name for name in reversed(ACCEPTED)}
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
        # Samples that follow the adjoint are none that forward mode takes.
        settings = {"max_depth": self.case.depth, "adjoint_sampling": False}
        self.integrator = {"type": "pathspace", **settings, **extra, **BUDGETS}
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


@pytest.mark.filterwarnings("ignore::pbdr.transport.support.IncompleteGradientWarning")
@pytest.mark.parametrize(
    "name", [n if n in FAMILIES.values() else pytest.param(n, marks=pytest.mark.slow) for n in ACCEPTED]
)
def test_forward_is_the_transpose_of_reverse(name, tmp_path):
    small = Small(name, tmp_path)
    seed = hashed(0, "small", name)
    reverse, forward = small.reverse(seed, TERMS), small.forward(seed, TERMS)
    # Of the sum of all magnitudes: terms that ought to be zero are rounding.
    bound = ROUNDING * sum(max(np.abs(reverse[term]).sum(), np.abs(forward[term]).sum()) for term in TERMS)
    totals = {term: (reverse[term].sum(), forward[term].sum()) for term in TERMS}
    for term in TERMS:
        assert abs(totals[term][0] - totals[term][1]) <= bound, term
    # Negative control: without the term that matters most, the comparison of the whole fails.
    most = max(TERMS, key=lambda term: abs(totals[term][1]))
    rest = sum(totals[term][1] for term in TERMS if term != most)
    assert abs(sum(r for r, _ in totals.values()) - rest) > 10 * bound, most


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
