"""Spot under a photographed environment: the true scene, the views, and the job that has to find them again.

Everything is written into one folder: images (EXR with alpha, rendered by Mitsuba's `path`), transforms.json, scene.xml
with grey values to start from, truth.xml for the comparison afterwards, and job.toml.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from .harness import ROOT, Missed

DATA = ROOT.parent / "shared" / "data"
ENVIRONMENT = "hdri/apartment.exr"
EXPOSURE = 0.45  # factor of the environment: white then stays below 1 in nearly all pixels, where PSNR clips
VIEWS = 16
HOLDOUT = 4  # every fourth view
FOV = 32.0  # degrees
DISTANCE = 3.9
ROUGHNESS = 0.25
LAUNCH = 64  # samples per pixel of one launch of a target


@dataclass(frozen=True)
class Setting:
    """What the cost of the benchmark depends on; the defaults are those of the requirement."""

    size: int = 256
    target_spp: int = 1024
    depth: int = 5
    texels: int = 256  # about a pixel each
    sky_rows: int = 32
    spp: int = 16
    steps: int = 1200
    views_per_step: int = 2
    seed: int = 0


SCENE = """\
<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="{depth}"/><boolean name="hide_emitters" value="true"/></integrator>
  {sky}
  <bsdf type="principled" id="spot">
    {color}
    <float name="roughness" value="{roughness}"/>
    <float name="specular" value="0.5"/>
  </bsdf>
  <shape type="obj" id="mesh"><string name="filename" value={mesh}/><ref id="spot"/></shape>
</scene>
"""

JOB = """\
version = 1
name = "spot"

[scene]
file = "scene.xml"              # Spot, grey, under a grey sky

[data]
cameras = "transforms.json"
mask = "alpha"                  # the environment itself is not seen
holdout = "every:{holdout}"

[render]
integrator = {{ type = "pathspace", max_depth = {depth}, hide_emitters = true, boundary = "none" }}
spp = {spp}
resolution = [{{ step = 0, scale = 0.5 }}, {{ step = {fine}, scale = 1.0 }}]

[loss]
image = "l2"                    # as good as l2_dual: the derivative has seeds of its own, so it is unbiased

[optim]
steps = {steps}
views_per_step = {views_per_step}
seed = {seed}

[vars.sky]
match = "sky/radiance"
texture = {sky_rows}
map = "exp"
init = 0.5
lr = 0.1
prior = {{ tv_relative = 1e-4 }}

[vars.albedo]
match = "spot/base_color"
texture = {texels}
init = 0.5
lr = 0.04
prior = {{ tv_relative = {tv} }}

[vars.roughness]
match = "spot/roughness"
init = 0.5
lr = 0.015
start = {gloss}                   # when light and colours are roughly there

[gauge]                         # puts white near 0.9: as bright as paint is, and below 1
fix = "mean_luminance(spot/base_color) = 0.8"
lr = 1e-2                        # highlights tell the tint of the light from that of the surface

[goal]
psnr = {psnr}                     # held-out views

[stop]
max_minutes = 20

[output]
dir = {runs}
image_every = {images}
checkpoint_every = {checkpoints}
eval_spp = 256
"""


def source(name: str) -> Path:
    """An input file; raises Missed when it is not there."""
    path = DATA / name
    if not path.is_file():
        raise Missed(f"needs {path}: put the data folder beside the checkout")
    return path


def cameras(size: int) -> list[Any]:
    """VIEWS cameras on a spiral around the object, from below the horizon to above the back; up is +y."""
    from pbdr.data import Camera

    result = []
    for number in range(VIEWS):
        height = -0.55 + 1.4 * (number + 0.5) / VIEWS
        angle = 2.399963 * number  # the golden angle: neighbours in number are far apart
        level = np.sqrt(1 - height**2)
        origin = DISTANCE * np.array([level * np.cos(angle), height, level * np.sin(angle)])
        result.append(Camera.look_at(origin, [0, 0.12, 0.1], [0, 1, 0], size, size, np.radians(FOV)))
    return result


def prepare(folder: Path, setting: Setting, psnr: float) -> Path:
    """Write the data, the scenes and the job, unless the same targets are there already; returns the job's path."""
    from pbdr.data import write_transforms

    mesh, texture, sky = source("spot/spot.obj"), source("spot/spot_texture.png"), source(ENVIRONMENT)
    folder.mkdir(parents=True, exist_ok=True)
    common = {"depth": setting.depth, "mesh": quoteattr(str(mesh))}
    grey = {
        "sky": '<emitter type="constant" id="sky"><rgb name="radiance" value="1"/></emitter>',
        "color": '<rgb name="base_color" value="0.5"/>',
        "roughness": 0.5,
    }
    true = {
        "sky": f'<emitter type="envmap" id="sky"><string name="filename" value={quoteattr(str(sky))}/>'
        f'<float name="scale" value="{EXPOSURE}"/></emitter>',
        "color": f'<texture type="bitmap" name="base_color"><string name="filename" value={quoteattr(str(texture))}/></texture>',
        "roughness": ROUGHNESS,
    }
    (folder / "scene.xml").write_text(SCENE.format(**common, **grey), encoding="utf-8")
    (folder / "truth.xml").write_text(SCENE.format(**common, **true), encoding="utf-8")
    names = [f"images/{number:03d}.exr" for number in range(VIEWS)]
    views = cameras(setting.size)
    write_transforms(folder / "transforms.json", views, names)
    _render_targets(folder, setting, views, names)
    steps = setting.steps
    text = JOB.format(
        **asdict(setting),
        holdout=HOLDOUT,
        fine=2 * steps // 3,
        gloss=steps // 4,
        tv=0.02 * setting.texels / 256,  # a mean over texels: edges fill a smaller part of a finer texture
        images=max(1, steps // 3),
        checkpoints=max(1, steps // 10),
        psnr=psnr,
        runs=json.dumps(str(folder.resolve() / "runs")),
    )
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _render_targets(folder: Path, setting: Setting, views: list[Any], names: list[str]) -> None:
    """EXR images (H, W, 4), premultiplied, by Mitsuba's `path`; the environment lights but is not seen."""
    import drjit as dr
    import mitsuba as mi

    import pbdr
    from pbdr.data import encode_exr
    from pbdr.scene import load_object
    from pbdr.seeds import hashed

    key = json.dumps(
        [
            views[-1].to_world.tolist(),
            ENVIRONMENT,
            EXPOSURE,
            ROUGHNESS,
            FOV,
            DISTANCE,
            setting.size,
            setting.target_spp,
            setting.depth,
        ]
    )
    stamp = folder / "images" / "made-with.json"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        return
    (folder / "images").mkdir(exist_ok=True)
    scene = pbdr.load_scene(folder / "truth.xml", sensor_required=False)
    integrator = load_object({"type": "path", "max_depth": setting.depth, "hide_emitters": True})
    for number, (camera, name) in enumerate(zip(views, names, strict=True)):
        sensor = load_object(camera.to_dict(pixel_format="rgba"))
        launches = -(-setting.target_spp // LAUNCH)
        total = np.zeros((setting.size, setting.size, 4))
        with dr.suspend_grad():
            for launch in range(launches):
                seed = hashed(setting.seed, "target", number, launch)
                image = mi.render(scene.mi, sensor=sensor, integrator=integrator, spp=LAUNCH, seed=seed)
                total += np.array(image, dtype=np.float64)
        (folder / name).write_bytes(encode_exr(total / launches))
    stamp.write_text(key, encoding="utf-8")
