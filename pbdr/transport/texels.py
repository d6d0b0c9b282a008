"""Textures that jump inside faces: `checkerboard`, bitmaps and grids with `filter_type = nearest`, colours of faces, bump maps (of
which the slope shows).

Their jumps are fixed to the surface. Where the radiance of a moving surface, or of one that a moving camera sees, slides along the
segment (docs/theory.md, section 2), they need a boundary term like any edge (boundary/inside_faces/patterns.py). Where the lines
are not known in texture coordinates, support.py refuses them by name.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import groups, normal_maps, registry
from pbdr.parameters import traverse

CHECKERBOARD, BITMAP = "Checkerboard", "BitmapTexture"
FARTHEST = 2.0**18  # cells from the origin beyond which single precision no longer tells where in a cell a point is


def jumping(node: Any) -> dict[str, Any]:
    """Key → texture, of all textures below a Mitsuba object that jump inside faces."""
    params = traverse(node)
    slopes = {node for node, (owner, _) in params.hierarchy.items() if _is_bump(owner) and isinstance(node, mi.Texture)}
    found = {t: "" for t in params.hierarchy if isinstance(t, mi.Texture) and (t in slopes or is_stepped(t))}
    for raw, (_, _, owner, _) in params.properties.items():
        while owner is not None and owner not in found:  # a checkerboard may show its colours' parameters only
            owner = params.hierarchy[owner][0]
        if owner is not None:
            found[owner] = found[owner] or raw.rpartition(".")[0]
    return {name or texture.id(): texture for texture, name in found.items()}


def _is_bump(node: Any) -> bool:
    return isinstance(node, mi.BSDF) and bool(node.class_name() == normal_maps.BUMP)


def is_stepped(texture: Any) -> bool:
    """Whether a texture is constant but for jumps: it varies, and its value has no derivative with respect to the place."""
    if texture.class_name() == "MeshAttribute":
        return False  # colours of faces jump at edges only, where they have their term
    if not texture.is_spatially_varying():
        return False
    with dr.resume_grad():
        si = dr.zeros(mi.SurfaceInteraction3f)
        si.uv, si.p = mi.Point2f(0.3), mi.Point3f(0.3)
        dr.enable_grad(si.uv, si.p)
        for evaluate in (texture.eval, texture.eval_1, texture.eval_3):
            try:
                return not dr.grad_enabled(evaluate(si))
            except RuntimeError:  # textures of another number of channels
                continue
    return False


def lattice(texture: Any, slope: bool) -> Any:
    """(2, 3) matrix that takes texture coordinates (u, v, 1) to ones whose integers are the lines where a texture jumps.

    `slope`: it is that of a bump map, whose slope jumps. None where the lines are not known.
    """
    kind, offset = texture.class_name(), 0.0
    if kind == CHECKERBOARD and not slope:
        cells = [2.0, 2.0]
    elif kind.startswith(BITMAP):
        cells = [float(x) for x in texture.resolution()]
        offset = 0.5 if slope else 0.0  # between the centres of texels, height is bilinear
    else:
        return None
    to_uv = np.array(traverse(texture)["to_uv"].matrix, np.float64).reshape(3, 3)[:2]
    return np.array(cells)[:, None] * to_uv - [[0, 0, offset]] * 2


def lattices(shape: Any) -> tuple[list[Any], list[str]]:
    """Of a shape: the different lattices of the textures on it that jump, and the keys of those textures that have none."""
    found: list[Any] = []
    without: list[str] = []
    params = traverse(shape)
    kind = registry.kind_of(shape)
    follows = kind is None or kind.textured  # texture coordinates, with derivatives
    for name, texture in jumping(shape).items():
        owner = params.hierarchy[texture][0]
        matrix = lattice(texture, _is_bump(owner)) if follows else None
        if matrix is None:
            without.append(name)
        elif not any(np.array_equal(matrix, other) for other in found):
            found.append(matrix)
    return found, without


class Patterns:
    """The lattices of all shapes of a scene. Not a dataclass: Dr.Jit must not take it for loop state.

    `first`, `number`, `moves`: device arrays over the addresses of shapes: where its lattices begin in `rows` (six numbers each),
    how many there are, and whether it moves; `most`: of one shape; `moving`: whether any of these shapes moves.
    """

    def __init__(self, places: dict[int, list[Any]], moving: set[int]) -> None:
        size = max(places) + 1
        first, number, moves = (np.zeros(size, np.uint32) for _ in range(3))
        rows: list[Any] = []
        for address, own in places.items():
            first[address], number[address], moves[address] = len(rows), len(own), address in moving
            rows += own
        values = np.array(rows, np.float32).reshape(len(rows), 6).T
        self.first, self.number, self.moves = (mi.UInt32(aligned(x, np.uint32)) for x in (first, number, moves))
        self.rows = [mi.Float(aligned(column)) for column in values]
        self.most = max(len(own) for own in places.values())
        self.moving = not moving.isdisjoint(places)
        dr.eval(self.first, self.number, self.moves, self.rows)

    @staticmethod
    def of(scene: Any, moving_shapes: frozenset[int]) -> Patterns | None:
        """Those of a scene; None if it has none."""
        found = {groups.address_of(shape): lattices(shape)[0] for shape in groups.everything(scene)}
        if not any(found.values()):
            return None
        shapes, inside = scene.shapes(), groups.members(scene)
        moving = {groups.address_of(shape) for i in moving_shapes for shape in (shapes[i], *inside.get(i, []))}
        return Patterns({address: own for address, own in found.items() if own}, moving)

    def count(self, shape: Any, active: Any) -> Any:
        """Number of lattices of shapes."""
        address = dr.reinterpret_array(mi.UInt32, shape)
        known = mi.Bool(active) & (address < dr.width(self.number))
        return dr.gather(mi.UInt32, self.number, address, known)

    def resting(self, shape: Any, active: Any) -> Any:
        """Whether shapes with lattices are at rest."""
        return dr.gather(mi.UInt32, self.moves, dr.reinterpret_array(mi.UInt32, shape), active) == 0

    def at(self, shape: Any, uv: Any, which: Any, active: Any) -> Any:
        """Coordinates in lattice `which` of the shape: its lines are their integers."""
        row = dr.gather(mi.UInt32, self.first, dr.reinterpret_array(mi.UInt32, shape), active) + which
        a = [dr.gather(mi.Float, column, row, active) for column in self.rows]
        return mi.Point2f(a[0] * uv.x + a[1] * uv.y + a[2], a[3] * uv.x + a[4] * uv.y + a[5])
