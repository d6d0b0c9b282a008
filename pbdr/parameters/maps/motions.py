"""Motions of things: latents about where they started, in radians and in units of a length of the scene (`parameters.frames`).

All motions are x ↦ c + A M Aᵀ (x − c) + u A t: about the pivot c, along the axes A, with the unit u. They differ in M.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np
from scipy.spatial.transform import Rotation

from pbdr.aligned import aligned
from pbdr.errors import ParameterError
from pbdr.parameters import frames
from pbdr.parameters.maps.map import Array, Map
from pbdr.parameters.place import Place
from pbdr.parameters.values import entry, read
from pbdr.registry import option

#: How far a value may be from a motion of the start: relative to 1 for matrices, to the unit for points.
SLACK = 1e-3


def rotation_minus_identity(turn: list[Any]) -> list[Any]:
    """Return the nine entries, row by row, of exp([ω]×) − 1 for the rotation vector ω (Rodrigues), exact to rounding near 0."""
    x, y, z = turn
    square = x * x + y * y + z * z
    small = square < 1e-4
    angle = dr.sqrt(dr.select(small, 1, square))
    first = dr.select(small, 1 - square / 6 + square * square / 120, dr.sin(angle) / angle)
    second = dr.select(small, 0.5 - square / 24 + square * square / 720, (1 - dr.cos(angle)) / (angle * angle))
    return [
        second * (x * x - square), second * x * y - first * z, second * x * z + first * y,
        second * x * y + first * z, second * (y * y - square), second * y * z - first * x,
        second * x * z - first * y, second * y * z + first * x, second * (z * z - square),
    ]  # fmt: skip


def scaled(entries: list[Any], factor: Any) -> list[Any]:
    """Return the entries of factor · M − 1, given those of M − 1."""
    return [factor * entry + (factor - 1 if k in (0, 4, 8) else 0) for k, entry in enumerate(entries)]


#: Of one step of least squares: radians, and shares of the thing's size or of the distance to what is seen.
REACH = 0.2


@dataclass(frozen=True)
class _Start:
    """The pose at the start (3, 4), and its frame."""

    pose: Array
    frame: frames.Frame


class _Pose(Map):
    """A pose moved from where it started. Latents: `size` numbers, of which the last three are the translation."""

    poses: ClassVar[bool] = True
    optimiser: ClassVar[str] = "lm"
    reach: ClassVar[float] = REACH

    def refusal(self, place: Place) -> str:
        serves = place.parameter is not None and place.parameter.kind == "transform" and place.scene is not None
        return "" if serves else "serves poses alone, which are 3 × 4 numbers"

    def prepare(self, place: Place) -> _Start:
        assert place.parameter is not None
        return _Start(read(place.scene, place.parameter), frames.of_pose(place.scene, place.parameter))

    @abstractmethod
    def matrix_minus_identity(self, numbers: list[Any]) -> list[Any]:
        """Return the entries of M − 1, row by row."""

    @abstractmethod
    def matrix_latent(self, matrix: Array, what: str) -> Array:
        """Return the latent without its translation, of M (3, 3)."""

    def to_latent(self, value: Array, place: Place) -> Array:
        start, frame = place.prepared.pose, place.prepared.frame
        try:
            relative = value[:, :3] @ np.linalg.inv(start[:, :3])
        except np.linalg.LinAlgError:
            raise ParameterError(f"{_name(place)} is flat: its matrix has no inverse, and it cannot be moved") from None
        matrix = frame.axes.T @ relative @ frame.axes
        shift = value[:, 3] - frame.pivot - relative @ (start[:, 3] - frame.pivot)
        return np.concatenate([self.matrix_latent(matrix, _name(place)), frame.axes.T @ shift / frame.unit])

    def to_value(self, latent: Any, place: Place) -> Any:
        start, frame = place.prepared.pose, place.prepared.frame
        count = int(latent.shape[0])
        numbers = [entry(latent.array, k) for k in range(count)]
        arm = np.column_stack([start[:, :3], start[:, 3] - frame.pivot])  # what turns: (3, 4)
        flat = mi.Float(aligned(start.ravel()))
        for k, coefficient in enumerate(self.matrix_minus_identity(numbers[:-3])):
            turned = np.outer(frame.axes[:, k // 3], frame.axes[:, k % 3] @ arm)
            flat = flat + coefficient * mi.Float(aligned(turned.ravel()))
        for k in range(3):
            moved = np.zeros((3, 4))
            moved[:, 3] = frame.unit * frame.axes[:, k]
            flat = flat + numbers[count - 3 + k] * mi.Float(aligned(moved.ravel()))
        return mi.TensorXf(flat, shape=(3, 4))


@dataclass(frozen=True)
class SE3(_Pose):
    """A rigid motion from the start: a rotation vector (radians) and a translation, about and in units of what `frames` says.

    Cameras turn about what they see, objects about their centres; units are that distance, and the object's size.
    """

    name: ClassVar[str] = "se3"
    scale: bool = option(False, "a seventh number, the logarithm of a factor of size")

    def matrix_minus_identity(self, numbers: list[Any]) -> list[Any]:
        entries = rotation_minus_identity(numbers[:3])
        return scaled(entries, dr.exp(numbers[3])) if self.scale else entries

    def matrix_latent(self, matrix: Array, what: str) -> Array:
        factor = np.cbrt(np.linalg.det(matrix)) if self.scale else 1.0
        if not factor > 0 or not np.allclose(
            matrix, factor * frames.nearest_rotation(matrix), atol=SLACK * abs(factor)
        ):
            kind = "a rotation with one factor" if self.scale else "a rotation"
            raise ParameterError(
                f"{what} differs from the scene's by more than {kind}: map 'affine' has all twelve numbers"
            )
        turn = Rotation.from_matrix(frames.nearest_rotation(matrix)).as_rotvec()
        return np.append(turn, math.log(factor)) if self.scale else turn


@dataclass(frozen=True)
class Affine(_Pose):
    """Rotation, scale, shear and translation from the start: twelve numbers in units of the thing that moves."""

    name: ClassVar[str] = "affine"

    def matrix_minus_identity(self, numbers: list[Any]) -> list[Any]:
        return numbers

    def matrix_latent(self, matrix: Array, what: str) -> Array:
        return np.asarray((matrix - np.eye(3)).ravel())


@dataclass(frozen=True)
class Rigid(Map):
    """A rigid motion of all vertices of a mesh: a rotation vector about its centre and a translation in units of its size."""

    name: ClassVar[str] = "rigid"
    optimiser: ClassVar[str] = "lm"
    reach: ClassVar[float] = REACH
    scale: bool = option(False, "a seventh number, the logarithm of a factor of size")

    def refusal(self, place: Place) -> str:
        parameter = place.parameter
        points = parameter is not None and place.scene is not None and parameter.row.length and parameter.kind == "mesh"
        return "" if points else "serves the positions of a mesh alone"

    def prepare(self, place: Place) -> _Start:
        assert place.parameter is not None
        points = read(place.scene, place.parameter)
        return _Start(points, frames.of_box(points.min(axis=0), points.max(axis=0)))

    def to_latent(self, value: Array, place: Place) -> Array:
        frame = place.prepared.frame
        start, goal = place.prepared.pose - frame.pivot, value - frame.pivot
        a, b = start - start.mean(axis=0), goal - goal.mean(axis=0)
        u, sizes, v = np.linalg.svd(b.T @ a)
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v)) or 1.0])
        turn = u * sign @ v
        factor = float(sizes @ sign / (a * a).sum()) if self.scale else 1.0
        shift = goal.mean(axis=0) - factor * turn @ start.mean(axis=0)
        if not factor > 0 or np.abs(factor * start @ turn.T + shift - goal).max() > SLACK * frame.unit:
            raise ParameterError(f"{_name(place)} is no rigid motion of the scene's: it changes the shape")
        vector = Rotation.from_matrix(turn).as_rotvec()
        numbers = np.append(vector, math.log(factor)) if self.scale else vector
        return np.concatenate([numbers, shift / frame.unit])

    def to_value(self, latent: Any, place: Place) -> Any:
        start, frame = place.prepared.pose, place.prepared.frame
        count = int(latent.shape[0])
        numbers = [entry(latent.array, k) for k in range(count)]
        entries = rotation_minus_identity(numbers[:3])
        entries = scaled(entries, dr.exp(numbers[3])) if self.scale else entries
        arm = [mi.Float(aligned(column)) for column in (start - frame.pivot).T]
        moved = []
        for axis in range(3):
            turned = sum((entries[3 * axis + k] * arm[k] for k in range(3)), mi.Float(0))
            moved.append(mi.Float(aligned(start[:, axis])) + turned + frame.unit * numbers[count - 3 + axis])
        return mi.TensorXf(dr.ravel(mi.Point3f(moved)), shape=start.shape)


@dataclass(frozen=True)
class Shift(Map):
    """A point moved from where it started, in units of the scene's size: half the diagonal of the box around its shapes."""

    name: ClassVar[str] = "shift"
    optimiser: ClassVar[str] = "lm"
    reach: ClassVar[float] = REACH

    def refusal(self, place: Place) -> str:
        return "" if place.parameter is not None and place.scene is not None else "serves points of a scene alone"

    def prepare(self, place: Place) -> _Start:
        assert place.parameter is not None
        points = read(place.scene, place.parameter)
        return _Start(points, frames.Frame(np.zeros(3), np.eye(3), frames.scene_size(place.scene)))

    def to_latent(self, value: Array, place: Place) -> Array:
        return np.asarray((value - place.prepared.pose) / place.prepared.frame.unit)

    def to_value(self, latent: Any, place: Place) -> Any:
        start = place.prepared.pose
        return latent * place.prepared.frame.unit + mi.TensorXf(aligned(start))


def _name(place: Place) -> str:
    return "the value" if place.parameter is None else f"the value of {place.parameter.name!r}"
