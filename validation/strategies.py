"""Hypothesis strategies that tests share."""

from __future__ import annotations

from hypothesis import strategies as st

from validation.random_scenes import NAMES, Numbers, Structure


def numbers() -> st.SearchStrategy[Numbers]:
    """Numbers of a random scene; shrinking makes them plain, one after the other."""
    chosen = st.fixed_dictionaries({name: st.floats(0, 1) for name in NAMES})
    return chosen.map(lambda given: Numbers(0, given))


def structures(count: int = 44) -> st.SearchStrategy[Structure]:
    """Plugins of a random scene, and what of it moves."""
    return st.integers(0, count - 1).map(Structure.of)
