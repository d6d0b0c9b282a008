"""Hypothesis strategies for what people write into files, and the property each kind of file has to have.

A property returns True where a file was accepted and what was made of it was checked, False where it was refused by one clear line;
anything else that it raises is a fault of pbdr.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pbdr.data import encode_exr, encode_png
from validation.files.cameras import camera_file, camera_files, check_cameras
from validation.files.folders import check_environment, check_folder, environments, folders
from validation.files.images import check_image, image_files
from validation.files.jobs import check_job, job_files
from validation.files.parts import SCENE, SENSOR, SIZE


def prepare(folder: Path) -> None:
    """What jobs and camera files name: a scene with two sensors, images, masks, a transforms.json."""
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    (folder / "scene.xml").write_text(SCENE.format(sensors="".join(SENSOR.format(k=k) for k in range(2))))
    for k in range(3):
        (folder / "imgs" / f"r_{k}.png").write_bytes(encode_png(np.full((*SIZE, 3), 0.2 * k)))
    (folder / "imgs" / "rgba.exr").write_bytes(encode_exr(np.full((*SIZE, 4), 0.5)))
    mask = np.zeros(SIZE, np.uint8)
    mask[:2] = 255
    Image.fromarray(mask).save(folder / "imgs" / "mask.png")
    (folder / "transforms.json").write_text(json.dumps(camera_file()))


#: Kind → (strategy, property).
KINDS: dict[str, tuple[Any, Callable[[Any, Path], bool]]] = {
    "job files": (job_files(), check_job),
    "camera files": (camera_files(), check_cameras),
    "images": (image_files(), check_image),
    "environments": (environments(), check_environment),
    "folders and names": (folders(), check_folder),
}
