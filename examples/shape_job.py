"""A shape from images, as a job: a ball becomes a bent capsule, seen by eight cameras, and gets finer faces on the way.

    python examples/shape_job.py [FOLDER]

It writes two scenes, which differ in the mesh alone, and job.toml into the folder, and runs it as `pbdr fit job.toml` does. The run
leaves the mesh as a PLY file and its distance to the truth. Needs gpytoolbox for the finer faces: pip install 'pbdr[remesh]'.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import trimesh

import pbdr.cli

VIEWS, SIZE = 8, 48

JOB = """version = 1
name = "capsule"
[scene]
file = "start.xml"
[data]
target = "truth.xml"
target_spp = 64
[render]
integrator = {{ type = "pathspace", max_depth = 2 }}
spp = 4
[optim]
steps = {steps}
[vars.shape]
match = "object/positions"
remesh = [{{ step = {half}, edge = 0.08 }}]
[goal]
distance = {{ shape = 0.01 }}
[output]
eval_spp = 16
"""

CAMERA = """<sensor type="perspective" id="camera-{k}"><float name="fov" value="40"/>
  <transform name="to_world"><lookat origin="{origin}" target="0, 0, 0" up="0, 0, 1"/></transform>
  <film type="hdrfilm"><integer name="width" value="{size}"/><integer name="height" value="{size}"/>
    <rfilter type="box"/><string name="pixel_format" value="rgb"/></film></sensor>
"""

SCENE = """<scene version="3.0.0">
{cameras}<emitter type="constant" id="sky"><rgb name="radiance" value="0.6"/></emitter>
<emitter type="directional" id="sun"><vector name="direction" value="-1, 2, -1"/><rgb name="irradiance" value="2"/></emitter>
<shape type="ply" id="object"><string name="filename" value="{name}.ply"/><boolean name="face_normals" value="true"/></shape>
</scene>
"""


def capsule() -> trimesh.Trimesh:
    """The truth: a capsule that is bent."""
    mesh = trimesh.creation.capsule(height=1.0, radius=0.4, count=(24, 24))
    x, y, z = (mesh.vertices - mesh.bounds.mean(axis=0)).T
    return trimesh.Trimesh(np.stack([x + 0.5 * z**2 - 0.15, y, z], axis=1), mesh.faces)


def write(folder: Path, steps: int) -> Path:
    """Write scenes and job; return the job's path."""
    angles = 2 * np.pi * np.arange(VIEWS) / VIEWS
    heights = 1.5 * (-1.0) ** np.arange(VIEWS)
    origins = np.stack([3 * np.cos(angles), 3 * np.sin(angles), heights], axis=1)
    cameras = "".join(
        CAMERA.format(k=k, size=SIZE, origin=", ".join(f"{x:.6f}" for x in o)) for k, o in enumerate(origins)
    )
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    for name, mesh in (("truth", capsule()), ("start", ball)):
        mesh.export(folder / f"{name}.ply")
        (folder / f"{name}.xml").write_text(SCENE.format(cameras=cameras, name=name), encoding="utf-8")
    path = folder / "job.toml"
    path.write_text(JOB.format(steps=steps, half=steps // 2), encoding="utf-8")
    return path


def main(folder: Path, steps: int = 100) -> dict[str, float]:
    """Run it; returns the distances at the start and at the end, in sizes of the truth."""
    pbdr.cli.main(["fit", str(write(folder, steps)), "--output.dir", str(folder / "runs")])
    (found,) = (folder / "runs").glob("capsule/*/eval/parameters.json")
    (entry,) = json.loads(found.read_text(encoding="utf-8"))["parameters"]
    print(f"distance to the truth {entry['distance_init']:.4f} -> {entry['distance']:.4f} of its size")
    print(f"mesh: {found.parent / 'parameters' / 'object-positions' / 'estimate.ply'}")
    return {"start": entry["distance_init"], "end": entry["distance"]}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
