"""Jobs about shapes: a ball becomes a peanut, and Spot; a torus becomes Bob."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from validation import shapes

from .harness import Missed
from .jobs_case import Case, Limit, fit
from .spot_scene import source

Array = NDArray[Any]
VIEWS, SIZE, DEPTH, SPP = 16, 128, 2, 4
HELD_OUT = 8  # views from other directions, whose silhouettes are compared


@dataclass(frozen=True)
class Thing:
    """What is estimated: the truth, the start of a number, and lines of the variable besides its name."""

    name: str
    truth: Callable[[], trimesh.Trimesh]
    start: Callable[[int], trimesh.Trimesh]
    variable: str = ""


def _of_file(name: str) -> trimesh.Trimesh:
    """A mesh of ../shared/data, its middle at 0, 2 long, without seams."""
    mesh = trimesh.load(source(name), process=False, force="mesh")
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    vertices = mesh.vertices - mesh.bounds.mean(axis=0)
    return trimesh.Trimesh(2 * vertices / np.ptp(vertices, axis=0).max(), mesh.faces, process=False)


def _ball(subdivisions: int, start: int) -> trimesh.Trimesh:
    from validation.scenes import surfaces

    return surfaces.ball(subdivisions, seed=start)


def _peanut() -> trimesh.Trimesh:
    from validation.scenes import surfaces

    return surfaces.peanut(4)


def _torus(start: int) -> trimesh.Trimesh:
    """A ring about the hole of Bob, a little off: up to 0.05 to each side, and a twentieth in its radii."""
    rng = np.random.default_rng(start)
    major, minor = 0.55 * rng.uniform(0.95, 1.05), 0.28 * rng.uniform(0.95, 1.05)
    ring = trimesh.creation.torus(major, minor, 48, 24)
    x, y, z = ring.vertices.T  # its axis is z, that of the hole is y
    vertices = np.stack([x, z, -y], axis=1) + [0.15, -0.2, 0] + rng.uniform(-0.05, 0.05, 3)
    return trimesh.Trimesh(vertices, ring.faces, process=False)


COARSE_TO_FINE = "remesh = [{ step = 150, edge = 0.03 }, { step = 270, edge = 0.02 }]"
PEANUT = Thing("peanut", _peanut, partial(_ball, 3), COARSE_TO_FINE)
SPOT = Thing("spot", partial(_of_file, "spot/spot.obj"), partial(_ball, 3), COARSE_TO_FINE)
BOB = Thing("bob", partial(_of_file, "bob/bob_tri.obj"), _torus, COARSE_TO_FINE)


def scene(mesh: Path, sky: Path) -> str:
    """A scene file: the mesh, grey and matt, under a coloured sky, seen by all cameras."""
    from validation.scenes import surfaces

    cameras = "\n".join(
        f"""  <sensor type="perspective" id="camera-{k:02d}"><float name="fov" value="45"/>
    <transform name="to_world">
      <lookat origin="{_words(surfaces.DISTANCE * d)}" target="0, 0, 0" up="{_words(surfaces.up(d))}"/></transform>
    <film type="hdrfilm"><integer name="width" value="{SIZE}"/><integer name="height" value="{SIZE}"/>
      <rfilter type="box"/><string name="pixel_format" value="rgb"/></film></sensor>"""
        for k, d in enumerate(surfaces.directions(VIEWS))
    )
    return f"""<scene version="3.0.0">
{cameras}
  <emitter type="envmap" id="sky"><string name="filename" value="{sky}"/></emitter>
  <shape type="ply" id="object"><string name="filename" value="{mesh}"/><boolean name="face_normals" value="true"/>
    <bsdf type="twosided"><bsdf type="diffuse"><rgb name="reflectance" value="0.6"/></bsdf></bsdf></shape>
</scene>
"""


def _words(vector: Array) -> str:
    return ", ".join(f"{float(x):.9g}" for x in vector)


def job(thing: Thing) -> str:
    """The job: depth and samples are those of the scene, which has direct light alone; all else is the default."""
    return f"""version = 1
