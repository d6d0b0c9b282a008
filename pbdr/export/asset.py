"""What formats of other programs are made of: triangles, materials, lights, cameras and the environment of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from ..data import Camera
from ..parameters import Parameter, list_parameters, read, traverse
from ..scene import Scene
from . import tessellate
from .materials import Material, Value, is_image
from .reader import Reader

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Triangles of one shape in world space, with the number of their material; `uvs` have v = 0 at the first row of an image."""

    name: str
    positions: Array
    faces: NDArray[np.int64]
    normals: Array | None
    uvs: Array | None
    material: int


@dataclass(frozen=True)
class Light:
    """A light without extent. `kind`: point, spot or directional; angles in radians from the axis, `direction` that of the light.

    `color` is its intensity, of directional lights their irradiance.
    """

    name: str
    kind: str
    color: Array
    position: Array
    direction: Array
    outer: float = 0.0
    inner: float = 0.0


#: Least number of rows of an environment for other programs.
ROWS = 256


@dataclass(frozen=True)
class Environment:
    """Radiance from infinity: texels as Mitsuba has them, (H, W, 3), and the rotation (3, 3) from there to the world.

    The layout is that of latitude-longitude maps: +y up, +z in the middle, +x a quarter left of it. Mitsuba has its first row at
    one pole and its last at the other; other programs have the poles at the edges of the image, half a row further.
    """

    radiance: NDArray[np.float32]
    to_world: Array
    name: str

    def lookup(self, directions: Array) -> Array:
        """(N, 3) radiance from unit directions (N, 3) of the map's own frame, interpolated as Mitsuba does."""
        height, width = self.radiance.shape[:2]
        y = np.arccos(np.clip(directions[:, 1], -1, 1)) / np.pi * (height - 1)
        x = np.arctan2(directions[:, 0], -directions[:, 2]) / (2 * np.pi) * width - 0.5
        top = np.clip(np.floor(y).astype(int), 0, max(0, height - 2))
        left = np.floor(x).astype(int)
        fy, fx = (y - top)[:, None], (x - left)[:, None]
        low = np.minimum(top + 1, height - 1)
        texels = self.radiance.astype(np.float64)
        upper = (1 - fx) * texels[top, left % width] + fx * texels[top, (left + 1) % width]
        lower = (1 - fx) * texels[low, left % width] + fx * texels[low, (left + 1) % width]
        return np.asarray((1 - fy) * upper + fy * lower)

    def for_others(self) -> NDArray[np.float32]:
        """(H, 2 H, 3) the same light with texels at the centres of pixels, as other programs read it.

        It is finer than the original, so that interpolating again changes little."""
        rows = max(ROWS, self.radiance.shape[0])
        return self.lookup(lat_long(rows)).reshape(rows, 2 * rows, 3).astype(np.float32)


