"""Rotations (Loubet, Holzschuch, Jakob: Reparameterizing Discontinuous Integrands for Differentiable Rendering, 2019).

An integral over directions is convolved with a kernel k, ∫ f(μ) dμ = ∫∫ k(μ, ω) f(μ) dμ dω, and the directions of every kernel turn
with θ, which changes no integral: μ → R(θ) μ, R(0) = 1. If R follows what moves, jumps stand still in the turned directions, and
automatic differentiation of

    k(R μ, ω) f(R μ) / (p(ω) k(μ, ω))

is enough. R is guessed: a few rays of the kernel look around, and the nearest point that they meet is followed. Kernels whose
rays all miss what moves within their reach do not follow it, and kernels that follow the nearest of two things that pass through
each other follow neither's border: that is the bias. (Rays that look around are others than those that are turned: chosen among
the latter, R would depend on the directions that it turns.) The same is done on the way to the lamp. Turned directions come in
pairs, mirrored at the middle of the kernel, in which the derivative of k cancels where f is even, as control variates do there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .world import Tensor, World, rays, weight

KAPPA = 1e3  # concentration of the kernels of camera rays, as in the authors' program
KAPPA_LAMP = 1e5  # of those of shadow rays: a kernel that is as wide as a lamp takes its border along
RAYS = 4  # that look around
PAIR = 2  # that are turned
MARGIN = 4.0  # standard deviations by which integrals over a film or lamp are widened, so that kernels around their border count


@dataclass(frozen=True)
class Kernels:
    """Rays (N, PAIR, 3) around the middles (N, 3) of kernels, what each meets, and the turned rays, attached to θ."""

    middle: Tensor
    rays: Tensor
    first: Tensor
    turned: Tensor
    kappa: float

    @property
    def ratio(self) -> Tensor:
        """k(R μ, ω) / k(μ, ω), which is 1 and has a derivative."""
        return torch.exp(self.kappa * ((self.turned - self.rays) * self.middle[:, None]).sum(-1))


def derivative(
    world: World,
    samples: int,
    seed: int,
    *,
    rays_each: int = RAYS,
    kappa: float = KAPPA,
    kappa_lamp: float = KAPPA_LAMP,
) -> float:
    """An estimate of the derivative of ∫ weight · image at θ = 0."""
    theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    total = integral(world, theta, samples, seed, rays_each, kappa, kappa_lamp)
    (found,) = torch.autograd.grad(total, theta, allow_unused=True)
    return 0.0 if found is None else float(found)


def integral(
    world: World, theta: Tensor, samples: int, seed: int, rays_each: int, kappa: float, kappa_lamp: float
) -> Tensor:
    """∫ weight · image, attached to θ."""
    generator = torch.Generator().manual_seed(seed)
    side = 1 + MARGIN / kappa**0.5 * 2  # 1 / cos² is 2 at the middle of the film's border
    film = side * (2 * torch.rand(samples, 2, dtype=torch.float64, generator=generator) - 1)
    towards, origin = rays(film)
    middle = torch.nn.functional.normalize(towards, dim=-1)
    kernels = look(world, theta, origin, origin, middle, rays_each, kappa, generator)
    turned = kernels.turned.reshape(-1, 3)
    place = turned[:, :2] / turned[:, 2:].clamp(min=1e-9)
    seen = torch.where(turned[:, 2] > 0, weight(place) / turned[:, 2].clamp(min=1e-3) ** 3, 0.0)
    light = shine(world, theta, kernels, rays_each, kappa_lamp, generator)
    inverse_density = ((2 * side) ** 2 * middle[:, 2] ** 3)[:, None]
    return (inverse_density * kernels.ratio * (seen * light).reshape(samples, -1)).mean()


def look(
    world: World, theta: Tensor, origin: Tensor, moved: Tensor, middle: Tensor, count: int, kappa: float,
    generator: torch.Generator,
) -> Kernels:  # fmt: skip
    """Trace pairs of rays of kernels from `origin`, and turn them with what `count` others meet first.

    `moved`: the attached origin, from which the motion of that point is seen.
    """
    around = spread(middle, PAIR, kappa, generator)
    with torch.no_grad():
        first, _ = met_by(world, origin, around)
        others, point = met_by(world, origin, spread(middle, count, kappa, generator))
        distance = torch.where(others >= 0, (point - origin[:, None]).norm(dim=-1), torch.inf)
        best = distance.argmin(-1)
        lane = torch.arange(len(best))
        met = torch.isfinite(distance[lane, best])
        followed, number = point[lane, best], others[lane, best].clamp(min=0)
    velocity = world.tables[3][number]
    now = torch.nn.functional.normalize(torch.where(met[:, None], followed - origin, middle), dim=-1)
    later = torch.where(met[:, None], followed + theta * velocity - moved, middle)
    turn = torch.linalg.cross(now, torch.nn.functional.normalize(later, dim=-1))
    turn = torch.where(met[:, None], turn, 0.0)[:, None].expand_as(around)
    return Kernels(middle, around, first, around + torch.linalg.cross(turn, around), kappa)


def met_by(world: World, origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (N, rays) of what rays (N, rays, 3) from points (N, 3) meet, and where (N, rays, 3)."""
    start = origin[:, None].expand_as(directions).reshape(-1, 3)
    flat = directions.reshape(-1, 3)
    first = world.first(start, flat, 0.0)
    return first.reshape(directions.shape[:2]), world.along(start, flat, 0.0, first).reshape(directions.shape)


