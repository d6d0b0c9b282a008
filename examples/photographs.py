"""A folder as you might bring it: photographs, their cameras (transforms.json), and a scene with the shape in grey.

    python examples/photographs.py FOLDER

Nobody has to go out with a camera to try the steps for photographs: these show the painted object of examples/jobs/material,
rendered with noise and in 8 bits of sRGB. The scene knows its shape, as a scan would, but neither its colour nor its roughness.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

import pbdr
from pbdr.data import encode_png

HERE = Path(__file__).resolve().parent / "jobs" / "material"
SPP = 64

SCENE = """<scene version="3.0.0">
    <bsdf type="principled" id="paint">
        <rgb name="base_color" value="0.5"/>
        <float name="roughness" value="0.6"/>
        <float name="specular" value="0.5"/>
    </bsdf>
    <bsdf type="diffuse" id="grey"><rgb name="reflectance" value="0.35"/></bsdf>
    <shape type="ply" id="object"><string name="filename" value="object.ply"/><ref id="paint"/></shape>
    <shape type="rectangle" id="floor">
        <transform name="to_world"><rotate x="1" angle="-90"/><scale value="3"/><translate y="-1.1"/></transform>
        <ref id="grey"/>
    </shape>
    <emitter type="constant" id="sky"><rgb name="radiance" value="0.5, 0.55, 0.65"/></emitter>
    <shape type="sphere" id="lamp">
        <point name="center" x="2" y="4" z="1.5"/><float name="radius" value="0.5"/>
        <emitter type="area" id="bulb"><rgb name="radiance" value="30, 26, 20"/></emitter>
    </shape>
</scene>
"""


def main(folder: Path, size: int = 48) -> list[str]:
    """Write the folder; returns the names of its photographs."""
    truth = pbdr.load_scene(HERE / "scene.xml", define={"res": size, "roughness": 0.25})
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    frames = []
    for k, sensor in enumerate(truth.sensors):
        image = pbdr.render(truth, sensor=k, spp=SPP, seed=k, integrator={"type": "path", "max_depth": 4})
        name = f"photos/{k:02d}.png"
        (folder / name).write_bytes(encode_png(np.array(image)))
        # A camera of Mitsuba looks along +z with x to the left; one of transforms.json along -z with x to the right.
        pose = np.array(sensor.world_transform().matrix, dtype=float).reshape(4, 4) @ np.diag([-1, 1, -1, 1])
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    cameras = {"camera_angle_x": float(np.radians(40)), "w": size, "h": size, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(cameras, indent=1), encoding="utf-8")
    (folder / "scene.xml").write_text(SCENE, encoding="utf-8")
    shutil.copy(HERE / "object.ply", folder / "object.ply")
    return [frame["file_path"] for frame in frames]


if __name__ == "__main__":
    print(*main(Path(sys.argv[1])), sep="\n")
