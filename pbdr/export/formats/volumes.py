"""Grids of volumes: Mitsuba's .vol and NumPy's .npy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ...job import storage
from ...job.results import slug
from ...parameters import list_parameters, read, traverse
from ...scene import Scene
from ..format import Format, Source, Written


@dataclass(frozen=True)
class Grid:
    """A grid of a scene: values (Z, Y, X, C), and its box in the scene, from `low` to `high`."""

    name: str
    values: NDArray[np.float32]
    low: list[float]
    high: list[float]


def grids(scene: Scene) -> list[Grid]:
    """Every grid of the scene, by the names of parameters."""
    params = traverse(scene)
    found = []
    for parameter in list_parameters(scene):
        volume = params.properties[parameter.raw][2]
        if isinstance(volume, mi.Volume) and parameter.kind == "texture" and len(parameter.shape) == 4:
            box = volume.bbox()
            values = np.asarray(read(scene, parameter, params), np.float32)
            found.append(Grid(parameter.name, values, [float(x) for x in box.min], [float(x) for x in box.max]))
    return found


class Volumes(Format):
    """Density and albedo, voxel by voxel."""

    name: ClassVar[str] = "volumes"
    text: ClassVar[str] = (
        "Grids of media, a .vol file of Mitsuba and a .npy file of NumPy (Z, Y, X, channels) for each; volumes.json has the boxes "
        "that they fill in the scene"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write volumes/<parameter>.vol and .npy, and volumes/volumes.json."""
        found = grids(source.scene)
        if not found:
            return Written(lost=["the scene has no grid of a volume"])
        written, boxes = Written(), {}
        for grid in found:
            stem = folder / "volumes" / slug(grid.name.replace("/", "-"))
            stem.parent.mkdir(parents=True, exist_ok=True)
            files = stem.with_suffix(".vol"), stem.with_suffix(".npy")
            with storage.reported(files[0]):
                mi.VolumeGrid(np.ascontiguousarray(grid.values)).write(str(files[0]))
            with storage.reported(files[1]):
                np.save(files[1], grid.values)
            written.files.extend(files)
            boxes[grid.name] = {"files": [file.name for file in files], "low": grid.low, "high": grid.high}
        written.files.append(folder / "volumes" / "volumes.json")
        storage.write_json(written.files[-1], boxes)
        written.lost.append(
            "a grid that is turned is written in its own axes; its box is the one that holds it in the scene"
        )
        written.lost.append(
            "no OpenVDB file: there is no wheel of openvdb for Python; convert the .npy files elsewhere"
        )
        return written

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read by Mitsuba and by NumPy: the same values."""
        found = grids(source.original)
        if not found:
            return {"ok": True}
        boxes = json.loads(written.files[-1].read_text(encoding="utf-8"))
        largest = 0.0
        for grid in found:
            vol, npy = (written.files[-1].with_name(name) for name in boxes[grid.name]["files"])
            for values in (np.array(mi.VolumeGrid(str(vol))), np.load(npy)):
                largest = max(largest, float(np.abs(values.reshape(grid.values.shape) - grid.values).max()))
        return {"reader": "mitsuba, numpy", "largest_difference": largest, "ok": largest == 0.0}
