"""Random scenes: a structure says which plugins there are and what is differentiated, numbers say where, how large and how bright.

Scenes of one structure have the same types, so that they share their kernels: the first of them is expensive, the others are cheap.
Every number has a name and a plain value. A scene that fails is shrunk by making its numbers plain, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Dict = dict[str, Any]
SIDE = 16  # pixels
SHAPES = (
    "mesh", "sphere", "rectangle", "smooth mesh", "cube", "disk", "cylinder", "instance", "bsplinecurve", "linearcurve", "sdfgrid",
)  # fmt: skip
MATERIALS = (
    "diffuse", "roughconductor", "plastic", "twosided", "dielectric", "principled", "mask", "normalmap", "blend", "conductor",
    "roughdielectric", "bumpmap", "checkerboard", "nearest", "roughplastic", "thindielectric", "pplastic",
)  # fmt: skip
#: Black from behind: plates get them on both sides.
ONE_SIDED = (
    "diffuse", "roughconductor", "plastic", "blend", "conductor", "roughplastic", "pplastic", "checkerboard",
    "nearest", "normalmap", "bumpmap",
)  # fmt: skip
LIGHTS = (
    "area", "constant", "point", "environment", "directional", "spot", "area-sphere", "projector", "area-textured",
)  # fmt: skip
SENSORS = ("perspective", "perspective", "thinlens", "orthographic", "opencv")
ROLES = ("shape", "camera", "receiver", "light", "shape", "material")


@dataclass(frozen=True)
class Structure:
    """Plugins of a scene, what of it is differentiated (`role`, `choice` among its parameters), and the longest path."""

    number: int
    shape: str
    material: str
    light: str
    sensor: str
    role: str
    choice: int
    depth: int

    @classmethod
    def of(cls, number: int) -> Structure:
        """The structure of this number; the lists are walked with steps of their own, so that few structures hold every kind."""
        rng = np.random.default_rng([number, 7])
        return cls(
            number,
            SHAPES[number % len(SHAPES)],
            MATERIALS[(number + number // len(SHAPES)) % len(MATERIALS)] if number % 3 else "diffuse",
            LIGHTS[(number + number // len(LIGHTS)) % len(LIGHTS)],
            SENSORS[number % len(SENSORS)],
            ROLES[(number + number // len(ROLES)) % len(ROLES)],
            int(rng.integers(1000)),
            3 if number % 4 == 3 else 2,
        )

    def words(self) -> str:
        """For people."""
        return f"{self.shape}, {self.material}, {self.light}, {self.sensor}: {self.role}, depth {self.depth}"


class Numbers:
    """Numbers of a scene by name: from a seed, or made of `given` ones (0 to 1); those in `plain`, or given as 0, are plain."""

    def __init__(
        self, seed: int, given: Mapping[str, float] | None = None, plain: frozenset[str] = frozenset()
    ) -> None:
        self.seed, self.given, self.plain = seed, given, plain

    def _random(self, name: str) -> np.random.Generator | None:
        if name in self.plain or (self.given is not None and not self.given.get(name)):
            return None
        own = 0 if self.given is None else int(self.given[name] * 2**32)
        return np.random.default_rng([self.seed, own, *map(ord, name)])

    def uniform(self, name: str, low: float, high: float, plain: float) -> float:
        """A number between `low` and `high`."""
        random = self._random(name)
        return plain if random is None else float(random.uniform(low, high))

    def vector(self, name: str, size: float) -> Array:
        """Three numbers between ± `size`; zero when plain."""
        random = self._random(name)
        return np.zeros(3) if random is None else random.uniform(-size, size, 3)


#: Names of all numbers, in the order in which shrinking tries to make them plain.
NAMES = (
    "origin", "unit", "flaw", "colour", "shape seed", "turn", "place", "gap", "size", "aim", "view", "fov", "lamp", "lamp size",
    "block", "floor", "alpha",
)  # fmt: skip


@dataclass
class Frame:
    """Units and origin of a scene: every length is `unit` times what it is in the unit scene, every point moves by `origin`."""

    unit: float
    origin: Array

    def point(self, *p: float) -> list[float]:
        """Where a point of the unit scene is."""
        return list(self.origin + self.unit * np.asarray(p, dtype=np.float64))

    def pose(self, local: Any) -> Any:
        """A transform of the unit scene."""
        import mitsuba as mi

        return mi.ScalarTransform4f().translate(list(self.origin)).scale(self.unit) @ local


def frame(numbers: Numbers) -> Frame:
    """A third of the scenes have other units, a third another origin, up to 30 sizes away."""
    which = numbers.uniform("unit", 0, 3, 0.0)
    unit = 10 ** (6 * (which - 1.5)) if 1 <= which < 2 else 1.0
    away = numbers.vector("origin", 30.0)
    return Frame(unit, away * unit if which >= 2 else np.zeros(3))


def make(structure: Structure, numbers: Numbers, folder: Path) -> Dict:
    """The scene as a dictionary; meshes and curves are written to `folder`."""
    import mitsuba as mi

    from validation.scenes import zoo

    T = mi.ScalarTransform4f

    world = frame(numbers)
    tint = 0.6 + numbers.uniform("colour", 0, 0.4, 0.2)
    floor = {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
    tilt = numbers.uniform("floor", -6, 6, 0.0)
    sunk = -1.2 * abs(np.tan(np.radians(tilt)))  # a tilted floor clears what stands on it
    side = numbers.vector("block", 0.25)
    beside = 1.3 if "curve" in structure.shape else 0.5
    block = (
        T()
        .translate([-1.0 + side[0], beside + side[1], 0.45 + side[2] ** 2])
        .rotate([0, 0, 1], 30 + 90 * side[2])
        .scale(0.25)
    )
    paint = {"type": "diffuse", "reflectance": zoo.rgb(tint, 0.5, 0.3)}
    ground = world.pose(T().translate([0, 0, sunk]).rotate([1, 0, 0], tilt).scale(3))
    return {
        "type": "scene",
        "camera": camera(structure.sensor, numbers, world),
        "lamp": lamp(structure.light, numbers, world),
        "floor": {"type": "rectangle", "to_world": ground, "bsdf": floor},
        "block": {"type": "cube", "to_world": world.pose(block), "bsdf": paint},
        **thing(structure, numbers, world, folder),
    }  # fmt: skip


def camera(kind: str, numbers: Numbers, world: Frame) -> Dict:
    """A sensor that looks at the thing from about four units away."""
    from validation.scenes import zoo

    T = zoo.T
    eye = np.array([0.0, -4.0, 1.8]) + numbers.vector("view", 0.6)
    target = np.array([0.0, 0.0, 0.5]) + numbers.vector("aim", 0.15)
    pose = T().look_at(world.point(*eye), world.point(*target), [0, 0, 1])
    fov = numbers.uniform("fov", 25, 50, 35)
    planes = {"near_clip": 0.01 * world.unit, "far_clip": 1e4 * world.unit}
    lens = {
        "perspective": {"fov": fov},
        "thinlens": {"fov": fov, "aperture_radius": 0.1 * world.unit, "focus_distance": 3.5 * world.unit},
        "orthographic": {},
        "opencv": {"fov": fov, "k1": -0.1, "k2": 0.05, "p1": 0.01, "p2": -0.01},
    }[kind]
    if kind == "orthographic":
        pose = pose @ T().scale([1.3 * world.unit, 1.3 * world.unit, 1.0])
    return {"type": kind, "to_world": pose, "film": zoo.film(width=SIDE, height=SIDE), **lens, **planes}


def lamp(kind: str, numbers: Numbers, world: Frame) -> Dict:
    """A light above and in front of the thing, or all around it."""
    from validation.scenes import zoo

    T = zoo.T
    where = np.array([1.5, -1.0, 3.0]) + numbers.vector("lamp", 0.6)
    size = 0.2 + numbers.uniform("lamp size", 0, 0.5, 0.3)
    looking = T().look_at(world.point(*where), world.point(0, 0, 0.5), [0, 0, 1])
    bright = 9.0 * world.unit**2  # an intensity; its irradiance does not depend on units
    if kind == "constant":
        return dict(zoo.EMITTERS["constant"]())
    if kind == "environment":
        return dict(zoo.sky())
    if kind == "directional":
        return {"type": kind, "direction": list(np.array([0, 0, 0.5]) - where), "irradiance": zoo.rgb(2.0)}
    if kind == "point":
        return {"type": kind, "position": world.point(*where), "intensity": zoo.rgb(bright, 0.8 * bright, 0.6 * bright)}
    if kind == "spot":
        return {
            "type": kind,
            "to_world": looking,
            "intensity": zoo.rgb(bright),
            "cutoff_angle": 40.0,
            "beam_width": 20.0,
        }
    if kind == "projector":
        return {"type": kind, "to_world": looking, "fov": 40.0, "irradiance": zoo.texels(2, 12)}
    radiance = zoo.texels(2, 12) if kind == "area-textured" else zoo.rgb(9.0)
    shape = "sphere" if kind == "area-sphere" else "rectangle"
    return {
        "type": shape,
        "to_world": looking @ T().scale(size * world.unit),
        "emitter": {"type": "area", "radiance": radiance},
    }


def material(kind: str, numbers: Numbers) -> Dict:
    """The thing's material."""
    from validation.scenes import zoo

    alpha = numbers.uniform("alpha", 0.1, 0.5, 0.3)
    if kind == "checkerboard":
        pattern = {"type": kind, "color0": zoo.rgb(0.2), "color1": zoo.rgb(0.8)}
        return {"type": "diffuse", "reflectance": pattern}
    if kind == "nearest":
        return {"type": "diffuse", "reflectance": zoo.texels(0.1, 0.9, filter_type="nearest")}
    found = dict(zoo.MATERIALS[kind]())
    return found | {k: alpha for k in ("alpha", "roughness") if isinstance(found.get(k), float)}


