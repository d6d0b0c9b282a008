"""A textured mesh under a photographed environment: scenes, cameras and jobs of the cases in `jobs_material`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from .spot_scene import source

SIZE = 96  # pixels, width and height of every view
VIEWS, HOLDOUT = 16, 4  # every fourth view is held out
FOV = 32.0  # degrees
DISTANCE = 3.9
DEPTH = 4
TEXELS, SKY_ROWS = 256, 32  # resolution of the estimates; of fewer texels, many lie on borders of the atlas

SCENE = """\
<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="{depth}"/><boolean name="hide_emitters" value="true"/></integrator>
  {sky}
  <bsdf type="principled" id="thing">
    {color}
    <float name="roughness" value="{roughness}"/>
    <float name="specular" value="0.5"/>
  </bsdf>
  <shape type="obj" id="mesh"><string name="filename" value={mesh}/><ref id="thing"/></shape>
{sensors}
</scene>
"""

SENSOR = """\
  <sensor type="perspective" id="camera-{number:02d}">
    <float name="fov" value="{fov}"/>
    <transform name="to_world"><lookat origin="{origin}" target="{target}" up="0, 1, 0"/></transform>
    <film type="hdrfilm">
      <integer name="width" value="{size}"/><integer name="height" value="{size}"/>
      <string name="pixel_format" value="rgba"/><rfilter type="box"/>
    </film>
  </sensor>"""

JOB = """\
version = 1
name = "{name}"

[scene]
file = "scene.xml"

[data]
cameras = "scene"
target = "truth.xml"
target_spp = 1024               # at 256, the noise of the images alone leaves 31 dB
mask = "alpha"
holdout = "every:{holdout}"

[render]
integrator = {{ type = "pathspace", max_depth = {depth}, hide_emitters = true }}

[output]
eval_spp = 512

[vars.albedo]
match = "thing/base_color"
texture = {texels}

[vars.roughness]
match = "thing/roughness"
"""

SKY = """
[vars.sky]
match = "sky/radiance"
texture = {rows}
"""


@dataclass(frozen=True)
class Thing:
    """A mesh with its true colours and roughness, and the environment that lights it, times `exposure`."""

    name: str
    mesh: str
    texture: str
    roughness: float
    environment: str
    exposure: float
    target: tuple[float, float, float]


BOB = Thing("bob", "bob/bob_tri.obj", "bob/bob_diffuse.png", 0.3, "hdri/workshop.exr", 0.6, (0.0, 0.0, 0.0))
SPOT = Thing("spot", "spot/spot.obj", "spot/spot_texture.png", 0.25, "hdri/apartment.exr", 0.45, (0.0, 0.12, 0.1))
#: What none of the images shows: the estimate is lit by it afterwards.
UNSEEN = "hdri/city.exr"


def sensors(thing: Thing, size: int) -> str:
    """Cameras on a spiral around the object, from below the horizon to above its back; up is +y."""
    result = []
    for number in range(VIEWS):
        height, angle = -0.55 + 1.4 * (number + 0.5) / VIEWS, 2.399963 * number  # the golden angle
        level = np.sqrt(1 - height**2)
        origin = DISTANCE * np.array([level * np.cos(angle), height, level * np.sin(angle)])
        place = ", ".join(f"{x:.6f}" for x in origin)
        target = ", ".join(map(str, thing.target))
        result.append(SENSOR.format(number=number, fov=FOV, origin=place, target=target, size=size))
    return "\n".join(result)


def environment(name: str, exposure: float) -> str:
    """The XML of an environment map."""
    return (
        f'<emitter type="envmap" id="sky"><string name="filename" value={quoteattr(str(source(name)))}/>'
        f'<float name="scale" value="{exposure}"/></emitter>'
    )


def constant(radiance: float) -> str:
    """The XML of a grey sky."""
    return f'<emitter type="constant" id="sky"><rgb name="radiance" value="{radiance:.6g}"/></emitter>'


def scene(thing: Thing, sky: str, grey: float | None, roughness: float, size: int = SIZE) -> str:
    """The XML of a scene; `grey`: colour of the object, None for the true texture."""
    texture = quoteattr(str(source(thing.texture)))
    color = (
        f'<texture type="bitmap" name="base_color"><string name="filename" value={texture}/></texture>'
        if grey is None
        else f'<rgb name="base_color" value="{grey:.6g}"/>'
    )
    return SCENE.format(
        depth=DEPTH, sky=sky, color=color, roughness=f"{roughness:.6g}", mesh=quoteattr(str(source(thing.mesh))),
        sensors=sensors(thing, size),
    )  # fmt: skip


def write(thing: Thing, folder: Path, start: int, *, light_known: bool, size: int = SIZE) -> str:
    """Write truth.xml and scene.xml, which starts at random values; returns the text of the job."""
    chance: Any = np.random.default_rng(start)
    grey, roughness, light = chance.uniform(0.3, 0.7), chance.uniform(0.2, 0.8), np.exp(chance.uniform(-1.2, 0.7))
    true = environment(thing.environment, thing.exposure)
    (folder / "truth.xml").write_text(scene(thing, true, None, thing.roughness, size), encoding="utf-8")
    sky = true if light_known else constant(light)
    (folder / "scene.xml").write_text(scene(thing, sky, grey, roughness, size), encoding="utf-8")
    text = JOB.format(name=thing.name, holdout=HOLDOUT, depth=DEPTH, texels=TEXELS)
    return text if light_known else text + SKY.format(rows=SKY_ROWS)
