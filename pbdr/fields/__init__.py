"""Radiance fields (docs/theory.md, section 12): what a scene absorbs and emits, at every point of a box and in every direction.

field.py      what a field must answer; voxels.py, hashed.py: one kind each
march.py      rays through a field, with derivatives; occupancy.py: where it is worth looking
training.py   from views to a field: `fit`; rays.py, priors.py: what it draws from, and what it is told besides
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "FIELDS": "pbdr.fields.registry",
    "Box": "pbdr.fields.field",
    "Field": "pbdr.fields.field",
    "FieldOptions": "pbdr.fields.problem",
    "FieldProblem": "pbdr.fields.problem",
    "fit": "pbdr.fields.problem",
    "shape": "pbdr.fields.volume",
    "volume": "pbdr.fields.volume",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pbdr.fields' has no attribute '{name}'")
