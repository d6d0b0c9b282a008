"""The environment as an EXR file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import encode_exr, load_image
from ...job import storage
from ..asset import lat_long
from ..format import Format, Source, Written


class EnvironmentMap(Format):
    """Radiance from infinity, with its rotation beside it."""

    name: ClassVar[str] = "environment"
    text: ClassVar[str] = (
        "Environment as EXR, a latitude-longitude map: +y up, +z in the middle, +x a quarter left of it, texels at the centres "
        "of pixels; environment.json has the rotation from there to the scene. environment-mitsuba.exr has the texels as "
        "Mitsuba has them, whose first row is at the pole"
    )

    def write(self, source: Source, folder: Path) -> Written:
        """Write environment.exr, environment-mitsuba.exr and environment.json."""
        environment = source.asset.environment
        if environment is None:
            return Written(lost=["the scene has no environment"])
        files = [folder / name for name in ("environment.exr", "environment-mitsuba.exr", "environment.json")]
        storage.write_bytes(files[0], encode_exr(environment.for_others()))
        storage.write_bytes(files[1], encode_exr(environment.radiance))
        layout = "latitude-longitude: +y up, +z in the middle, +x a quarter left of it"
        storage.write_json(files[2], {"layout": layout, "id": environment.name, "to_world": environment.to_world})
        return Written(files)

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """The pixels of the file, each in its direction, are what Mitsuba's own emitter gives there; the texels are the same."""
        import mitsuba as mi

        environment, light = source.asset.environment, source.original.mi.environment()
        if environment is None:
            return {"ok": True}
        image = load_image(written.files[0]).rgb
        to_world = np.array(json.loads(written.files[2].read_text(encoding="utf-8"))["to_world"])
        hit = mi.SurfaceInteraction3f()
        hit.wi = mi.Vector3f(np.ascontiguousarray(-(lat_long(len(image)) @ to_world.T).T, dtype=np.float32))
        expected = np.broadcast_to(np.array(light.eval(hit)).T, (image.shape[0] * image.shape[1], 3))
        largest = float(np.abs(image.reshape(-1, 3) - expected).max())
        texels = float(np.abs(load_image(written.files[1]).rgb - environment.radiance).max())
        ok = largest <= 1e-3 * max(1e-6, float(expected.max())) and texels == 0.0
        return {"reader": "mitsuba", "largest_difference": largest, "ok": ok}
