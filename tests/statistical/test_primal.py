"""The primal image of `pathspace` is that of Mitsuba's `path`.

Both images are rendered REPLICAS times with hashed, independent seeds. Compared are, per channel, the mean of the image and
the means of BLOCKS × BLOCKS blocks, all at once (Bonferroni): a right renderer fails with a probability of at most 1e-4.
Power: the standard error of a mean over the image is at most WHOLE = 0.16 % of the channel's mean, which makes an error of 1.5 %
of the image fail with a probability above 99 %; that of a block at most LOCAL = 1.5 %. Each comparison ends with a negative
control: with 1.5 % added to the whole image, or 20 % to one block, it must fail.
"""

import subprocess
import sys
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

from pbdr.scene import load_scene
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.scenes import media, zoo

REPLICAS, SPP = 16, 100
WHOLE, LOCAL = 0.0016, 0.015
BLOCKS = 4


def images(scene, integrator, spp, sensor=0):
    plugin = mi.load_dict(integrator)

    def image(seed):
        return np.array(mi.render(scene.mi, sensor=sensor, integrator=plugin, spp=spp, seed=seed))

    return replicas(image, REPLICAS, integrator["type"])


def means(samples):
    """Images (N, H, W, C) → means of the whole image (N, C), means of blocks (N, B, B, C)."""
    n, height, width, channels = samples.shape
    blocks = samples.reshape(n, BLOCKS, height // BLOCKS, BLOCKS, width // BLOCKS, channels).mean((2, 4))
    return samples.mean((1, 2)), blocks


def compare(
    description, *, spp=SPP, truth=None, reference=None, whole=WHOLE, local=LOCAL, sensor=0, kind="path", **options
):
    """Render both, assert agreement, and that planted errors would have been found.

    `truth` and `reference` replace the scene and the options that Mitsuba's `path`, or another `kind`, is given.
    """
    scene = load_scene(description)
    other = scene if truth is None else load_scene(truth)
    ours = images(scene, {"type": "pathspace", **options}, spp, sensor)
    theirs = images(other, {"type": kind, **(options if reference is None else reference)}, spp, sensor)
    assert ours.shape == theirs.shape
    level = np.abs(theirs).mean((0, 1, 2))
    assert (level > 0).all()
    difference, local_difference = means((ours - theirs) / level)
    assert_agrees(difference, 0 * difference[0], scale=1.0, max_relative_se=whole)
    assert_agrees(local_difference, 0 * local_difference[0], scale=1.0, max_relative_se=local)
    assert_differs(difference + 0.015, 0 * difference[0], scale=1.0, by=0.005)
    planted = local_difference.copy()
    planted[:, 1, 2] += 0.2
    assert_differs(planted, 0 * planted[0], scale=1.0, by=0.05)
    return ours, theirs


@pytest.mark.parametrize("material", zoo.MATERIALS)
def test_materials(material):
    compare(zoo.scene(bsdf=zoo.MATERIALS[material]()), max_depth=5)


@pytest.mark.parametrize("emitter", zoo.EMITTERS)
def test_emitters(emitter):
    compare(zoo.scene(light=zoo.EMITTERS[emitter]()), max_depth=3, spp=196)


@pytest.mark.slow
@pytest.mark.parametrize("case", media.CASES)
def test_media(case):
    """Interfaces that bend nothing are no vertices, as for `volpath`: the same depths."""
    compare(media.CASES[case](), kind="volpathmis", max_depth=4, spp=400, whole=0.0022, local=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("phase", media.phases())
def test_phase_functions(phase):
    scene = media.scene(media.cloud(phase=media.phases()[phase]), bulb=media.POINT)
    compare(scene, kind="volpathmis", max_depth=3, spp=400, local=0.03)


def test_the_shortest_paths_through_media():
    """Transmittance and single scattering, in a medium whose extinction has a colour."""
    compare(media.CASES["tinted"](), kind="volpathmis", max_depth=2, spp=600, local=0.03)


@pytest.mark.parametrize("max_depth", [1, 2, 8, -1])
def test_max_depth(max_depth):
    """Cornell box: the longest path has max_depth segments; −1 is unlimited."""
    compare(zoo.cornell(), max_depth=max_depth, spp=1600 if max_depth == 1 else 484, local=0.05)


@pytest.mark.parametrize("rr_depth", [1, 2])
def test_russian_roulette(rr_depth):
    """Paths that end early at random, on a scene with colours and glass."""
    dark = zoo.scene(bsdf=zoo.MATERIALS["dielectric"]())
    dark["floor"]["bsdf"] = {"type": "diffuse", "reflectance": zoo.rgb(0.3, 0.2, 0.1)}
    compare(dark, max_depth=8, rr_depth=rr_depth, spp=256)


def rgba(**parts):
    """A scene on an rgba film whose floor leaves some of the background free."""
    description = zoo.scene(sensor=zoo.camera(film=zoo.film(pixel_format="rgba")), **parts)
    description["floor"]["to_world"] = mi.ScalarTransform4f().scale(1.2)
    return description


BEHIND = {
    "sky": lambda: rgba(),
    "sky-mask": lambda: rgba(bsdf=zoo.MATERIALS["mask"]()),
    "lamp": lambda: rgba(light=zoo.lamp_in_view("sphere")) | {"ball": zoo.block()},
}


@pytest.mark.parametrize(
    ("kind", "hide_emitters"),
    [(kind, hide) for kind in BEHIND for hide in (False, True) if (kind, hide) != ("sky-mask", True)],
)
def test_hidden_emitters_and_alpha(kind, hide_emitters):
    """What is hidden leaves the image and its alpha alike; a mask shows what is behind it in both.

    (A hidden sky seen through a mask is left out: Mitsuba's `path` is wrong there, see the next test.)
    """
    ours, _ = compare(BEHIND[kind](), max_depth=4, hide_emitters=hide_emitters, spp=484)
    assert ours.shape[-1] == 4


def test_a_mask_before_a_hidden_sky():
    """In closed form: a plate of opacity 0.4 and albedo 0.5 under a sky of radiance 1, its light alone.

    Mitsuba's `path` forgets what it has sampled at a cut-out once the path leaves the scene through it: negative control.
    """
    bsdf = {"type": "mask", "opacity": 0.4, "nested": {"type": "diffuse", "reflectance": zoo.rgb(0.5)}}
    pose = zoo.T().look_at([0, 0, 0.5], [0, -4, 1.8], [0, 0, 1]).scale(5)
    scene = load_scene({
        "type": "scene", "camera": zoo.camera(film=zoo.film(pixel_format="rgba")),
        "light": {"type": "constant", "radiance": zoo.rgb(1.0)}, "plate": {"type": "rectangle", "to_world": pose, "bsdf": bsdf},
    })  # fmt: skip
    means = {}
    for kind in ("pathspace", "path"):
        tracer = mi.load_dict({"type": kind, "max_depth": 3, "hide_emitters": True})
        means[kind] = np.array(mi.render(scene.mi, integrator=tracer, spp=1024, seed=1)).mean((0, 1))
    assert means["pathspace"] == pytest.approx([0.2, 0.2, 0.2, 0.4], rel=0.01)
    assert means["path"][0] < 0.19


@pytest.mark.parametrize("lamp", ["rectangle", "sphere"])
def test_sphere_behind_a_hidden_lamp(lamp):
    """The truth is what a near plane behind the lamp shows: Mitsuba's own hit distances are wrong here (its meshes hide that)."""
    description = rgba(light=zoo.lamp_in_view(lamp))
    clipped = {**description, "camera": {**description["camera"], "near_clip": 1.7}}
    options = {"max_depth": 2, "spp": 484, "whole": 0.003, "local": 0.03}
    compare(description, truth=clipped, reference={"max_depth": 2}, hide_emitters=True, **options)


def test_hiding_is_noticed():
    """Negative control: emitters hidden in one of the two images only."""
    with pytest.raises(AssertionError, match="standard errors away"):
        compare(zoo.scene(), max_depth=2, reference={"max_depth": 2, "hide_emitters": True}, spp=400)


def test_a_missing_bounce_is_noticed():
    """Negative control: the reference has one bounce less."""
    with pytest.raises(AssertionError, match="standard errors away"):
        compare(zoo.scene(), max_depth=4, reference={"max_depth": 3}, spp=400)


CAMERAS = {
    "thinlens": lambda: zoo.camera("thinlens", aperture_radius=0.15, focus_distance=4.0),
    "orthographic": lambda: zoo.camera("orthographic", to_world=zoo.VIEW.scale(1.5)),
    "principal-point": lambda: zoo.camera(principal_point_offset_x=0.1, principal_point_offset_y=-0.2),
}  # fmt: skip


@pytest.mark.parametrize("kind", CAMERAS)
def test_cameras(kind):
    compare(zoo.scene(sensor=CAMERAS[kind]()), max_depth=3)


def test_second_sensor():
    """The sensor asked for, not the first one."""
    description = {**zoo.scene(), "other": zoo.camera(fov=20.0)}
    compare(description, max_depth=3, sensor=1)


FILMS = {
    "gaussian": {"rfilter": {"type": "gaussian"}},
    "border": {"rfilter": {"type": "gaussian", "stddev": 0.8}, "sample_border": True},
    "tent-crop": {
        "width": 29, "height": 41, "crop_offset_x": 7, "crop_offset_y": 11, "crop_width": zoo.SIZE,
        "crop_height": zoo.SIZE, "rfilter": {"type": "tent"},
    },
    "mitchell-crop-border": {
        "width": 29, "height": 41, "crop_offset_x": 7, "crop_offset_y": 11, "crop_width": zoo.SIZE,
        "crop_height": zoo.SIZE, "rfilter": {"type": "mitchell"}, "sample_border": True,
    },
    "luminance": {"pixel_format": "luminance"},
}  # fmt: skip


@pytest.mark.parametrize("kind", FILMS)
def test_films(kind):
    """Filters, crop windows and borders, pixel by pixel on a patterned wall of light: a shifted film would show."""
    wall = {"type": "rectangle", "to_world": mi.ScalarTransform4f().look_at([0, 0, 3], [0, 0, 0], [0, 1, 0]).scale(2)}
    radiance = {"type": "area", "radiance": zoo.texels(0.5, 3.0, filter_type="bilinear")}
    sensor = {"type": "perspective", "fov": 40.0, "film": zoo.film(**FILMS[kind])}
    description = {"type": "scene", "camera": sensor, "wall": {**wall, "emitter": radiance}}
    ours, theirs = compare(description, max_depth=2, spp=512)
    level = theirs.mean((0, 1, 2))
    pixels = (ours - theirs) / level
    assert_agrees(pixels, 0 * pixels[0], scale=1.0, max_relative_se=0.005)
    shifted = (np.roll(ours, 1, axis=2) - theirs) / level
    assert_differs(shifted, 0 * shifted[0], scale=1.0, by=0.05)


@pytest.mark.parametrize("sampler", ["stratified", "multijitter", "orthogonal", "ldsampler"])
def test_samplers(sampler):
    """The sensor's own sampler is used, and no dimension of it twice."""
    description = zoo.scene(bsdf=zoo.MATERIALS["roughconductor"]())
    description["camera"]["sampler"] = {"type": sampler}
    compare(description, max_depth=3, spp=121 if sampler == "orthogonal" else 144)


def test_mono_variant():
    """One channel of spectra, in a process of its own."""
    code = """
import sys; sys.path[:0] = sys.argv[1:]
from pbdr import backend
backend.activate(backend.find().variant.replace('rgb', 'mono'))
import pbdr, mitsuba as mi
from validation.scenes import zoo
import test_primal
ours, _ = test_primal.compare(zoo.scene(bsdf=zoo.MATERIALS['principled']()), max_depth=4)
assert mi.is_monochromatic and 'mono' in mi.variant(), mi.variant()
print('agree', ours.shape[-1])
"""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(here), str(here.parent)], capture_output=True, text=True, cwd=here.parents[1]
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "agree" in done.stdout
