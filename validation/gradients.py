"""Per-term gradients of the small matrix at fixed seeds: recorded from one commit, compared with another.

    python -m validation.gradients record before.npz     in a checkout of the one commit
    python -m validation.gradients record after.npz      in a checkout of the other
    python -m validation.gradients compare before.npz after.npz

A change of structure leaves them equal to rounding (sums over lanes are made in any order), and compiles the same kernels: give
both runs the same `DRJIT_CACHE_DIR`, and the second one says that it compiled none.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROUNDING = 1e-4  # of the largest entry of a term's gradient: atomic sums in single precision
SPP = 4
BUDGETS = {"n_primary": 2048, "n_direct": 2048, "n_indirect": 2048}


def families() -> dict[str, Any]:
    """One case of each feature and kind of parameter, refused ones left out: name → case."""
    from validation.cases import CASES

    accepted = {name: case for name, case in CASES.items() if not case.refusal}
    first = {(case.feature, case.kind): name for name, case in reversed(list(accepted.items()))}
    return {name: case for name, case in accepted.items() if name in first.values()}


def gradients(name: str, case: Any, folder: Path) -> dict[str, np.ndarray]:
    """Term → gradient of the case's parameter, for a fixed adjoint image and seed."""
    from pbdr.pathspace.plugin import TERMS
    from pbdr.rendering import gradient
    from pbdr.seeds import hashed

    scene = case.make(folder)
    film = scene.mi.sensors()[0].film()
    extra = {k: v for k, v in case.options.items() if not k.startswith("n_")}
    added = sum({"depth": 1}.get(entry.split(":")[-1], 3) for entry in extra.get("aovs", "").split(",") if entry)
    shape = int(film.crop_size()[1]), int(film.crop_size()[0]), int(film.base_channels_count()) + added
    adjoint = np.random.default_rng(5).uniform(0.2, 1, shape).astype(np.float32)
    integrator = {"type": "pathspace", "max_depth": case.depth, **extra, **BUDGETS}
    found = gradient(scene, case.parameter, adjoint, spp=SPP, seed=hashed(0, "record", name), integrator=integrator)
    return {term: np.asarray(getattr(found, term)[case.parameter], np.float64) for term in TERMS}


def record(path: Path) -> None:
    """Write the gradients of all families, and the number of kernels that were compiled for them."""
    folder = Path(os.environ.get("DRJIT_CACHE_DIR") or Path.home() / ".drjit")
    count = lambda: sum(1 for _ in folder.rglob("*.bin"))  # noqa: E731
    cases, before = families(), count()
    found: dict[str, np.ndarray] = {}
    for number, (name, case) in enumerate(cases.items(), 1):
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            terms = gradients(name, case, Path(place))
        found |= {f"{name} | {term}": value for term, value in terms.items()}
        print(f"{number:3}/{len(cases)} {name}", file=sys.stderr, flush=True)
    np.savez(path, **found)  # type: ignore[arg-type]
    print(f"{len(cases)} cases, {count() - before} kernels compiled, written to {path}")


def compare(before: Path, after: Path) -> bool:
    """Print what differs; whether nothing does."""
    old, new = (dict(np.load(path)) for path in (before, after))
    worst, wrong = 0.0, []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new or old[name].shape != new[name].shape:
            wrong.append(f"{name}: only in {before if name in old else after}")
            continue
        scale = np.abs(old[name]).max() if old[name].size else 0.0
        gap = np.abs(old[name] - new[name]).max() if old[name].size else 0.0
        relative = gap / scale if scale else float(gap > 0)
        worst = max(worst, relative)
        if not relative <= ROUNDING:
            wrong.append(f"{name}: {relative:.2g} of the largest entry, {scale:.3g}")
    print("\n".join(wrong))
    print(
        f"{len(old)} gradients of terms; the largest difference is {worst:.2g} of the largest entry; {len(wrong)} differ"
    )
    return not wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record").add_argument("path", type=Path)
    both = commands.add_parser("compare")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        record(given.path)
        return 0
    return 0 if compare(given.before, given.after) else 1


if __name__ == "__main__":
    sys.exit(main())
