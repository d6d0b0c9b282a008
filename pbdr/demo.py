"""The demo: a generated scene with known material and light, and a job that estimates both from a grey start.

A glossy, bumpy object with a patterned colour floats above a grey floor under a sky with a warm and a cool light. The
job knows the geometry, the cameras and the floor, whose known grey settles the scale between albedo and light.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .data import Camera, encode_exr
from .job import storage

NAME = "demo"
VIEWS = 24
SIZE = 64  # pixels, width and height of every view
FOV = 60.0  # degrees
ROUGHNESS = 0.3
TEXELS, SKY_ROWS = 32, 16  # resolution of the estimates; the true colour has twice as much

JOB = """\
# Written by `pbdr demo`. Run it again with: pbdr fit {path}
version = 1
name = "{name}"

[scene]
file = "scene.xml"              # grey object, grey sky

[data]
cameras = "scene"               # the 24 cameras of scene.xml
target = "truth.xml"            # rendered by Mitsuba's path tracer
target_spp = 256
holdout = "every:5"

[render]
integrator = {{ type = "pathspace", max_depth = 4 }}
spp = 16

[loss]
image = "relmse"

[optim]
steps = 140
views_per_step = 3
lr_decay = "cosine"

[vars.albedo]
match = "object/base_color"
texture = {texels}
init = 0.5
lr = 0.03
prior = {{ tv = 2e-3 }}

[vars.roughness]
match = "object/roughness"
init = 0.6
lr = 0.02

[vars.sky]
match = "sky/radiance"
texture = {sky_rows}
map = "softplus"
init = 1.0
lr = 0.1
prior = {{ tv = 5e-3 }}

[goal]
psnr = 30.0                     # held-out views
rmse = {{ albedo = 0.08, roughness = 0.05, sky = 0.5 }}

[output]
image_every = 70
checkpoint_every = 35
eval_spp = 64
"""

SCENE = """\
<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="4"/></integrator>
  {sky}
  <bsdf type="principled" id="object">
    {color}
    <float name="roughness" value="{roughness}"/>
    <float name="specular" value="0.5"/>
  </bsdf>
  <bsdf type="diffuse" id="floor"><rgb name="reflectance" value="0.35"/></bsdf>
  <shape type="ply" id="shape-object"><string name="filename" value="object.ply"/><ref id="object"/></shape>
  <shape type="disk" id="shape-floor">
    <transform name="to_world"><scale value="2.2"/><rotate x="1" angle="-90"/><translate y="-1.35"/></transform>
    <ref id="floor"/>
  </shape>
{sensors}
</scene>
"""

SENSOR = """\
  <sensor type="perspective" id="camera-{number:02d}">
    <float name="fov" value="{fov}"/>
    <transform name="to_world"><lookat origin="{origin}" target="0, {target}, 0" up="0, 1, 0"/></transform>
    <film type="hdrfilm">
      <integer name="width" value="{size}"/><integer name="height" value="{size}"/>
      <string name="pixel_format" value="rgb"/><rfilter type="box"/>
    </film>
  </sensor>"""


def write(folder: Path) -> Path:
    """Write scene.xml, truth.xml, their files and job.toml into ``folder``; returns the job file's path."""
    storage.write_bytes(folder / "object.ply", object_ply())
    storage.write_bytes(folder / "color.exr", encode_exr(color(2 * TEXELS)))
    storage.write_bytes(folder / "sky.exr", encode_exr(sky(SKY_ROWS)))
    sensors = "\n".join(
        SENSOR.format(
            number=i, origin=", ".join(f"{x:.6f}" for x in camera.to_world[:3, 3]), target=aim, size=SIZE, fov=FOV
        )
        for i, (camera, aim) in enumerate(cameras())
    )
    grey = {
        "sky": '<emitter type="constant" id="sky"><rgb name="radiance" value="1"/></emitter>',
        "color": '<rgb name="base_color" value="0.5"/>',
        "roughness": 0.6,
    }
    true = {
        "sky": '<emitter type="envmap" id="sky"><string name="filename" value="sky.exr"/></emitter>',
        "color": '<texture type="bitmap" name="base_color"><string name="filename" value="color.exr"/>'
        '<boolean name="raw" value="true"/></texture>',
        "roughness": ROUGHNESS,
    }
    storage.write_text(folder / "scene.xml", SCENE.format(sensors=sensors, **grey))
    storage.write_text(folder / "truth.xml", SCENE.format(sensors=sensors, **true))
    path = folder / "job.toml"
    storage.write_text(path, JOB.format(path=path, name=NAME, texels=TEXELS, sky_rows=SKY_ROWS))
    return path