def lat_long(rows: int) -> Array:
    """(2 rows², 3) unit directions of the pixels of a latitude-longitude map, row by row."""
    theta, phi = (np.arange(rows) + 0.5) / rows * np.pi, (np.arange(2 * rows) + 0.5) / rows * np.pi
    t, p = np.meshgrid(theta, phi, indexing="ij")
    return np.stack([np.sin(t) * np.sin(p), np.cos(t), -np.sin(t) * np.cos(p)], axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class View:
    """A camera with its name and the image that it took, relative to the export folder."""

    name: str
    camera: Camera
    image: str


@dataclass
class Asset:
    """A whole scene. `up` is "y" or "z"; `lost`: what of the scene is not in here, in words."""

    parts: list[Part] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    environment: Environment | None = None
    views: list[View] = field(default_factory=list)
    up: str = "y"
    lost: list[str] = field(default_factory=list)


def read_asset(scene: Scene, views: Sequence[View] = ()) -> Asset:
    """Read a scene whose recipe holds its values (`parameters.recipe.with_values`)."""
    asset = Asset(views=list(views))
    reader = Reader(scene)
    nodes = mi.parser.ParserState(scene._state).nodes
    by_id = {node.props.id(): node for node in nodes}
    known: dict[tuple[int, int], int] = {}
    for shape in scene.mi.shapes():
        node = by_id.get(shape.id())
        found = None if node is None else triangles(shape)
        if node is None or found is None:
            asset.lost.append(f"shape '{shape.id()}' ({shape.class_name()}) is not made of triangles: left out")
            continue
        bsdf, light = _below(nodes, node, mi.ObjectType.BSDF), _below(nodes, node, mi.ObjectType.Emitter)
        if (bsdf, light) not in known:
            known[bsdf, light] = len(asset.materials)
            asset.materials.append(_material(reader, nodes, bsdf, light, shape.id()))
        if shape.has_flipped_normals():
            found = (found[0], found[1][:, ::-1], None if found[2] is None else -found[2], found[3])
        asset.parts.append(Part(shape.id(), *found, known[bsdf, light]))
    for material in asset.materials:
        asset.lost.extend([f"material '{material.name}': {words}" for words in material.lost])
    _lights(scene, asset)
    asset.up = _up(asset, views)
    return asset


def _below(nodes: Any, node: Any, kind: Any) -> int:
    """Index of the first child of a kind; −1 where there is none."""
    reference = mi.Properties.Type.ResolvedReference
    names = [name for name in node.props.keys() if node.props.type(name) == reference]
    return next((i for name in names if nodes[i := int(node.props[name].index())].type == kind), -1)


def _material(reader: Reader, nodes: Any, bsdf: int, light: int, shape: str) -> Material:
    material = reader.read(bsdf) if bsdf >= 0 else Material(f"{shape}-material", specular=0.0)
    if light >= 0:
        material.name = f"{material.name}-{shape}"
        material.emission = reader.value(material, nodes[light], "radiance", 1.0, 3)
    return material


def triangles(shape: Any) -> tuple[Array, NDArray[np.int64], Array | None, Array | None] | None:
    """Positions, faces, normals and texture coordinates in world space; None for curves, grids, instances."""
    params = traverse(shape)
    if isinstance(shape, mi.Mesh) and "faces" in params:

        def rows(key: str, columns: int) -> Array:
            values = np.array(params[key], dtype=np.float64) if key in params else np.zeros(0)
            return values.reshape(-1, columns)

        positions = rows("vertex_positions", 3)
        normals = rows("vertex_normals", 3) if shape.has_vertex_normals() else np.zeros((0, 3))
        uvs = rows("vertex_texcoords", 2) if shape.has_vertex_texcoords() else np.zeros((0, 2))
        faces = np.array(params["faces"], dtype=np.int64).reshape(-1, 3)
        return positions, faces, normals if len(normals) else None, uvs if len(uvs) else None
    make = tessellate.SHAPES.get(shape.class_name())
    if make is None:
        return None
    points, directions, uvs, faces = make()
    matrix = np.array(params["to_world"].matrix, dtype=np.float64).reshape(4, 4)
    normals = directions @ np.linalg.inv(matrix[:3, :3])
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    points = points @ matrix[:3, :3].T + matrix[:3, 3]
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces = faces[area > 1e-12 * area.max()]
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return points, faces, normals, uvs


def _lights(scene: Scene, asset: Asset) -> None:
    params = traverse(scene)
    by_raw = {parameter.raw: parameter for parameter in list_parameters(scene)}
    for emitter in scene.mi.emitters():
        kind, name = emitter.class_name(), emitter.id()
        if kind == "AreaLight":
            continue
        if kind == "ConstantBackgroundEmitter":
            value = np.array(params[f"{name}.radiance.value"], dtype=np.float32).reshape(-1)
            color = np.broadcast_to(value, (8, 16, 3)).copy()
            asset.environment = Environment(color, np.eye(3), name)
        elif kind == "EnvironmentMapEmitter":
            asset.environment = _map(params, by_raw, name)
        elif kind in ("PointLight", "SpotLight", "DirectionalEmitter"):
            asset.lights.append(_light(params, name, kind))
        elif emitter.is_environment():
            asset.environment = _baked(emitter, name)
            asset.lost.append(f"light '{name}' ({kind}): written as {ROWS} × {2 * ROWS} texels")
        else:
            asset.lost.append(f"light '{name}' ({kind}): left out")


def _map(params: Any, by_raw: dict[str, Parameter], name: str) -> Environment:
    texels = read(None, by_raw[f"{name}.data"], params)[..., :3]
    scale = float(np.array(params[f"{name}.scale"]).reshape(-1)[0])
    matrix = np.array(params[f"{name}.to_world"].matrix, dtype=np.float64).reshape(4, 4)[:3, :3]
    return Environment((scale * texels).astype(np.float32), matrix / np.linalg.norm(matrix, axis=0), name)


def _baked(emitter: Any, name: str) -> Environment:
    """Any environment, looked at in the directions of Mitsuba's texels."""
    theta, phi = np.arange(ROWS) / (ROWS - 1) * np.pi, (np.arange(2 * ROWS) + 0.5) / ROWS * np.pi
    t, p = np.meshgrid(theta, phi, indexing="ij")
    toward = np.stack([np.sin(t) * np.sin(p), np.cos(t), -np.sin(t) * np.cos(p)]).reshape(3, -1)
    hit = mi.SurfaceInteraction3f()
    hit.wi = mi.Vector3f(np.ascontiguousarray(-toward, dtype=np.float32))
    radiance = np.broadcast_to(np.array(emitter.eval(hit)).T, (2 * ROWS * ROWS, 3))
    return Environment(radiance.reshape(ROWS, 2 * ROWS, 3).astype(np.float32), np.eye(3), name)


def _light(params: Any, name: str, kind: str) -> Light:
    def values(key: str) -> Array:
        return np.array(params[f"{name}.{key}"], dtype=np.float64).reshape(-1)

    slot = "irradiance.value" if kind == "DirectionalEmitter" else "intensity.value"
    color = np.broadcast_to(values(slot), 3).copy()
    if kind == "PointLight":
        return Light(name, "point", color, values("position"), np.array([0.0, 0.0, 1.0]))
    matrix = np.array(params[f"{name}.to_world"].matrix, dtype=np.float64).reshape(4, 4)
    direction = matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    if kind == "DirectionalEmitter":
        return Light(name, "directional", color, np.zeros(3), direction)
    outer, inner = (float(np.radians(values(key)[0])) for key in ("cutoff_angle", "beam_width"))
    return Light(name, "spot", color, matrix[:3, 3], direction, outer, inner)


def _up(asset: Asset, views: Sequence[View]) -> str:
    """The axis that is up: that of the environment map, else the one nearest to up on the images; y where nothing tells."""
    up = np.zeros(3)
    if asset.environment is not None and asset.environment.radiance.std() > 0:
        up = asset.environment.to_world[:, 1]
    elif views:
        up = np.mean([view.camera.to_world[:3, 1] for view in views], axis=0)
    return "z" if abs(up[2]) > abs(up[1]) else "y"


def vertex_values(part: Part, value: Value, material: Material) -> Array:
    """(V, 3) a value of a material at the vertices of a part, interpolated between texels as on the surface."""
    if not is_image(value) or part.uvs is None:
        flat = np.asarray(value, dtype=np.float64)
        flat = flat.reshape(-1, flat.shape[-1]).mean(axis=0) if is_image(value) else flat
        return np.broadcast_to(flat, (len(part.positions), 3)).copy()
    image = np.asarray(value, dtype=np.float64)
    height, width = image.shape[:2]
    uv = part.uvs @ material.uv[:, :2].T + material.uv[:, 2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]

    def at(i: NDArray[Any], j: NDArray[Any]) -> Array:
        if material.wrap == "clamp":
            return np.asarray(image[np.clip(j, 0, height - 1), np.clip(i, 0, width - 1)])
        return np.asarray(image[j % height, i % width])

    upper = (1 - fx) * at(left, top) + fx * at(left + 1, top)
    lower = (1 - fx) * at(left, top + 1) + fx * at(left + 1, top + 1)
    return np.asarray(np.broadcast_to((1 - fy) * upper + fy * lower, (len(part.positions), 3)))
