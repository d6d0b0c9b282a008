"""Memory of a call: what its wavefronts take, and into how many parts a ceiling cuts it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbdr.boundary.sampling.light_points import MAX_ENTRIES
from pbdr.boundary.term import SAMPLE
from pbdr.errors import OptionError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
#: Bytes, above what was measured (docs/explanation/performance.md): of a pixel and channel, in all images of a pass; of a pair of a
#: light point and an edge. Those of a sample: boundary/term.py.
PIXEL, PAIR = 64, 32


def parse(value: int | float | str) -> int:
    """Bytes of the option `memory`: a number of bytes, or a string such as "4GB", "512 MiB"; OptionError for anything else."""
    text = str(value).strip()
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+]?[0-9]+)?)\s*([KMGkmg]?[iI]?[bB]?)", text)
    unit = found.group(2).upper() if found else None
    if (
        isinstance(value, bool)
        or found is None
        or unit not in UNITS
        or not 1 <= float(found.group(1)) * UNITS[unit] < 2**63
    ):
        raise OptionError(
            f"pathspace: memory = {value!r}; give a number of bytes, or a string such as '4GB' or '512MiB'."
        )
    return int(float(found.group(1)) * UNITS[unit])


def needed(samples: int, pixels: int, channels: int, pairs: bool) -> int:
    """Bytes of a call whose largest wavefront takes `samples` bytes, on top of the scene."""
    return samples + PIXEL * pixels * channels + (PAIR * MAX_ENTRIES if pairs else 0)


def parts(ceiling: int | None, spp: int, pixels: int, channels: int, boundary: Sequence[int]) -> int:
    """The least number of equal parts that stay below the ceiling: a divisor of `spp`, so that all have as many samples.

    `boundary`: bytes that the samples of each boundary term take, empty if there is none. Raises OptionError where even one
    sample a pixel at a time is too much.
    """
    if ceiling is None:
        return 1
    largest = max([SAMPLE * spp * pixels, *boundary])
    for count in range(1, spp + 1):
        if spp % count == 0 and needed(-(-largest // count), pixels, channels, bool(boundary)) <= ceiling:
            return count
    least = needed(-(-largest // spp), pixels, channels, bool(boundary))
    raise OptionError(
        f"pathspace: memory = {ceiling} bytes, but {least} are needed for one sample a pixel"
        + (f" and a {spp}th of the boundary samples" if boundary else "")
        + " at a time. Give more, or lower the film's size or the sample counts."
    )