def thing(structure: Structure, numbers: Numbers, world: Frame, folder: Path) -> Dict:
    """The shape that the scene is about: above the floor, or touching it."""
    import mitsuba as mi

    from validation.scenes import zoo

    T = mi.ScalarTransform4f
    bsdf = material(structure.material, numbers)
    radius = numbers.uniform("size", 0.25, 0.6, 0.5)
    gap = max(numbers.uniform("gap", -0.1, 0.5, 0.2), 0.0)
    turn = numbers.uniform("turn", 0, 360, 30)
    place = numbers.vector("place", 0.3)
    axis = place / np.linalg.norm(place) if np.any(place) else np.array([0.0, 0.0, 1.0])
    at = T().translate([place[0], place[1], radius + gap])
    kind = structure.shape
    if kind in ("mesh", "smooth mesh"):
        local = at.rotate(list(axis), turn).scale(radius)
        faces, vertices = blob(numbers, kind == "smooth mesh")
        if kind == "mesh":  # stands on the floor, where there is no gap
            points = vertices @ np.array(local.matrix)[:3, :3].T
            local = T().translate([0, 0, float(-points[:, 2].min()) - radius]) @ local
        return {
            "thing": {
                **_mesh(folder, faces, vertices, kind == "smooth mesh"),
                "to_world": world.pose(local),
                "bsdf": bsdf,
            }
        }
    if kind in ("bsplinecurve", "linearcurve"):
        if structure.material == "diffuse":  # textures around curves are refused
            bsdf = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}
        return {"thing": {**_curve(folder, kind, numbers, world), "bsdf": bsdf}}
    if kind == "sdfgrid":
        x, y, z = np.meshgrid(*[np.linspace(-1, 1, 8)] * 3, indexing="ij")
        grid = (np.sqrt(x**2 + y**2 + (1 + 0.3 * place[0]) * z**2) - 0.6)[..., None].astype(np.float32)
        pose = T().translate([place[0] - 0.7, place[1] - 0.7, 0.1 + gap]).scale(1.4)
        return {"thing": {"type": kind, "grid": mi.TensorXf(grid), "to_world": world.pose(pose), "bsdf": bsdf}}
    turned = at.rotate(list(axis), turn)
    if kind == "instance":
        inner = {"type": "cube", "to_world": T().rotate([0.6, 0, 0.8], 25).scale(0.5), "bsdf": bsdf}
        pose = world.pose(T().translate([0, 0, 0.4]) @ turned.scale(radius))
        return {
            "group": {"type": "shapegroup", "inner": inner},
            "thing": {"type": kind, "to_world": pose, "g": _of("group")},
        }
    pose = {
        "sphere": turned.scale(radius),
        "cube": T().translate([0, 0, 0.75 * radius]) @ turned.scale(radius),
        "cylinder": T().translate([0, 0, 0.4]) @ turned.scale([0.6 * radius, 0.6 * radius, radius]),
        "disk": turned.rotate([1, 0, 0], 50).scale(radius),
        "rectangle": turned.rotate([1, 0, 0], 50).scale([radius, 0.7 * radius, 1]),
    }[kind]
    two = bsdf if structure.material not in ONE_SIDED else {"type": "twosided", "nested": bsdf}
    return {
        "thing": {"type": kind, "to_world": world.pose(pose), "bsdf": two if kind in ("disk", "rectangle") else bsdf}
    }


