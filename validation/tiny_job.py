"""A job small enough to run in a second: a two-coloured quad under a constant sky, four 12 × 12 views."""

from __future__ import annotations

from pathlib import Path

SCENE = """<scene version="3.0.0">
  <default name="albedo" value="0.5, 0.5, 0.5"/>
  <default name="sky" value="1.0"/>
  <emitter type="constant" id="sky"><rgb name="radiance" value="$sky"/></emitter>
  <bsdf type="twosided" id="mat"><bsdf type="diffuse"><rgb name="reflectance" value="$albedo"/></bsdf></bsdf>
  <shape type="sphere" id="ball"><ref id="mat"/></shape>
  {sensors}
</scene>
"""

SENSOR = """<sensor type="perspective" id="camera-{i}">
    <float name="fov" value="40"/>
    <transform name="to_world"><lookat origin="{x}, {y}, 1" target="0, 0, 0" up="0, 0, 1"/></transform>
    <film type="hdrfilm"><integer name="width" value="12"/><integer name="height" value="12"/>
      <string name="pixel_format" value="rgb"/><rfilter type="box"/></film>
  </sensor>"""

SENSORS = "\n  ".join(SENSOR.format(i=i, x=x, y=y) for i, (x, y) in enumerate([(4, 0), (0, 4), (-4, 0), (0, -4)]))

JOB = """version = 1
name = "tiny"

[scene]
file = "scene.xml"

[data]
cameras = "scene"
target = "truth.xml"
target_spp = 64
holdout = "every:4"

[render]
integrator = { type = "prb", max_depth = 3 }
spp = 4

[optim]
steps = 12
views_per_step = 2

[vars.albedo]
match = "mat/base_color"
init = 0.5
bounds = [0.0, 1.0]
lr = 0.05

[goal]
rmse = { albedo = 0.05 }

[output]
image_every = 6
checkpoint_every = 4
eval_spp = 8
"""


def write_job(folder: Path, changes: dict[str, str] | None = None) -> Path:
    """Write scene.xml, truth.xml and job.toml (its text with replacements) into a folder; returns the job's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scene.xml").write_text(SCENE.format(sensors=SENSORS))
    (folder / "truth.xml").write_text(SCENE.format(sensors="").replace("0.5, 0.5, 0.5", "0.8, 0.4, 0.2"))
    text = JOB
    for old, new in (changes or {}).items():
        assert old in text, f"{old!r} is not in the job"
        text = text.replace(old, new)
    (folder / "job.toml").write_text(text)
    return folder / "job.toml"
