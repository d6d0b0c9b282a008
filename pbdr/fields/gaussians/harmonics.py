"""Real spherical harmonics of degree 0 to 3, in the order and with the signs of 3DGS (Sloan 2008; Kerbl et al. 2023).

The functions are written on components, so that they take NumPy's and Dr.Jit's arrays alike.
"""

from __future__ import annotations

from typing import Any

DEGREES = (0, 1, 2, 3)

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def count_of(degree: int) -> int:
    """Number of coefficients a channel."""
    return (degree + 1) ** 2


def degree_of(count: int) -> int:
    """Inverse of `count_of`."""
    return next(degree for degree in range(count) if count_of(degree) >= count) if count > 1 else 0


def basis(degree: int, x: Any, y: Any, z: Any) -> list[Any]:
    """The (degree + 1)² functions at a unit direction (x, y, z); the first is a plain number."""
    found: list[Any] = [C0]
    if degree > 0:
        found += [-C1 * y, C1 * z, -C1 * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        found += [
            C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * zz - xx - yy), C2[3] * x * z, C2[4] * (xx - yy),
        ]  # fmt: skip
    if degree > 2:
        found += [
            C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            C3[4] * x * (4 * zz - xx - yy),
            C3[5] * z * (xx - yy),
            C3[6] * x * (xx - 3 * yy),
        ]
    return found
