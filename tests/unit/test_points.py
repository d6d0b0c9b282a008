"""Normals at random points of shapes are those of the rays that meet them there."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr import seeds
from pbdr.scene import load_scene
from pbdr.transport import points
from validation.scenes import zoo
from validation.scenes.zoo import T

COUNT = 256
POSE = T().translate([5, -3, 2]).rotate([0.6, 0, 0.8], 70).scale(0.4)
SHAPES = ("sphere", "disk", "cylinder", "rectangle", "cube")


def drawn(kind, flipped):
    """Points of a turned lamp beside another one: shapes, sample and the normals of rays that meet the points from outside."""
    lamp = {"type": kind, "to_world": POSE, "flip_normals": flipped, "emitter": {"type": "area"}}
    other = {"type": "sphere", "center": [9, 9, 9], "emitter": {"type": "area"}}
    scene = load_scene({"type": "scene", "camera": zoo.camera(), "other": other, "lamp": lamp}).mi
    shapes = [emitter.get_shape() for emitter in scene.emitters()]
    number = next(i for i, shape in enumerate(shapes) if shape.id() == "lamp")
    sampler = seeds.lanes(COUNT, 1, "points")
    sample = shapes[number].sample_position(0.0, sampler.next_2d())
    centre = mi.Point3f([5, -3, 2])
    outside = centre + 2 * (sample.p - centre) + 0.1 * sampler.next_1d()
    hit = scene.ray_intersect(mi.Ray3f(outside, dr.normalize(sample.p - outside)))
    met = hit.is_valid() & (dr.norm(hit.p - sample.p) < 1e-4)
    return shapes, number, sample, hit.n, np.array(met)


def cosines(normals, true, met):
    return np.abs(np.array(dr.dot(normals, true)))[met]


@pytest.mark.parametrize("kind", SHAPES)
def test_normals_of_turned_shapes(kind):
    shapes, number, sample, true, met = drawn(kind, kind == "sphere")
    assert met.sum() > COUNT / 4
    found = points.normals(shapes, dr.full(mi.UInt32, number, COUNT), sample)
    assert cosines(found, true, met).min() > 1 - 1e-5
    # Negative control, and what to look at when Mitsuba has changed: its own normals of turned spheres are others.
    assert (cosines(sample.n, true, met).min() < 0.9) == (kind == "sphere")
