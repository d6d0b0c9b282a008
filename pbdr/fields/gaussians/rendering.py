"""Images of Gaussians as 3DGS composites them, on the CPU or a GPU, with derivatives of everything that it stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.data.cameras import Camera
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians import composite, tiles
from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.project import Splats, on_device, project, table_of


@dataclass(frozen=True)
class Compositing:
    """How Gaussians are composited; the defaults are those of 3DGS.

    low_pass  variance in squared pixels added to every ellipse, so that none falls between pixels; 0: none
    cutoff    alpha below which a Gaussian is not drawn. Its border jumps by as much, which no derivative sees: 1/255 makes those of
              scales and opacities up to some percent wrong; 1e-4 or less does not, and takes about twice as long
    near      distance in front of the camera below which a Gaussian is left out, in units of the scene
    side      pixels along a side of a tile
    """

    low_pass: float = 0.3
    cutoff: float = 1 / 255
    near: float = 0.2
    side: int = 8

    def __post_init__(self) -> None:
        for name, fits in (("low_pass", self.low_pass >= 0), ("cutoff", 0 < self.cutoff < 1), ("near", self.near > 0)):
            if not fits:
                raise OptionError(
                    f"{name} = {getattr(self, name)!r}: a low pass is 0 or more, near above 0, a cutoff in (0, 1)"
                )
        if not 1 <= self.side <= 64:
            raise OptionError(f"side = {self.side!r}: tiles have 1 to 64 pixels along a side")


class Cameras:
    """Cameras whose films have one size, on the device. Raises DataError for cameras that no pinhole is, or of other sizes."""

    def __init__(self, cameras: Sequence[Camera], side: int = Compositing.side) -> None:
        sizes = {(camera.width, camera.height) for camera in cameras}
        if len(sizes) != 1:
            raise DataError(f"cameras of {len(sizes)} sizes {sorted(sizes)[:3]}: those of one call have the same size")
        (self.size,) = sizes
        self.side = side
        self.table = table_of(cameras)
        self._grids: dict[int, tuple[tiles.Grid, Any, Any, Any]] = {}

    def grid(self, films: int) -> tuple[tiles.Grid, Any, Any, Any]:
        """Tiles of so many films, the centres (x, y) of the pixels of all lanes, and the lane of every pixel."""
        if films not in self._grids:
            grid = tiles.Grid(*self.size, films, self.side)
            tile, inner = np.divmod(np.arange(grid.lanes), self.side**2)
            row, column = np.divmod(tile % grid.tiles, grid.across)
            x = column * self.side + inner % self.side + 0.5
            y = row * self.side + inner // self.side + 0.5
            lanes = mi.UInt32(aligned(grid.lane_of_pixels(), np.uint32))
            self._grids[films] = grid, mi.Float(aligned(x)), mi.Float(aligned(y)), lanes
        return self._grids[films]


def images(
    latents: Mapping[str, Any], cameras: Cameras, which: Sequence[int], options: Compositing, depth: bool = False
) -> Any:
    """Return (sums, transmittance): tensors (V, H, W, C) and (V, H, W, 1) of the cameras `which`, attached to `latents`.

    C are the three colours, over black, or with `depth` the sum of weights and of weights times depth.
    """
    films = len(which)
    number = mi.UInt32(aligned(np.asarray(which), np.uint32))
    splats = project(
        latents, cameras.table, number, near=options.near, cutoff=options.cutoff, low_pass=options.low_pass, depth=depth
    )
    dr.eval(splats.x, splats.y, splats.conic, splats.opacity, splats.channels, splats.depth, splats.reach)
    grid, x, y, lanes = cameras.grid(films)
    pixels = _pixels(splats, grid, x, y, options)
    sums, left = composite.composite(pixels, splats)
    shape = (films, cameras.size[1], cameras.size[0])
    count = len(sums)
    columns = [dr.gather(mi.Float, v, lanes, mode=dr.ReduceMode.Permute) for v in (*sums, left)]
    joined = dr.ravel((mi.Point2f if depth else mi.Color3f)(*columns[:-1]))
    return mi.TensorXf(joined, (*shape, count)), mi.TensorXf(columns[-1], (*shape, 1))


def _pixels(splats: Splats, grid: tiles.Grid, x: Any, y: Any, options: Compositing) -> composite.Pixels:
    """The lists of all pixels."""
    host = [dr.detach(v).numpy() for v in (splats.x, splats.y, *splats.reach, splats.depth)]
    lists = tiles.sort(grid, host[0], host[1], (host[2], host[3]), host[4])
    starts = mi.UInt32(aligned(lists.starts, np.uint32))
    tile = dr.arange(mi.UInt32, grid.lanes) // grid.side**2
    splat = lists.splats if len(lists.splats) else np.zeros(1, np.uint32)
    begin, end = dr.gather(mi.UInt32, starts, tile), dr.gather(mi.UInt32, starts, tile + 1)
    cutoff = dr.opaque(mi.Float, options.cutoff)
    return composite.Pixels(x, y, begin, end, mi.UInt32(aligned(splat, np.uint32)), cutoff)


def render(
    gaussians: Gaussians,
    camera: Camera,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    options: Compositing | None = None,
) -> Any:
    """Return the image (H, W, 3), a NumPy array, of Gaussians over a background, as 3DGS makes it.

    Values are what the colours of the Gaussians are: mostly codes of sRGB. Raises DataError for a lens that is no pinhole.
    """
    options = options or Compositing()
    sums, left = images(on_device(gaussians), Cameras([camera], options.side), [0], options)
    return sums.numpy()[0] + left.numpy()[0] * np.asarray(background, dtype=np.float32)


def depths(gaussians: Gaussians, camera: Camera, *, options: Compositing | None = None) -> tuple[Any, Any]:
    """Return (depth, opacity), NumPy arrays (H, W): the mean distance along the camera's axis, NaN where nothing is."""
    options = options or Compositing()
    sums, left = images(on_device(gaussians), Cameras([camera], options.side), [0], options, depth=True)
    weight, distance = np.moveaxis(sums.numpy()[0], 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, distance / weight, np.nan), 1 - left.numpy()[0, ..., 0]