def shine(
    world: World, theta: Tensor, kernels: Kernels, count: int, kappa_lamp: float, generator: torch.Generator
) -> Tensor:
    """Radiance (N · PAIR,) along the turned camera rays, as if each met what it meets now."""
    first, turned = kernels.first.ravel(), kernels.turned.reshape(-1, 3)
    _, a, b, _, shining, albedo = world.tables
    number = first.clamp(min=0)
    found = torch.where(first >= 0, shining[number], 0.0)
    if not world.lamp:
        return found
    zero = torch.zeros_like(turned)
    wall = world.along(zero, turned, theta, first)
    start = wall.detach()
    normal = torch.nn.functional.normalize(torch.linalg.cross(a, b), dim=-1)
    lamp = world.lamp_number
    widened = 1 + 2 * MARGIN / kappa_lamp**0.5 * start[:, 2].abs().max() / a[lamp].norm()
    uv = 0.5 + widened * (torch.rand(len(wall), 2, dtype=torch.float64, generator=generator) - 0.5)
    away = world.lamp_point(uv) - start
    middle = torch.nn.functional.normalize(away, dim=-1)
    area = a[lamp].norm() * b[lamp].norm() * widened**2
    inverse_density = area * (middle @ normal[lamp]).abs() / (away * away).sum(-1)
    shadow = look(world, theta, start, wall, middle, count, kappa_lamp, generator)
    cosine = (shadow.turned * normal[number][:, None]).sum(-1).abs()
    lit = torch.where(shadow.first == lamp, shining[lamp] * cosine, 0.0)
    direct = albedo[number] / torch.pi * inverse_density * (shadow.ratio * lit).mean(-1)
    return found + torch.where(first >= 0, direct, 0.0)


def spread(middle: Tensor, count: int, kappa: float, generator: torch.Generator) -> Tensor:
    """Unit vectors (N, count, 3) of von Mises–Fisher distributions about `middle`, in mirrored pairs; one alone if count is 1."""
    half = (count + 1) // 2
    u, v = (torch.rand(len(middle), half, dtype=torch.float64, generator=generator) for _ in range(2))
    cosine = 1 + torch.log1p(u * (torch.expm1(torch.tensor(-2 * kappa, dtype=torch.float64)))) / kappa
    sine = (1 - cosine**2).clamp(min=0).sqrt()
    helper = torch.where(middle[:, :1].abs() < 0.6, torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 1, 0]])).double()
    s = torch.nn.functional.normalize(torch.linalg.cross(middle, helper), dim=-1)
    t = torch.linalg.cross(middle, s)
    phi = 2 * torch.pi * v
    side = sine[..., None] * (phi.cos()[..., None] * s[:, None] + phi.sin()[..., None] * t[:, None])
    along = cosine[..., None] * middle[:, None]
    return torch.cat([along + side, along - side], 1)[:, :count]
