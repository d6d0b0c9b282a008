"""Boundary sampling aided by finite differences: no list of edges, but bisection along lines of the film.

Along a line in x the integrand jumps by ΔL wherever what paths meet changes; where it does moves by dx/dθ. So

    d/dθ ∫∫ w L dx dy = ∫∫ w ∂L/∂θ dx dy + ∫ Σ_c share · w · ΔL · dx_c/dθ dy

This is the boundary integral of edge sampling (Li, Aittala, Durand, Lehtinen: SIGGRAPH Asia 2018), with its edges found by
bisection between points of the line that see different things, and dx_c/dθ a central difference of two more bisections. Lines in x
say little of edges that run along them: those in y share the work, by the squared components of the normal (from where the
jump is on neighbouring lines). Two jumps between neighbouring points of a line are missed: a bias that falls with their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .world import Signature, Tensor, World, weight

STEP = 1e-4  # of θ, and of the neighbouring lines
REACH = 0.01  # how far from a jump it is looked for at another θ
HALVINGS = 40
SHARES = (0, 1)


@dataclass(frozen=True)
class Lines:
    """Lines of the film along `axis`: the other coordinate and the lamp point of each, (N,) and (N, 2)."""

    world: World
    axis: int
    other: Tensor
    uv: Tensor

    def chosen(self, number: Tensor) -> Lines:
        """Some of them, in this order."""
        return Lines(self.world, self.axis, self.other[number], self.uv[number])

    def film(self, at: Tensor) -> Tensor:
        """Film points (N, 2)."""
        return torch.stack([at, self.other] if self.axis == 0 else [self.other, at], -1)

    def meets(self, at: Tensor, theta: float = 0.0) -> Signature:
        """What paths through a point of each line meet."""
        return self.world.signature(self.film(at), self.uv, theta)

    def jump(self, low: Tensor, high: Tensor, left: Signature, theta: float = 0.0) -> Tensor:
        """Where what is met stops to be `left`, between `low` and `high`."""
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            same = left.same(self.meets(middle, theta))
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        return 0.5 * (low + high)

    def beside(self, at: Tensor, left: Signature, right: Signature, theta: float) -> tuple[Tensor, Tensor]:
        """Where the jump that was at `at` is for another θ or on other lines, and whether it was found near there."""
        low, high = at - REACH, at + REACH
        found = left.same(self.meets(low, theta)) & right.same(self.meets(high, theta))
        return self.jump(low, high, left, theta), found


def derivative(world: World, lines: int, seed: int, *, points: int = 64, shares: tuple[int, ...] = SHARES) -> float:
    """An estimate of the derivative of ∫ weight · image at θ = 0. `shares`: the axes along which lines run."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(_along(world, axis, lines, points, generator) for axis in shares)
    return total + _interior(world, lines * points, generator)


def _along(world: World, axis: int, count: int, points: int, generator: torch.Generator) -> float:
    """What lines along one axis say of the boundary."""
    random = lambda *shape: torch.rand(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
    other = 2 * (torch.arange(count) + random(count)) / count - 1
    lines = Lines(world, axis, other, random(count, 2))
    at = 2 * (torch.arange(points) + random(count, points)) / points - 1
    ends = torch.ones(count, 1, dtype=torch.float64)
    at = torch.cat([-ends, at, ends], 1)
    every = lines.chosen(torch.arange(count).repeat_interleave(points + 2))
    seen = every.meets(at.ravel())
    first, blocker = (x.reshape(at.shape) for x in (seen.first, seen.blocker))
    differs = (first[:, 1:] != first[:, :-1]) | (blocker[:, 1:] != blocker[:, :-1])
    number, gap = differs.nonzero(as_tuple=True)
    left = Signature(first[number, gap], blocker[number, gap])
    jumping = lines.chosen(number)
    where = jumping.jump(at[number, gap], at[number, gap + 1], left)
    right = jumping.meets(where + 1e-9)
    step = world.radiance(jumping.film(where), jumping.uv, 0.0, left)
    step = step - world.radiance(jumping.film(where), jumping.uv, 0.0, right)
    (after, yes), (before, also) = (jumping.beside(where, left, right, s * STEP) for s in (1, -1))
    speed, found = (after - before) / (2 * STEP), yes & also
    share, near = _share(jumping, where, left, right)
    value = weight(jumping.film(where)) * step * speed * share
    return float(torch.where(found & near, value, 0.0).sum()) * 2 / count


def _share(lines: Lines, where: Tensor, left: Signature, right: Signature) -> tuple[Tensor, Tensor]:
    """Squared component of the normal along the lines, from where the jump is on neighbouring ones; and whether it is there."""
    sides = [Lines(lines.world, lines.axis, lines.other + s * STEP, lines.uv) for s in (1, -1)]
    (after, yes), (before, also) = (side.beside(where, left, right, 0.0) for side in sides)
    slope = (after - before) / (2 * STEP)
    return 1 / (1 + slope * slope), yes & also


def _interior(world: World, count: int, generator: torch.Generator) -> float:
    """∫ w ∂L/∂θ, what is met staying the same."""
    film = 2 * torch.rand(count, 2, dtype=torch.float64, generator=generator) - 1
    uv = torch.rand(count, 2, dtype=torch.float64, generator=generator)
    seen = world.signature(film, uv, 0.0)
    after, before = (world.radiance(film, uv, s * STEP, seen) for s in (1, -1))
    return float((weight(film) * (after - before)).mean()) * 4 / (2 * STEP)
