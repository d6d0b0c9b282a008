"""transforms.json (NeRF, Instant-NGP, Nerfstudio): read with every check a mistake deserves, and write.

Poses are camera-to-world with OpenGL axes. Intrinsics are `camera_angle_x` (radians), `x_fov` (degrees) or `fl_x` `fl_y` `cx` `cy`
in pixels, for all frames or per frame. `file_path` and `mask_path` are relative to the file's folder, with or without an extension.
`transforms_keys` says what becomes of every other key.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import DataError
from .. import transforms_keys as keys
from ..cameras import Camera, Matrix, mitsuba_to_opengl, opengl_to_mitsuba
from ..files import named, natural_key
from ..images import SUFFIXES, Color, Exif, LoadedImage
from ..lens import LARGEST, focal_lengths, lens_of, number
from ..text import read_text
from .format import Format, Frame, Missing, Source, check_absent, exchanged, warn


class Transforms(Format):
    """transforms.json: the file names its images."""

    name: ClassVar[str] = "a transforms.json"
    images: ClassVar[bool] = False

    def claims(self, path: Path) -> bool:
        return path.suffix.lower() == ".json"

    def read(self, source: Source) -> list[Frame]:
        path = Path(source.cameras)
        data = _parse(path)
        frames = data.get("frames")
        if frames is None:
            keys.check(data, str(path))  # 'frame' for 'frames' is a typing mistake
        if not isinstance(frames, list) or not frames:
            raise DataError(f"{path}: 'frames' must be a list with at least one frame")
        found = _found(path, data, frames, source)
        masked = _masks(path, found) if source.masks else [None] * len(found)
        _tell_neighbours(path, [image for image, _, _ in found], source.tell)
        return [
            _frame(image, all_keys, where, mask, source)
            for (image, all_keys, where), mask in zip(found, masked, strict=True)
        ]


def read_frames(
    path: str | Path, color: Color = "srgb", *, missing: Missing = "error", exif: Exif = "ignore",
    layer: str | None = None, masks: bool = True, tell: Callable[[str], None] = warn,
) -> list[tuple[Frame, LoadedImage]]:  # fmt: skip
    """Every frame with its image, in natural order of the file paths; masks that frames name are in their images.

    ``missing`` = "skip" leaves out frames whose image is not there; ``masks`` = False does not read `mask_path`. ``exif`` and
    ``layer``: see load_image. ``tell`` is called with what a reader of the file may not expect, such as unknown keys.
    Raises DataError, naming the file and the frame, for what is missing, malformed or not supported.
    """
    source = Source(Path(path), color=color, missing=missing, exif=exif, layer=layer, masks=masks, tell=tell)
    return [(frame, source.load(frame.path, frame.mask)) for frame in Transforms().read(source)]


def read_cameras(path: str | Path) -> list[tuple[str, Camera]]:
    """The cameras of a file, with the names of their images, which need not be there: frames state their size, `w` and `h`.

    Raises DataError, naming the file and the frame, as `read_frames` does.
    """
    path = Path(path)
    data = _parse(path)
    found = []
    for index, frame in enumerate(data.get("frames") or ()):
        given = keys.merged(data, frame)
        where = f"{path}: frame {index} ({_short(frame.get('file_path', 'without file_path'))})"
        keys.check(given, where)
        size = [number(given, key, where) for key in ("w", "h")]
        if not all(size):
            raise DataError(f"{where}: 'w' and 'h' are missing: without an image, a frame must state its size")
        camera = _camera(given, (round(size[0] or 0), round(size[1] or 0)), where)
        found.append((Path(str(given.get("file_path", f"frame-{index:03d}"))).stem, camera))
    if not found:
        raise DataError(f"{path}: 'frames' must be a list with at least one frame")
    return found


def _found(
    path: Path, data: dict[str, Any], frames: list[Any], source: Source
) -> list[tuple[Path, dict[str, Any], str]]:
    """(image, keys, what messages call it) of every frame whose image is there, in natural order of the images."""
    found, absent = [], []
    notes: dict[str, int] = {}
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise DataError(f"{path}: frame {index} is not an object")
        all_keys = keys.merged(data, frame)
        where = f"{path}: frame {index} ({_short(frame.get('file_path', 'without file_path'))})"
        for note in keys.check(all_keys, where):
            notes[note] = notes.get(note, 0) + 1
        image = _file(path, all_keys.get("file_path"), "file_path", where)
        if image is None:
            absent.append(str(all_keys["file_path"]))
        else:
            found.append((image, all_keys, where))
    _check_whole(path, data, [all_keys for _, all_keys, _ in found])
    for note, count in notes.items():
        source.tell(f"{path}: {note}" + ("" if count == len(frames) else f" ({count} of {len(frames)} frames)"))
    check_absent(str(path), absent, len(frames), source)
    found.sort(key=lambda item: natural_key(str(item[0])))
    for (first, _, _), (second, _, where) in itertools.pairwise(found):
        if first == second:
            raise DataError(f"{where}: two frames name the same image {first}")
    return found


def _frame(path: Path, frame: dict[str, Any], where: str, mask: Path | None, source: Source) -> Frame:
    image = source.load(path, mask)
    camera = _camera(frame, image.size, where, _exif_hint(frame, image, where, source.exif))
    return Frame(path, camera, mask, seen_by=f"frame of {source.cameras}")


def _masks(path: Path, found: Iterable[tuple[Path, dict[str, Any], str]]) -> list[Path | None]:
    masks: list[Path | None] = []
    absent = []
    for _, frame, where in found:
        name = frame.get("mask_path")
        mask = None if name is None else _file(path, name, "mask_path", where)
        if name is not None and mask is None:
            absent.append(str(name))
        masks.append(mask)
    if absent:
        raise DataError(
            f"{path}: {len(absent)} masks (mask_path) are missing: {', '.join(sorted(absent, key=natural_key))}. "
            "Add them, or do without any by [data] frame_masks = false"
        )
    return masks


def _tell_neighbours(path: Path, images: Sequence[Path], tell: Callable[[str], None]) -> None:
    """Files that Instant-NGP reads because of their names."""
    for kind, name in (
        ("masks", "dynamic_mask_{stem}.png"),
        ("alpha", "{name}.alpha{suffix}"),
        ("rays", "rays_{stem}.dat"),
    ):
        near = [image.with_name(name.format(stem=image.stem, name=image.name, suffix=image.suffix)) for image in images]
        count = sum(p.is_file() for p in near)
        if count:
            tell(
                f"{path}: {count} files like {near[0].name} ({kind} of Instant-NGP) are not read; masks are named by 'mask_path'"
            )


def _check_whole(path: Path, data: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    """What only all frames together show."""
    count = data.get("n_frames")
    if count is not None and count != len(data["frames"]):
        raise DataError(
            f"{path}: 'n_frames' = {_short(count)} but there are {len(data['frames'])} frames; correct it or remove it"
        )
    times = {json.dumps(frame["time"]) for frame in frames if frame.get("time") is not None}
    if len(times) > 1:
        raise DataError(
            f"{path}: frames have {len(times)} different 'time's: the scene moves between them, which is not modelled"
        )


def write_transforms(path: str | Path, cameras: Sequence[Camera], file_paths: Sequence[str]) -> None:
    """Write cameras (Mitsuba axes) as a transforms.json; ``file_paths`` are relative to its folder."""
    if len(cameras) != len(file_paths):
        raise DataError(f"{path}: {len(cameras)} cameras but {len(file_paths)} file paths")
    frames = [
        {
            "file_path": name,
            "w": camera.width,
            "h": camera.height,
            "fl_x": camera.focal,
            "fl_y": camera.focal if camera.focal_y is None else camera.focal_y,
            "cx": camera.cx,
            "cy": camera.cy,
            "camera_model": "PINHOLE" if camera.model == "pinhole" else camera.model.upper(),
            **dict(camera.distortion),
            "transform_matrix": mitsuba_to_opengl(camera.to_world).tolist(),
        }
        for camera, name in zip(cameras, file_paths, strict=True)
    ]
    Path(path).write_text(json.dumps({"frames": frames}, indent=2) + "\n", encoding="utf-8")


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path), object_pairs_hook=lambda pairs: _object(pairs, path))
    except FileNotFoundError as error:
        raise DataError(f'{path}: no such file; [data] cameras names a transforms.json, or is "scene"') from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    except RecursionError as error:
        raise DataError(f"{path}: not a transforms.json (it is nested too deeply)") from error
    except ValueError as error:  # whole numbers of thousands of digits
        raise DataError(f"{path}: not valid JSON ({str(error).split(';')[0]})") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: not a transforms.json (the top level must be an object with 'frames')")
    return data


def _object(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: the key {_short(twice)} is given twice in one object")
    return result


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) and value.isprintable() else repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _file(path: Path, name: Any, key: str, where: str) -> Path | None:
    """The file that a frame names, with or without extension, with Windows' separators, too; None if there is none."""
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: '{key}' is missing, or no text")
    for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
        base = path.parent / spelled
        for suffix in ("", *SUFFIXES, *(s.upper() for s in SUFFIXES)):
            found = named(base.parent, base.name + suffix) if base.name else None
            if found is not None and found.is_file():
                return found
    return None


