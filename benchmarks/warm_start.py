"""The soft-silhouette warm start (`[warm_start]` of a job): how often a pose is found from random starts, with it and without.

A shining thing of three arms of different lengths is seen by three cameras. It starts turned about any axis, by angles spread
evenly up to 180 degrees, and up to its own size away. All ways have the same images and the same exact steps: the default loss, and
Adam. Least squares, the default for rigid motions, is tried from some of the starts: it takes thirty times as long a step. Warm
starts come besides; what all that costs is measured in processor seconds. Every start leaves a record in <out>/warm_start/, and
what it holds is not run again without `--again`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .harness import Result, table

Array = NDArray[np.float64]
GOAL = 2.0  # times as many successes
DEGREES, SHARE = 2.0, 0.02  # a success: so near in rotation, and in position by the thing's size
BINS = (60.0, 120.0, 180.0)  # of the angle at the start
#: Tries of the warm start, by way; 0: there is none.
WAYS = {"exact alone": 0, "warm start": 1, "warm start, 8 tries": 8, "least squares alone": 0}
#: How many of the starts ways have that take longer.
LONG = {"warm start, 8 tries": 8, "least squares alone": 4}
LEAST_SQUARES = 10  # steps, each of which looks at all views
VIEWS, DEPTH, RATE = 3, 1, 0.05
LENGTHS = (1.0, 0.7, 0.45)
GOLDEN = 0.6180339887  # multiples of it are spread evenly modulo 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--size", type=int, default=24, help="pixels a side")
    parser.add_argument("--steps", type=int, default=40, help="exact steps")
    parser.add_argument("--warm-steps", type=int, default=100, help="steps of soft silhouettes")
    parser.add_argument("--again", action="store_true", help="run starts that have a record, too")


def run(options: argparse.Namespace) -> Result:
    """Run the starts that are missing, and judge all that are there."""
    folder = (options.out / "warm_start").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    setting: Setting | None = None
    for start in range(options.starts):
        path = folder / f"start-{start:02d}.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and not options.again else {}
        ways = [way for way in WAYS if way not in known and start < LONG.get(way, options.starts)]
        if not ways:
            continue
        setting = setting or Setting(options, folder)
        record = {**known, **{way: setting.fit(start, way) for way in ways}}
        path.write_text(json.dumps({**record, "start": start}) + "\n", encoding="utf-8")
        print(f"start {start}: {record}", file=sys.stderr, flush=True)
    records = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("start-*.json"))[: options.starts]
    ]
    return judged(records, options)


def succeeded(found: Mapping[str, float]) -> bool:
    """Whether a pose was found."""
    return found["degrees"] <= DEGREES and found["position"] <= SHARE


def judged(records: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> Result:
    """The table, and whether the warm start succeeds often enough."""
    rows, wins = [], {}
    for way in WAYS:
        found = [record[way] for record in records if way in record]
        wins[way] = sum(map(succeeded, found))
        row = [way, f"{wins[way]} of {len(found)}"]
        for low, high in zip((-1.0, *BINS), BINS, strict=False):
            inside = [one for one in found if low < one["start_degrees"] <= high]
            row.append(f"{sum(map(succeeded, inside))} of {len(inside)}")
        row += [f"{np.median([one[key] for one in found]):.1f}" if found else "" for key in ("warm_seconds", "seconds")]
        rows.append(row)
    header = ["", "found", *(f"from ≤ {high:g}°" for high in BINS), "processor seconds of the warm start", "of all"]
    alone, warm, *_ = WAYS
    lost = sum(succeeded(r[alone]) and not succeeded(r[warm]) for r in records)
    text = (
        f"Found: within {DEGREES:g}° and {100 * SHARE:g} % of the thing's size. {len(records)} starts, {VIEWS} views of "
        f"{options.size}² pixels, {options.steps} exact steps ({LEAST_SQUARES} of least squares, which look at all views), "
        f"{options.warm_steps} of soft silhouettes. Ways that take longer have the first few starts alone. The goal is "
        f"{GOAL:g} times as many.\n\n{table(header, rows)}\n\nFound without the warm start and lost with it (one try): {lost}."
    )
    met = wins[warm] >= GOAL * max(wins[alone], 1) if records else None
    return Result("warm_start", {"found": wins, "records": list(records)}, text, met)


# ---------------------------------------------------------------------- the problem


def thing() -> Any:
    """A mesh of three boxes along the axes, of lengths 1, 0.7 and 0.45, that do not touch; its middle at 0."""
    import trimesh

    parts = []
    for axis, length in enumerate(LENGTHS):
        size, centre = np.full(3, 0.26), np.zeros(3)
        size[axis], centre[axis] = length, 0.5 * length + 0.15
        parts.append(trimesh.creation.box(size, trimesh.transformations.translation_matrix(centre)))
    whole = trimesh.util.concatenate(parts)
    return trimesh.Trimesh(whole.vertices - whole.bounds.mean(axis=0), whole.faces, process=False)


def moved(points: Array, start: int) -> tuple[Array, Array]:
    """The points of a start, and its rotation (3, 3): about any axis, and a shift of up to the size to any side."""
    generator = np.random.default_rng(9300 + start)
    axis = generator.normal(size=3)
    angle = np.pi * ((start * GOLDEN) % 1)
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    size = float(np.ptp(points, axis=0).max())
    direction = generator.normal(size=3)
    shift = size * generator.uniform(0, 1) * direction / np.linalg.norm(direction)
    return points @ turn.T + shift, turn


def scene(points: Array, faces: Array, folder: Path, size: int) -> Any:
    """The thing at these points, as a `pbdr.scene.Scene`."""
    import mitsuba as mi
    import trimesh

    import pbdr

    path = folder / "thing.ply"
    trimesh.Trimesh(points, faces, process=False).export(path, vertex_normal=False)
    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    eyes = ([5, 0.5, 1], [-2, 4.4, 1.5], [-1, -3, 4])[:VIEWS]
    look_at = mi.ScalarTransform4f().look_at
    cameras = {
        f"camera-{k}": {"type": "perspective", "fov": 32, "film": film, "to_world": look_at(eye, [0, 0, 0], [0, 0, 1])}
        for k, eye in enumerate(eyes)
    }
    grey = lambda value: {"type": "rgb", "value": value}  # noqa: E731
    return pbdr.load_scene({
        "type": "scene", **cameras,
        "thing": {"type": "ply", "filename": str(path), "face_normals": True, "emitter": {"type": "area", "radiance": grey(1.0)}},
    })  # fmt: skip


class Setting:
    """The truth and its images, rendered once."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        import mitsuba as mi

        from pbdr.inverse import View

        self.options, self.folder = options, folder
        mesh = thing()
        self.points, self.faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
        truth = scene(self.points, self.faces, folder, options.size)
        path = mi.load_dict({"type": "path", "max_depth": DEPTH})
        masks = mi.load_dict({"type": "pathspace", "max_depth": 1, "aovs": "mask:mask"})
        self.views = []
        for k in range(VIEWS):
            image = np.array(mi.render(truth.mi, sensor=k, integrator=path, spp=1024, seed=k))
            mask = np.array(mi.render(truth.mi, sensor=k, integrator=masks, spp=256, seed=k))[..., 3]
            self.views.append(View(image, k, planes={"silhouette": mask}))

    def fit(self, start: int, way: str) -> dict[str, float]:
        """Fit from a start: how far off it ends, and what that took."""
        from pbdr.inverse import Problem, fit
        from pbdr.inverse.problem import JOB
        from pbdr.inverse.soft import WarmStart, warm_start
        from pbdr.parameters import VariableSpec

        begin, turn = moved(self.points, start)
        solved = way == "least squares alone"
        chosen = replace(
            JOB,
            steps=LEAST_SQUARES if solved else self.options.steps,
            views_per_step=VIEWS if solved else 1,
            seed=start,
            integrator={"type": "pathspace", "max_depth": DEPTH},
        )
        made = scene(begin, self.faces, self.folder, self.options.size)
        unknown = VariableSpec("thing/positions", map="rigid", optimiser="lm" if solved else "adam", lr=RATE)
        problem = Problem(made, self.views, {"pose": unknown}, chosen)
        clock, state, reached = time.process_time(), None, {}
        if WAYS[way]:
            state = warm_start(problem, WarmStart(steps=self.options.warm_steps, lr=RATE, tries=WAYS[way]))
            reached = pose(np.asarray(problem.bound.numpy(state.latents)["thing/positions"], np.float64), self.points)
        warm = time.process_time() - clock
        result = fit(problem, resume_state=state)
        end = np.asarray(result.values["thing/positions"], np.float64)
        found = pose(end, self.points)
        return {
            "start_degrees": float(np.degrees(Rotation.from_matrix(turn).magnitude())), **found, "steps": float(result.state.step),
            "seconds": time.process_time() - clock, "warm_seconds": warm, "loss": float(np.mean(result.losses[-5:])),
            **{f"warm_{name}": value for name, value in reached.items()},
        }  # fmt: skip


def pose(points: Array, truth: Array) -> dict[str, float]:
    """How far off points are from where they should be: rotation in degrees, position of their middle by the thing's size."""
    a, b = points - points.mean(axis=0), truth - truth.mean(axis=0)
    turn, _ = Rotation.align_vectors(b, a)
    shift = np.linalg.norm(points.mean(axis=0) - truth.mean(axis=0)) / np.ptp(truth, axis=0).max()
    return {"degrees": float(np.degrees(turn.magnitude())), "position": float(shift)}
