"""Kinds of fields by name. A new one is a file here and a place in the list below."""

from __future__ import annotations

from pbdr.fields.field import Field
from pbdr.fields.hashed import HashGrid
from pbdr.fields.voxels import Voxels
from pbdr.registry import Registry

FIELDS: Registry[Field] = Registry("field", "Fields", (HashGrid, Voxels))
