"""`pbdr gradient`: derivative images, term by term."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...errors import OptionError
from .. import console
from ..derivatives import Directions, IntegratorOptions, Param, integrator_options
from ..progress import Bar, quiet
from ..shared import Defines, Json, Result, SceneFile, activate, load, no_more


@dataclass
class Gradient:
    """Derivative images for a change of one parameter, term by term: signed colour maps (PNG) and linear EXR files."""

    scene: SceneFile
    param: Param
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="Folder of the images.")] = Path("gradient")
    direction: Directions = tyro.MISSING_NONPROP
    option: IntegratorOptions = tyro.MISSING_NONPROP
    spp: Annotated[int, tyro.conf.arg(help="Samples per pixel.")] = 256
    resolution: Annotated[int, tyro.conf.arg(help="Longest side of the image in pixels; 0 keeps the film's.")] = 0
    sensor: Annotated[int, tyro.conf.arg(help="Number of the sensor, from 0.")] = 0
    seed: Annotated[int, tyro.conf.arg(help="Random seed.")] = 0
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Differentiate and write."""
        no_more(rest)
        if self.spp < 1:
            raise OptionError(f"--spp {self.spp}: at least 1 sample per pixel is needed")
        activate("auto")
        from ... import verify_report
        from ...verify.images import derivative_images

        scene = load(self.scene, self.define)
        with Bar("differentiating") as bar, quiet():
            found = derivative_images(
                scene, self.param, options=integrator_options(self.option), directions=tuple(self.direction), sensor=self.sensor,
                spp=self.spp, seed=self.seed, resolution=self.resolution or None, progress=bar.at,
            )  # fmt: skip
        entries = []
        for name, images in found.items():
            for entry in verify_report.write_images(self.out, name, images, many=len(found) > 1):
                console.out(
                    f"{entry['png']}: {self.param} along {name}, {entry['term']}, largest {entry['largest']:.4g}"
                )
                entries.append(entry)
        return 0, {"ok": True, "scene": str(self.scene), "parameter": self.param, "images": entries}
