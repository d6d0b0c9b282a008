"""Derivatives in many units and about many origins, beside those of the same scene in metres about zero, term by term.

Everything moves by its own size, so that the derivatives must be the same. The seeds are the same, too: with scales that are powers
of two, all samples are, and what differs is not noise. About other origins coordinates lose digits, and some samples fall on the
other side of an edge. The image is measured for Mitsuba's `path`, too, whose rays leave surfaces by 9·10⁻⁵ of a unit and of
the largest coordinate.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from validation.unit_cases import CASES
from validation.units import (
    ALLOWED,
    NOISE,
    PLACES,
    TERMS,
    Case,
    Place,
    adjoint,
    compared,
    derivatives,
    refuses,
    right,
    tells,
)  # fmt: skip

from .harness import Result, table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--spp", type=int, default=64, help="samples per pixel of each replica")
    parser.add_argument("--only", default="", help="cases whose name contains this")


def image_change(case: Case, spp: int) -> dict[str, list[float]]:
    """By place, relative change of the functional of the image: of `path`, of `pathspace`."""
    import mitsuba as mi

    found: dict[str, list[float]] = {}
    first: list[float] = []
    for name, place in PLACES.items():
        with tempfile.TemporaryDirectory() as folder:
            scene = case.scene(place, Path(folder))
        values = []
        for kind in ("path", "pathspace"):
            integrator = mi.load_dict({"type": kind, "max_depth": case.depth})
            image = np.array(mi.render(scene.mi, integrator=integrator, spp=16 * spp, seed=1), dtype=np.float64)
            values.append(float((image * adjoint()).sum()))
        first = first or values
        found[name] = [v / f - 1 for v, f in zip(values, first, strict=True)]
    return found


def run(options: argparse.Namespace) -> Result:
    """All cases in all places."""
    cases: dict[str, Any] = {}
    for name, case in CASES.items():
        if options.only not in name:
            continue
        reference = derivatives(case, Place(), options.replicas, options.spp, options.seed)
        cases[name] = {"terms": reference.mean(0), "places": {}}
        for label, place in PLACES.items():
            if place.scale < case.refused:
                cases[name]["places"][label] = {"refused": True, "right": refuses(case, place)}
            elif place != Place():
                found = compared(reference, derivatives(case, place, options.replicas, options.spp, options.seed))
                told = place.origin != Place().origin and tells(case, place)
                cases[name]["places"][label] = found | {"told": told, "right": told or right(found)}
    images = image_change(next(iter(CASES.values())), options.spp)
    met = all(place["right"] for case in cases.values() for place in case["places"].values())
    data = {
        "compared": f"terms on the same seeds; right: the difference, less three standard errors, is below {ALLOWED:.0%} of the "
        f"largest term, and the noise grows by less than {NOISE}",
        "cases": cases,
        "images": images,
    }
    return Result("units", data, _markdown(cases, images), met)


def _markdown(cases: dict[str, Any], images: dict[str, list[float]]) -> str:
    labels = [label for label, place in PLACES.items() if place != Place()]
    rows = []
    for name, case in cases.items():
        for k, term in enumerate(TERMS):
            cells = []
            for label in labels:
                one = case["places"][label]
                cell = "refused" if "refused" in one else f"{one['ratio'][k]:.4f} ± {one['ratio_error'][k]:.4f}"
                cell += " told" if one.get("told") else ""
                cells.append(cell + ("" if one["right"] else " **!**"))
            rows.append([name if k == 0 else "", term, f"{case['terms'][k]:.5f}", *cells])
    text = (
        "Ratio of each term to that of the same scene in its first unit about zero, on the same seeds. Refused: pathspace says "
        "that Embree traces segments of linear curves wrongly that are so short, and what to do. Told: a warning says that "
        "coordinates have too few digits there for a curve's radius or an eighth of a grid's voxel.\n\n"
    )
    text += table(["case", "term", "value", *labels], rows)
    text += "\n\nChange of the image's functional (first case), Mitsuba's `path` beside `pathspace`:\n\n"
    return text + table(["", *images], [
        [kind, *(f"{v[k]:+.2%}" for v in images.values())] for k, kind in enumerate(("path", "pathspace"))
    ])  # fmt: skip