def _exif_hint(frame: dict[str, Any], image: LoadedImage, where: str, exif: Exif) -> str:
    """What to do where the file's size is that of the image turned the other way."""
    stated = [number(frame, key, where) for key in ("w", "h")]
    return "" if None in stated else exchanged(image, (round(stated[0] or 0), round(stated[1] or 0)), exif)


def _camera(frame: dict[str, Any], size: tuple[int, int], where: str, hint: str = "") -> Camera:
    width, height = size
    for key, actual in (("w", width), ("h", height)):
        stated = number(frame, key, where)
        if stated is not None and round(stated) != actual:
            raise DataError(
                f"{where}: the image is {width} x {height} pixels but '{key}' is {stated:g}; "
                f"intrinsics must belong to the images that are used{hint}"
            )
    model, distortion = lens_of(frame, where)
    focal, focal_y = focal_lengths(frame, width, height, where)
    cx, cy = number(frame, "cx", where), number(frame, "cy", where)
    return Camera(
        opengl_to_mitsuba(_pose(_matrix(frame, where), where)),
        width,
        height,
        focal,
        0.5 * width if cx is None else cx,
        0.5 * height if cy is None else cy,
        focal_y,
        model,
        distortion,
    )


def _matrix(frame: dict[str, Any], where: str) -> Any:
    """The pose, of a camera that rests during the exposure."""
    given = [
        frame[key] for key in ("transform_matrix", "transform_matrix_start", "transform_matrix_end") if key in frame
    ]
    if any(matrix != given[0] for matrix in given):
        raise DataError(f"{where}: 'transform_matrix_start' and '_end' differ: a moving camera is not modelled")
    return given[0] if given else None


