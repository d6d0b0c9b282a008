"""COLMAP's sparse models, text or binary, with a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...errors import DataError
from .. import colmap
from ..cameras import Camera, Matrix, colmap_to_mitsuba
from ..files import named, natural_key
from .format import Format, Frame, Source, check_absent, exchanged

#: Model of COLMAP → the lens here that has its distortion.
LENSES = {
    **dict.fromkeys(
        ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"),
        ("opencv", ("k1", "k2", "p1", "p2", "k3")),
    ),
    **dict.fromkeys(
        ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE"),
        ("opencv_fisheye", ("k1", "k2", "k3", "k4")),
    ),
}
SAME_SHAPE = 1.5  # pixels by which sides of reduced images may differ, for they are rounded


class Colmap(Format):
    """A sparse model: cameras.bin and images.bin, or .txt. Images that it does not have registered are left out."""

    name: ClassVar[str] = "a COLMAP folder (sparse/0)"

    def claims(self, path: Path) -> bool:
        return path.is_dir() and colmap.find_model(path) is not None

    def read(self, source: Source) -> list[Frame]:
        model = colmap.find_model(source.cameras)
        assert model is not None
        cameras, images = colmap.read_cameras(model), colmap.read_images(model)
        if not images:
            raise DataError(f"{model}: no image is registered in this model; take another one, or reconstruct again")
        folder = _images(model, source)
        found, absent = [], []
        for image in sorted(images.values(), key=lambda image: natural_key(image.name)):
            path = named((folder / image.name).parent, Path(image.name).name) if image.name else None
            if image.camera not in cameras:
                raise DataError(f"{model}: the image {image.name} has camera {image.camera}, which does not exist")
            if path is None or not path.is_file():
                absent.append(image.name)
            else:
                found.append((path, image))
        check_absent(str(model), absent, len(images), source, f" They were looked for in {folder}.")
        scales: dict[str, int] = {}
        frames = [_frame(path, image, cameras[image.camera], model, source, scales) for path, image in found]
        for text, count in scales.items():
            source.tell(
                f"{model}: {count} of {len(frames)} images are {text} of their cameras; intrinsics are scaled with them"
            )
        return frames


def _images(model: Path, source: Source) -> Path:
    """The folder of the images: the one that is given, or `images` beside the model or above it."""
    if source.images is not None:
        folder = Path(source.images)
        if not folder.is_dir():
            raise DataError(
                f"[data] images = {source.images!r} is no folder; names of a COLMAP model are relative to one"
            )
        return folder
    for above in (model, *list(model.parents)[:2]):
        if (above / "images").is_dir():
            return above / "images"
    raise DataError(
        f'{model}: there is no folder "images" beside the model; say where they are by [data] images = "folder"'
    )


def _frame(
    path: Path,
    image: colmap.SparseImage,
    sparse: colmap.SparseCamera,
    model: Path,
    source: Source,
    scales: dict[str, int],
) -> Frame:
    loaded = source.load(path)
    where = f"{model}: camera {image.camera} of {image.name}"
    scale = Scale(loaded.size[0] / sparse.width, loaded.size[1] / sparse.height)
    off = abs(loaded.size[1] - sparse.height * scale.x), abs(loaded.size[0] - sparse.width * scale.y)
    if loaded.size != (sparse.width, sparse.height):
        if min(off) > SAME_SHAPE:
            raise DataError(
                f"{path}: {loaded.size[0]} x {loaded.size[1]} pixels, but {where} has {sparse.width} x "
                f"{sparse.height}{exchanged(loaded, (sparse.width, sparse.height), source.exif)}"
            )
        text = f"{scale.x:.4g} times the size"
        scales[text] = scales.get(text, 0) + 1
    pose = colmap_to_mitsuba(image.quaternion, image.translation)
    return Frame(path, to_camera(sparse, pose, where, loaded.size), seen_by=f"camera {image.camera} of {model}")


@dataclass(frozen=True)
class Scale:
    """Pixels of an image per pixel of its camera, along both axes."""

    x: float = 1.0
    y: float = 1.0


def to_camera(sparse: colmap.SparseCamera, to_world: Matrix, where: str, size: tuple[int, int] | None = None) -> Camera:
    """Return a camera of a model as pbdr has it, for images of `size` (that of the camera if None).

    Raises DataError, naming the model, for lenses that pbdr does not have.
    """
    if sparse.model not in LENSES:
        raise DataError(
            f"{where}: the lens {sparse.model} is not supported; undistort the images (colmap image_undistorter), or reconstruct "
            f"with one of {', '.join(LENSES)}"
        )
    width, height = size or (sparse.width, sparse.height)
    scale = Scale(width / sparse.width, height / sparse.height)
    given = dict(sparse.parameters)
    fx = given.pop("fx", given.get("f", 0.0)) * scale.x
    fy = given.pop("fy", given.pop("f", 0.0)) * scale.y
    cx, cy = given.pop("cx") * scale.x, given.pop("cy") * scale.y
    if not 0 < min(fx, fy) <= max(fx, fy) < 1e12:
        raise DataError(f"{where}: focal lengths of {fx:g} and {fy:g} pixels are no camera's")
    lens, names = LENSES[sparse.model]
    other = {name: value for name, value in given.items() if value and name not in names}
    if other:
        shown = ", ".join(f"{name} = {value:g}" for name, value in other.items())
        raise DataError(
            f"{where}: {shown} of {sparse.model} are not coefficients of a lens here ({', '.join(names)}): undistort the images, "
            "or reconstruct with OPENCV"
        )
    if lens == "opencv" and not any(given.values()):
        lens, names = "pinhole", ()
    square = abs(fx - fy) < 1e-6 * fx
    distortion = tuple((name, given.get(name, 0.0)) for name in names)
    return Camera(to_world, width, height, fx, cx, cy, None if square else fy, lens, distortion)