def cameras() -> list[tuple[Camera, float]]:
    """Cameras around the object at three heights, with the height that each looks at."""
    result = []
    for i in range(VIEWS):
        angle = 2 * np.pi * i / VIEWS + 0.2
        elevation, aim = ((-0.2, 0.25), (0.3, 0.2), (-0.2, 0.25), (0.8, -0.1))[i % 4]
        origin = 3.6 * np.array(
            [np.cos(elevation) * np.cos(angle), np.sin(elevation), np.cos(elevation) * np.sin(angle)]
        )
        result.append((Camera.look_at(origin, [0, aim, 0], [0, 1, 0], SIZE, SIZE, np.radians(FOV)), aim))
    return result


def color(size: int) -> NDArray[np.float32]:
    """(size, size, 3) linear albedo: bands of two colours with soft spots of a third; periodic in u."""
    v, u = np.meshgrid((np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    band = _soft(np.sin(2 * np.pi * (2 * u + v)))
    spot = _soft(2.0 * np.cos(2 * np.pi * 3 * u) * np.cos(2 * np.pi * 2 * v) - 0.8)
    first, second, third = np.array([0.75, 0.22, 0.12]), np.array([0.85, 0.72, 0.45]), np.array([0.08, 0.28, 0.5])
    mixed = band[..., None] * first + (1 - band[..., None]) * second
    return np.asarray(spot[..., None] * third + (1 - spot[..., None]) * mixed, dtype=np.float32)


def sky(rows: int) -> NDArray[np.float32]:
    """(rows, 2 rows, 3) radiance: a gradient, a warm key light and a cool fill light; the upper row is up."""
    theta = (np.arange(rows) + 0.5) / rows * np.pi
    phi = (np.arange(2 * rows) + 0.5) / rows * np.pi
    t, p = np.meshgrid(theta, phi, indexing="ij")
    direction = np.stack([np.sin(t) * np.cos(p), np.cos(t), np.sin(t) * np.sin(p)], axis=-1)
    height = 0.5 + 0.5 * direction[..., 1:2]
    result = height * np.array([0.45, 0.6, 0.85]) + (1 - height) * np.array([0.3, 0.26, 0.22])
    for toward, sharpness, radiance in (
        ([0.7, 0.55, 0.45], 10.0, [9.0, 6.5, 4.0]),
        ([-0.8, 0.3, -0.3], 7.0, [0.9, 1.8, 3.2]),
    ):
        axis = np.array(toward) / np.linalg.norm(toward)
        result = result + np.exp(sharpness * (direction @ axis - 1.0))[..., None] * np.array(radiance)
    return np.asarray(result, dtype=np.float32)


def object_ply(columns: int = 72, rows: int = 36) -> bytes:
    """A bumpy sphere of radius about 1 with texture coordinates and smooth normals, as binary PLY."""
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    points = _surface(u, v)
    step = 1e-4
    du = _surface(u + step, v) - _surface(u - step, v)
    dv = _surface(u, np.clip(v + step, 0, 1)) - _surface(u, np.clip(v - step, 0, 1))
    normals = np.cross(du, dv)
    normals[0], normals[-1] = [0, 1, 0], [0, -1, 0]  # at the poles du vanishes
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    vertices = np.concatenate([points, normals, u[..., None], v[..., None]], axis=-1).reshape(-1, 8)
    faces = []
    for i in range(rows):
        for j in range(columns):
            a, b = i * (columns + 1) + j, (i + 1) * (columns + 1) + j
            if i > 0:
                faces.append((a, a + 1, b))
            if i < rows - 1:
                faces.append((a + 1, b + 1, b))
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz", "u", "v")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_index", "end_header", ""]
    body = np.zeros(len(faces), dtype=[("count", "u1"), ("indices", "<i4", 3)])
    body["count"], body["indices"] = 3, faces
    return "\n".join(header).encode("ascii") + vertices.astype("<f4").tobytes() + body.tobytes()


def _surface(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the object, (…, 3): a sphere whose radius swells and sinks, smoothly also at the poles."""
    phi, theta = 2 * np.pi * u, np.pi * v
    bump = 0.10 * np.sin(theta) ** 3 * np.cos(3 * phi) + 0.06 * np.cos(3 * theta)
    radius = 0.95 + bump
    return np.stack(
        [radius * np.sin(theta) * np.cos(phi), radius * np.cos(theta), radius * np.sin(theta) * np.sin(phi)], axis=-1
    )


def _soft(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1 around 0, like a blurred edge."""
    return np.asarray(1.0 / (1.0 + np.exp(-3.0 * value)))
