"""Words: what the difference between a gradient and its reference looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pbdr.pathspace.passes import SHARES
from pbdr.verify.decision import AGREES, UNDECIDED, Decision, Stream
from pbdr.verify.functionals import GLOBALS

Array = NDArray[np.float64]
ROUNDING = 1e-5  # size relative to the reference below which a derivative is called zero
PATIENCE = 600.0  # seconds up to which more time is the advice
DIFFERENCES = "finite differences"
#: What makes a part less noisy.
LESS_NOISE = {
    DIFFERENCES: "a longer --step",
    "interior": "shorter paths, --option max_depth=2",
    "primary": "give it more samples, --option n_primary=N",
    "direct": "give it more samples, --option n_direct=N, or larger lights",
    "indirect": "give it more samples, --option n_indirect=N, or leave it out by --option max_depth=2",
    "total": "shorter paths, --option max_depth=2",
}
ALIKE = 0.9  # correlation over blocks from which two patterns are called the same


def percent(value: float) -> str:
    """Signed, two significant digits, or whole ones."""
    return f"{100 * value:+.2g} %" if abs(value) < 0.995 else f"{100 * value:+.0f} %"


def noise(found: Decision, ours: Stream, reference: Stream, terms: Sequence[str]) -> dict[str, float]:
    """Shares of the variance of the difference: of each term of the derivative, and of the "finite differences"."""
    rows = np.array(ours.samples)[:, :, 0]
    parts = {name: float(rows[:, i].var(ddof=1)) / len(rows) for i, name in enumerate(terms)}
    parts[DIFFERENCES] = float(reference.values[:, 0].var(ddof=1)) / len(reference.samples)
    total = sum(parts.values())
    return {name: value / total for name, value in parts.items()} if total > 0 else {}


def advice(found: Decision, tolerance: float, budget: float, shares: Mapping[str, float]) -> str:
    """What would let a comparison that is too noisy decide: more time where that is little, else what is less noisy.

    `budget` is what all directions together were given.
    """
    more = budget * found.needed
    if more <= PATIENCE:
        return f"raise --budget to about {_round(more)} s"
    # Errors fall with the root of the time.
    reach = tolerance * np.sqrt(more / PATIENCE)
    ways = [f"--tolerance {np.ceil(100 * reach) / 100:.2g} with --budget {PATIENCE:.0f}"] if reach < 0.4 else []
    worst = max(shares, key=lambda name: shares[name], default="")
    if shares.get(worst, 0) > 0.5:
        ways.append(f"{100 * shares[worst]:.0f} % of the noise is that of the {_part_name(worst)}: {LESS_NOISE[worst]}")
    ways.append("--resolution 16, or another --sensor or --direction that changes more of the image")
    return f"more time alone would take about {_long(more)}; what helps more: {'; or '.join(ways)}"


def _part_name(name: str) -> str:
    return {DIFFERENCES: name, "total": "derivative"}.get(name, f"{name} term")


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def words(
    found: Decision,
    tolerance: float,
    budget: float,
    steps: tuple[float, float],
    shares: Mapping[str, float] | None = None,
) -> str:
    """The verdict as a sentence, without its cause."""
    size = f"{percent(found.bias)} ± {abs(100 * found.bias_error):.2g} %"
    if found.reason == "zero":
        return (
            "agrees: derivative and finite differences are exactly zero; this view does not depend on it"
            if found.verdict == AGREES
            else "wrong: finite differences are exactly zero, the derivative is not"
        )
    if found.verdict == AGREES:
        return f"agrees within {100 * tolerance:g} %: {size} from finite differences at steps {steps[0]:.2g} and {steps[1]:.2g}"
    if found.verdict == UNDECIDED:
        if found.reason == "truncation":
            return f"cannot decide ({size}): finite differences at the steps tried do not settle; give a shorter --step"
        helps = advice(found, tolerance, budget, shares or {})
        if found.reason == "heavy":
            return f"too noisy to decide ({size}; single samples dominate, intervals are unreliable): {helps}"
        return f"too noisy to decide ({size}): {helps}"
    if found.reason == "blocks":
        return f"wrong in parts of the image: {size} in all, but single blocks differ by far more than their noise"
    return f"wrong: {size} of the derivative's size"


def _round(seconds: float) -> int:
    digits = max(len(str(int(seconds))) - 2, 0)
    return int(np.ceil(seconds / 10**digits) * 10**digits)


def cause(found: Decision, ours: Array, reference: Array, terms: Mapping[str, Array], own: bool) -> str:
    """What explains the difference: a factor on everything, or one term; "" where nothing simple does.

    ours, reference: (m,) means as compared; terms: name → (m,), those of `pathspace`, or the integrator's `own`.
    """
    delta = -found.difference.mean[GLOBALS:]
    error = found.difference.error[GLOBALS:]
    mine, right = ours[GLOBALS:], reference[GLOBALS:]
    empty = ""
    if np.linalg.norm(ours) <= ROUNDING * np.linalg.norm(reference):
        empty = "the derivative is zero but for rounding" if np.any(ours) else "the derivative is exactly zero"
    fits: list[tuple[float, str]] = []
    factor, left = _fit(mine, right)
    if not empty and _alike(mine, right, error):
        if abs(factor + 1) < 0.15:
            fits.append((left, "it has the right size and the wrong sign everywhere"))
        elif abs(factor - 1) > 0.01:
            fits.append((left, f"it is {factor:.3g} times the right one, everywhere alike"))
    if fits and fits[0][0] <= 2 * float(error @ error):
        return fits[0][1]  # one factor explains all there is but noise
    parts = {name: value[GLOBALS:] for name, value in terms.items() if np.any(value[GLOBALS:])}
    names = [name for name in SHARES if name in parts]
    together = {**parts}
    if len(names) > 1:
        together["whole boundary"] = np.sum([parts[name] for name in names], axis=0)
    for name, pattern in together.items():
        if _alike(delta, pattern, error):
            factor, left = _fit(delta, pattern)
            fits.append((left * (1.05 if name == "whole boundary" else 1), _part(name, factor, own)))
    zero = [name for name, value in terms.items() if not np.any(value)]
    hint = f" ({', '.join(zero)}: exactly zero)" if zero and own and len(zero) < len(terms) else ""
    if empty:
        return f"{empty}: {min(fits)[1]}" if fits and not own else empty
    if fits:
        return min(fits)[1] + hint
    size = float(np.linalg.norm(delta))
    nearest = (
        min(together, key=lambda name: abs(np.log(np.linalg.norm(together[name]) / size)), default="") if size else ""
    )
    if nearest:
        return f"the missing part is about the size of the {nearest} term, but has another pattern{hint}"
    return ""


def _part(name: str, factor: float, own: bool) -> str:
    if own:  # what is there is already damaged: `factor` more of it would be right
        made = 1 / (1 + factor) if factor != -1 else float("inf")
        if made < 0:
            return f"the {name} term looks as if its sign were wrong ({made:.2g} times what it should be)"
        return f"the {name} term looks to be {made:.2g} times what it should be"
    if abs(factor - 1) < 0.35:
        return f"the missing part is about the size of the {name} term ({factor:.2g} times it, same pattern)"
    if abs(factor - 2) < 0.35:
        return f"the {name} term has the wrong sign"
    if abs(factor + 1) < 0.35:
        return f"the {name} term is there twice"
    return (
        f"{-factor:.2g} times the {name} term is too much"
        if factor < 0
        else f"{factor:.2g} times the {name} term is missing"
    )


def _fit(target: Array, pattern: Array) -> tuple[float, float]:
    """Least-squares factor of `pattern` in `target`, and the squared norm that is left."""
    norm = float(pattern @ pattern)
    factor = float(target @ pattern) / norm if norm > 0 else 0.0
    return factor, float(np.sum((target - factor * pattern) ** 2))


def _alike(target: Array, pattern: Array, error: Array) -> bool:
    """Is the correlation large, the noise of the target allowed for?"""
    signal = max(float(target @ target) - float(error @ error), 1e-12 * float(target @ target))
    norm = np.sqrt(signal * float(pattern @ pattern))
    return bool(norm > 0 and abs(float(target @ pattern)) / norm > ALIKE)
