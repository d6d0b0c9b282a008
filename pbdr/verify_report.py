"""The page of `pbdr verify`, one self-contained HTML file, and the image files of `pbdr gradient`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import page
from .data import encode_exr
from .data.images import encode_png8
from .job import storage
from .page import duration, number
from .verify import AGREES, UNDECIDED, WRONG, Along, Estimate, Verification

LEVELS = {AGREES: ("good", "Agrees"), WRONG: ("bad", "Wrong"), UNDECIDED: ("warn", "Undecided")}
TERMS = {
    "interior": "light that changes where nothing appears or disappears",
    "primary": "edges as the camera sees them, in mirrors and through glass too",
    "direct": "edges of shadows of the lights",
    "indirect": "edges in light that was reflected before",
}


def write(found: Verification, path: Path) -> Path:
    """Write the page; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(path, build(found))
    return path


def build(found: Verification) -> str:
    """The page as a string."""
    level, word = LEVELS[found.verdict]
    record = {key: value for key, value in found.to_dict().items() if key != "along"}
    width, height = found.resolution
    return page.template("verify.html.j2").render(
        title=f"{found.parameter}, {Path(found.scene).name}",
        verdict={"level": level, "word": word, "text": _sentence(found.text)},
        gradient_of=_options(found.integrator),
        primal=_options(found.primal),
        size=f"{width} × {height}",
        tolerance=f"{100 * found.tolerance:g} %",
        seconds=duration(found.seconds),
        sections=[_section(one) for one in found.along],
        bar=page.signed_css(),
        several=len(found.along) > 1,
        settings=json.dumps(record, indent=2, default=str),
    )


def write_images(folder: Path, name: str, images: Mapping[str, NDArray[Any]], many: bool) -> list[dict[str, Any]]:
    """`[<direction>-]<term>.exr` and `.png` for every term, on one colour scale; what was written, for JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    limit = page.signed_limit(*images.values())
    entries = []
    for term, image in images.items():
        stem = folder / (f"{name}-{term}" if many else term)
        shown = image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)
        storage.write_bytes(stem.with_suffix(".exr"), encode_exr(shown))
        storage.write_bytes(stem.with_suffix(".png"), page.signed_figure(image, limit, f"{term}, along {name}"))
        entries.append(
            {
                "direction": name, "term": term, "png": str(stem.with_suffix(".png")), "exr": str(stem.with_suffix(".exr")),
                "largest": float(np.abs(image).max()), "mean": float(image.mean()),
            }
        )  # fmt: skip
    return entries


def _section(one: Along) -> dict[str, Any]:
    level, word = LEVELS[one.verdict]
    limit = page.signed_limit(one.images["reference"], one.images["ours"])
    labels = [("ours", "Gradient"), ("reference", "Finite differences"), ("difference", "Gradient − differences")]
    labels += [(term, term) for term in TERMS if term in one.images and np.any(one.images[term])]
    rows = [_row(one.ours, "gradient under test", one), _row(one.reference, "finite differences", one)]
    other = one.other.get("estimate")
    if other:
        rows.append(_row(Estimate(**other), f"pathspace, boundary = {one.other['boundary']}", one))
    scale = one.scale or 1.0
    steps = [
        {"step": number(s.step, 3), "value": _value(s.mean, s.error), "used": "used" if s.used else ""}
        for s in one.steps
    ]
    row, column, largest, error = one.largest
    shape = one.images["ours"].shape
    return {
        "name": one.name, "level": level, "word": word, "text": _sentence(one.text), "limit": number(limit, 2),
        "images": [{"label": label, "src": _signed(one.images[key], limit)} for key, label in labels],
        "blocks": {
            "src": _signed(_scores(one), 5.0), "label": "Difference of blocks in standard errors",
            "aspect": f"{shape[1]} / {shape[0]}",
        },
        "estimates": rows,
        "terms": [
            {"name": t.name, "what": TERMS.get(t.name, ""), "value": _value(t.mean, t.error), "share": _share(t.mean / scale)}
            for t in one.terms
        ],
        "terms_of": one.terms_of, "steps": steps, "plateau": one.plateau,
        "smooth": [number(x, 4) for x in one.smooth[:2]] + [number(one.smooth[2], 2)],
        "block": f"row {row + 1}, column {column + 1}: {_share(largest)} ± {100 * error:.2g} %",
        "p_blocks": number(one.p_blocks, 2), "p_chi": number(one.p_chi, 2), "heavy": one.heavy,
        "truncation": f"{100 * one.truncation:.2g} %", "reverse": _reverse(one), "other": _other(one),
    }  # fmt: skip


def _sentence(text: str) -> str:
    """The verdict's text without the word that stands before it anyway."""
    text = re.sub(rf"^(along \S+: )?(?:{AGREES}|{WRONG}):? ", r"\1", text)
    text = re.sub(r"(?<![\w-])-(?=\d)", "−", text)  # minus signs, not the hyphens of names
    return text[:1].upper() + text[1:]


def _row(estimate: Estimate, label: str, one: Along) -> dict[str, str]:
    same = estimate.name == "reference"
    bias = "" if same else _share((estimate.mean - one.reference.mean) / (one.scale or 1.0))
    error = (
        "" if same else f" ± {100 * float(np.hypot(estimate.error, one.reference.error)) / (one.scale or 1.0):.2g} %"
    )
    return {
        "label": label, "value": _value(estimate.mean, estimate.error), "bias": bias + error,
        "variance": number(estimate.variance, 3), "seconds": number(estimate.seconds, 3),
        "replicas": f"{estimate.replicas} × {estimate.spp} spp", "efficiency": number(estimate.efficiency, 3),
    }  # fmt: skip


def _scores(one: Along) -> NDArray[np.float64]:
    delta, error = one.blocks["ours"] - one.blocks["reference"], one.blocks["error"]
    return np.divide(delta, error, out=np.zeros_like(delta), where=error > 0)


def _signed(image: NDArray[Any], limit: float) -> str:
    return page.embedded(encode_png8(page.signed_pixels(image, limit)))


def _value(mean: float, error: float) -> str:
    return f"{number(mean, 4)} ± {number(error, 2)}"


def _share(value: float) -> str:
    return (
        f"{100 * value:+.2g} %".replace("-", "−") if abs(value) < 0.995 else f"{100 * value:+.0f} %".replace("-", "−")
    )


def _options(options: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in options.items() if key != "type")
    return f"{options['type']} ({rest})" if rest else str(options["type"])


def _reverse(one: Along) -> str:
    if one.reverse is None:
        return "not measured"
    size = f"{100 * one.reverse:.2g} % of the derivative's size, on one seed"
    if one.reverse_agrees:
        return f"transposes of each other: the difference is {size}"
    return f"not transposes of each other on the same seed: the difference is {size}"


def _other(one: Along) -> str:
    other = one.other
    if other["status"] == "refused":
        return f"boundary = {other['boundary']} not available: {other['reason']}"
    if other["status"] != "compared":
        return f"not compared: {other['reason']}"
    ours, exact = other["against_ours"], other["against_reference"]
    return (
        f"boundary = {other['boundary']}: {_share(ours[0])} ± {100 * ours[1]:.2g} % from the gradient under test "
        f"(p = {ours[2]:.2g}), "
        f"{_share(exact[0])} ± {100 * exact[1]:.2g} % from finite differences (p = {exact[2]:.2g})"
    )
