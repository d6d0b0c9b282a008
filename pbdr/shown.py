"""What notebooks show of an object: a title, facts, pictures and a table, as HTML that needs nothing from outside."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .srgb import linear_to_srgb

WIDTH = 150  # pixels of a picture as it is shown
BORDER = "1px solid color-mix(in srgb, currentColor 20%, transparent)"


def png(image: NDArray[Any]) -> bytes:
    """PNG of (H, W, 3): sRGB codes of 8 bits as they are, everything else as linear radiance; what is not finite is magenta."""
    from PIL import Image

    pixels = image
    if image.dtype != np.uint8:
        codes = np.clip(linear_to_srgb(np.nan_to_num(image)), 0.0, 1.0)
        pixels = np.where(np.isfinite(image).all(-1, keepdims=True), np.rint(255.0 * codes), (255, 0, 255)).astype(
            np.uint8
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def fragment(
    title: str,
    facts: Iterable[str] = (),
    pictures: Sequence[Sequence[tuple[str, bytes]]] = (),
    header: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
) -> str:
    """A piece of HTML. ``pictures``: rows of (caption, PNG); ``header`` and ``rows``: a table. Text is escaped."""
    parts = [f"<strong>{html.escape(title)}</strong>"]
    parts += [f'<div style="opacity:.75">{html.escape(fact)}</div>' for fact in facts]
    for line in filter(None, pictures):
        shown = "".join(_figure(caption, content) for caption, content in line)
        parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:12px;margin:.6em 0">{shown}</div>')
    if rows:
        head = "".join(_cell("th", text, k) for k, text in enumerate(header))
        body = "".join(f"<tr>{''.join(_cell('td', text, k) for k, text in enumerate(row))}</tr>" for row in rows)
        parts.append(
            '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:.6em 0">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return f'<div class="pbdr-shown" style="font-size:.95em;line-height:1.45">{"".join(parts)}</div>'


def _figure(caption: str, content: bytes) -> str:
    from .page import embedded

    text = html.escape(caption)
    style = "width:100%;height:auto;image-rendering:pixelated;display:block"
    return (
        f'<figure style="margin:0;flex:0 1 min({WIDTH}px, 30%)"><img src="{embedded(content)}" alt="{text}" style="{style}">'
        f'<figcaption style="font-size:.85em">{text}</figcaption></figure>'
    )


def _cell(tag: str, text: str, column: int) -> str:
    side = "left" if column == 0 else "right"
    style = f"text-align:{side};padding:.25em .8em .25em 0;border-bottom:{BORDER}"
    return f'<{tag} style="{style}">{html.escape(text)}</{tag}>'
