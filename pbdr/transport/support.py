"""What is refused by name, before rendering, because its gradient would be silently wrong."""

from __future__ import annotations

import warnings
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.attached import AttachedParameter
from pbdr.backend import on_gpu
from pbdr.errors import ParameterError, SceneError
from pbdr.geometry import groups, plugins, registry, vertex_normals
from pbdr.geometry.kind import ALONE
from pbdr.parameters import traverse
from pbdr.parameters.roles import find
from pbdr.transport import camera, clipping, cones, discontinuities, lenses, texels
from pbdr.transport.features import Features

FARTHEST = (
    8192  # sizes from the origin: up to there a box on a floor was right within 1 %, at twice that its shadow lost 11 %
)
MIXTURES = {"Principled", "PrincipledThin", "BlendBSDF", "MaskBSDF"}  # leave lobes out whose weight is exactly 0
SKIES = ("SunskyEmitter", "TimedSunskyEmitter")
BENT = ("normal_map", "nested_texture")  # roles of what bends normals in these BSDFs


class IncompleteGradientWarning(UserWarning):
    """A gradient lacks a term that this version does not estimate."""


def check_parameters(attached: list[AttachedParameter]) -> None:
    """Raise for parameters whose derivative Mitsuba's own plugins get wrong."""
    instance = next((p for p in attached if groups.is_instance(p.owners[0])), None)
    inside = [p for p in attached if any(o.class_name().startswith("ShapeGroup") for o in p.owners)]
    if instance is not None and inside:
        _refuse(instance, f"Mitsuba cannot differentiate it together with {inside[0].raw}. Take one at a time.")
    for parameter in attached:
        names = [owner.class_name() for owner in parameter.owners]
        if names[0] in SKIES:
            _refuse(parameter, "the sun moves or its tables change without a derivative. Bake the sky into an envmap.")
        if parameter.role.endswith("_wavelengths"):
            _refuse(
                parameter,
                "the wavelengths of a measured spectrum are looked up with a derivative that is wrong. Use its values.",
            )
        if "RoughPlastic" in names and parameter.role in ("roughness", "eta"):
            _refuse(
                parameter, "roughplastic tabulates its transmittance without derivatives. Use principled or pplastic."
            )
        mask = next((owner for owner in parameter.owners if owner.class_name() == "MaskBSDF"), None)
        specular = (mi.BSDFFlags.DeltaReflection, mi.BSDFFlags.DeltaTransmission)
        if parameter.role == "opacity" and mask is not None and any(mi.has_flag(mask.flags(), s) for s in specular):
            _refuse(parameter, "the material that is cut out is a mirror or glass. Make it rough.")
        blend = next((owner for owner in parameter.owners if owner.class_name() == "BlendBSDF"), None)
        if blend is not None and ".weight" in parameter.raw and mi.has_flag(blend.flags(), mi.BSDFFlags.Delta):
            _refuse(
                parameter, "blendbsdf gives no derivative for a smooth (delta) component. Make both components rough."
            )
        dead = find(parameter.role).dead
        if dead is not None and not MIXTURES.isdisjoint(names) and dr.any(parameter.value == dead, axis=None):
            _refuse(
                parameter,
                f"where it is exactly {dead:g}, Mitsuba leaves a lobe out, and its derivative with it. Move such entries by "
                "1e-6, as pbdr.gradient does.",
            )


def _refuse(parameter: AttachedParameter, reason: str) -> None:
    raise ParameterError(f"'{parameter.raw}' has no usable gradient: {reason}")


def check_film(sensor: Any) -> None:
    """Raise for films other than `hdrfilm`."""
    film = sensor.film().class_name()
    if film != "HDRFilm":
        raise SceneError(f"the sensor's film is a {film}; pathspace needs an hdrfilm.")


