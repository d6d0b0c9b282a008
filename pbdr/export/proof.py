"""Are exports what was estimated? Images of both, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Camera
from ..errors import PbdrError
from ..job import metrics, views
from ..lights import FIVE, relit
from ..scene import Scene, load_object, load_scene
from ..seeds import hashed
from .format import Source

SIZE = 64  # longest side of the images that are compared, pixels
SPP = 64
LIT_SPP = 1024  # of the images under five lights: their noise has to stay well below what is compared
BATCHES = 4  # independent images, whose spread is the noise
SIGMAS = 5.0  # difference of the means that noise explains, in standard errors


def within_noise(first: NDArray[Any], second: NDArray[Any]) -> dict[str, Any]:
    """Do two sets of independent images, (B, H, W, 3), have the same mean? The largest deviation in standard errors, of blocks of
    pixels and of whole images; blocks make the distribution of noise close to normal."""
    a, b = (_blocks(np.asarray(x, dtype=np.float64)) for x in (first, second))
    spread = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / len(a))
    floor = 1e-4 * max(float(np.abs(a).mean()), 1e-12)
    off = a.mean(axis=0) - b.mean(axis=0)
    error = np.sqrt(spread**2 + np.mean(spread**2) + floor**2)  # few batches: their own spread alone has outliers
    whole = np.sqrt(np.mean(spread**2) / spread.size + floor**2)
    return {
        "largest_sigmas": float(max(np.abs(off / error).max(), abs(off.mean()) / whole)), "blocks": int(error.size),
        "relative_error_detected": float(SIGMAS * whole / max(float(np.abs(a).mean()), 1e-12)),
    }  # fmt: skip


def _blocks(images: NDArray[np.float64], side: int = 8) -> NDArray[np.float64]:
    count, height, width, channels = images.shape
    h, w = max(1, height // side), max(1, width // side)
    cut = images[:, : h * min(side, height), : w * min(side, width)]
    return cut.reshape(count, h, cut.shape[1] // h, w, cut.shape[2] // w, channels).mean(axis=(2, 4))


def batches(scene: Scene, sensor: Any, integrator: Mapping[str, Any], name: str, spp: int = SPP) -> NDArray[np.float32]:
    """(B, H, W, 3) independent images."""
    seeds, each = [hashed(0, name, batch) for batch in range(BATCHES)], max(1, spp // BATCHES)
    return np.stack([views.render_path(scene, sensor, each, seed, dict(integrator))[..., :3] for seed in seeds])


def same_scene(source: Source, path: Path) -> dict[str, Any]:
    """A scene file against the estimate: every parameter, and images of one view."""
    from ..parameters import list_parameters, read

    loaded = load_scene(path, sensor_required=False)
    mine = {p.name: p for p in list_parameters(source.original)}
    other = {p.name: p for p in list_parameters(loaded)}
    different = sorted(set(mine) ^ set(other))
    for name in set(mine) & set(other):
        a, b = read(source.original, mine[name]), read(loaded, other[name])
        if a.shape != b.shape or not np.allclose(
            a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(a).max(initial=0)))
        ):
            different.append(name)
    found: dict[str, Any] = {"parameters": len(mine), "different": different, "ok": not different}
    if source.views:
        sensor = load_object(smaller(source).to_dict())
        images = [
            batches(scene, sensor, source.integrator, name) for name, scene in (("a", source.original), ("b", loaded))
        ]
        found |= within_noise(*images)
        found["psnr"] = metrics.psnr(images[0].mean(axis=0), images[1].mean(axis=0))
        found["ok"] = found["ok"] and found["largest_sigmas"] <= SIGMAS
    return found


def smaller(source: Source, number: int = 0) -> Camera:
    """A camera of the job with at most SIZE pixels a side."""
    camera = source.views[number].camera
    return resized(camera, min(SIZE, max(camera.width, camera.height)))


def resized(camera: Camera, longest: int) -> Camera:
    """The camera with this many pixels along its longer side, rounded along the other; it sees the same."""
    factor = longest / max(camera.width, camera.height)
    width, height = max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    x, y = width / camera.width, height / camera.height
    focal, focal_y = camera.focal * x, (camera.focal if camera.focal_y is None else camera.focal_y) * y
    return replace(
        camera, width=width, height=height, focal=focal, cx=camera.cx * x, cy=camera.cy * y,
        focal_y=None if abs(focal_y - focal) < 1e-9 else focal_y,
    )  # fmt: skip


def five_lights(source: Source, shapes: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Images of a file's PBR materials against those of the estimate, both under five lights that are in neither."""
    from . import pbr

    if not source.views or not source.asset.parts:
        return {"skipped": "there is no camera, or nothing to see"}
    sensor = load_object(smaller(source).to_dict())
    result: dict[str, Any] = {}
    file = pbr.scene_of(shapes(), smaller(source).to_dict())
    for name, light in FIVE.items():
        try:
            mine = batches(relit(source.scene, light), sensor, source.integrator, name, LIT_SPP)
            other = batches(relit(file, light), sensor, source.integrator, f"{name}, file", LIT_SPP)
        except PbdrError as error:
            return {"skipped": str(error)}
        half = BATCHES // 2
        result[name] = {
            "psnr": metrics.psnr(other.mean(axis=0), mine.mean(axis=0)),
            "psnr_of_noise": metrics.psnr(mine[:half].mean(axis=0), mine[half:].mean(axis=0)),
        }
    return {"protocol": metrics.PSNR_PROTOCOL, "view": source.views[0].name, "spp": LIT_SPP, "lights": result,
            "psnr": float(np.mean([entry["psnr"] for entry in result.values()]))}  # fmt: skip
