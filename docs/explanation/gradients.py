"""Renders the pictures of gradients.md: `python docs/explanation/gradients.py`, from the root of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pbdr
from pbdr.page import grey, signed_limit
from pbdr.scene import integrator_of
from pbdr.verify.directions import direction
from pbdr.verify.images import derivative_images
from pbdr.verify.sources import Differences

FOLDER = Path(__file__).parent
SIZE, SPP = 80, 128
SCENE = """<scene version="3.0.0">
  <sensor type="perspective" id="camera"><float name="fov" value="38"/>
    <transform name="to_world"><lookat origin="0, -4, 2.2" target="0, 0, 0.5" up="0, 0, 1"/></transform>
    <film type="hdrfilm"><integer name="width" value="{size}"/><integer name="height" value="{size}"/><rfilter type="box"/></film>
  </sensor>
  <shape type="rectangle" id="floor"><transform name="to_world"><scale value="4"/></transform>
    <bsdf type="diffuse"><rgb name="reflectance" value="0.6, 0.5, 0.4"/></bsdf></shape>
  <shape type="cube" id="box">
    <transform name="to_world"><scale value="0.4"/><rotate z="1" angle="30"/><translate z="0.8"/></transform>
    <bsdf type="diffuse"><rgb name="reflectance" value="0.2, 0.4, 0.8"/></bsdf></shape>
  <shape type="rectangle" id="lamp">
    <transform name="to_world"><scale value="0.5"/><lookat origin="1.5, -1, 4" target="0, 0, 0.5" up="0, 0, 1"/></transform>
    <emitter type="area"><rgb name="radiance" value="14"/></emitter></shape>
</scene>"""
PARAMETER = "box/positions"


def samples() -> None:
    """One pixel that an edge crosses: its samples jump, their mean does not."""
    theta = np.linspace(0, 1, 400)
    points = (np.arange(6) + np.random.default_rng(2).random(6)) / 6
    figure = Figure(figsize=(6.4, 2.4), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2)
    for point in points:
        left.plot(theta, 1.0 * (theta > point), color="#1f5fbf", linewidth=1)
    left.set_title("six samples of a pixel", loc="left", fontsize=9)
    right.plot(theta, np.mean(theta[:, None] > points, axis=1), color="#1f5fbf", label="mean of the samples")
    right.plot(theta, theta, color="#c2571a", label="the pixel")
    right.legend(frameon=False, fontsize=8)
    right.set_title("what they estimate", loc="left", fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("position of the edge", fontsize=8)
        axes.tick_params(labelsize=7)
    save(figure, "samples.png")


def panels() -> None:
    """Image, its finite differences, naive AD, and the split."""
    scene = pbdr.load_scene(SCENE.format(size=SIZE))
    camera = scene.sensors[0]
    parameter = next(p for p in pbdr.list_parameters(scene) if p.name == PARAMETER)
    options = {"max_depth": 3}
    image = np.array(pbdr.render(scene, spp=SPP, integrator={"type": "pathspace", **options}))
    exact = Differences(
        scene, parameter, direction(scene, parameter, "x"), sensor=camera,
        integrator=integrator_of(scene, {"type": "path", **options}),
    )  # fmt: skip
    differences = np.mean([exact.image(0.02, seed, 4 * SPP) for seed in range(2)], axis=0)
    terms = derivative_images(scene, PARAMETER, options=options, directions=["x"], spp=SPP)["x"]
    # Mitsuba's own convention has another interior; this is the one that belongs to the boundary shown.
    naive = terms["interior"]
    shown: list[tuple[str, Any]] = [
        ("image", None), ("finite differences", differences), ("AD without boundary", naive),
        ("interior + boundary", terms["total"]), ("primary boundary", terms["primary"]), ("direct boundary", terms["direct"]),
        ("indirect boundary, × 5", 5 * terms["indirect"]),
        ("interior, × 5", 5 * terms["interior"]),
    ]  # fmt: skip
    limit = signed_limit(differences)
    figure = Figure(figsize=(7.6, 4.2), layout="constrained", dpi=90)
    for axes, (title, values) in zip(figure.subplots(2, 4).ravel(), shown, strict=True):
        if values is None:
            axes.imshow(np.clip(image, 0, 1) ** (1 / 2.2), interpolation="nearest")
        else:
            axes.imshow(grey(values), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(title, loc="left", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    save(figure, "split.png")


def save(figure: Figure, name: str) -> None:
    """Write a picture beside this file."""
    figure.savefig(FOLDER / name, format="png", metadata={"Software": None})
    print(f"{name}: {(FOLDER / name).stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    samples()
    panels()
