"""What of a scene of Mitsuba's documentation is differentiated: its main shape, a material, a motion."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Roles of a material, the first that exists is taken.
ROLES = ("base_color", "specular", "transmission", "roughness", "roughness_u", "k", "eta", "opacity", "weight")


def options(scene: Any, depth: int) -> dict[str, Any]:
    """Options of the scene's own integrator, as far as `path` has them, no deeper than `depth`."""
    import mitsuba as mi

    from pbdr.errors import SceneError

    nodes = {n.props.plugin_name(): n.props for n in scene._state.nodes if n.type == mi.ObjectType.Integrator}
    if "stokes" in nodes:
        raise SceneError("integrator 'stokes': polarised light has no gradients; use 'path' in an unpolarised variant.")
    props = nodes.get("path") or nodes.get("direct") or {}
    options = {name: props[name] for name in ("max_depth", "rr_depth", "hide_emitters") if props and name in props}
    own = 2 if "direct" in nodes and "path" not in nodes else int(options.get("max_depth", -1))
    options["max_depth"] = depth if own < 0 else min(own, depth)
    return options


def main_shape(scene: Any) -> Any:
    """What the scene is about: the shape of the material `object_bsdf`, else the smallest one that the camera sees well."""
    import drjit as dr
    import mitsuba as mi

    shapes = scene.mi.shapes()
    named = [s for s in shapes if s.bsdf() is not None and s.bsdf().id() == "object_bsdf"]
    if named:
        return named[0]
    side = 24
    index = dr.arange(mi.UInt32, side * side)
    film = mi.Point2f(index % side + 0.5, index // side + 0.5) / side
    ray, _ = scene.sensors[0].sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    hit = scene.mi.ray_intersect_preliminary(ray, coherent=True)
    grouped = hit.instance != None  # noqa: E711 (Dr.Jit comparison)
    shown = dr.select(grouped, hit.instance, hit.shape)
    seen = [int(dr.count(hit.is_valid() & (shown == mi.ShapePtr(s)))[0]) for s in shapes]
    extent = [float(dr.norm(s.bbox().max - s.bbox().min)) for s in shapes]
    good = [i for i, s in enumerate(shapes) if seen[i] >= 0.02 * side * side and not s.is_emitter()]
    good = good or [i for i in range(len(shapes)) if not shapes[i].is_emitter()]
    return shapes[min(good, key=lambda i: extent[i])]


def inside(scene: Any, shape: Any) -> list[Any]:
    """Shapes that the shape contains, with a hair's breadth to spare: they move with it, or it would run into them."""
    low, high = np.array(shape.bbox().min).ravel(), np.array(shape.bbox().max).ravel()
    spare = 0.02 * float((high - low).max())
    found = []
    for other in scene.mi.shapes():
        box = other.bbox()
        within = (np.array(box.min).ravel() >= low - spare).all() and (np.array(box.max).ravel() <= high + spare).all()
        if other != shape and within and np.ptp([low, high], axis=0).min() > 0:
            found.append(other)
    return found


def material(scene: Any, shape: Any) -> Any:
    """A parameter of the shape's material; of a light where it has none."""
    from pbdr.errors import ParameterError
    from pbdr.parameters import is_radiometric, list_parameters, traverse

    params = traverse(scene)
    # A shape of a group is shown by its instance, which has no material of its own.
    nodes = set(traverse(shape.bsdf()).hierarchy) if shape.bsdf() is not None else set()
    own = [p for p in list_parameters(scene) if params.properties[p.raw][2] in nodes and p.kind != "integer"]
    own += [p for p in list_parameters(scene) if p.kind == "mesh" and p.role.startswith(("vertex_", "face_"))]
    ranked = [p for role in ROLES for p in own if p.role == role or p.role.startswith(role + "_")]
    ranked = [p for p in ranked if not p.role.endswith(("_wavelengths", "_uv"))]
    attributes = [p for p in own if p.kind == "mesh"]
    lights = [p for p in list_parameters(scene) if is_radiometric(p.raw, p.role) and p.kind != "integer"]
    chosen = ranked + attributes + lights
    if not chosen:
        raise ParameterError(f"{scene.source} has no parameter of a material or a light")
    return chosen[0]


def mover(scene: Any, shape: Any, camera: Any) -> Any:
    """What moves the shape: its pose, its vertices, its control points; else the pose of the camera."""
    from pbdr.parameters import list_parameters, traverse

    params = traverse(scene)
    for role in ("pose", "positions", "control_points"):
        for parameter in list_parameters(scene):
            if parameter.role == role and params.properties[parameter.raw][2] == shape:
                return parameter
    return next(p for p in list_parameters(scene) if p.role == "pose" and params.properties[p.raw][2] == camera)


def sideways(parameter: Any, camera: Any) -> np.ndarray:
    """Translation to the right, as the camera sees it: horizontal, so that what stands on a floor slides over it."""
    from pbdr.parameters import traverse

    matrix = np.array(traverse(camera)["to_world"].matrix, dtype=np.float64).reshape(4, 4, -1)[..., 0]
    right = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    if parameter.kind == "transform":
        result = np.zeros((3, 4))
        result[:, 3] = right
        return result
    if parameter.role == "control_points":  # x, y, z and the radius of every one
        return np.tile([*right, 0.0], parameter.shape[0] // 4).reshape(parameter.shape)
    return np.tile(right, (parameter.shape[0], 1))
