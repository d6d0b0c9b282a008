"""Transforms of a scene file that Mitsuba would take for something else."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.errors import SceneError

WRONG_INVERSE = 1e-3  # of matrix · inverse, beside the identity: more is no rounding
ROUNDING = 1e-5  # single precision, relative to the terms of the product


def check_transforms(state: Any, label: str) -> None:
    """SceneError for a transform whose inverse, which Mitsuba keeps beside its matrix, is not that of the matrix.

    Mitsuba takes the transpose for the inverse of a rotation, and takes any axis for a unit vector: about another one, the
    matrix stretches what it turns, and surfaces, normals and gradients contradict each other.
    """
    # On a copy: reading a property marks it as used, and would hide a misspelt one.
    for node in mi.parser.ParserState(state).nodes:
        for name in node.props.keys():
            if node.props.type(name) != mi.Properties.Type.Transform:
                continue
            transform = node.props[name]
            matrix, inverse = np.array(transform.matrix), np.array(transform.inverse().matrix)
            size = np.abs(matrix) @ np.abs(inverse)
            wrong = np.abs(matrix @ inverse - np.eye(len(matrix))) > WRONG_INVERSE + ROUNDING * size
            if wrong[:-1, :-1].any():
                raise SceneError(
                    f"{label}: '{name}' of '{node.props.id()}' is no rotation: one of its axes is not of length 1, and Mitsuba "
                    "stretches what it turns. Normalise the axis (1, 1, 0 becomes 0.7071, 0.7071, 0)."
                )
