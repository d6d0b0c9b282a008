"""A half plane or a disc between a floor and a disc light, and what a probe sees of the floor in closed form."""

from __future__ import annotations

import numpy as np

from validation.scenes.small import Probe, area_light, diffuse, pose, scene_of, shape

ALBEDO, L = 0.6, 5.0
A, Z = 0.8, 2.0  # radius and height of the disc light
PROBE = Probe((2.4, -1.5, 2.5), (0.2, 0.0, 0.0))
EDGE, HEIGHT = 0.15, 0.9  # of the half-plane


def floor():
    """The receiver."""
    return shape("rectangle", pose(), bsdf=diffuse(ALBEDO))


def disc_light():
    """A disc that shines downwards, of radius A at height Z."""
    return shape("disk", pose((0, 0, Z), x=(A, 0, 0), y=(0, -A, 0), z=(0, 0, -1)), emitter=area_light(L))


def half_plane():
    """A black rectangle that covers x < EDGE as far as the light reaches."""
    return pose((EDGE - 2, 0, HEIGHT), x=(2, 0, 0), y=(0, 1.5, 0))


def disc_beyond(c, x, y, z=0.0, order=48):
    """E at the points (x, y, z) of a horizontal receiver from the part of the disc light where its own x is beyond c (form 7).

    The integral along y is closed, the one along x Gauss–Legendre in the angle that makes it smooth.
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    x, y, drop = np.reshape(x, (-1, 1)), np.reshape(y, (-1, 1)), Z - z
    start = np.arcsin(np.reshape(c, (-1, 1)) / A)
    half = 0.5 * (np.pi / 2 - start)
    angle = start + half * (nodes + 1)
    reach, k = A * np.cos(angle), np.sqrt((A * np.sin(angle) - x) ** 2 + drop**2)
    inner = sum(v / (2 * k**2 * (k**2 + v**2)) + np.arctan(v / k) / (2 * k**3) for v in (reach - y, reach + y))
    return L * drop**2 * np.sum(weights * half * reach * inner, axis=1)


def shadow_edge(x, z=0.0, edge=EDGE, height=HEIGHT):
    """Where the half-plane's edge appears in the plane of the light, seen from (x, ·, z)."""
    return x + (edge - x) * (Z - z) / (height - z)


def film_mean(irradiance, z=0.0, camera=PROBE):
    """Mean film of a camera that sees a receiver at height z with this irradiance(x, y)."""
    x, y, weights = camera.floor_points(z)
    return ALBEDO / np.pi * np.sum(weights * irradiance(x, y))


def scene_with(occluder, receiver=None):
    """The occluder between the disc light and the floor, or another receiver; loaded."""
    return scene_of(camera=PROBE.sensor(), floor=receiver or floor(), light=disc_light(), occluder=occluder)
