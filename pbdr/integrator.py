"""The Mitsuba plugin `pathspace`: primal rendering, forward mode and reverse mode of the path-space integrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr import interior, seeds
from pbdr.attached import attached_parameters
from pbdr.boundary import (
    direct,
    frustum,
    horizon,
    indirect,
    primary,
    reflected,
    segment,
    shadows,
    specular,
    terminator,
    terms,
    warp_camera,
)
from pbdr.boundary.edges import EdgeTable
from pbdr.boundary.table import TableBuilder
from pbdr.boundary.warp import WarpOptions
from pbdr.errors import OptionError, closest
from pbdr.transport import camera, channels, distorted, glass, hits, lenses, path, spectra, support
from pbdr.transport.features import Features, inspect
from pbdr.transport.film import FilmMap

UNIFORM_LOBE = 0.25  # defensive weights of the gradient pass, docs/theory.md section 3
UNIFORM_ENVIRONMENT = 0.5
BOUNDARIES = ("edge", "warp", "none")
TERMS = ("interior", "primary", "direct", "indirect")


@dataclass(frozen=True)
class Options:
    """Validated options of `pathspace`; sample counts are absolute, per call; None means chosen automatically."""

    max_depth: int = 6
    rr_depth: int = 5
    hide_emitters: bool = False
    boundary: str = "edge"
    n_primary: int | None = None
    n_direct: int | None = None
    n_indirect: int | None = None
    blend_distance: float | None = None
    warp_rays: int = WarpOptions.rays
    warp_concentration: float = WarpOptions.concentration
    warp_exponent: float = WarpOptions.exponent
    warp_unbiased: bool = WarpOptions.unbiased
    aovs: str = ""

    @staticmethod
    def parse(props: Any) -> Options:
        """Read plugin properties; OptionError names what is wrong and what is allowed."""
        known = Options.__dataclass_fields__
        if "warp_shapes" in props:
            raise OptionError(
                "pathspace: boundary='warp' is for all shapes of a scene or for none; leave warp_shapes out."
            )
        for name in props.keys():
            if name not in known and name != "id":
                hint = closest(name, list(known))
                raise OptionError(
                    f"pathspace: unknown option '{name}'. " + (f"Closest: '{hint[0]}'. " if hint else "")
                    + f"Options: {', '.join(known)}."
                )  # fmt: skip
        values = {name: props[name] for name in known if name in props}
        options = Options(**values)
        options.check()
        return options

    @property
    def warp(self) -> WarpOptions:
        """Those of boundary = 'warp'."""
        return WarpOptions(self.warp_rays, self.warp_concentration, self.warp_exponent, self.warp_unbiased)

    def check(self) -> None:
        """Raise OptionError for values of the wrong type or out of range."""
        for name, kind in (
            ("max_depth", int),
            ("rr_depth", int),
            ("hide_emitters", bool),
            ("warp_rays", int),
            ("warp_unbiased", bool),
            ("boundary", str),
            ("aovs", str),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise OptionError(
                    f"pathspace: {name} = {value!r}; give {kind.__name__} instead of {type(value).__name__}."
                )
        for name, types in (
            ("n_primary", int),
            ("n_direct", int),
            ("n_indirect", int),
            ("blend_distance", (int, float)),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, types):
                raise OptionError(f"pathspace: {name} = {value!r}; give a number instead of {type(value).__name__}.")
        if self.max_depth < 1 and self.max_depth != -1:
            raise OptionError(f"pathspace: max_depth = {self.max_depth}; give -1 (unlimited) or a number ≥ 1.")
        if self.rr_depth < 1:
            raise OptionError(f"pathspace: rr_depth = {self.rr_depth}; give a number ≥ 1.")
        if self.boundary not in BOUNDARIES:
            raise OptionError(f"pathspace: boundary = '{self.boundary}'; give one of {', '.join(BOUNDARIES)}.")
        for name in ("n_primary", "n_direct", "n_indirect"):
            count = getattr(self, name)
            if count is not None and count < 0:
                raise OptionError(f"pathspace: {name} = {count}; give a sample count ≥ 0 (0 switches the term off).")
        channels.parse(self.aovs)
        self.warp.check()
        if self.blend_distance is not None and not self.blend_distance > 0:
            raise OptionError(f"pathspace: blend_distance = {self.blend_distance}; give a length > 0 in scene units.")


@dataclass
class _Edges:
    """What the boundary terms of one call share; `lanes`: camera samples; `stream`: samplers by name and number of lanes."""

    table: EdgeTable
    motion: segment.Motion
    outlines: direct.Outlines | None
    lanes: int
    stream: Callable[[str, int], Any]


class PathSpaceMethods:
    """Differentiable path tracer in path space: interior (equation 3) plus boundary (equation 5).

    The plugin's class is made of this one for each variant: its base `mi.CppADIntegrator` is another one in each.
    """

    is_pathspace = True
    hide_emitters: bool  # kept by Mitsuba

    def __init__(self, props: Any) -> None:
        options = Options.parse(props)  # before Mitsuba looks at its own: its messages name less
        mi.CppADIntegrator.__init__(self, props)
        if mi.is_polarized:
            raise OptionError(
                f"pathspace: the polarised variant '{mi.variant()}' is not supported. Use an rgb, mono or spectral variant, e.g. "
                "llvm_ad_rgb."
            )
        self.options = options
        self.channels = channels.parse(options.aovs)
        self.tables = TableBuilder()
        self.nonfinite: Any = (
            None  # samples of the last gradient pass whose contribution was not finite (device counter)
        )

    @property
    def max_depth(self) -> int:
        """Longest path, in Mitsuba's counting; bounded for memory when unlimited (see `UNBOUNDED_DEPTH`)."""
        depth = self.options.max_depth
        return path.UNBOUNDED_DEPTH if depth == -1 else depth

    def to_string(self) -> str:
        """One line for logs."""
        return f"PathSpaceIntegrator[{self.options}]"

    def aov_names(self) -> list[str]:
        """Names of the extra channels on the film, in the order of the option `aovs`."""
        return [name for channel in self.channels for name in channel.film_names]

    def sample(self, *_: Any, **__: Any) -> Any:
        """Called by integrators around this one, which would differentiate its samples without their boundary."""
        raise OptionError(
            "pathspace: it cannot be nested in another integrator such as Mitsuba's 'aov', whose derivatives lack the boundary "
            "terms. Use its own option instead, e.g. aovs = 'depth,sh_normal'."
        )

    # ------------------------------------------------------------------ primal

    def _path_options(self, **changes: Any) -> path.PathOptions:
        return path.PathOptions(
            max_depth=self.max_depth, rr_depth=self.options.rr_depth, hide_emitters=self.hide_emitters, **changes
        )

    @staticmethod
    def _sensor(scene: Any, sensor: Any) -> Any:
        return scene.sensors()[sensor] if isinstance(sensor, int) else sensor

    @staticmethod
    def _sampler(sensor: Any, seed: Any, spp: int, *stream: str) -> tuple[Any, int]:
        """The sensor's sampler seeded from a hashed, named stream: (sampler, samples per pixel)."""
        sampler = sensor.sampler().clone()
        if spp:
            sampler.set_sample_count(spp)
        spp = sampler.sample_count()
        sampler.set_samples_per_wavefront(spp)
        width, height = camera.film_size(sensor.film())
        lanes = width * height * spp
        if lanes >= 2**32:
            raise OptionError(
                f"pathspace: {width}×{height} pixels × {spp} spp = {lanes} samples exceed 2^32 in one call. "
                "Lower spp and average several calls with different seeds."
            )
        sampler.seed(seeds.stream(seed, *stream), lanes)
        return sampler, spp

    def render(
        self, scene: Any, sensor: Any = 0, seed: Any = 0, spp: int = 0, develop: bool = True, evaluate: bool = True
    ) -> Any:
        """Primal image (H, W, C), as Mitsuba's `path` would converge to."""
        if not develop:
            raise OptionError("pathspace: develop=False is not supported; call with develop=True.")
        sensor = self._sensor(scene, sensor)
        support.check_film(sensor)
        film = sensor.film()
        channels.check(self.channels, scene)
        with dr.suspend_grad():
            sampler, spp = self._sampler(sensor, seed, spp, "primal")
            film.prepare(self.aov_names())
            ray, weight, position = camera.sample_rays(sensor, sampler, spp)
            hit = hits.first_hit(self, scene, ray)
            radiance, _, valid = path.trace(scene, ray, hit, sampler, self._path_options())
            block = film.create_block()
            block.set_coalesce(block.coalesce() and spp >= 4)
            others = [dr.select(valid, mi.Float(1), 0), *channels.values(self.channels, scene, hit, ray, ray)]
            FilmMap.put(film, block, position, spectra.to_rgb(radiance * weight, ray.wavelengths), others, mi.Float(1))
            film.put_block(block)  # Eq. (1)
            return film.develop()

    # ------------------------------------------------------------------ gradients

    def _gradient_options(self, scene: Any, sensor: Any, features: Features) -> path.PathOptions:
        warp = None
        if self.options.boundary == "warp" and (features.moving_edges or features.moving_chains):
            warp = warp_camera.build(scene, sensor, self, features, self.tables, self.options.warp)
        return self._path_options(
            uniform_lobe=UNIFORM_LOBE,
            uniform_environment=UNIFORM_ENVIRONMENT if features.environment_radiance else 0.0,
            h=self.options.blend_distance or default_blend_distance(scene, features),
            warp=warp,
        )

    def _prepare(self, scene: Any, sensor: Any) -> tuple[Any, Features, path.PathOptions]:
        """Look at what is attached, refuse what is not supported: (sensor, features, path options)."""
        sensor = self._sensor(scene, sensor)
        attached = attached_parameters(scene)
        support.check_film(sensor)
        support.check_parameters(attached)
        features = inspect(scene, sensor, attached)
        channels.check(self.channels, scene, features.moving_edges)
        if self.options.boundary != "none":
            support.check_boundary(scene, sensor, features, attached, self.max_depth)
        return sensor, features, self._gradient_options(scene, sensor, features)

    def _passes(
        self, features: Features, options: path.PathOptions, sensor: Any, seed: Any, spp: int
    ) -> tuple[list[tuple[path.PathOptions, Any, int]], int]:
        """Interior passes, (options, sampler, samples per pixel) each, and their samples per pixel in all.

        One pass, or an antithetic pair with half the samples each when a roughness is differentiated. Samplers may round the
        number of samples: what they made of it counts.
        """
        spp = self._spp(sensor, spp)
        if features.roughness and spp >= 2 and spp % 2 == 0:
            mirrored = path.PathOptions(**{**options.__dict__, "mirror": True})
            chosen = [(options, spp // 2), (mirrored, spp // 2)]
        else:
            chosen = [(options, spp)]
        passes = [(one, *self._sampler(sensor, seed, count, "interior")) for one, count in chosen]
        return passes, sum(count for _, _, count in passes)

    def render_backward(
        self, scene: Any, params: Any, grad_in: Any, sensor: Any = 0, seed: Any = 0, spp: int = 0
    ) -> None:
        """Accumulate gradients of the attached scene parameters for the adjoint image `grad_in` (H, W, C)."""
        self.backward_terms(scene, grad_in, sensor, seed, spp)

    def render_forward(self, scene: Any, params: Any, sensor: Any = 0, seed: Any = 0, spp: int = 0) -> Any:
        """Derivative image (H, W, C) for the tangents set on the attached scene parameters."""
        return self.forward_terms(scene, sensor, seed, spp)

    def backward_terms(
        self, scene: Any, grad_in: Any, sensor: Any, seed: Any, spp: int, chosen: tuple[str, ...] = TERMS
    ) -> None:
        """`render_backward` for some of the terms only."""
        sensor, features, options = self._prepare(scene, sensor)
        # Isolated: what precedes the scene parameters is traversed once, at the end, with the sum of all terms.
        with dr.isolate_grad(), dr.suspend_grad():
            film_map = FilmMap(sensor, self.aov_names())
            edges = self._edges(scene, sensor, features, seed, spp, chosen)
            field = film_map.transpose(grad_in)
            self.nonfinite = mi.UInt32(0)
            if "interior" in chosen:
                passes, total = self._passes(features, options, sensor, seed, spp)
                for pass_options, sampler, n in passes:
                    self.nonfinite += interior.backward(
                        scene, sensor, self, features, pass_options, field, sampler, n, total
                    )
            for samples in self._boundary(scene, sensor, features, edges, chosen):
                self.nonfinite += terms.backward(samples, field)
            for drawn in self._indirect(scene, sensor, features, options, edges, chosen):
                self.nonfinite += indirect.backward(scene, features, options, field, drawn)
            dr.eval(self.nonfinite)

    def forward_terms(self, scene: Any, sensor: Any, seed: Any, spp: int, chosen: tuple[str, ...] = TERMS) -> Any:
        """`render_forward` for some of the terms only."""
        sensor, features, options = self._prepare(scene, sensor)
        with dr.suspend_grad():
            film_map = FilmMap(sensor, self.aov_names())
            edges = self._edges(scene, sensor, features, seed, spp, chosen)
            parts = []
            if "interior" in chosen:
                passes, total = self._passes(features, options, sensor, seed, spp)
                for pass_options, sampler, n in passes:
                    parts += interior.forward(scene, sensor, self, features, pass_options, film_map, sampler, n, total)
            for samples in self._boundary(scene, sensor, features, edges, chosen):
                parts += terms.forward(samples)
            for drawn in self._indirect(scene, sensor, features, options, edges, chosen):
                parts += indirect.forward(scene, features, options, drawn)
            return film_map.splat(parts)

    def _edges(
        self, scene: Any, sensor: Any, features: Features, seed: Any, spp: int, chosen: tuple[str, ...]
    ) -> _Edges | None:
        """What all boundary terms of a call share; None when no edge is seen to move."""
        if self.options.boundary != "edge" or not (features.moving_edges or features.moving_chains):
            return None
        width, height = camera.film_size(sensor.film())
        lanes = width * height * self._spp(sensor, spp)
        table = self.tables.build(scene, features.moving_shapes)
        stream = lambda name, count: seeds.lanes(count, seed, name)  # noqa: E731
        to_lights = self.max_depth > 1 and not {"direct", "indirect"}.isdisjoint(chosen)
        return _Edges(
            table=table, motion=segment.Motion(scene, features.moving_shapes), lanes=lanes, stream=stream,
            outlines=direct.Outlines.of(scene, table, stream, self.options.n_direct or lanes // 2) if to_lights else None,
        )  # fmt: skip

    def _boundary(
        self, scene: Any, sensor: Any, features: Features, edges: _Edges | None, chosen: tuple[str, ...]
    ) -> Iterator[list[terms.Contribution]]:
        """Samples of the boundary terms asked for; nothing when no geometry moves."""
        if edges is None or not features.moving_edges:
            return
        table, motion, lanes, stream = edges.table, edges.motion, edges.lanes, edges.stream
        options = self._path_options()
        count = lanes // 4 if self.options.n_primary is None else self.options.n_primary
        if "primary" in chosen and (features.moving_shapes or features.sensor_moves) and count:
            yield primary.sample(scene, sensor, self, features, table, motion, options, stream("primary", count), count)
            half = max(count // 2, 1)
            rims = stream("horizon", half)
            smooth = frozenset(range(len(scene.shapes()))) if features.sensor_moves else features.moving_shapes
            yield horizon.sample(scene, sensor, self, smooth, options, rims, half)
        count = lanes // 2 if self.options.n_direct is None else self.options.n_direct
        if "direct" in chosen and self.max_depth > 1 and count:
            points = stream("direct edges", count)
            yield direct.sample(scene, sensor, self, features, table, motion, edges.outlines, points, count)
            half = max(count // 2, 1)
            for side in (1, -1):  # with the same random numbers
                yield terminator.sample(scene, sensor, self, features, stream("terminator", half), half, side)

    def _indirect(
        self, scene: Any, sensor: Any, features: Features, options: path.PathOptions, edges: _Edges | None,
        chosen: tuple[str, ...],
    ) -> Iterator[indirect.Sample]:  # fmt: skip
        """Samples of the boundary terms whose x_S lies on a kept path: edges in mirrors and glass, and the indirect term."""
        if edges is None:
            return
        table, motion, lanes, stream = edges.table, edges.motion, edges.lanes, edges.stream
        mirrors = None  # that the camera sees
        if features.delta_bsdfs and self.max_depth > 1:
            mirrors = specular.cells(scene, sensor, self, stream)
        ways = (None,) if mirrors is None or self.max_depth == 2 else (None, mirrors)
        count = lanes // 4 if self.options.n_primary is None else self.options.n_primary
        if mirrors is not None and "primary" in chosen and count:
            yield specular.draw(scene, sensor, self, table, motion, options, stream, count, mirrors)
        count = lanes // 2 if self.options.n_direct is None else self.options.n_direct
        if "direct" in chosen and self.max_depth > 1 and count:
            yield from filter(
                None, (frustum.draw(scene, sensor, self, features, options, stream, count, x) for x in ways)
            )
        count = lanes // 2 if self.options.n_indirect is None else self.options.n_indirect
        if "indirect" in chosen and self.max_depth > 2 and count:
            third = max(count // 3, 1)
            technique = reflected.Technique(scene, sensor, self, features, table, motion, options)
            yield reflected.from_camera(technique, stream("indirect from the camera", third), third)
            for way in ways:
                if way is None or self.max_depth > 3:
                    sampler = stream("indirect from edges" if way is None else "mirrored edges", third)
                    yield reflected.from_edges(technique, sampler, third, way)
                if way is None or self.max_depth > 3 or features.delta_lights:
                    outlines = edges.outlines
                    drawn = shadows.draw(
                        scene, sensor, self, features, table, motion, options, outlines, stream, third, way
                    )
                    if drawn is not None:
                        yield drawn

    @staticmethod
    def _spp(sensor: Any, spp: int) -> int:
        return int(spp) or int(sensor.sampler().sample_count())


def default_blend_distance(scene: Any, features: Features) -> float:
    """Default of h in (3a): half the largest side of the smallest moving shape, or of the scene if none moves."""
    shapes = scene.shapes()
    boxes = [shapes[i].bbox() for i in features.moving_shapes] or [scene.bbox()]
    sizes = [0.5 * max(float(x) for x in (box.max - box.min)) for box in boxes]
    return min((s for s in sizes if s > 0), default=1.0)


def register() -> None:
    """Register `pathspace`, the cameras with distortion and glass with an index for the active variant and every later one."""

    def on_variant(_old: Any = None, _new: Any = None) -> None:
        if mi.variant() is not None and "_ad_" in mi.variant():
            members = {k: v for k, v in vars(PathSpaceMethods).items() if k not in ("__dict__", "__weakref__")}
            plugin = type("PathSpaceIntegrator", (mi.CppADIntegrator,), members)
            mi.register_integrator("pathspace", lambda props: plugin(props))
            for model in lenses.DISTORTED:
                mi.register_sensor(model, distorted.make(model))
            mi.register_bsdf(glass.PLUGIN, glass.make())

    mi.detail.add_variant_callback(on_variant)
    on_variant()
