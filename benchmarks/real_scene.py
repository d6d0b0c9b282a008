"""One scene of `real_scenes`, in a process of its own: load it, choose what moves, time images and gradients."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from . import bricks
from .apart import put
from .harness import peak_memory
from .parts import parts
from .steps import uncompared

HAIR = 1e-5  # of the scene's size, by which what moves moves from call to call


class Scene:
    """A scene, what moves in it, and an integrator that is kept."""

    def __init__(self, file: Path, side: int, depth: int, out: Path) -> None:
        from pbdr.parameters import Parameter, resolve, traverse
        from pbdr.scene import integrator_of

        from . import documentation_scene as documentation
        from .documentation_choice import inside, main_shape, mover, options

        self.movers: list[Parameter]
        if file.suffix:
            self.scene = documentation.loaded(file)
            camera, shape = self.scene.sensors[0], main_shape(self.scene)
            found = [mover(self.scene, one, camera) for one in (shape, *inside(self.scene, shape))]
            self.movers, given = list({p.raw: p for p in found}.values()), options(self.scene, depth)
        else:
            self.scene = bricks.scene(out / "real_scenes", side)
            self.movers, given = resolve(self.scene, bricks.moved()), {"max_depth": depth}
        self.camera = self.scene.sensors[0]
        self.integrator, self.replaying = (
            integrator_of(self.scene, {"type": "pathspace", **given, "replay": way}) for way in (False, "auto")
        )
        self.params = traverse(self.scene)
        self.size = float(max(self.scene.mi.bbox().max - self.scene.mi.bbox().min))
        self.start = {p.raw: type(self.params[p.raw])(self.params[p.raw]) for p in self.movers}
        self.count = 0

    def move(self) -> None:
        """What moves, by a hair's breadth from where it was at first."""
        import drjit as dr
        import mitsuba as mi

        self.count += 1
        shift = dr.opaque(mi.Float, HAIR * self.size * self.count)
        for raw, value in self.start.items():
            if "Transform" in type(value).__name__:
                self.params[raw] = type(value)().translate(mi.Vector3f(shift, 0, 0)) @ value
            else:
                moved = mi.Float(value) + shift
                dr.eval(moved)
                self.params[raw] = moved
        self.params.update()
        dr.sync_thread()

    def primal(self, spp: int) -> None:
        """An image."""
        import drjit as dr
        import mitsuba as mi

        self.count += 1
        with dr.suspend_grad():
            mi.render(self.scene.mi, sensor=self.camera, integrator=self.integrator, spp=spp, seed=self.count).numpy()

    def gradient(self, adjoint: np.ndarray, spp: int, replayed: bool = False) -> None:
        """All terms, as users ask for them."""
        import pbdr

        self.count += 1
        names = [p.raw for p in self.movers]
        integrator = self.replaying if replayed else self.integrator
        pbdr.gradient(self.scene, names, adjoint, spp=spp, seed=self.count, integrator=integrator)


def clock(task: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the wall and of the processor, until the device is done."""
    import drjit as dr

    dr.sync_thread()
    start, work = time.perf_counter(), time.process_time()
    task()
    dr.sync_thread()
    return {"wall": time.perf_counter() - start, "cpu": time.process_time() - work}


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Of every figure."""
    return {name: float(np.median([one[name] for one in found])) for name in found[0]}


def measure(file: Path, side: int, spp: int, depth: int, rounds: int, folder: Path, out: Path) -> None:
    """Write the record of a scene, part by part."""
    from pbdr.errors import PbdrError

    record: dict[str, Any] = {}
    try:
        made: list[Scene] = []
        record["load"] = clock(lambda: made.append(Scene(file, side, depth, folder)))
        put(record, out)
        _calls(made[0], side, spp, rounds, record, out)
    except PbdrError as error:
        record["refused"] = f"{type(error).__name__}: {error}"
    put(record, out)


def _calls(one: Scene, side: int, spp: int, rounds: int, record: dict[str, Any], out: Path) -> None:
    from pbdr.parameters.film import resized_film
    from pbdr.verify.arguments import fitting_size

    meshes = [shape for shape in one.scene.mi.shapes() if shape.is_mesh()]
    record["shapes"] = len(one.scene.mi.shapes())
    record["faces"] = sum(shape.face_count() for shape in meshes)
    record["parameters"] = [p.name for p in one.movers]
    with resized_film(one.camera, fitting_size(one.camera, side)), uncompared():
        width, height = map(int, np.array(one.camera.film().crop_size()).ravel())
        channels = int(one.camera.film().base_channels_count())
        adjoint = np.full((height, width, channels), 1 / (width * height), np.float32)
        record["film"] = [width, height]
        record["first primal"] = clock(lambda: one.primal(spp))
        record["first"] = clock(lambda: one.gradient(adjoint, spp))
        put(record, out)
        for replayed in (False, True, True, True):  # kernels that only shapes that have moved need, and recordings
            one.move()
            one.gradient(adjoint, spp, replayed)
            one.primal(spp)
        with parts():  # the flags that are set there make recordings of their own
            one.move()
            one.gradient(adjoint, spp, True)
        found: dict[str, list[Any]] = {"primal": [], "still": [], "moved": [], "replayed": []}
        split: dict[str, list[Any]] = {name: [] for name in found if name != "primal"}
        for _ in range(rounds):
            found["primal"].append(clock(lambda: one.primal(spp)))
            for name in split:
                for measured in (False, True):
                    if name != "still":
                        one.move()
                    if measured:
                        with parts() as spent:
                            one.gradient(adjoint, spp, name == "replayed")
                        split[name].append(spent)
                    else:
                        found[name].append(clock(lambda name=name: one.gradient(adjoint, spp, name == "replayed")))  # type: ignore[misc]
    record["primal"] = medians(found["primal"])
    for name, runs in split.items():
        least = min(runs, key=lambda spent: spent.total().host)
        record[name] = {
            **medians(found[name]), "host": least.total().host, "kernels": least.total().kernels,
            "launches": least.total().launches, "parts": {k: asdict(v) for k, v in least.spent.items()},
        }  # fmt: skip
        record[name]["primals"] = record[name]["cpu"] / record["primal"]["cpu"]
    record["memory"] = peak_memory()


def main() -> None:
    """Called by `real_scenes` in a process of its own."""
    given = argparse.ArgumentParser()
    given.add_argument("scene", type=Path)
    for name in ("side", "spp", "depth", "rounds"):
        given.add_argument(name, type=int)
    given.add_argument("folder", type=Path)
    given.add_argument("out", type=Path)
    o = given.parse_args()
    measure(o.scene, o.side, o.spp, o.depth, o.rounds, o.folder, o.out)


if __name__ == "__main__":
    sys.exit(main())
