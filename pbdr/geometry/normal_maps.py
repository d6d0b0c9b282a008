"""Normal and bump maps: the normals that they bend, and where a bent normal turns away from who looks at it."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import groups
from pbdr.parameters import traverse

NORMAL, BUMP = "NormalMap", "BumpMap"


class Maps:
    """Shapes with a normal or bump map, and the texture of each. Not a dataclass: Dr.Jit must not take it for loop state.

    `slopes`: factor of the slope of a bump map's texture, None for normal maps; `grouped`: shown by instances only.
    """

    def __init__(self) -> None:
        self.shapes: list[Any] = []
        self.textures: list[Any] = []
        self.slopes: list[float | None] = []
        self.grouped: list[bool] = []

    @staticmethod
    def of(scene: Any) -> Maps:
        """Those of all shapes of a scene, however deep in their BSDFs."""
        params = traverse(scene)
        found = Maps()
        below: dict[Any, list[Any]] = {}  # BSDF → textures of the maps in it
        for node, (owner, _) in params.hierarchy.items():
            if isinstance(node, mi.Texture) and isinstance(owner, mi.BSDF) and owner.class_name() in (NORMAL, BUMP):
                slope = float(traverse(owner)["scale"]) if owner.class_name() == BUMP else None
                while isinstance(owner, mi.BSDF):
                    below.setdefault(owner, []).append((node, slope))
                    owner = params.hierarchy[owner][0]
        own = scene.shapes()
        for number, shape in enumerate(groups.everything(scene) if below else ()):
            for texture, slope in below.get(shape.bsdf(), ()):
                found.shapes.append(shape)
                found.textures.append(texture)
                found.slopes.append(slope)
                found.grouped.append(number >= len(own))
        return found

    @property
    def kinds(self) -> list[str]:
        """Class names of the BSDFs found."""
        return sorted({NORMAL if slope is None else BUMP for slope in self.slopes})

    def normal(self, shape: Any, si: Any, active: Any) -> tuple[Any, Any]:
        """Bent normal in the shading frame, not normalised, and whether the lane's shape has one."""
        normal, known = mi.Vector3f(0), mi.Bool(False)
        for own, texture, slope in zip(self.shapes, self.textures, self.slopes, strict=True):
            mine = active & (shape == mi.ShapePtr(own))
            bent = (
                2 * texture.eval_3(si, mine) - 1
                if slope is None
                else _bumped(si, slope * texture.eval_1_grad(si, mine))
            )
            normal = dr.select(mine, bent, normal)
            known |= mine
        return normal, known

    def facing(self, shape: Any, si: Any, towards: Any, active: Any) -> tuple[Any, Any, Any]:
        """g = n·ω_i, positive where the bent normal looks along `towards`; n in the world; whether there is a map."""
        normal, known = self.normal(shape, si, active)
        back = dr.dot(si.sh_frame.n, dr.detach(towards)) < 0  # of `twosided` surfaces: it mirrors directions
        normal.z = dr.select(back, -normal.z, normal.z)
        world = si.to_world(normal)
        return dr.dot(world, towards), world, known


def _bumped(si: Any, slope: Any) -> Any:
    """Normal, in the shading frame, of a surface displaced by heights with this slope in u and v, on the side of its own normal."""
    n = si.sh_frame.n
    u, v = (along + n * (rise - dr.dot(n, along)) for along, rise in ((si.dp_du, slope.x), (si.dp_dv, slope.y)))
    normal = si.to_local(dr.normalize(dr.cross(u, v)))
    return normal * dr.select(dr.dot(si.n, si.to_world(dr.detach(normal))) < 0, -1, 1)
