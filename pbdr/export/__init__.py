"""The estimate of a run in formats that other programs read, each read again and compared before it counts."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import Camera
from ..data.sensors import camera_of
from ..errors import DataError, OptionError, PbdrError, closest
from ..job import storage
from ..job.estimate import Estimate
from ..parameters.recipe import with_values
from ..scene import sensor_of
from .asset import View, read_asset
from .format import Format, Source, Written
from .formats import FORMATS
from .gaussians import export_gaussians

__all__ = ["FORMATS", "Format", "Source", "Written", "chosen", "export", "views_of"]


def chosen(names: Sequence[str]) -> list[type[Format]]:
    """Formats by name; all where none is named. OptionError for one that is unknown or lacks its package."""
    for name in names:
        if name not in FORMATS:
            if name.lower().strip(".") in ("vdb", "openvdb", "nvdb"):
                raise OptionError(
                    "there is no format 'vdb': PyPI has no wheel of openvdb. Take 'volumes' (.vol and .npy)."
                )
            near = closest(name, FORMATS)
            hint = f" Closest: {near[0]}." if near else ""
            raise OptionError(f"there is no format '{name}'.{hint} Formats: {', '.join(FORMATS)}")
        if not _installed(FORMATS[name]):
            raise OptionError(f"the format '{name}' needs another package: pip install 'pbdr[export]'")
    return [FORMATS[name] for name in dict.fromkeys(names)] if names else list(FORMATS.values())


def _installed(format: type[Format]) -> bool:
    return not format.requires or importlib.util.find_spec(format.requires) is not None


def export(
    estimate: Estimate, formats: Iterable[type[Format]], folder: Path, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Write an estimate in these formats below `folder`, read each again, and write export.json: files, losses, proofs.

    Returns what export.json holds; its "ok" says whether everything that was read again is what was written. Raises SceneError,
    ParameterError for values that no file can hold, DataError for a full disk.
    """
    if estimate.job.field is not None:
        raise DataError(f"{estimate.run.path}: a radiance field has no surfaces, and this version has no format for it")
    if estimate.job.gaussians is not None:
        formats = list(formats)
        if len(formats) < len(FORMATS):
            raise OptionError(
                f"{formats[0].name}: a run of Gaussians is exported as the PLY file of 3DGS alone: leave formats out"
            )
        return export_gaussians(estimate, folder)
    views, told = views_of(estimate, folder)
    result: dict[str, Any] = {"run": str(estimate.run.path), "step": estimate.step, "scene": estimate.scene.source}
    with tempfile.TemporaryDirectory() as temporary:
        scene = with_values(estimate.scene, estimate.variables.moved, Path(temporary))
        asset = read_asset(scene, views)
        asset.lost.extend(told)
        if estimate.variables.timed:
            asset.lost.append("values that change with time are those of time 0")
        source = Source(scene, estimate.scene, asset, estimate.job.render.integrator)
        result |= {"up": asset.up, "lost": asset.lost, "formats": {}}
        for format in formats:
            result["formats"][format.name] = _written(format, source, folder, tell)
    result["ok"] = all(entry.get("check", {}).get("ok", True) for entry in result["formats"].values())
    storage.write_json(folder / "export.json", result)
    return result


def _written(format: type[Format], source: Source, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    entry: dict[str, Any] = {"text": format.text}
    if not _installed(format):
        return {**entry, "skipped": "not installed: pip install 'pbdr[export]'"}
    tell(f"{format.name}: writing")
    one = format()
    try:
        written = one.write(source, folder)
    except PbdrError as error:
        if isinstance(error, DataError | OptionError):
            raise
        return {**entry, "skipped": str(error)}
    tell(f"{format.name}: reading again")
    files = [str(path.relative_to(folder)) for path in written.files]
    return {**entry, "files": files, "lost": list(dict.fromkeys(written.lost)), "check": one.check(source, written)}


def views_of(estimate: Estimate, folder: Path) -> tuple[list[View], list[str]]:
    """Cameras of a run with their images relative to `folder`; and in words, which are left out."""
    lost: list[str] = []
    try:
        found = estimate.views(lambda _: None)
        entries = [
            (view.name, sensor_of(estimate.scene, view.sensor), found.sources.get(view.name, ""))
            for view in found.views
        ]
    except PbdrError as error:
        lost.append(f"cameras are those of {estimate.scene.source}, because the views cannot be read: {error}")
        entries = [(str(sensor.id()), sensor, "") for sensor in estimate.scene.sensors]
    views = []
    for name, sensor, image in entries:
        camera = lens_camera(sensor)
        if camera is None:
            lost.append(f"camera '{name}' is neither a pinhole nor a lens of OpenCV's: left out")
            continue
        if sensor.class_name() == "ThinLensCamera":
            lost.append(f"camera '{name}': its aperture is left out")
        path = Path(image)
        if not path.is_file():
            path = estimate.run.images("target") / f"{name}.exr"
        views.append(View(name, camera, os.path.relpath(path, folder).replace(os.sep, "/")))
    return views, lost


def lens_camera(sensor: Any) -> Camera | None:
    """The camera of a sensor with its distortion; None for what is neither a pinhole nor a lens of OpenCV's."""
    camera = camera_of(sensor)
    if camera is None or sensor.class_name() != "DistortedCamera":
        return camera
    names = sensor.model.names
    values = tuple((name, float(sensor.values[name].numpy().reshape(-1)[0])) for name in names)
    return replace(camera, model=sensor.plugin, distortion=values)
