"""Cameras: pinhole intrinsics in pixels, poses in three conventions, and the Mitsuba sensor they make.

Mitsuba's camera looks along +z with +x to the *left* and +y up. OpenGL (NeRF) looks along −z with +x right, +y up;
OpenCV and COLMAP look along +z with +x right, +y down. Poses are camera-to-world 4 × 4 matrices, except COLMAP's
world-to-camera quaternion and translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

Matrix = NDArray[np.float64]

_OPENGL = np.diag([-1.0, 1.0, -1.0, 1.0])
_OPENCV = np.diag([-1.0, -1.0, 1.0, 1.0])


def opengl_to_mitsuba(to_world: ArrayLike) -> Matrix:
    """(4, 4) camera-to-world, OpenGL axes → Mitsuba axes."""
    return np.asarray(to_world, dtype=np.float64) @ _OPENGL


def mitsuba_to_opengl(to_world: ArrayLike) -> Matrix:
    """(4, 4) camera-to-world, Mitsuba axes → OpenGL axes."""
    return np.asarray(to_world, dtype=np.float64) @ _OPENGL


def opencv_to_mitsuba(to_world: ArrayLike) -> Matrix:
    """(4, 4) camera-to-world, OpenCV axes → Mitsuba axes."""
    return np.asarray(to_world, dtype=np.float64) @ _OPENCV


def mitsuba_to_opencv(to_world: ArrayLike) -> Matrix:
    """(4, 4) camera-to-world, Mitsuba axes → OpenCV axes."""
    return np.asarray(to_world, dtype=np.float64) @ _OPENCV


def colmap_to_mitsuba(quaternion_wxyz: ArrayLike, translation: ArrayLike) -> Matrix:
    """COLMAP's world-to-camera rotation (w, x, y, z) and translation (3,) → camera-to-world in Mitsuba axes."""
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = quaternion_to_rotation(quaternion_wxyz)
    world_to_camera[:3, 3] = np.asarray(translation, dtype=np.float64)
    return opencv_to_mitsuba(rigid_inverse(world_to_camera))


def mitsuba_to_colmap(to_world: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inverse of colmap_to_mitsuba: (quaternion wxyz with w ≥ 0, translation)."""
    world_to_camera = rigid_inverse(mitsuba_to_opencv(to_world))
    return rotation_to_quaternion(world_to_camera[:3, :3]), world_to_camera[:3, 3].copy()


def rigid_inverse(matrix: ArrayLike) -> Matrix:
    """Inverse of a rotation with translation, (4, 4)."""
    m = np.asarray(matrix, dtype=np.float64)
    result = np.eye(4)
    result[:3, :3] = m[:3, :3].T
    result[:3, 3] = -m[:3, :3].T @ m[:3, 3]
    return result


def quaternion_to_rotation(quaternion_wxyz: ArrayLike) -> Matrix:
    """(w, x, y, z), normalised here → rotation (3, 3). Raises DataError for a zero quaternion."""
    q = np.asarray(quaternion_wxyz, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if q.shape != (4,) or not np.isfinite(norm) or norm < 1e-12:
        raise DataError(f"{q.tolist()} is not a rotation quaternion (w, x, y, z)")
    w, x, y, z = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_to_quaternion(rotation: ArrayLike) -> NDArray[np.float64]:
    """Rotation (3, 3) → (w, x, y, z) with w ≥ 0, stable for every angle (eigenvector of Bar-Itzhack's matrix)."""
    r = np.asarray(rotation, dtype=np.float64)
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    _, vectors = np.linalg.eigh(k)  # reads the lower triangle
    q = vectors[[3, 0, 1, 2], 3]
    return np.asarray(q if q[0] >= 0 else -q)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, possibly with lens distortion.

    to_world       (4, 4) camera-to-world, Mitsuba axes, rotation and translation only
    width, height  pixels
    focal          pixels
    cx, cy         principal point in pixels from the top-left corner of the image (its first pixel centre is 0.5, 0.5)
    focal_y        pixels, where pixels are not square; None: as `focal`
    model          "pinhole", "opencv" or "opencv_fisheye"
    distortion     (name, value) of the model's coefficients, as OpenCV and COLMAP call them
    """

    to_world: Matrix
    width: int
    height: int
    focal: float
    cx: float
    cy: float
    focal_y: float | None = None
    model: str = "pinhole"
    distortion: tuple[tuple[str, float], ...] = ()

    @classmethod
    def from_fov(cls, to_world: ArrayLike, width: int, height: int, fov_x: float) -> Camera:
        """Centred principal point; ``fov_x`` is the horizontal field of view in radians."""
        focal = 0.5 * width / float(np.tan(0.5 * fov_x))
        return cls(np.asarray(to_world, dtype=np.float64), width, height, focal, 0.5 * width, 0.5 * height)

    @classmethod
    def look_at(
        cls, origin: ArrayLike, target: ArrayLike, up: ArrayLike, width: int, height: int, fov: float
    ) -> Camera:
        """As Mitsuba's look_at; ``fov`` is the horizontal field of view in radians."""
        eye = np.asarray(origin, dtype=np.float64)
        forward = np.asarray(target, dtype=np.float64) - eye
        forward = forward / np.linalg.norm(forward)
        left = np.cross(np.asarray(up, dtype=np.float64), forward)
        left = left / np.linalg.norm(left)
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = left, np.cross(forward, left), forward, eye
        return cls.from_fov(matrix, width, height, fov)

    @property
    def fov_x(self) -> float:
        """Horizontal field of view in radians, as of a centred film."""
        return 2.0 * float(np.arctan(0.5 * self.width / self.focal))

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """World points (N, 3) → pixel coordinates (N, 2), x to the right and y down; distortion is left out."""
        world = np.asarray(points, dtype=np.float64)
        local = (world - self.to_world[:3, 3]) @ self.to_world[:3, :3]
        return np.stack(
            [
                self.cx - self.focal * local[:, 0] / local[:, 2],
                self.cy - (self.focal_y or self.focal) * local[:, 1] / local[:, 2],
            ],
            axis=1,
        )

    def to_dict(self, *, samples: int = 16, rfilter: str = "box", pixel_format: str = "rgb") -> dict[str, Any]:
        """Mitsuba sensor dictionary (`perspective`, or the plugin of the lens model), with an HDR film of the camera's size."""
        import mitsuba as mi

        if self.model == "pinhole" and self.focal_y is None:
            lens: dict[str, Any] = {"type": "perspective", "fov": float(np.degrees(self.fov_x)), "fov_axis": "x"}
        else:
            focal_y = self.focal if self.focal_y is None else self.focal_y
            lens = {"type": "opencv" if self.model == "pinhole" else self.model, **dict(self.distortion)}
            lens |= {"focal_x": self.focal / self.width, "focal_y": focal_y / self.width}
        return {
            **lens,
            "to_world": mi.ScalarTransform4f(self.to_world.tolist()),
            "near_clip": 1e-3,
            "far_clip": 1e5,
            # Mitsuba moves the film against the principal point, hence the sign.
            "principal_point_offset_x": 0.5 - self.cx / self.width,
            "principal_point_offset_y": 0.5 - self.cy / self.height,
            "sampler": {"type": "independent", "sample_count": samples},
            "film": {
                "type": "hdrfilm",
                "width": self.width,
                "height": self.height,
                "pixel_format": pixel_format,
                "component_format": "float32",
                "rfilter": {"type": rfilter},
            },
        }
