"""Images and gradients of a scene: `render`, `gradient` (reverse mode), `derivative` (forward mode)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr import shown
from pbdr.aligned import aligned
from pbdr.errors import DataError, DivergedError, OptionError, PbdrError
from pbdr.page import number, signed_limit, signed_pixels
from pbdr.parameters import Parameter, list_parameters, looking, resolve
from pbdr.parameters.attach import attached
from pbdr.pathspace.plugin import TERMS
from pbdr.scene import Scene, integrator_of, mitsuba_scene, sensor_of

Arrays = dict[str, NDArray[np.float32]]


@dataclass
class Gradient:
    """Gradients per parameter (by the name or raw key asked for), one dictionary a term of equation (2).

    Every array has the shape of its parameter. `total` is their sum; keeping the terms apart shows which one is noisy, and lets
    tests switch one off.
    """

    interior: Arrays = field(default_factory=dict)
    primary: Arrays = field(default_factory=dict)
    direct: Arrays = field(default_factory=dict)
    indirect: Arrays = field(default_factory=dict)

    @property
    def total(self) -> Arrays:
        """Sum of the terms: the derivative of the image, interior plus boundary."""
        names = {name for term in TERMS for name in getattr(self, term)}
        return {
            name: np.sum(
                [getattr(self, term)[name] for term in TERMS if name in getattr(self, term)], axis=0
            )  # Eq. (2)
            for name in sorted(names)
        }

    def _repr_html_(self) -> str:
        """For notebooks: the size of every term, and textures as pictures, red where it is positive."""
        total = self.total
        limits = {name: signed_limit(value) for name, value in total.items() if value.ndim == 3}
        pictures = [
            (f"{name}, ± {number(limit, 2)}", shown.png(signed_pixels(total[name], limit)))
            for name, limit in limits.items()
        ]
        rows = [
            [
                name,
                " × ".join(map(str, value.shape)) or "1",
                *(_size(getattr(self, term).get(name)) for term in TERMS),
                _size(value),
            ]
            for name, value in total.items()
        ]
        header = ["parameter", "shape", *TERMS, "total"]
        note = "Norms of arrays; single numbers as they are."
        return shown.fragment("Gradient", [note], [pictures], header, rows)


def render(
    scene: Any, params: Any = None, *, sensor: Any = 0, spp: int = 16, spp_grad: int | None = None, seed: int = 0,
    seed_grad: int | None = None, integrator: Any = None,
) -> Any:  # fmt: skip
    """Image (H, W, C) in linear radiance as a `mitsuba.TensorXf`, differentiable with respect to attached `params`.

    Extra channels of the integrator's option `aovs` (depth, normals, …) follow the film's own, in their order.
    `integrator`: a dictionary, a `mitsuba.Integrator` or None for `pathspace` with its defaults. `spp_grad` and
    `seed_grad` are those of the gradient pass; its random numbers are independent of the primal pass.
    """
    if spp < 1:
        raise OptionError(f"spp = {spp}; give at least 1 sample per pixel.")
    target = mitsuba_scene(scene)
    try:
        return mi.render(
            target, params=params, sensor=sensor_of(target, sensor), integrator=integrator_of(target, integrator), seed=seed,
            seed_grad=seed + 1 if seed_grad is None else seed_grad, spp=spp, spp_grad=spp if spp_grad is None else spp_grad,
        )  # fmt: skip
    except RuntimeError as error:
        if isinstance(error.__cause__, PbdrError):  # what the integrator says, without Dr.Jit's frame around it
            raise error.__cause__ from None
        raise


def gradient(
    scene: Any, names: str | Iterable[str], adjoint: Any, *, sensor: Any = 0, spp: int = 16, seed: int = 0,
    integrator: Any = None, terms: Iterable[str] = TERMS,
) -> Gradient:  # fmt: skip
    """Gradient of Σ adjoint · image with respect to the parameters matching `names`, term by term (reverse mode).

    `adjoint`: (H, W, C), the derivative of a loss with respect to the image. `names`: `<object>/<role>` names, globs or raw
    Mitsuba keys. Raises ParameterError for names without a match, DataError for an adjoint of another shape or non-finite.
    """
    target, tracer = mitsuba_scene(scene), pathspace_of(scene, integrator)
    view = sensor_of(target, sensor)
    adjoint = _adjoint(adjoint, view, tracer)
    chosen = _resolve(scene, names)
    result = Gradient()
    groups = [(term,) for term in _terms(terms)]
    with attached(target, chosen) as leaves:
        for (term,) in tracer.backward_each(target, adjoint, view, seed, spp, groups):
            _require_finite(tracer, term)
            setattr(result, term, leaves.gradients())
            leaves.clear()
    tracer.left_out.tell()
    return result


def derivative(
    scene: Any, tangents: Mapping[str, Any], *, sensor: Any = 0, spp: int = 16, seed: int = 0, integrator: Any = None,
    terms: Iterable[str] = TERMS,
) -> dict[str, NDArray[np.float32]]:  # fmt: skip
    """Derivative images (H, W, C), one a term, for a change of the parameters along `tangents` (forward mode).

    `tangents`: name or raw key → array of the parameter's shape (a scalar means the same for every entry).
    """
    target, tracer = mitsuba_scene(scene), pathspace_of(scene, integrator)
    view = sensor_of(target, sensor)
    chosen: dict[str, Parameter] = {}
    directions: dict[str, Any] = {}
    for pattern, tangent in tangents.items():
        found = _resolve(scene, pattern)
        chosen.update(found)
        directions.update(dict.fromkeys(found, tangent))
    images, names = {}, _terms(terms)
    with attached(target, chosen) as leaves:
        leaves.set_tangents(directions)
        for term in names:
            images[term] = np.array(tracer.forward_terms(target, view, seed, spp, (term,)), dtype=np.float32)
    tracer.left_out.tell()
    return images


def _size(value: NDArray[np.float32] | None) -> str:
    """A number as it is, the norm of an array; "" where the term has none."""
    if value is None:
        return ""
    return number(value.ravel()[0] if value.size == 1 else np.linalg.norm(value), 3)


def _terms(terms: Iterable[str]) -> list[str]:
    chosen = list(terms)
    for term in chosen:
        if term not in TERMS:
            raise OptionError(f"'{term}' is not a term of the gradient; give some of {', '.join(TERMS)}.")
    return chosen


def _require_finite(tracer: Any, term: str) -> None:
    count = int(tracer.nonfinite[0])
    if count:
        raise DivergedError(
            f"{count} samples of the {term} gradient are not finite. Look for degenerate geometry, zero roughness or infinite "
            "radiance in the scene."
        )


def pathspace_of(scene: Any, integrator: Any) -> Any:
    """The `pathspace` integrator that these settings mean. Raises OptionError for others.

    What it knows of the edges of a scene is kept with that scene: integrators made of a dictionary last for one call.
    """
    found = integrator_of(mitsuba_scene(scene), integrator)
    if not getattr(found, "is_pathspace", False):
        raise OptionError(
            f"gradient terms exist for 'pathspace' only, not for {type(found).__name__}; use pbdr.render."
        )
    if isinstance(scene, Scene):
        found.tables = scene.kept.setdefault("tables", found.tables)
    return found


def _resolve(scene: Any, names: str | Iterable[str]) -> dict[str, Parameter]:
    """Name or raw key as asked for → parameter."""
    found: dict[str, Parameter] = {}
    with looking():
        known = {parameter.raw: parameter for parameter in list_parameters(scene)}
        for name in [names] if isinstance(names, str) else list(names):
            for parameter in [known[name]] if name in known else resolve(scene, name):
                found[name if name in (parameter.name, parameter.raw) else parameter.name] = parameter
    return found


def _adjoint(adjoint: Any, sensor: Any, tracer: Any) -> Any:
    tensor = mi.TensorXf(aligned(adjoint) if isinstance(adjoint, np.ndarray) else adjoint)
    film = sensor.film()
    height, width = int(film.crop_size()[1]), int(film.crop_size()[0])
    shape = (height, width, int(film.base_channels_count()) + len(tracer.aov_names()))
    if tuple(tensor.shape) != shape:
        raise DataError(f"the adjoint image has shape {tuple(tensor.shape)}; the sensor's film needs {shape}.")
    if not dr.all(dr.isfinite(tensor.array))[0]:
        raise DataError("the adjoint image has non-finite entries; repair the loss it comes from.")
    return tensor