def blob(numbers: Numbers, smooth: bool) -> tuple[Array, Array]:
    """A closed mesh with a bumpy surface; with flaws for some: doubled and empty faces, needles, one face alone, tiny ones."""
    import trimesh

    seed = int(1e6 * numbers.uniform("shape seed", 0, 1, 0.0))
    rng = np.random.default_rng(seed)
    base = trimesh.creation.icosphere(subdivisions=2 if smooth else int(rng.integers(0, 2)))
    vertices, faces = np.array(base.vertices), np.array(base.faces)
    waves = rng.normal(size=(3, 3))
    vertices = vertices * (0.85 + 0.12 * np.sin(2 * vertices @ waves).mean(1, keepdims=True))
    flaw = 0.0 if smooth else numbers.uniform("flaw", 0, 2, 0.0)
    if flaw >= 1.8:  # doubled
        faces = np.concatenate([faces, faces[:3], faces[3:5, ::-1]])
    elif flaw >= 1.6:  # without area: a corner twice
        faces = np.concatenate([faces, np.stack([faces[:3, 0], faces[:3, 0], faces[:3, 1]], 1)])
    elif flaw >= 1.4:  # open, with a tiny face beside it
        tip = vertices[faces[0, 0]] * 1.3
        vertices = np.concatenate([vertices, [tip, tip + 1e-3, tip + [1e-3, 0, -1e-3]]])
        faces = np.concatenate([faces[2:], [[len(vertices) - 3, len(vertices) - 2, len(vertices) - 1]]])
    elif flaw >= 1.2:  # a tetrahedron
        vertices = np.array([[0, 0, 0.9], [0.8, 0, -0.5], [-0.4, 0.7, -0.5], [-0.4, -0.7, -0.5]])
        faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    elif flaw >= 1.0:  # split vertices
        vertices, faces = vertices[faces.ravel()], np.arange(3 * len(faces)).reshape(-1, 3)
    return faces.astype(np.uint32), vertices.astype(np.float32)


