"""Smooth-shaded balls whose shading horizons are seen in mirrors, through glass and on instances."""

from __future__ import annotations

import numpy as np
import trimesh

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation.finite_differences import parameters
from validation.scenes import normal_maps, vertex_normals, zoo
from validation.scenes.small import shift
from validation.scenes.zoo import T

SILVER = {"type": "conductor", "material": "none"}
PANE = {"type": "thindielectric"}
VIEW = {"to_world": T().look_at([0, -4, 1.8], [0, 0, 0.7], [0, 0, 1]), "fov": 25}
MIRRORED = {"to_world": T().look_at([1.2, 0.8, 0.9], [0, 4.4, 0.7], [0, 0, 1]), "fov": 25}
FLOOR = {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}}
PATCH = {"to_world": vertex_normals.BESIDE, "fov": 60}  # of the floor


def coarse_ball(folder):
    """Convex, of 80 faces, smooth-shaded: it casts no shadows on itself."""
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.6)
    vertices = (ball.vertices * [1, 0.9, 1.1] + [0, 0, 0.7]).astype(np.float32)
    path = vertex_normals.smooth_file(folder, vertices, ball.faces)
    return {"type": "ply", "filename": path, "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.6, 0.7)}}


def bumpy_ball(folder):
    """The ball of vertex_normals.py, bright."""
    path, _ = vertex_normals.bumpy_ball(folder)
    return {"type": "ply", "filename": path, "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.8, 0.8)}}


def lamp(*place):
    """A square lamp at this place that looks at the ball."""
    pose = T().look_at(place, [0, 0, 0.7], [0, 0, 1]).scale(0.5)
    return {"type": "rectangle", "to_world": pose, "emitter": {"type": "area", "radiance": zoo.rgb(12.0)}}


LAMPS = {"key": lamp(2.5, -1.5, 2), "rim": lamp(-2.5, 1.5, 1)}


def plate(origin, target, size, bsdf):
    """A square at `origin` that faces `target`."""
    return {"type": "rectangle", "to_world": T().look_at(origin, target, [0, 0, 1]).scale(size), "bsdf": bsdf}


def scene(view, **shapes):
    """Shapes before a camera, loaded."""
    return load_scene({"type": "scene", "camera": {"type": "perspective", "film": zoo.film(), **view}, **shapes})


def in_a_mirror(folder):
    """The coarse ball, seen in a plane mirror only."""
    return scene(MIRRORED, ball=coarse_ball(folder), mirror=plate([0, 2.2, 0.7], [0, 0, 0.7], 1.5, SILVER), **LAMPS)


def behind_glass(folder):
    """The coarse ball behind a pane."""
    return scene(VIEW, ball=coarse_ball(folder), pane=plate([0, -1.5, 0.9], [0, -4, 0.9], 2, PANE), **LAMPS)


def mapped(folder):
    """The ball of test_mapped.py in a mirror."""
    mirror = plate([0, 1.6, 0.6], [0, 0, 0.6], 1.5, SILVER)
    view = {"to_world": T().look_at([1.0, 0.3, 0.9], [0, 3.2, 0.6], [0, 0, 1]), "fov": 32}
    return scene(view, ball=normal_maps.bent_ball(), mirror=mirror, rim=zoo.lamp(1, 1, -0.3))


def instance(view, folder):
    """The bumpy ball as an instance above a floor."""
    group = {"type": "shapegroup", "ball": bumpy_ball(folder)}
    thing = {"type": "instance", "g": {"type": "ref", "id": "group"}}
    return scene(view, group=group, thing=thing, floor=FLOOR, lamp=vertex_normals.LAMP)


def wobble(given, name):
    """Waves over the surface."""
    positions = read(given, parameters(given, name)[name])
    return np.sin(7 * positions[:, [1, 2, 0]])


def motion(given, name):
    """A shift and a turn of a pose."""
    tangent = shift(1, -0.8, -0.3)
    tangent[:, :3] = np.array([[0, 0, 0], [0, 0, 0.3], [0, -0.3, 0]])
    return tangent


# Scene, parameter, tangent, depth, step, samples of the differences and of the gradient, noise, and what is missing without.
CASES = {
    "in a mirror": (in_a_mirror, "ball/positions", wobble, 3, 0.01, 8192, 256, 0.03, 0.06),
    "behind glass": (behind_glass, "ball/positions", wobble, 3, 0.01, 16384, 1024, 0.05, 0.1),
    "normal map in a mirror": (mapped, "ball/normal_map", None, 3, 0.02, 8192, 256, 0.03, 0.04),
    "instance": (lambda f: instance(VIEW, f), "thing/pose", motion, 2, 0.01, 4096, 128, 0.05, 0.2),
    "instance out of view": (lambda f: instance(PATCH, f), "thing/pose", motion, 3, 0.01, 4096, 128, 0.05, 0.1),
}