def check_boundary(
    scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter], max_depth: int, warped: bool = False
) -> None:
    """Raise, or warn by name, where a boundary term is missing in this version. `warped`: boundary = 'warp'."""
    _check_declared(scene, features, attached)
    _check_kinds(scene, features, attached)
    for parameter in attached:
        if _moves_a_shape(parameter) and not _has_edges(scene, features, parameter):
            kind = parameter.owners[0].class_name()
            raise SceneError(
                f"'{parameter.raw}' moves a {kind}, whose visibility edges are not supported: its gradient would be wrong. {ALONE}"
            )
    if features.edges_seen_to_move and sensor.class_name() not in camera.SUPPORTED:
        raise SceneError(
            f"motion of {_names(attached)} seen by a {sensor.class_name()} has no boundary term in this version; use one of "
            f"the sensors perspective, thinlens, orthographic, {', '.join(lenses.DISTORTED)}. {ALONE}"
        )
    _check_planes(scene, sensor, features, attached, warped)
    _check_beams(scene, features, attached, warped)
    _check_texels(scene, features, attached, max_depth, warped)
    _check_smooth_lights(scene, features, attached, max_depth)
    if features.edges_seen_to_move:
        _check_digits(scene, features)
    if on_gpu():
        _check_on_gpu(scene, features, attached, max_depth)
    maps = features.maps.kinds
    if warped and maps and (features.moving_edges or any(p.role in BENT for p in attached)):
        raise SceneError(
            f"boundary='warp': shading horizons of {', '.join(maps)} surfaces are no edges, so that the gradient would lack them. "
            "Use boundary='edge'."
        )


def check_sky(scene: Any, features: Features, attached: list[AttachedParameter], hidden: bool) -> None:
    """Raise where the sun's disk and the horizon of a sky are seen to move. `hidden`: the camera sees no lights."""
    sky = scene.environment()
    if sky is None or sky.class_name() not in SKIES:
        return
    bent = any(not (p.radiometric or isinstance(p.owners[0], mi.Emitter)) for p in attached) and _shows_images(scene)
    if bent or (features.sensor_moves and not hidden):
        raise SceneError(
            f"light '{sky.id()}' is a {sky.class_name()}: the disk of the sun and the horizon jump, and {_names(attached)} moves "
            "them on the film, directly or in mirrors and glass; they have no boundary term. Bake the sky into an envmap, or use "
            f"hide_emitters where only the camera sees it. {ALONE}"
        )


def _shows_images(scene: Any) -> bool:
    """Whether there are mirrors or glass."""
    bsdfs = [shape.bsdf().flags() for shape in groups.everything(scene) if shape.bsdf() is not None]
    specular = (mi.BSDFFlags.DeltaReflection, mi.BSDFFlags.DeltaTransmission)
    return any(mi.has_flag(flags, kind) for flags in bsdfs for kind in specular)


def _check_planes(scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter], warped: bool) -> None:
    """Raise where a plane of the camera cuts surfaces open in a way that has no boundary term."""
    sphere = clipping.cut_by_spheres(scene, sensor, features.clipped)
    if sphere:
        raise SceneError(
            f"'{sphere}_clip' of the fisheye cuts a surface open, or may do so: the section moves with {_names(attached)} and has "
            f"no boundary term. Give a smaller near_clip or a larger far_clip. {ALONE}"
        )
    if warped and features.clipped:
        raise SceneError(
            f"boundary='warp': '{min(features.clipped)}_clip' of the camera may cut open what {_names(attached)} moves, and such a "
            "section is no edge. Use boundary='edge', or give a smaller near_clip or a larger far_clip."
        )


def _check_beams(scene: Any, features: Features, attached: list[AttachedParameter], warped: bool) -> None:
    """Raise where the edge of a spot's beam is seen to move without a boundary term, or has a kink there."""
    for parameter in attached:
        values = traverse(parameter.owners[0]) if parameter.role in cones.ANGLES else {}
        if values and dr.all(dr.detach(values["cutoff_angle"] == values["beam_width"])):
            _refuse(
                parameter,
                "beam_width = cutoff_angle is a kink, with two derivatives. Set them a little apart.",
            )
    hard = [cone for cone in getattr(cones.Cones.of(scene), "found", []) if not cone.soft]
    if warped and hard and features.edges_seen_to_move:
        raise SceneError(
            f"boundary='warp': the beam of spot '{hard[0].spot.id()}' has a hard edge (beam_width ≥ cutoff_angle), which is no "
            "edge of the scene. Use boundary='edge', or a smaller beam_width."
        )


