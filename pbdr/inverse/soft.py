"""A warm start by soft silhouettes: from far off, blurred outlines of meshes know where to go; nothing else is rendered.

Exact outlines pull only where they cross something. Those of Soft Rasterizer (Liu, Li, Chen, Li: ICCV 2019) reach everywhere:

    D = sigmoid(± d² / σ),   silhouette = 1 - Π (1 - D)

with the distance d of a pixel to the border of each triangle on the film, whose longer side is 2, and + inside. They are compared
with the masks of the views by 1 - intersection / union, as there. Their derivative is biased, the more the larger σ is: σ falls
over the steps, and what follows, the fit itself, is exact. What it costs does not depend on light or materials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from scipy.spatial.transform import Rotation

from pbdr.errors import OptionError, closest
from pbdr.inverse import guards, planes, schedules
from pbdr.inverse.fit import init
from pbdr.inverse.losses.channels import Silhouette
from pbdr.inverse.optimisers import OPTIMISERS, Adam
from pbdr.inverse.problem import Problem
from pbdr.inverse.state import State
from pbdr.parameters import traverse
from pbdr.parameters.maps.motions import Rigid
from pbdr.seeds import hashed
from pbdr.transport.eye import Eye

#: Triangles times pixels of a view, at most: each pair is an entry of an array.
PAIRS = 1 << 25
#: Views of a step, at least: they cost little, and one alone does not say where in depth a thing is.
VIEWS = 4
#: Squared length of an edge on the film below which its points are its first one.
SHORT = 1e-12


@dataclass(frozen=True)
class WarmStart:
    """How to start from soft silhouettes.

    shape       id of the mesh that masks show; "": all shapes of the scene, which must be meshes
    sigma       blur at the first and at the last step, in squared halves of the film's longer side
    lr          learning rate of poses and points, in radians and shares of the size of what moves; other unknowns have their own
    resolution  pixels of the longer side
    tries       how often: after the first time, what moves rigidly (map `rigid`) is turned at random before; the best one counts
    """

    steps: int = 100
    shape: str = ""
    sigma: tuple[float, float] = (0.03, 3e-4)
    lr: float = 0.05
    resolution: int = 32
    tries: int = 1

    def __post_init__(self) -> None:
        for name, count in (("steps", self.steps), ("resolution", self.resolution), ("tries", self.tries)):
            if count < 1:
                raise OptionError(f"warm start: {name} = {count!r}: it is at least 1")
        for name, value in (("sigma", self.sigma[0]), ("sigma", self.sigma[1]), ("lr", self.lr)):
            if not (math.isfinite(value) and value > 0):
                raise OptionError(f"warm start: {name} = {value!r}: it is a number above 0")

    @property
    def loss(self) -> Silhouette:
        """The loss whose channel and plane are the masks."""
        return Silhouette(shape=self.shape)

    def blur(self, step: int) -> float:
        """σ of a step: it falls by the same factor in each."""
        first, last = self.sigma
        return float(first * (last / first) ** (step / max(self.steps - 1, 1)))


def silhouette(
    screen: Any, front: Any, faces: Any, size: tuple[int, int], extent: tuple[float, float], sigma: Any
) -> Any:
    """Return the soft silhouette (H, W) of triangles, attached to their vertices.

    `screen`, `front`: where V vertices are on the film (Point2f), and whether they are before the camera; triangles with one that
    is not are left out. `faces`: 3 F numbers of vertices. `size`: (W, H) pixels, which cover `extent`, in units of `screen`.
    """
    width, height = size
    count = dr.width(faces) // 3
    lane = dr.arange(mi.UInt32, count * width * height)
    face, pixel = lane % count, lane // count
    x, y = (
        (mi.Float(pixel % width) + 0.5) * (extent[0] / width),
        (mi.Float(pixel // width) + 0.5) * (extent[1] / height),
    )
    numbers = [dr.gather(mi.UInt32, faces, 3 * face + k) for k in range(3)]
    corners = [dr.gather(mi.Point2f, screen, number) for number in numbers]
    shown = dr.gather(mi.Bool, front, numbers[0])
    for number in numbers[1:]:
        shown = shown & dr.gather(mi.Bool, front, number)
    nearest, left, right = mi.Float(dr.inf), mi.Bool(True), mi.Bool(True)
    for k in range(3):
        a, edge = corners[k], corners[(k + 1) % 3] - corners[k]
        away = mi.Vector2f(x - a.x, y - a.y)
        along = dr.clip(dr.dot(away, edge) / dr.maximum(dr.squared_norm(edge), SHORT), 0, 1)
        nearest = dr.minimum(nearest, dr.squared_norm(away - along * edge))
        side = dr.detach(edge.x * away.y - edge.y * away.x)
        left, right = left & (side > 0), right & (side < 0)
    exponent = dr.select(left | right, nearest, -nearest) / sigma
    # log(1 - sigmoid(x)) = -max(x, 0) - log(1 + exp(-|x|))
    missed = -dr.maximum(exponent, 0) - dr.log(1 + dr.exp(-dr.abs(exponent)))
    total = dr.block_reduce(dr.ReduceOp.Add, dr.select(shown, missed, 0), count)
    return mi.TensorXf(1 - dr.exp(total), shape=(height, width))


def projected(sensor: Any, points: Any) -> tuple[Any, Any, tuple[float, float]]:
    """Return where world points are on the film, whether they are before the camera, and the film's extent.

    The longer side of the film is 2. Attached to the points and to the pose of the sensor, not to its lens.
    """
    eye = Eye.of(sensor)
    eye = replace(eye, to_local=sensor.world_transform().inverse())
    film = sensor.film()
    size, offset = film.crop_size(), film.crop_offset()
    scale = 2 / max(size)
    sight = eye.sight(points)
    at = mi.Point2f(sight.position.x - float(offset[0]), sight.position.y - float(offset[1]))
    return at * scale, dr.detach(eye.in_front(points)), (scale * float(size[0]), scale * float(size[1]))


def meshes(scene: Any, chosen: WarmStart) -> list[Any]:
    """Return the meshes of a `pbdr.scene.Scene` whose silhouettes are drawn. Raises OptionError where there can be none."""
    shapes = {shape.id(): shape for shape in scene.mi.shapes()}
    if not shapes:
        raise OptionError("warm start: the scene has no shape, and so no silhouette")
    if chosen.shape and chosen.shape not in shapes:
        near = closest(chosen.shape, shapes)
        hint = f" Closest: {', '.join(near)}." if near else ""
        raise OptionError(f"warm start: there is no shape {chosen.shape!r}.{hint} Shapes: {', '.join(shapes)}")
    drawn = {name: shape for name, shape in shapes.items() if chosen.shape in ("", name)}
    for name, shape in drawn.items():
        if not isinstance(shape, mi.Mesh):
            what = f"the shape {name!r} is a {shape.class_name()}, and soft silhouettes are of meshes"
            raise OptionError(f"warm start: {what}: name the mesh that masks show, shape = ...")
    triangles = sum(shape.face_count() for shape in drawn.values())
    if triangles * chosen.resolution**2 > PAIRS:
        raise OptionError(
            f"warm start: {triangles} triangles on {chosen.resolution}² pixels are more than {PAIRS} pairs: lower its resolution, "
            "or leave it out"
        )
    return list(drawn.values())


def check(problem: Problem, chosen: WarmStart) -> list[Any]:
    """Return the meshes of a problem, whose views have what they are compared with. Raises OptionError and DataError."""
    found = meshes(problem.bound.scene, chosen)
    for index, view in enumerate(problem.views):
        size = (int(np.shape(view.target)[0]), int(np.shape(view.target)[1]))
        planes.check(problem.label(index), chosen.loss, view.planes.get("silhouette"), size)
    return found


def warm_start(problem: Problem, chosen: WarmStart, say: Callable[[str], None] = lambda text: None) -> State:
    """Return a state before the first step of the fit, whose outlines are near those of the masks.

    Everything that moves outlines moves: positions of the meshes by any map or function, and poses of sensors; other unknowns
    stay. `say` is told how well outlines matched before and after. Raises OptionError, DataError.
    """
    drawn, state = _Drawn(problem, chosen), init(problem)
    latents = {key: state.latents[key] for key in problem.bound.leaves}
    turned = [key for key, latent in problem.bound.latents.items() if isinstance(latent.map, Rigid)]
    if chosen.tries > 1 and not turned:
        raise OptionError(
            f'warm start: tries = {chosen.tries}, and nothing can be turned: give positions of a mesh map = "rigid"'
        )
    before, best = drawn.mismatch(latents), math.inf
    found = latents
    for number in range(chosen.tries):
        begun = latents if not number else {**latents, **_turned(problem, latents, turned, number)}
        ended = drawn.descend(begun, say)
        value = drawn.mismatch(ended)
        if not value >= best:
            best, found = value, ended
    problem.bound.apply(latents)  # as before: what starts anew reads the scene
    tried = f", the best of {chosen.tries} tries" if chosen.tries > 1 else ""
    say(
        f"warm start: {chosen.steps} steps of soft silhouettes{tried}; 1 - intersection / union of outlines is {best:.3f}, "
        f"{before:.3f} at the start"
    )
    return replace(state, latents={**state.latents, **found})


def _turned(problem: Problem, latents: dict[str, Any], keys: list[str], number: int) -> dict[str, Any]:
    """Latents of rigid motions with random rotations, the same in every process."""
    found = {}
    for key in keys:
        value = np.array(latents[key])
        seed = hashed(problem.options.seed, "warm start", key, number)
        value[:3] = Rotation.random(random_state=np.random.default_rng(seed)).as_rotvec()
        found[key] = mi.TensorXf(value.astype(np.float32))
    return found


class _Drawn:
    """The meshes of a problem and their faces, which views compare with masks."""

    def __init__(self, problem: Problem, chosen: WarmStart) -> None:
        self.problem, self.chosen, self.meshes = problem, chosen, check(problem, chosen)
        self.faces = [mi.UInt32(traverse(mesh)["faces"]) for mesh in self.meshes]

    def loss(self, latents: dict[str, Any], views: list[int], sigma: Any) -> Any:
        """Mean over views of 1 - intersection / union, attached to the latents."""
        bound, total = self.problem.bound, mi.Float(0)
        for number, index in enumerate(views):
            if bound.timed or not number:
                bound.apply(latents, time=self.problem.views[index].time)
            total += _mismatch(self.problem, self.chosen, self.meshes, self.faces, index, sigma) / len(views)
        return total

    def mismatch(self, latents: dict[str, Any]) -> float:
        """The loss in all views, as sharp as at the last step."""
        with dr.suspend_grad():
            sigma = dr.opaque(mi.Float, self.chosen.sigma[1])
            return float(self.loss(latents, list(range(len(self.problem.views))), sigma)[0])

    def descend(self, latents: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
        """Return the latents after the steps, from those given. Raises OptionError where no outline depends on them."""
        problem, bound, options, adam = self.problem, self.problem.bound, self.problem.options, Adam()
        keys = [key for key, leaf in bound.leaves.items() if leaf.start == 0 and key not in problem.held]
        memory, each = adam.init(latents), max(options.views_per_step, VIEWS)
        for step in range(self.chosen.steps):
            views = schedules.views(len(problem.views), each, step, options.seed)
            leaves = {key: mi.TensorXf(value) for key, value in latents.items()}
            dr.enable_grad(*[leaves[key] for key in keys])
            loss = self.loss(leaves, views, dr.opaque(mi.Float, self.chosen.blur(step)))
            if dr.grad_enabled(loss):
                dr.backward(loss)
            found = {key: mi.TensorXf(dr.grad(leaves[key])) for key in keys}
            values = [np.array(gradient) for gradient in found.values()]
            if step == 0 and not any(value.any() for value in values):
                raise OptionError(_unmoved(problem))
            if not all(np.isfinite(value).all() for value in values):
                say(f"warm start: the gradient of step {step + 1} is not finite, and nothing moves")
                continue
            moved, memory = adam.step(memory, latents, found, _rates(problem, self.chosen, keys, step))
            latents, _ = guards.kept(options.collapse, bound, latents, {**latents, **bound.project(moved)})
        return latents


def _mismatch(problem: Problem, chosen: WarmStart, meshes: list[Any], faces: list[Any], index: int, sigma: Any) -> Any:
    """1 - intersection / union of the silhouettes of a view, attached to what the scene holds now."""
    sensor = problem.sensor(index)
    width, height = (int(x) for x in sensor.film().crop_size())
    shrink = min(1.0, chosen.resolution / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    missed: Any = 1
    for mesh, own in zip(meshes, faces, strict=True):
        flat, lane = traverse(mesh)["vertex_positions"], dr.arange(mi.UInt32, mesh.vertex_count())
        # `dr.unravel` has a derivative that Dr.Jit 1.5 cannot evaluate where that of its argument is scattered to.
        points = mi.Point3f(*[dr.gather(mi.Float, flat, 3 * lane + k) for k in range(3)])
        screen, front, extent = projected(sensor, points)
        missed = missed * (1 - silhouette(screen, front, own, size, extent, sigma))
    target, _ = problem.targets.plane(index, "silhouette", (size[1], size[0]), chosen.loss.measured)
    found, wanted = 1 - missed.array, target.array
    common = dr.sum(found * wanted)
    return 1 - common / dr.maximum(dr.sum(found + wanted) - common, 1e-6)


def _rates(problem: Problem, chosen: WarmStart, keys: list[str], step: int) -> dict[str, float]:
    """Learning rates by latent key. Motions, which are made for least squares, have that of the warm start."""
    decay, bound = schedules.decay("cosine", step, chosen.steps), problem.bound
    usual = {key: latent.map.optimiser for key, latent in bound.latents.items()}
    motions = {key for key, name in usual.items() if name and OPTIMISERS.make(name).wants != "gradients"}
    return {key: decay * (chosen.lr if key in motions else bound.leaves[key].lr) for key in keys}


def _unmoved(problem: Problem) -> str:
    names = ", ".join(repr(name) for name in problem.bound.specs)
    return (
        f"warm start: no outline depends on {names}: it moves positions of meshes and poses of sensors. Leave it out; or raise "
        "sigma, if outlines are too sharp to reach the masks"
    )
