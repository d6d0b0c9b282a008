"""What the HTML pages share: templates, numbers for people, embedded images, signed colour maps."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

EMBED_WIDTH = 480  # pixels; larger images are reduced for a page
#: Colour of signed values: blue is negative, white zero, red positive. Also the names for a gradient in CSS.
SIGNED = "RdBu_r"


def template(name: str) -> jinja2.Template:
    """A template beside this file; undefined names are errors, text is escaped."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(name)


def number(value: Any, digits: int = 4) -> str:
    """A number or a short list for a table; "" for None."""
    if value is None or value == "":
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(number(v, 3) for v in value)
    value = float(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else ("−∞" if value < 0 else "NaN")
    return f"{value:.{digits}g}".replace("-", "−")


def decibel(value: Any) -> str:
    """Two decimals; "" for None, words for what is not finite."""
    if value is None or value == "" or not math.isfinite(float(value)):
        return number(value)
    return f"{float(value):.2f}".replace("-", "−")


def duration(seconds: float) -> str:
    """78.2 → "1 min 18 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The content of a PNG file of (H, W, 3 or 4) encoded pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def png_width(content: bytes) -> int:
    """Width in pixels of a PNG file's content."""
    return int.from_bytes(content[16:20], "big")


def embedded(content: bytes, widest: int = EMBED_WIDTH) -> str:
    """The PNG as a data address, reduced when it is wider than that."""
    if png_width(content) > widest:
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            height = max(1, round(image.height * widest / image.width))
            reduced = image.convert("RGB").resize((widest, height), Image.Resampling.BOX)
        buffer = io.BytesIO()
        reduced.save(buffer, "PNG")
        content = buffer.getvalue()
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def signed_limit(*images: NDArray[Any]) -> float:
    """The value shown in full colour: the 99.5th percentile of |grey|, over all images that share a scale; 1 for zeros."""
    sizes = np.concatenate([np.abs(grey(image)).ravel() for image in images])
    return float(np.percentile(sizes, 99.5)) or float(sizes.max()) or 1.0


def grey(image: NDArray[Any]) -> NDArray[np.float64]:
    """(H, W) mean of the channels of (H, W, C); (H, W) as it is."""
    values = np.asarray(image, dtype=np.float64)
    return values if values.ndim == 2 else np.asarray(values.mean(-1))


def signed_pixels(image: NDArray[Any], limit: float) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) → (H, W, 3): the mean of the channels as a colour from −limit (blue) to limit (red)."""
    import matplotlib

    shade = matplotlib.colormaps[SIGNED](np.clip(0.5 + 0.5 * grey(image) / limit, 0, 1))
    return np.asarray(np.rint(255 * shade[..., :3]), dtype=np.uint8)


def signed_css() -> str:
    """The colours of `signed_pixels` from −limit to limit, for a linear gradient in CSS."""
    shades = signed_pixels(np.linspace(-1, 1, 9)[None], 1.0)[0]
    return ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in shades)


def signed_figure(image: NDArray[Any], limit: float, title: str) -> bytes:
    """A PNG of the signed colour map with its bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    figure = Figure(figsize=(5.2, 0.6 + 4.2 * height / width), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    shown = axes.imshow(grey(image), cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, loc="left", fontsize=10)
    figure.colorbar(shown, ax=axes, shrink=0.9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
