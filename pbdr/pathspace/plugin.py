"""The Mitsuba plugin `pathspace`: primal rendering, forward mode and reverse mode of the path-space integrator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr import seeds
from pbdr.attached import AttachedParameter, attached_parameters
from pbdr.boundary import motion
from pbdr.boundary.sampling import guiding, left_out, light_points
from pbdr.boundary.table.builder import TableBuilder
from pbdr.boundary.warp import camera as warp_camera
from pbdr.errors import OptionError, SceneError
from pbdr.geometry.edges import EdgeTable
from pbdr.parameters import looking
from pbdr.pathspace import memory, replay
from pbdr.pathspace.image import ImagePass
from pbdr.pathspace.options import AUTO, PathspaceOptions
from pbdr.pathspace.passes import SHARES, TERMS, GradientPass, Inputs, applicable
from pbdr.transport import (
    camera,
    channels,
    cones,
    distorted,
    glass,
    lenses,
    media,
    path,
    pixels,
    support,
)
from pbdr.transport.features import Features, inspect
from pbdr.transport.film import FilmMap
from pbdr.transport.media import emissive
from pbdr.transport.media import flight as flights
from pbdr.transport.tracer import Tracer

UNIFORM_LOBE = 0.1  # defensive weights of the gradient pass, docs/theory.md section 3
UNIFORM_ENVIRONMENT = 0.5


class PathSpaceMethods:
    """Differentiable path tracer in path space: interior (equation 3) plus boundary (equation 5).

    The plugin's class is made of this one for each variant: its base `mi.CppADIntegrator` is another one in each.
    """

    is_pathspace = True
    hide_emitters: bool  # kept by Mitsuba

    def __init__(self, props: Any) -> None:
        options = PathspaceOptions.parse(props)  # before Mitsuba looks at its own: its messages name less
        mi.CppADIntegrator.__init__(self, props)
        if mi.is_polarized:
            raise OptionError(
                f"pathspace: the polarised variant '{mi.variant()}' is not supported. Use an rgb, mono or spectral variant, e.g. "
                "llvm_ad_rgb."
            )
        self.options = options
        self.left_out = left_out.Counts()
        extra = channels.parse(options.aovs)
        self.tracer = Tracer(options.max_depth, options.rr_depth, self.hide_emitters, extra, self.left_out)
        self.tables = TableBuilder()
        self.learned = guiding.State()  # from call to call
        self.recordings = replay.Recordings(traced=int(options.replay == AUTO))
        self.nonfinite: Any = (
            None  # samples of the last gradient pass whose contribution was not finite (device counter)
        )

    @property
    def max_depth(self) -> int:
        """Longest path, in Mitsuba's counting; bounded for memory when unlimited."""
        return self.tracer.max_depth

    def to_string(self) -> str:
        """One line for logs."""
        return f"PathSpaceIntegrator[{self.options}]"

    def aov_names(self) -> list[str]:
        """Names of the extra channels on the film, in the order of the option `aovs`."""
        return self.tracer.aov_names()

    def sample(self, *_: Any, **__: Any) -> Any:
        """Called by integrators around this one, which would differentiate its samples without their boundary."""
        raise OptionError(
            "pathspace: it cannot be nested in another integrator such as Mitsuba's 'aov', whose derivatives lack the boundary "
            "terms. Use its own option instead, e.g. aovs = 'depth,sh_normal'."
        )

    # ------------------------------------------------------------------ primal

    @staticmethod
    def _sensor(scene: Any, sensor: Any) -> Any:
        return scene.sensors()[sensor] if isinstance(sensor, int) else sensor

    def render(
        self, scene: Any, sensor: Any = 0, seed: Any = 0, spp: int = 0, develop: bool = True, evaluate: bool = True
    ) -> Any:
        """Primal image (H, W, C), as Mitsuba's `path` would converge to."""
        if not develop:
            raise OptionError("pathspace: develop=False is not supported; call with develop=True.")
        sensor = self._sensor(scene, sensor)
        support.check_film(sensor)
        with dr.suspend_grad(), looking():
            channels.check(self.tracer.channels, scene)
            traced = self._media(scene, sensor)
            glows = traced and media.shining(scene, sensor)
            tracing = self.tracer.path_options(defensive=0.0 if traced else None, glows=glows)
            parts, own = self._parts(sensor, None, spp), self._spp(sensor, spp)
            one = ImagePass(self.tracer, tracing, own, parts)
            if self.options.records and not traced and parts == 1:
                return self.recordings.image(one, scene, sensor, seed)
            return one.image(scene, sensor, seed)

    def _media(self, scene: Any, sensor: Any) -> bool:
        """Whether there are media to trace."""
        return self.options.media != "ignore" and bool(media.places(scene, sensor))

    # ------------------------------------------------------------------ gradients

    def _gradient_options(self, scene: Any, sensor: Any, features: Features) -> path.PathOptions:
        warp, traced = None, self._media(scene, sensor)
        if self.options.boundary == "warp" and features.edges_seen_to_move:
            warp = warp_camera.build(scene, sensor, self.tracer, features, self.tables, self.options.warp)
        return self.tracer.path_options(
            uniform_lobe=UNIFORM_LOBE,
            uniform_environment=UNIFORM_ENVIRONMENT if features.environment_radiance else 0.0,
            h=dr.opaque(mi.Float, self.options.blend_distance or default_blend_distance(scene, features)),
            warp=warp,
            defensive=flights.DEFENSIVE if traced else None,
            glows=traced and media.shining(scene, sensor),
            interfaces=features.interfaces,
            directed=features.directed,
            ends=tuple(scene.shapes()[i] for i in sorted(features.moving_shapes)) if traced and features.moving else None,
        )

    def _prepare(self, scene: Any, sensor: Any) -> tuple[Any, list[AttachedParameter], Features, path.PathOptions]:
        """Look at what is attached, refuse what is not supported: (sensor, attached, features, path options)."""
        self.left_out.tell()  # of the call before: what it counted is there by now
        self.left_out.recorded = False
        sensor = self._sensor(scene, sensor)
        attached = attached_parameters(scene)
        support.check_film(sensor)
        support.check_parameters(attached)
        media.check_parameters(attached, self.options.media == "ignore")
        interfaces: tuple[Any, ...] = ()
        if self._media(scene, sensor):
            interfaces = media.interfaces(scene, attached)
            attached = [p for p in attached if p.owners[0] not in interfaces]
            media.check(scene, sensor, [p.raw for p in attached], self.tracer.max_depth, self.options.replay is True)
        features = inspect(scene, sensor, attached, interfaces)
        channels.check(self.tracer.channels, scene, features.moving_edges)
        if self.options.boundary != "none":
            warped = self.options.boundary == "warp"
            support.check_boundary(scene, sensor, features, attached, self.max_depth, warped)
            support.check_sky(scene, features, attached, self.hide_emitters)
            if not warped and features.edges_seen_to_move:
                features.cones = cones.Cones.of(scene)
        if features.moving and self._media(scene, sensor) and not interfaces:
            self._check_fog(features)
        if self.options.replay is True:
            replay.check(scene, sensor, features, attached)
        return sensor, attached, features, self._gradient_options(scene, sensor, features)

    def _check_fog(self, features: Features) -> None:
        """Raise where something moves in a medium, and a boundary term does not know of it."""
        unaware = [type(term).__name__ for term in applicable(features, self.tracer) if not term.knows_fog]
        if unaware or self.options.boundary != "edge" or self.tracer.channels or self.hide_emitters:
            raise SceneError(
                f"something moves in a medium, which has a gradient with boundary = 'edge', without aovs and hide_emitters, and "
                f"without what these terms are for: {', '.join(unaware) or 'none here'}. Change that, or give media = 'ignore'."
            )

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
        for _ in self.backward_each(scene, grad_in, sensor, seed, spp, [chosen]):
            pass

    def backward_each(
        self, scene: Any, grad_in: Any, sensor: Any, seed: Any, spp: int, groups: Iterable[tuple[str, ...]]
    ) -> Iterator[tuple[str, ...]]:
        """`backward_terms` for one group of terms after the other, with what they share prepared once.

        Yields each group once its gradients are added to those of the attached parameters; a caller who wants them apart takes
        and clears them then.
        """
        with looking():
            sensor, attached, features, options = self._prepare(scene, sensor)
            records = self.left_out.recorded = self._records(scene, sensor, features, attached)
            parts = self._parts(sensor, features, spp)
            edges = self._edges(scene, features)
        for chosen in groups:
            # Isolated: what precedes the scene parameters is traversed once, at the end, with the sum of the group, and is kept.
            with dr.isolate_grad(), dr.suspend_grad(), looking():
                self.nonfinite = mi.UInt32(0)
                adjoint = grad_in if parts == 1 else grad_in / parts
                for part in range(parts):
                    one = self._pass(sensor, features, options, spp, parts, chosen)
                    given = self._inputs(scene, sensor, one, seed, part, adjoint, edges)
                    if records:
                        self.nonfinite += self.recordings.backward(one, scene, sensor, attached, given)
                    else:
                        self.nonfinite += one.backward(scene, sensor, given)
                    dr.eval(self.nonfinite)
            self.recordings.examine(scene, sensor, attached)
            yield chosen

    def _records(self, scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter]) -> bool:
        """Whether the gradient of this call is recorded, or replayed."""
        if not self.options.records or self._media(scene, sensor):
            return False
        return not replay.refusal(scene, sensor, features, attached)

    def forward_terms(self, scene: Any, sensor: Any, seed: Any, spp: int, chosen: tuple[str, ...] = TERMS) -> Any:
        """`render_forward` for some of the terms only."""
        with looking():
            sensor, _, features, options = self._prepare(scene, sensor)
            parts = self._parts(sensor, features, spp)
            edges = self._edges(scene, features)
        image: Any = 0
        with dr.suspend_grad(), looking():
            for part in range(parts):
                one = self._pass(sensor, features, options, spp, parts, chosen)
                found = one.forward(scene, sensor, self._inputs(scene, sensor, one, seed, part, None, edges))
                if parts == 1:
                    return found
                image += found / parts
                dr.eval(image)
            return image

    def _pass(
        self, sensor: Any, features: Features, options: path.PathOptions, spp: int, parts: int, chosen: tuple[str, ...]
    ) -> GradientPass:
        """One of several equal parts of a call."""
        spp = self._spp(sensor, spp) // parts
        budgets = {term: -(-self.samples(sensor.film(), term, parts * spp) // parts) for term in SHARES}
        edges, follows = self.options.boundary == "edge", self.options.follows_adjoint
        return GradientPass(self.tracer, edges, follows, features, options, spp, budgets, chosen)

    def _edges(self, scene: Any, features: Features) -> tuple[EdgeTable | None, Any]:
        """The table of edges, and the slots of `Motion`; None where no edge is sampled."""
        if self.options.boundary != "edge" or not features.edges_seen_to_move:
            return None, None
        moving = features.moving_shapes
        return self.tables.build(scene, moving, features), motion.Motion.slots(scene, moving)

    def _inputs(
        self, scene: Any, sensor: Any, one: GradientPass, seed: Any, part: int, adjoint: Any, edges: tuple[Any, Any]
    ) -> Inputs:
        """What a pass needs on the device. All that waits for the device happens here, before anything large is launched.

        `edges`: from `_edges`.
        """
        seed = mi.UInt32(seed) if part == 0 else seeds.stream(seed, "part", part)
        dr.make_opaque(seed)
        weights = FilmMap(sensor, self.aov_names()).weights
        given = Inputs(seed, one.options.h, weights, adjoint, self.options.sequence)
        if adjoint is not None and self.options.follows_adjoint:
            given.curve = pixels.morton_curve(sensor.film())
        features = one.features
        given.table, given.slot = edges
        if given.table is not None:
            if self.max_depth > 1 and not {"direct", "indirect"}.isdisjoint(one.chosen):
                count = one.budgets["direct"] or one.budgets["indirect"]
                given.outlines = light_points.Outlines.of(scene, given.table, given.stream, count)
            deeper = self.max_depth > 2 and one.budgets["indirect"] > 0 and "indirect" in one.chosen
            if self.options.guiding != "none" and deeper:
                shapes = tuple(shape.id() for shape in scene.shapes())
                moving = features.moving_shapes, features.sensor_moves
                self.learned.begin(given.table, (shapes, self.tables.built, moving))
                given.learned = self.learned
        return given

    def samples(self, film: Any, term: str, spp: int) -> int:
        """Number of samples of a boundary term in a call."""
        given = getattr(self.options, f"n_{term}")
        width, height = camera.film_size(film)
        return max(int(SHARES[term] * width * height * spp), 1) if given is None else int(given)

    def _parts(self, sensor: Any, features: Features | None, spp: int) -> int:
        """Number of parts into which a call is cut to stay below the ceiling of memory."""
        width, height = camera.film_size(sensor.film())
        spp, planes = self._spp(sensor, spp), 5 + len(self.aov_names())
        needs: list[int] = []
        if self.options.boundary == "edge" and features is not None:
            budgets = {part: self.samples(sensor.film(), part, spp) for part in SHARES}
            needs = [term.count(budgets) * term.memory for term in applicable(features, self.tracer)]
        return memory.parts(self.options.memory_bytes, spp, width * height, planes, needs)

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
            mi.register_medium(emissive.PLUGIN, emissive.make())
            mi.register_bsdf(glass.PLUGIN, glass.make())

    mi.detail.add_variant_callback(on_variant)
    on_variant()
