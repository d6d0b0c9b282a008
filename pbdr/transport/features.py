"""What a scene contains and which of its parameters carry derivatives, found once a call on the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.attached import AttachedParameter, attached_parameters
from pbdr.geometry import groups, normal_maps, registry, texcoords, vertex_normals
from pbdr.geometry.kind import Kind
from pbdr.transport import clipping, cones, texels


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Features:
    """Static facts that let the kernels leave out what a scene does not need."""

    delta_bsdfs: bool
    delta_lights: bool
    moving: bool  # geometry, directions or lights move: attach the whole chain of rays
    sensor_moves: bool
    environment_radiance: bool
    environment_rotates: bool = False
    moving_shapes: frozenset[int] = field(default_factory=frozenset)
    moving_lights: bool = False
    kinds: tuple[Kind, ...] = ()  # of geometry, that the scene has
    maps: normal_maps.Maps = field(default_factory=normal_maps.Maps)
    patterns: texels.Patterns | None = None  # textures that jump inside faces, where anything is seen to move
    smooth: bool = False  # shading normals are interpolated somewhere, on instances or not
    horizons_in_mirrors: bool = False  # normals may look away where delta lobes show them
    horizons_in_sight: bool = False  # and on shapes where only lines of sight find them
    cones: cones.Cones | None = None  # spot lights whose edges are boundaries; set where boundaries are estimated
    clipped: frozenset[str] = field(default_factory=frozenset)  # planes of the camera that cut what is seen to move
    interfaces: tuple[Any, ...] = ()  # shapes that move between media and bend nothing: no vertices, no edges
    directed: tuple[Any, ...] | None = None  # materials that depend on tangents; None where no edge is seen to move

    @property
    def lit_smoothly(self) -> bool:
        """Lights without size shine on shapes that interpolate normals, and whose own normals turn, too, where no edge is."""
        return self.delta_lights and any(kind.smooth for kind in self.kinds)

    @property
    def moving_edges(self) -> bool:
        """Shapes, lights or the camera move, so that the image has a boundary term."""
        return bool(self.moving_shapes) or self.moving_lights or self.sensor_moves

    @property
    def patterns_on_film(self) -> bool:
        """Textures that jump inside faces move on the film, where the camera sees them without a mirror."""
        return self.patterns is not None and (self.sensor_moves or self.patterns.moving)

    @property
    def patterns_from_surfaces(self) -> bool:
        """Points of other surfaces that see such textures move, or the textures do."""
        return self.patterns is not None and (
            self.moving_shapes != frozenset() or self.sensor_moves or self.moving_chains
        )

    @property
    def edges_seen_to_move(self) -> bool:
        """There are boundary terms on edges: they move, or what bends rays on the way to them does."""
        return self.moving_edges or self.moving_chains

    @property
    def hits_move(self) -> bool:
        """What rays meet changes: more than lights without a shape moves."""
        return bool(self.moving_shapes) or self.sensor_moves or self.moving_chains

    @property
    def moving_chains(self) -> bool:
        """Something may bend rays in mirrors or glass (an index of refraction, normals): edges at rest are seen to move."""
        return self.delta_bsdfs and self.moving


def inspect(scene: Any, sensor: Any, attached: list[AttachedParameter], interfaces: tuple[Any, ...] = ()) -> Features:
    """Look at the BSDFs, emitters and attached parameters of `scene` as seen by `sensor`.

    `interfaces`: shapes whose parameters are attached, too, but are not among these.
    """
    materials = [shape.bsdf() for shape in groups.everything(scene) if shape.bsdf() is not None]
    bsdf_flags = [material.flags() for material in materials]
    delta_bsdfs = any(mi.has_flag(flags, mi.BSDFFlags.Delta) for flags in bsdf_flags)
    emitter_flags = [emitter.flags() for emitter in scene.emitters()]
    delta = (mi.EmitterFlags.DeltaPosition, mi.EmitterFlags.DeltaDirection)
    delta_lights = any(mi.has_flag(flags, kind) for flags in emitter_flags for kind in delta)
    owners = attached_parameters(sensor)
    environment = scene.environment()
    rotates = environment is not None and dr.grad_enabled(environment.world_transform().matrix)
    inside = groups.members(scene)
    normals = {p.owners[0] for p in attached if p.role == "normals"}

    def moves(shape: Any) -> bool:
        return (bool(shape.parameters_grad_enabled()) or shape in normals) and shape not in interfaces

    owners_of = {p.owners[0] for p in attached if isinstance(p.owners[0], mi.Shape)}
    silent = {shape for shape in owners_of if (kind := registry.kind_of(shape)) is not None and not kind.tells}
    moving_shapes = frozenset(
        index
        for index, shape in enumerate(scene.shapes())
        if any(moves(part) or part in silent for part in (shape, *inside.get(index, [])))
    )
    sensor_moves = any(p.role != "film" and not p.radiometric for p in owners)  # a medium around it does not
    seen_to_move = scene.shapes() if sensor_moves else [scene.shapes()[i] for i in sorted(moving_shapes)]
    shown = groups.distinct(inside)
    maps = normal_maps.Maps.of(scene)
    kinds = registry.present(scene)
    turning = any(kind.smooth for kind in kinds)
    on_instances = bool(inside) and (bool(maps.shapes) or any(map(vertex_normals.may_show_horizons, shown)))
    in_sight = on_instances or turning
    anywhere = in_sight or bool(maps.shapes)
    beams = any(p.role in cones.ANGLES and cones.Cone.of(p.owners[0]) is not None for p in attached)
    found = Features(
        delta_bsdfs=delta_bsdfs,
        delta_lights=delta_lights,
        moving=beams or any(not p.radiometric for p in attached),
        sensor_moves=sensor_moves,
        environment_radiance=environment is not None
        and any(p.role == "radiance" for p in attached_parameters(environment)),
        environment_rotates=rotates,
        moving_shapes=moving_shapes,
        kinds=kinds,
        maps=maps,
        smooth=turning or any(map(vertex_normals.interpolates_normals, [*scene.shapes(), *shown])),
        horizons_in_mirrors=delta_bsdfs and (anywhere or any(map(vertex_normals.may_show_horizons, scene.shapes()))),
        horizons_in_sight=in_sight,
        clipped=clipping.planes(sensor, seen_to_move),
        interfaces=interfaces,
        moving_lights=beams or any(isinstance(p.owners[0], mi.Emitter) and not p.radiometric for p in attached),
    )
    if found.edges_seen_to_move:
        found.patterns = texels.Patterns.of(scene, moving_shapes)
        found.directed = tuple(x for x in dict.fromkeys(materials) if texcoords.turns(x))
    return found
