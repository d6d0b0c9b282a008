"""The page of `pbdr check`, one self-contained HTML file, and its contact sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import page
from .data.images import encode_png
from .job import storage
from .job.check import Picture, Report
from .page import duration, number
from .srgb import linear_to_srgb, srgb_to_linear
from .verify import AGREES, UNDECIDED, WRONG

GAP, LABEL = 6, 14  # of the contact sheet, pixels
LEAST = 96  # longest side of a picture there, at least about
COLUMNS = 3  # views in a row of the sheet


def write(report: Report, name: str, path: Path) -> tuple[Path, Path]:
    """Write the page and, beside it, the contact sheet; returns their paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = path.with_suffix(".png")
    storage.write_bytes(sheet, contact_sheet(report.pictures))
    storage.write_text(path, build(report, name))
    return path, sheet


def build(report: Report, name: str) -> str:
    """The page as a string."""
    level, word, text = _verdict(report)
    return page.template("check.html.j2").render(
        title=name,
        verdict={"level": level, "word": word, "text": text},
        findings=report.findings,
        variables=[_variable(row) for row in report.variables],
        gradient=None if report.gradient is None else gradient_line(report),
        cost=cost_lines(report),
        views=[_view(picture) for picture in report.pictures],
    )


def _verdict(report: Report) -> tuple[str, str, str]:
    if report.gradient is not None and report.gradient.verdict == WRONG:
        return "bad", "Wrong gradient", report.gradient.text
    problems = report.problems
    if problems:
        return (
            "bad",
            "Look at the data",
            f"{len(problems)} {'thing looks' if len(problems) == 1 else 'things look'} wrong.",
        )
    if report.gradient is not None and report.gradient.verdict != AGREES:
        return "warn", "Ready, with a gradient too noisy to judge", report.gradient.text
    return "good", "Ready", "Nothing that was looked at is wrong."


def gradient_line(report: Report) -> str:
    """The gradient in one line; "" where it was not looked at."""
    found = report.gradient
    if found is None:
        return ""
    more = " (options of `pbdr verify`, which looks longer)" if found.verdict == UNDECIDED else ""
    return f"{found.parameter} along a random direction: {found.text}{more}"


def cost_lines(report: Report) -> list[str]:
    """Time and memory, a line each."""
    cost = report.cost
    if not cost:
        return []
    steps = "; ".join(
        f"{number(seconds, 3)} s per step" + (f" from step {start} on" if len(cost["step"]) > 1 else "")
        for seconds, start in zip(cost["step"], cost["from_step"], strict=True)
    )
    first = (
        f"{number(cost['first_step'], 3)} s the first, which compiles" if cost["compiled"] else "compilation included"
    )
    return [
        f"{steps} ({first})",
        f"about {duration(cost['to_the_end'])} for all {cost['steps']} steps, without the images that are scored",
        f"{cost['memory'] / 2**30:.2f} GB of memory at most so far",
    ]


def _variable(row: dict[str, Any]) -> dict[str, str]:
    low, high = row["bounds"]
    return {
        "variable": row["variable"], "parameter": row["parameter"], "map": row["map"], "lr": number(row["lr"]),
        "shape": " × ".join(map(str, row["shape"])), "range": f"{number(low)} to {number(high)}", "start": number(row["start"]),
    }  # fmt: skip


def _view(picture: Picture) -> dict[str, Any]:
    width, height = picture.size
    return {
        "name": picture.name,
        "text": f"{picture.group}, {width} × {height}",
        "source": picture.source,
        "camera": picture.camera,
        "images": [
            {"label": label, "src": page.embedded(encode_png(image))}
            for label, image in zip(("target", "start", "both"), _three(picture), strict=True)
        ],
    }


def _three(picture: Picture) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Target (outside its mask darkened), start, and the start over the target, half and half as the eye sees it."""
    target = _as_large(picture.target, picture.start.shape[:2])
    if picture.mask is not None:
        target = target * (0.3 + 0.7 * _as_large(picture.mask, target.shape[:2]))[..., None]
    both = 0.5 * _encoded(target) + 0.5 * _encoded(picture.start)

    return target, picture.start, np.asarray(srgb_to_linear(both))


def _encoded(image: NDArray[Any]) -> NDArray[Any]:
    return np.clip(linear_to_srgb(np.nan_to_num(image)), 0, 1)


def _as_large(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """By nearest pixels; both are pictures of the same film, and differ by rounding at most."""
    rows = np.minimum((np.arange(shape[0]) + 0.5) * image.shape[0] / shape[0], image.shape[0] - 1).astype(int)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * image.shape[1] / shape[1], image.shape[1] - 1).astype(int)
    return image[rows][:, columns]


def _enlarged(pixels: NDArray[Any]) -> NDArray[Any]:
    """Tiny images by whole factors, so that they can be seen."""
    factor = max(1, LEAST // max(pixels.shape[:2]))
    return np.repeat(np.repeat(pixels, factor, 0), factor, 1)


def contact_sheet(pictures: list[Picture]) -> bytes:
    """PNG: every view as target, start, and the start over the target."""
    from PIL import Image, ImageDraw

    cells = [(p.name, [_enlarged(np.rint(255 * _encoded(i)).astype(np.uint8)) for i in _three(p)]) for p in pictures]
    width = max(sum(i.shape[1] for i in images) + 2 * 2 for _, images in cells)
    height = max(max(i.shape[0] for i in images) for _, images in cells) + LABEL
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), (24, 26, 30))
    draw = ImageDraw.Draw(sheet)
    for k, (name, images) in enumerate(cells):
        x, y = GAP + (k % columns) * (width + GAP), GAP + (k // columns) * (height + GAP)
        draw.text((x, y), f"{name}: target, start, both", fill=(220, 224, 230))
        for image in images:
            sheet.paste(Image.fromarray(image), (x, y + LABEL))
            x += image.shape[1] + 2
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
