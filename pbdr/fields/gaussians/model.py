"""Gaussians: what 3D Gaussian Splatting (Kerbl et al. 2023) stores of each, in plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbdr.errors import DataError
from pbdr.fields.gaussians.harmonics import C0, DEGREES, count_of, degree_of

Array = NDArray[np.float32]

#: Names of the arrays that have derivatives → entries of each Gaussian; `harmonics` has as many rows as its degree asks for.
SHAPES: dict[str, tuple[int, ...]] = {
    "positions": (3,),
    "log_scales": (3,),
    "rotations": (4,),
    "logits": (),
    "harmonics": (-1, 3),
}


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians, as 3DGS stores them: before exponential, normalisation and sigmoid. Arrays become float32.

    positions   (N, 3) centres, in units of the scene
    log_scales  (N, 3) logarithms of the standard deviations along the axes of each
    rotations   (N, 4) quaternions (w, x, y, z) that turn these axes into the world; of any length but 0
    logits      (N,) opacities are 1 / (1 + exp(−logit))
    harmonics   (N, K, 3) coefficients of the colour, K = 1, 4, 9 or 16 (degree 0 to 3): red, green, blue are 0.5 plus their sum
                over directions from the camera, at least 0. What a file is trained on decides whether these are codes of sRGB
    normals     (N, 3) nx, ny, nz of files, which nothing uses; zeros where absent

    Raises DataError for shapes that do not go together, numbers that are not finite, and quaternions of length 0.
    """

    positions: Array
    log_scales: Array
    rotations: Array
    logits: Array
    harmonics: Array
    normals: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    def __post_init__(self) -> None:
        for name in (*SHAPES, "normals"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        count = len(self.positions) if self.positions.ndim else 0
        if not self.normals.size:
            object.__setattr__(self, "normals", np.zeros((count, 3), np.float32))
        shapes: dict[str, tuple[int, ...]] = {**SHAPES, "normals": (3,)}
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            fits = len(found) == len(shape) + 1 and all(
                want in (-1, n) for want, n in zip(shape, found[1:], strict=True)
            )
            if found[:1] != (count,) or not fits:
                wanted = ", ".join("K" if n < 0 else str(n) for n in shape)
                raise DataError(f"{name} has the shape {found}; {count} Gaussians need ({count}, {wanted})")
            wrong = ~np.isfinite(getattr(self, name)).all(axis=tuple(range(1, len(found))))
            if wrong.any():
                raise DataError(
                    f"{name} of {wrong.sum()} Gaussians is not finite, the first is number {wrong.argmax()}"
                )
        if self.harmonics.shape[1] not in [count_of(degree) for degree in DEGREES]:
            raise DataError(
                f"harmonics have {self.harmonics.shape[1]} coefficients a channel; 1, 4, 9 or 16 are those of degree 0 to 3"
            )
        short = ~(np.abs(self.rotations).max(axis=1, initial=0) > 1e-12)
        if short.any():
            raise DataError(
                f"rotations of {short.sum()} Gaussians are 0, the first is number {short.argmax()}: no rotation"
            )

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return degree_of(self.harmonics.shape[1])

    @property
    def opacities(self) -> Array:
        """(N,) opacities in (0, 1)."""
        return np.asarray(1 / (1 + np.exp(-self.logits.astype(np.float64))), dtype=np.float32)

    @property
    def scales(self) -> Array:
        """(N, 3) standard deviations, in units of the scene."""
        return np.exp(self.log_scales)

    @property
    def frames(self) -> NDArray[np.float64]:
        """(N, 3, 3) rotations: columns are the axes in the world."""
        return rotation_matrices(self.rotations)

    @property
    def covariances(self) -> NDArray[np.float64]:
        """(N, 3, 3) covariances Σ = R S² Rᵀ."""
        axes = self.frames * np.exp(self.log_scales.astype(np.float64))[:, None, :]
        return np.asarray(axes @ axes.transpose(0, 2, 1))

    @property
    def colors(self) -> Array:
        """(N, 3) colours without what depends on the direction."""
        return np.asarray(0.5 + C0 * self.harmonics[:, 0], dtype=np.float32)

    def arrays(self) -> dict[str, Array]:
        """The arrays that have derivatives, by the names of `SHAPES`."""
        return {name: getattr(self, name) for name in SHAPES}

    def take(self, which: ArrayLike) -> Gaussians:
        """Those of the numbers, or of the mask, `which`."""
        index = np.asarray(which)
        return Gaussians(**{name: value[index] for name, value in self.arrays().items()}, normals=self.normals[index])

    def replaced(self, values: Mapping[str, Any]) -> Gaussians:
        """The same with other arrays, by the names of `SHAPES`."""
        return Gaussians(**{**self.arrays(), **values}, normals=self.normals)

    def of_degree(self, degree: int) -> Gaussians:
        """The same with colours of this degree: new coefficients are 0, those beyond it are left out."""
        if degree not in DEGREES:
            raise DataError(f"degree = {degree!r}: spherical harmonics of degree 0, 1, 2 or 3")
        wide = np.zeros((len(self), count_of(degree), 3), np.float32)
        kept = min(wide.shape[1], self.harmonics.shape[1])
        wide[:, :kept] = self.harmonics[:, :kept]
        return self.replaced({"harmonics": wide})


def rotation_matrices(quaternions: ArrayLike) -> NDArray[np.float64]:
    """(N, 4) quaternions (w, x, y, z) of any length → (N, 3, 3)."""
    q = np.asarray(quaternions, dtype=np.float64)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def logit(opacity: ArrayLike) -> Array:
    """Inverse of the sigmoid, for opacities in (0, 1)."""
    o = np.asarray(opacity, dtype=np.float64)
    return np.asarray(np.log(o) - np.log1p(-o), dtype=np.float32)