def _check_smooth_lights(scene: Any, features: Features, attached: list[AttachedParameter], max_depth: int) -> None:
    """Raise where surfaces that move, or that are seen to move, are lit by a mesh whose emission ends at bent horizons.

    Mitsuba emits where the interpolated normal looks towards the receiver, and draws points of such a light by the cosine of that
    normal: a term for these horizons alone left the total 8 % off (an icosahedron of 80 faces over a floor). Lights whose normals
    do not differ from their faces' have no such horizons, as long as their own vertices stay.
    """
    lit = any(not shape.is_emitter() for shape in scene.shapes())  # the camera sees the horizons of a lamp by a term
    if max_depth < 2 or not features.edges_seen_to_move or not lit:
        return
    for shape in scene.shapes():
        own = any(parameter.owners[0] == shape for parameter in attached)
        bent = vertex_normals.may_show_horizons if own else vertex_normals.shades_smoothly
        if shape.is_emitter() and bent(shape):
            raise SceneError(
                f"light '{shape.id()}' is a mesh with interpolated normals: its light jumps where these normals turn away, "
                f"which has no boundary term: the gradient of {_names(attached)} would be wrong. Give the mesh "
                f"face_normals = true, or use a sphere. {ALONE}"
            )


def _check_declared(scene: Any, features: Features, attached: list[AttachedParameter]) -> None:
    """Raise where something moves and a plugin does not say where its radiance jumps."""
    for node in traverse(scene).hierarchy if features.moving else ():
        if discontinuities.is_part(node) and discontinuities.declared(node) is None:
            name = plugins.name_of(node)
            raise SceneError(
                f"'{node.id()}' is a {name}, which does not declare where its radiance jumps: the gradient of {_names(attached)} "
                f"may lack boundary terms. If it jumps at edges of shapes only, say so: {name}.discontinuities = (). {ALONE}"
            )


def _check_kinds(scene: Any, features: Features, attached: list[AttachedParameter]) -> None:
    """Raise for shapes seen to move of which the kind of geometry says why their gradient is not right."""
    shapes = scene.shapes()
    shown = range(len(shapes)) if features.sensor_moves or features.moving_chains else sorted(features.moving_shapes)
    for shape in (shapes[i] for i in shown):
        kind = registry.among(features.kinds, shape)
        reason = "" if kind is None else kind.refusal(shape, _names(attached))
        if reason:
            raise SceneError(reason)


def _check_digits(scene: Any, features: Features) -> None:
    """Warn of shapes so far from the origin that single precision cannot tell what touches their edges from what does not."""
    for index, shape in enumerate(scene.shapes()):
        if features.moving_shapes and index not in features.moving_shapes:
            continue
        box = shape.bbox()
        low, high = (np.array(corner, dtype=np.float64).ravel() for corner in (box.min, box.max))
        kind = registry.among(features.kinds, shape)
        size = float((high - low).max())
        size, far = size if kind is None else kind.detail(shape, size), float(np.abs([low, high]).max())
        if size > 0 and far > FARTHEST * size:
            incomplete(
                f"'{shape.id()}' lies {far / size:.0f} times its own size (a curve's radius, an eighth of a grid's voxel) away "
                "from the origin: its coordinates have so few digits that shadows and edges next to other surfaces may be off by "
                "10 % and more. Move the scene's origin there."
            )


def _check_on_gpu(scene: Any, features: Features, attached: list[AttachedParameter], max_depth: int) -> None:
    """Raise for what is right on CPUs, but was measured to be wrong on a GPU (benchmarks/results/h100)."""
    reason = ""
    if any(p.owners[0].class_name() == "SmoothDielectricWithIndex" for p in attached if p.role == "eta"):
        reason = "an index of refraction (20 % off)"
    for kind in features.kinds:
        reason = reason or kind.gpu_refusal(features, max_depth)
    if reason:
        raise SceneError(
            f"derivatives with respect to {_names(attached)}: {reason} has no usable gradient on GPUs in this version. Use "
            "the CPU: set PBDR_VARIANT=llvm_ad_rgb."
        )