def _numbers(value: Any) -> Matrix:
    """Rows of equally many numbers as a matrix; an empty one for anything else, such as numbers in quotes."""
    rows = value if isinstance(value, list) and all(isinstance(row, list) for row in value) else []
    flat = [entry for row in rows for entry in row]
    if len({len(row) for row in rows}) != 1 or not all(type(entry) in (int, float) for entry in flat):
        return np.zeros(0)
    try:
        return np.asarray(rows, dtype=np.float64)
    except OverflowError:
        return np.full((4, 4), np.inf)


def _shape(value: Any) -> str:
    if value is None:
        return "missing"
    matrix = _numbers(value)
    return str(matrix.shape) if matrix.size else _short(value)


def _pose(value: Any, where: str) -> Matrix:
    """Check a camera-to-world matrix: 4 × 4 (or 3 × 4), finite, a rotation up to rounding; returned orthonormal."""
    matrix = _numbers(value)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
    if matrix.shape != (4, 4):
        raise DataError(f"{where}: 'transform_matrix' must be 4 x 4 numbers, not {_shape(value)}")
    if not (np.abs(matrix) < LARGEST).all():
        raise DataError(f"{where}: 'transform_matrix' holds NaN or infinite numbers, or larger ones than 1e30")
    rotation = matrix[:3, :3]
    left, scale, right = np.linalg.svd(rotation)
    if np.linalg.det(rotation) <= 0.0 or np.abs(scale - 1.0).max() > 1e-2:
        raise DataError(
            f"{where}: 'transform_matrix' is not a rotation with translation "
            f"(scales {', '.join(f'{s:.4g}' for s in scale)}, determinant {np.linalg.det(rotation):.4g})"
        )
    if np.abs(matrix[3] - [0.0, 0.0, 0.0, 1.0]).max() > 1e-6:
        raise DataError(f"{where}: the last row of 'transform_matrix' must be 0 0 0 1")
    result = matrix.copy()
    result[:3, :3] = left @ right  # the nearest rotation: poses are written with few digits
    return result