name = "{thing.name}"
[scene]
file = "start.xml"
[data]
target = "truth.xml"
target_spp = 64
[render]
integrator = {{ type = "pathspace", max_depth = {DEPTH} }}
spp = {SPP}
[vars.shape]
match = "object/positions"
{thing.variable}
[output]
image_every = 1000
eval_spp = 16
"""


def write(thing: Thing, start: int, folder: Path) -> str:
    """Write the scenes of a start into `folder`; return the job."""
    from validation.scenes import surfaces

    surfaces.sky().write(str(folder / "sky.exr"))
    for name, mesh in (("truth", thing.truth()), ("start", thing.start(start))):
        mesh.export(folder / f"{name}.ply")
        text = scene(folder / f"{name}.ply", folder / "sky.exr")
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")
    return job(thing)


def figures(thing: Thing, start: int, folder: Path) -> Mapping[str, float]:
    """Run the job and compare the surface that it finds with the truth."""
    if importlib.util.find_spec("gpytoolbox") is None:
        raise Missed("needs gpytoolbox: pip install 'pbdr[remesh]'")
    run = Path(fit(write(thing, start, folder), folder)["run"])
    found = run / "eval" / "parameters" / "object-positions"
    first, estimate, truth = (
        trimesh.load(found / f"{name}.ply", process=False) for name in ("init", "estimate", "target")
    )
    before, after = (shapes.chamfer(mesh, truth, 20000) for mesh in (first, estimate))
    return {
        "distance ratio": before / after,
        "folded edges": shapes.inverted(estimate),
        "bend ratio": shapes.bend(estimate) / shapes.bend(like(truth, len(estimate.faces))),
        "silhouette IoU": silhouettes(folder, estimate, truth),
        "distance": after / float(np.ptp(truth.vertices, axis=0).max()),
        "faces": len(estimate.faces),
    }


def like(truth: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """The truth with about as many faces as an estimate: finer meshes bend less from face to face."""
    from pbdr.inverse.remeshing import remeshed

    edge = float(np.sqrt(truth.area / faces * 4 / np.sqrt(3)))
    mesh = remeshed(np.asarray(truth.vertices), np.asarray(truth.faces), edge)
    return trimesh.Trimesh(mesh.positions, mesh.faces, process=False)


def silhouettes(folder: Path, a: trimesh.Trimesh, b: trimesh.Trimesh) -> float:
    """Mean intersection over union of the silhouettes of two meshes, from directions that the job has not seen."""
    import mitsuba as mi

    import pbdr
    from validation.scenes import surfaces

    seen = []
    for name, mesh in (("a", a), ("b", b)):
        path = folder / f"silhouette-{name}.ply"
        mesh.export(path)
        stage = pbdr.load_scene(surfaces.seen(str(path), HELD_OUT, 256, turn=0.4))
        tracer = mi.load_dict({"type": "depth"})
        images = [mi.render(stage.mi, sensor=k, integrator=tracer, spp=4, seed=k) for k in range(HELD_OUT)]
        seen.append([np.array(image)[..., 0] > 0 for image in images])
    return float(np.mean([(x & y).sum() / (x | y).sum() for x, y in zip(*seen, strict=True)]))


_SHAPE = (
    Limit("distance ratio", 20, at_least=True),
    Limit("folded edges", 0),
    Limit("bend ratio", 2),
)

CASES = (
    Case(
        "shape-peanut", "vertices and faces of a ball that is a peanut in truth, 16 views", _SHAPE, 5,
        partial(figures, PEANUT),
    ),
    Case(
        "shape-spot", "vertices and faces of a ball that is Spot in truth, 16 views", _SHAPE, 5,
        partial(figures, SPOT),
    ),
    Case(
        "shape-bob", "vertices and faces of a torus that is Bob in truth, 16 views",
        (Limit("silhouette IoU", 0.97, at_least=True), Limit("folded edges", 0)), 5, partial(figures, BOB),
    ),
)  # fmt: skip