def _check_texels(
    scene: Any, features: Features, attached: list[AttachedParameter], max_depth: int, warped: bool
) -> None:
    """Raise, or warn, where a texture that jumps inside faces is seen to slide, and where its lines are not known."""
    steps = texels.jumping(scene) if features.edges_seen_to_move else {}
    if not steps:
        return
    known = [] if warped else _with_lines(scene)
    shown = [name for name, texture in _shown_in_motion(scene, features, steps) if texture not in known]
    if shown:
        raise SceneError(
            f"texture '{shown[0]}' {_STEPPED} With {_names(attached)} it is seen to move: its gradient would be wrong. Use "
            f"{'boundary=' + repr('edge') + ', ' if warped else ''}a bitmap with filter_type='bilinear', or one material a side "
            f"of the jump. {ALONE}"
        )
    unknown = [name for name, texture in steps.items() if texture not in known]
    if unknown and features.moving_edges and max_depth > 2:
        incomplete(
            f"jumps inside faces of texture '{unknown[0]}' have no boundary term where moving surfaces see them."
        )


_STEPPED = (
    "jumps inside faces (a checkerboard, a filter 'nearest', or the slope of a bump map between its texels), and has no boundary "
    "term there: pictures of lights, textures on curves and grids, volumes, and boundary='warp' have none."
)


def _with_lines(scene: Any) -> list[Any]:
    """Textures of which boundary/inside_faces/patterns.py knows the lines, on every shape that has them."""
    known: list[Any] = []
    unknown: list[Any] = []
    for shape in groups.everything(scene):
        below, (_, without) = texels.jumping(shape), texels.lattices(shape)
        for name, texture in below.items():
            (unknown if name in without else known).append(texture)
    return [texture for texture in known if texture not in unknown]


def _shown_in_motion(scene: Any, features: Features, steps: dict[str, Any]) -> list[tuple[str, Any]]:
    """Textures whose jumps move on the film as the camera, what they are on, or a mirror does, with their keys."""
    if features.sensor_moves:
        return list(steps.items())
    if features.moving_chains and _shows_images(scene):
        return list(steps.items())
    inside = groups.members(scene)
    moving = [s for i in features.moving_shapes for s in (scene.shapes()[i], *inside.get(i, []))]
    if features.moving_edges:  # patterns that lights throw slide over whatever moves
        moving += [emitter for emitter in scene.emitters() if emitter.get_shape() is None]
    below = [texture for node in moving for texture in texels.jumping(node).values()]
    return [(name, texture) for name, texture in steps.items() if texture in below]


def _moves_a_shape(parameter: AttachedParameter) -> bool:
    """Whether it is a shape's own parameter and changes its geometry: for meshes, all but their attributes."""
    shape, leaf = parameter.owners[0], parameter.raw.rsplit(".", 1)[-1]
    if not isinstance(shape, mi.Shape):
        return False
    return parameter.role in ("positions", "normals") or not leaf.startswith(("vertex_", "face_"))


def _has_edges(scene: Any, features: Features, parameter: AttachedParameter) -> bool:
    """Whether the boundary terms know that this parameter's shape moves."""
    shape = parameter.owners[0]
    if any(owner.class_name().startswith("ShapeGroup") for owner in parameter.owners):
        return bool(features.moving_shapes)  # the instances that show it
    index = next((i for i, other in enumerate(scene.shapes()) if other == shape), -1)
    return index in features.moving_shapes and shape.class_name() != "EllipsoidsMesh"


def _names(attached: list[AttachedParameter]) -> str:
    return ", ".join(p.raw for p in attached if not p.radiometric)


def incomplete(message: str) -> None:
    """Warn that a gradient will lack something."""
    warnings.warn(f"pathspace: {message}", IncompleteGradientWarning, stacklevel=2)
