"""Texts and bytes as editors and failing disks leave them, and what every refusal says."""

from __future__ import annotations

import math

from hypothesis import strategies as st


def one_line(error: Exception) -> None:
    """What every refusal is: one line that says something."""
    text = str(error)
    assert text.strip() and "\n" not in text and "Traceback" not in text and len(text) < 4000, repr(text)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([10**6, -(10**6), 2**63, 10**400, 0.0, 0.5, 1.0, -1.0, 1e-300, 1e300, math.inf, math.nan]),
    st.floats(-10, 10),
)
values = st.recursive(
    st.one_of(numbers, names, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of a file that was cut off, changed here and there, spliced, or is whole."""
    kind = draw(st.sampled_from(["whole", "whole", "whole", "whole", "cut", "flip", "splice", "insert", "zero"]))
    at = draw(st.integers(0, len(data)))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        changed = bytearray(data)
        for place in draw(st.lists(st.integers(0, max(0, len(data) - 1)), min_size=1, max_size=4)):
            if changed:
                changed[place] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if kind == "splice":
        return data[:at] + data[draw(st.integers(0, len(data))) :]
    if kind == "insert":
        return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
    if kind == "zero":
        return data[:at] + bytes(len(data) - at)
    return data


@st.composite
def encoded(draw: st.DrawFn, text: str) -> bytes:
    """A text as editors save it, sometimes damaged."""
    encoding = draw(st.sampled_from(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]))
    if draw(st.integers(0, 5)) == 0:
        text = text.replace("\n", "\r\n")
    data = text.encode(encoding, "replace")
    return draw(damaged(data)) if draw(st.integers(0, 7)) == 0 else data
