"""The parts of a gradient stand in several places, each for a reason of its own; here they are held together."""

from __future__ import annotations

import dataclasses

from pbdr.boundary.terms import TERMS as BOUNDARY
from pbdr.pathspace.options import PathspaceOptions
from pbdr.pathspace.passes import SHARES, TERMS
from pbdr.rendering import Gradient
from pbdr.verify_report import TERMS as WORDS
from validation import units


def test_every_list_of_the_parts_is_the_same():
    assert {term.part for term in BOUNDARY} == set(SHARES)
    assert tuple(field.name for field in dataclasses.fields(Gradient)) == TERMS == tuple(WORDS) == units.TERMS
    budgets = {
        field.name.removeprefix("n_") for field in dataclasses.fields(PathspaceOptions) if field.name.startswith("n_")
    }
    assert budgets == set(SHARES)
