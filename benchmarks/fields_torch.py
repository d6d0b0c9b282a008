"""The hash grid and network of `pbdr.fields` in plain PyTorch, on the processor: what a step of the same size costs there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

GRIDS, FEATURES, TABLE, BASE, GROWTH, HIDDEN = 8, 2, 14, 8, 1.5, 32  # defaults of `HashGrid`
PRIMES = (1, 2654435761, 805459861)


def cost(views: Sequence[Any], box: Any, rays: int, samples: int, warm: int = 3, count: int = 8) -> float:
    """Median seconds of the processor for a step: rays of all views, samples without skipping, Adam."""
    import torch

    from pbdr.fields.rays import through_pixels

    origin, direction = (
        torch.from_numpy(np.concatenate([through_pixels(view.sensor)[i].T for view in views]).copy()) for i in (0, 1)
    )
    target = torch.from_numpy(np.concatenate([np.asarray(view.target).reshape(-1, 3) for view in views]).copy())
    low, high = (torch.tensor(corner) for corner in box)
    field = _field(torch)
    optimiser = torch.optim.Adam(field.parameters(), lr=1e-2)
    torch.set_num_threads(1)  # more of them spin while they wait
    times = []
    for _ in range(warm + count):
        begin = time.process_time()
        index = torch.randint(len(origin), (rays,))
        image = _march(torch, field, origin[index], direction[index], low, high, samples)
        loss = ((image - target[index]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append(time.process_time() - begin)
    return float(np.median(times[warm:]))


def _march(torch: Any, field: Any, origin: Any, direction: Any, low: Any, high: Any, samples: int) -> Any:
    """Radiance along rays, over white."""
    first, second = (low - origin) / direction, (high - origin) / direction
    near = torch.minimum(first, second).amax(-1).clamp(min=0)
    step = (torch.maximum(first, second).amin(-1) - near).clamp(min=0) / samples
    place = near[:, None] + (torch.arange(samples) + torch.rand(len(origin), samples)) * step[:, None]
    point = (origin[:, None] + place[..., None] * direction[:, None] - low) / (high - low)
    raw = field(point.reshape(-1, 3).clamp(0, 1)).reshape(len(origin), samples, 4)
    depth = raw[..., 0].clamp(max=9).exp() * step[:, None] / float((high - low).max())
    weight = torch.exp(-(depth.cumsum(1) - depth)) * (1 - torch.exp(-depth))
    return (weight[..., None] * torch.sigmoid(raw[..., 1:])).sum(1) + 1 - weight.sum(1, keepdim=True)


def _field(torch: Any) -> Any:
    """A module from points to four raw numbers."""
    sides = [int(np.ceil(BASE * GROWTH**level - 1)) + 1 for level in range(GRIDS)]
    corners = torch.tensor([[i >> axis & 1 for axis in range(3)] for i in range(8)])
    primes = torch.tensor(PRIMES)

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = torch.nn.ParameterList(
                torch.nn.Parameter(torch.rand(min(side**3, 2**TABLE), FEATURES) * 2e-4 - 1e-4) for side in sides
            )
            self.net = torch.nn.Sequential(
                torch.nn.Linear(GRIDS * FEATURES, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 4)
            )

        def forward(self, point: Any) -> Any:
            found = []
            for side, values in zip(sides, self.tables, strict=True):
                at = point * (side - 1)
                low = at.floor().clamp(max=side - 2)
                part, cell = at - low, low.long()[:, None] + corners
                if side**3 <= 2**TABLE:
                    index = (cell[..., 2] * side + cell[..., 1]) * side + cell[..., 0]
                else:
                    mixed = cell * primes
                    index = (mixed[..., 0] ^ mixed[..., 1] ^ mixed[..., 2]) % 2**TABLE
                weight = torch.where(corners.bool(), part[:, None], 1 - part[:, None]).prod(-1)
                found.append((values[index] * weight[..., None]).sum(1))
            return self.net(torch.cat(found, -1))

    return Field()
