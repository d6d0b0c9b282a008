"""Files of cameras."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pbdr.data import read_frames, write_transforms
from pbdr.data.transforms_keys import KNOWN
from pbdr.errors import PbdrError
from pbdr.scene import load_object
from validation.files.parts import LIKELY
from validation.files.text import encoded, one_line, values


def camera_file() -> dict[str, Any]:
    """A transforms.json that is right."""
    pose = np.eye(4).tolist()
    frames = [{"file_path": f"imgs/r_{k}.png", "transform_matrix": pose} for k in range(2)]
    return {"fl_x": 5.0, "fl_y": 5.0, "cx": 3.0, "cy": 2.0, "w": 6, "h": 4, "frames": frames}


@st.composite
def camera_files(draw: st.DrawFn) -> bytes:
    """A right transforms.json with keys added, changed, misspelt or removed, in the file or in frames, saved somehow."""
    document = camera_file()
    for _ in range(draw(st.integers(0, 4))):
        key = draw(st.sampled_from(sorted({*KNOWN, *LIKELY})))
        value = draw(st.one_of(st.sampled_from(LIKELY.get(key, [0.1, 0, 1, "x", True, None])), values))
        if draw(st.integers(0, 5)) == 0:
            spot = draw(st.integers(0, len(key) - 1))
            key = draw(st.sampled_from([key.upper(), key[:spot] + key[spot + 1 :], key + "s"]))
        tables = [document, *(f for f in document.get("frames") or [] if isinstance(f, dict))]
        draw(st.sampled_from(tables))[key] = value
    return draw(encoded(json.dumps(document, indent=draw(st.sampled_from([None, 2])))))


def check_cameras(data: bytes, folder: Path) -> bool:
    """A camera file is refused, or gives cameras that Mitsuba builds and that are the same when written and read again."""
    path = folder / "transforms-fuzz.json"
    path.write_bytes(data)
    try:
        found = read_frames(
            path, missing="skip" if len(data) % 2 else "error", tell=lambda text: one_line(ValueError(text))
        )
        for frame, image in found:
            camera = frame.camera
            assert np.isfinite(camera.to_world.astype(np.float32)).all() and 0 < camera.focal < math.inf
            assert np.abs(camera.to_world[:3, :3].T @ camera.to_world[:3, :3] - np.eye(3)).max() < 1e-6
            assert np.linalg.det(camera.to_world[:3, :3]) > 0 and image.size == (camera.width, camera.height)
            load_object(camera.to_dict())
        cameras = [frame.camera for frame, _ in found]
        again = folder / "transforms-again.json"
        write_transforms(again, cameras, [str(frame.path) for frame, _ in found])
        for (frame, _), camera in zip(read_frames(again), cameras, strict=True):
            np.testing.assert_allclose(frame.camera.to_world, camera.to_world, atol=1e-9, rtol=1e-9)
            assert (frame.camera.model, frame.camera.distortion) == (camera.model, camera.distortion)
            assert math.isclose(frame.camera.focal, camera.focal, rel_tol=1e-9)
    except PbdrError as error:
        one_line(error)
        return False
    return True
