"""The picture of README.md: what the demo was shown, where it started, and what it found.

    pbdr demo && python docs/pictures/readme.py runs/demo

It needs a finished run of the demo, and writes readme.png beside this program.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import pbdr

HERE = Path(__file__).resolve().parent
VIEWS = ("view-000", "view-023")


def panels(run: Path) -> list[tuple[str, list[Path]]]:
    """Title → its pictures, one a row."""
    paint = run / "eval" / "parameters" / "object-base_color"
    sky = run / "eval" / "parameters" / "sky-radiance"
    kinds = (("photograph", "target"), ("start", "init"), ("estimate", "final"))
    views = [(title, [run / "images" / kind / f"{name}.png" for name in VIEWS]) for title, kind in kinds]
    return [
        *views,
        ("paint and sky, truth", [p / "target.png" for p in (paint, sky)]),
        ("found", [p / "estimate.png" for p in (paint, sky)]),
    ]


def main(run: Path) -> Path:
    """Write the picture; returns its path."""
    shown = panels(pbdr.open_run(run).path)
    figure = Figure(figsize=(8.6, 3.5), layout="constrained", dpi=90)
    grid = figure.subplots(len(VIEWS), len(shown))
    for column, (title, files) in enumerate(shown):
        for row, file in enumerate(files):
            grid[row, column].imshow(np.array(Image.open(file)), interpolation="nearest")
            grid[row, column].axis("off")
        grid[0, column].set_title(title, fontsize=9)
    path = HERE / "readme.png"
    figure.savefig(path, metadata={"Software": None})
    Image.open(path).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