def _mesh(folder: Path, faces: Array, vertices: Array, smooth: bool) -> Dict:
    import mitsuba as mi

    mesh = mi.Mesh("thing", len(vertices), len(faces), has_vertex_normals=False)
    params = mi.traverse(mesh)
    params["vertex_positions"], params["faces"] = mi.Float(vertices.ravel()), mi.UInt32(faces.ravel())
    params.update()
    path = folder / "thing.ply"
    mesh.write_ply(str(path))
    return {"type": "ply", "filename": str(path), "face_normals": not smooth}


def _curve(folder: Path, kind: str, numbers: Numbers, world: Frame) -> Dict:
    rng = np.random.default_rng(int(1e6 * numbers.uniform("shape seed", 0, 1, 0.0)))
    count = 5 if kind == "bsplinecurve" else 3
    x = np.linspace(-1.6, 1.6, count) if count == 5 else np.linspace(-0.9, 0.9, count)
    points = np.stack([x, rng.uniform(-0.3, 0.3, count), rng.uniform(0.5, 1.1, count)], 1)
    radii = rng.uniform(0.12, 0.25, count) * world.unit
    rows = [f"{' '.join(f'{v:.9g}' for v in world.point(*p))} {r:.9g}" for p, r in zip(points, radii, strict=True)]
    path = folder / f"{kind}.txt"
    path.write_text("\n".join(rows), encoding="utf-8")
    return {"type": kind, "filename": str(path)}


def _of(name: str) -> Dict:
    return {"type": "ref", "id": name}
