"""`pbdr params`: the parameters of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from .. import console
from ..shared import Defines, Json, Result, SceneFile, activate, load, no_more


@dataclass
class Params:
    """List every parameter of a scene: name, role, shape, range, whether a gradient was measured, Mitsuba's key."""

    scene: SceneFile
    match: Annotated[str | None, tyro.conf.arg(help="Only names that match this glob.")] = None
    no_probe: Annotated[bool, tyro.conf.arg(help="Do not render to find out which parameters have a gradient.")] = False
    integrator: Annotated[str, tyro.conf.arg(help="The integrator whose gradients are probed.")] = "pathspace"
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """List."""
        no_more(rest)
        activate("auto")
        from ...parameters import list_parameters, resolve
        from ...parameters.probing import probe_sensors

        scene = load(self.scene, self.define)
        found = list_parameters(scene) if self.match is None else resolve(scene, self.match)
        probed = (
            {}
            if self.no_probe
            else probe_sensors(scene, found, sensors=scene.sensors, integrator={"type": self.integrator})
        )
        words = {True: "yes", False: "no", None: "not probed"}
        rows = [
            [
                p.name,
                p.role,
                "x".join(map(str, p.shape)),
                f"[{p.bounds[0]:g}, {p.bounds[1]:g}]",
                words[probed.get(p.name)],
                p.raw,
            ]
            for p in found
        ]
        console.out(console.table(["name", "role", "shape", "range", "gradient", "key"], rows))
        entries = [
            {"name": p.name, "role": p.role, "kind": p.kind, "shape": p.shape, "bounds": p.bounds,
             "gradient": probed.get(p.name), "raw": p.raw}
            for p in found
        ]  # fmt: skip
        return 0, {"ok": True, "scene": str(self.scene), "parameters": entries}
