"""Cameras: transforms.json (NeRF, Instant-NGP, Nerfstudio) and COLMAP's text files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import Camera, colmap_to_mitsuba, mitsuba_to_colmap, write_transforms
from ...job import storage
from ...job.capture import surface
from ..format import Format, Source, Written

POINTS = 2000


class Transforms(Format):
    """Cameras with OpenGL's axes."""

    name: ClassVar[str] = "transforms"
    text: ClassVar[str] = (
        "Cameras as transforms.json: camera-to-world, OpenGL's axes, pixels; paths of the images relative to it"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write transforms.json."""
        if not source.views:
            return Written(lost=["no camera is a pinhole or a lens of OpenCV's"])
        path = folder / "transforms.json"
        with storage.reported(path):
            folder.mkdir(parents=True, exist_ok=True)
            write_transforms(path, [view.camera for view in source.views], [view.image for view in source.views])
        return Written([path])

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read as OpenGL says: points in front of every camera fall on the pixels that they should."""
        import json

        if not written.files:
            return {"ok": True}
        frames = json.loads(written.files[0].read_text(encoding="utf-8"))["frames"]
        worst = 0.0
        for view, frame in zip(source.views, frames, strict=True):
            points = _in_front(view.camera)
            local = (np.c_[points, np.ones(len(points))] @ np.linalg.inv(frame["transform_matrix"]).T)[:, :3]
            x = frame["cx"] + frame["fl_x"] * local[:, 0] / -local[:, 2]
            y = frame["cy"] - frame["fl_y"] * local[:, 1] / -local[:, 2]
            worst = max(worst, float(np.abs(np.stack([x, y], 1) - view.camera.project(points)).max()))
        return {
            "reader": "projection by the formula of OpenGL",
            "cameras": len(frames),
            "largest_pixels": worst,
            "ok": worst < 1e-3,
        }


class Colmap(Format):
    """Cameras as COLMAP writes them."""

    name: ClassVar[str] = "colmap"
    text: ClassVar[str] = (
        "Cameras as COLMAP's text files: world-to-camera, quaternion w x y z; points3D.txt has points of the estimated surfaces"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write colmap/cameras.txt, images.txt and points3D.txt."""
        root = folder / "colmap"
        if not source.views:
            return Written(lost=["no camera is a pinhole or a lens of OpenCV's"])
        cameras: dict[str, int] = {}
        images = []
        for number, view in enumerate(source.views, start=1):
            words = lens_words(view.camera)
            camera = cameras.setdefault(words, len(cameras) + 1)
            quaternion, translation = mitsuba_to_colmap(view.camera.to_world)
            pose = " ".join(f"{x:.12g}" for x in (*quaternion, *translation))
            images += [f"{number} {pose} {camera} {Path(view.image).name}", ""]
        points, _, _ = surface(source.original, POINTS)
        files = {
            "cameras.txt": [f"{number} {words}" for words, number in cameras.items()],
            "images.txt": images,
            "points3D.txt": [
                f"{i} {x:.7g} {y:.7g} {z:.7g} 128 128 128 0" for i, (x, y, z) in enumerate(points, start=1)
            ],
        }
        for name, lines in files.items():
            storage.write_text(root / name, "\n".join([*lines, ""]))
        return Written([root / name for name in files], ["points of points3D.txt are not matched with images"])

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read by pycolmap where it is installed: its projections of points are ours."""
        if not written.files:
            return {"ok": True}
        try:
            import pycolmap
        except ImportError:
            return self._by_hand(source, written)
        model = pycolmap.Reconstruction(str(written.files[0].parent))
        worst = 0.0
        for number, view in enumerate(source.views, start=1):
            image = model.images[number]
            points = _in_front(view.camera)
            local = points @ image.cam_from_world().matrix()[:, :3].T + image.cam_from_world().matrix()[:, 3]
            pixels = model.cameras[image.camera_id].img_from_cam(local)
            if view.camera.model == "pinhole":
                worst = max(worst, float(np.abs(np.asarray(pixels) - view.camera.project(points)).max()))
        return {
            "reader": f"pycolmap {pycolmap.__version__}",
            "images": len(model.images),
            "largest_pixels": worst,
            "ok": worst < 1e-2,
        }

    def _by_hand(self, source: Source, written: Written) -> dict[str, Any]:
        lines = [line for line in written.files[1].read_text(encoding="utf-8").splitlines() if line]
        worst = 0.0
        for view, line in zip(source.views, lines, strict=True):
            numbers = np.array([float(x) for x in line.split()[1:8]])
            worst = max(worst, float(np.abs(colmap_to_mitsuba(numbers[:4], numbers[4:]) - view.camera.to_world).max()))
        return {
            "reader": "pbdr's own (pip install 'pbdr[colmap]' for COLMAP's)",
            "images": len(lines),
            "largest_difference": worst,
            "ok": worst < 1e-5,
        }


def lens_words(camera: Camera) -> str:
    """Model, size and parameters as a line of cameras.txt has them."""
    focal_y = camera.focal if camera.focal_y is None else camera.focal_y
    given = dict(camera.distortion)
    name, numbers = "PINHOLE", [camera.focal, focal_y, camera.cx, camera.cy]
    if camera.model == "opencv":
        name = "OPENCV"
        numbers += [given.get(key, 0.0) for key in ("k1", "k2", "p1", "p2")]
        if given.get("k3", 0.0):
            name = "FULL_OPENCV"
            numbers += [given["k3"], 0.0, 0.0, 0.0]
    elif camera.model == "opencv_fisheye":
        name = "OPENCV_FISHEYE"
        numbers += [given.get(key, 0.0) for key in ("k1", "k2", "k3", "k4")]
    return f"{name} {camera.width} {camera.height} " + " ".join(f"{x:.12g}" for x in numbers)


def _in_front(camera: Camera) -> Any:
    """World points over the film of a camera, at several depths."""
    random = np.random.default_rng(0).uniform(size=(16, 3))
    depth = 1 + 4 * random[:, 2]
    x = (random[:, 0] * camera.width - camera.cx) / camera.focal
    y = (random[:, 1] * camera.height - camera.cy) / (camera.focal_y or camera.focal)
    local = np.stack([-x, -y, np.ones(16)], 1) * depth[:, None]
    return local @ camera.to_world[:3, :3].T + camera.to_world[:3, 3]
