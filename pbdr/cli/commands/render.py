"""`pbdr render`: an image of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...errors import OptionError
from .. import console
from ..shared import Defines, Json, Result, SceneFile, activate, load, no_more, width_and_height


@dataclass
class Render:
    """Render a scene to an EXR (linear) or PNG (sRGB) file."""

    scene: SceneFile
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="Output file, .exr or .png.")] = Path("render.exr")
    spp: Annotated[int, tyro.conf.arg(help="Samples per pixel.")] = 64
    sensor: Annotated[int, tyro.conf.arg(help="Number of the sensor, from 0.")] = 0
    seed: Annotated[int, tyro.conf.arg(help="Random seed.")] = 0
    integrator: Annotated[str, tyro.conf.arg(help="pathspace, or any Mitsuba integrator.")] = "pathspace"
    max_depth: Annotated[int, tyro.conf.arg(help="Longest path; -1 is without limit.")] = 6
    resolution: Annotated[
        str | None, tyro.conf.arg(metavar="WxH", help="Size of the image in pixels; by default the film's.")
    ] = None
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Render and write."""
        no_more(rest)
        if self.out.suffix.lower() not in (".exr", ".png"):
            raise OptionError(f"--out {self.out}: the name must end in .exr or .png")
        if self.spp < 1:
            raise OptionError(f"--spp {self.spp}: at least 1 sample per pixel is needed")
        size = None if self.resolution is None else width_and_height(self.resolution)
        activate("auto")
        import numpy as np

        from ...data import encode_exr, encode_png
        from ...job import storage, views
        from ...parameters.film import resized_film
        from ...scene import integrator_of, sensor_of

        scene = load(self.scene, self.define)
        integrator = integrator_of(scene, {"type": self.integrator, "max_depth": self.max_depth})
        sensor = sensor_of(scene, self.sensor)
        with resized_film(sensor, size or tuple(sensor.film().size())):
            image = views.render(scene, sensor, integrator, self.spp, self.seed)
        bad = int((~np.isfinite(image)).any(axis=2).sum())
        if bad:
            console.error(f"warning: {bad} pixels are not finite")
        exr = self.out.suffix.lower() == ".exr"
        storage.write_bytes(self.out, encode_exr(image) if exr else encode_png(image[..., :3]))
        height, width = image.shape[:2]
        console.out(f"{self.out}: {width} x {height} pixels")
        return 0, {"ok": True, "file": str(self.out.resolve()), "width": width, "height": height, "nonfinite": bad}
