"""Hashed, named random streams.

Consecutive raw seeds of PCG32 are correlated: replicas look better than they are. Every stream is therefore
named, and its seed is a hash of the user's seed and the names.
"""

from __future__ import annotations

import hashlib
from typing import Any


def hashed(seed: int, *names: str | int) -> int:
    """Return the uint32 seed of the stream `names` under `seed`; the same in every process and on every machine.

    `names` say what the stream is for, for example `hashed(seed, "replica", 3)`. `1` and `"1"` differ, and so
    do `("ab", "c")` and `("a", "bc")`.
    """
    digest = hashlib.blake2b(digest_size=4)
    for part in (seed, *names):
        if isinstance(part, str):
            kind, payload = b"s", part.encode()
        else:
            kind, payload = b"i", str(int(part)).encode()
        digest.update(kind + len(payload).to_bytes(4, "little") + payload)
    return int.from_bytes(digest.digest(), "little")


def sampler(count: int, seed: int, *names: str | int, type: str = "independent", spp: int = 1) -> Any:
    """Return a `mitsuba.Sampler` of plugin `type` seeded for `count` lanes with `hashed(seed, *names)`.

    `spp` is the number of samples per pixel that a stratified plugin spreads its samples over.
    """
    import mitsuba as mi

    properties = mi.Properties(type)
    properties["sample_count"] = spp
    result: Any = mi.PluginManager.instance().create_object(properties)
    result.seed(hashed(seed, *names), count)
    return result


def stream(seed: Any, *names: str | int) -> Any:
    """Like `hashed` for a seed that may live on the device (`mitsuba.UInt32`): a `mitsuba.UInt32` of width 1."""
    import mitsuba as mi

    return mi.sample_tea_32(mi.UInt32(seed), hashed(0, *names))[0]


def lanes(count: int, seed: Any, *names: str | int) -> Any:
    """An independent `mitsuba.Sampler` for `count` lanes seeded with `stream(seed, *names)`."""
    import mitsuba as mi

    result = mi.PluginManager.instance().create_object(mi.Properties("independent"))
    result.seed(stream(seed, *names), count)
    return result


def branch(sampler: Any, active: Any = True) -> Any:
    """An independent `mitsuba.PCG32` a lane, for loops in which lanes need more or fewer numbers than others.

    (With four rounds, Mitsuba's default, its hash makes numbers that are correlated: -1.5 % in an optical depth.)
    """
    import mitsuba as mi

    point = sampler.next_2d(active)
    state, key = mi.sample_tea_32(mi.UInt32(point.x * 2.0**32), mi.UInt32(point.y * 2.0**32), 8)
    return mi.PCG32(initstate=mi.UInt64(state), initseq=mi.UInt64(key))


def at(point: Any) -> Any:
    """A `mitsuba.PCG32` a lane that follows from a `Point3f` alone: the same point has the same numbers in every pass."""
    import drjit as dr
    import mitsuba as mi

    x, y, z = (dr.reinterpret_array(mi.UInt32, dr.detach(point[k])) for k in range(3))
    first, second = mi.sample_tea_32(x, y, 8)
    state, key = mi.sample_tea_32(second ^ z, first, 8)
    return mi.PCG32(initstate=mi.UInt64(state), initseq=mi.UInt64(key))
