"""The medium `gaussians`: Gaussians that absorb and scatter, for `pathspace` and for Mitsuba's integrators.

    <medium type="gaussians" name="interior">
        <string name="filename" value="cloud.ply"/> <float name="albedo" value="0.8"/> <phase type="isotropic"/>
    </medium>

`peaks`, `centers`, `log_scales` and `rotations` are parameters with gradients: the density has no edges, so that nothing of them
needs a boundary term. It is a medium, and no volume in one of Mitsuba's, since Mitsuba 3.9 has no registry for volumes of Python.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.errors import OptionError, ParameterError
from pbdr.fields.gaussians import cells, density
from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.ply import read_ply
from pbdr.scene import load_object

PLUGIN = "gaussians"
OPTIONS = ("filename", *density.COLUMNS, "scale", "albedo", "cells", "margin", "sample_emitters", "id")


class GaussianMediumMethods:
    """A medium whose σ_t is a sum of Gaussians; the class is made of this one for each variant.

    filename    a PLY file of 3DGS, whose opacities become densities (`density.peaks_of`); or, instead of a file, tensors:
    peaks, centers, log_scales, rotations   (N,), (N, 3), (N, 3), (N, 4)
    scale       factor of all densities
    albedo      a volume, or a number or colour in [0, 1]
    cells       cells along a side of the grid in which Gaussians are looked up
    margin      the box of the medium is larger than the Gaussians need by this fraction of its size: room to move, since it stays
    """

    discontinuities = ()
    m_is_homogeneous: bool
    m_has_spectral_extinction: bool

    def __init__(self, props: Any) -> None:
        phases = [name for name in props.keys() if isinstance(props[name], mi.PhaseFunction)]
        unknown = [name for name in props.keys() if name not in (*OPTIONS, *phases)]
        if unknown:
            raise OptionError(
                f"{PLUGIN}: unknown option '{unknown[0]}'. Options: {', '.join(OPTIONS[:-1])}, and a phase function."
            )
        self.scale, self.side, margin = props.get("scale", 1.0), int(props.get("cells", 32)), props.get("margin", 0.1)
        if not (self.scale > 0 and 1 <= self.side <= 256 and margin >= 0):
            raise OptionError(
                f"{PLUGIN}: scale = {self.scale:g}, cells = {self.side}, margin = {margin:g}; a scale is above 0, cells are 1 to "
                "256, a margin is 0 or more."
            )
        self.albedo = _volume(props.get("albedo", 0.75))
        self.arrays = _arrays(props)
        mi.Medium.__init__(self, props)
        self.m_is_homogeneous, self.m_has_spectral_extinction = False, False
        _, centers, scales, rotations = self._host()
        low, high = cells.box(centers, cells.half_sizes(rotations, scales))
        half = 0.5 * (high - low) * (1 + margin)
        self.low, self.high = 0.5 * (low + high) - half, 0.5 * (low + high) + half
        self._build()

    def _host(self) -> list[Any]:
        """Parameters as NumPy arrays (N,), (N, 3), (N, 3), (N, 4)."""
        found = [dr.detach(self.arrays[name]).numpy().reshape(-1, width) for name, width in density.COLUMNS.items()]
        return [found[0][:, 0], *found[1:]]

    def _build(self) -> None:
        peaks, centers, scales, rotations = self._host()
        if not all(np.isfinite(v).all() for v in (peaks, centers, scales, rotations)) or (peaks < 0).any():
            raise ParameterError(f"{PLUGIN}: peaks are at least 0, and all parameters are finite; some are not.")
        half = cells.half_sizes(rotations, scales)
        found = cells.build(peaks, centers, scales, half, self.low, self.high, self.side)
        self.bound = dr.opaque(mi.Float, found.bound * self.scale)
        self.floor = dr.opaque(mi.Float, float(density.FLOOR * peaks.mean()) + 1e-30)
        self.starts = mi.UInt32(aligned(found.starts, np.uint32))
        self.numbers = mi.UInt32(aligned(found.numbers if len(found.numbers) else [0], np.uint32))

    def traverse(self, callback: Any) -> None:
        """Expose the Gaussians, the albedo and the phase function."""
        mi.Medium.traverse(self, callback)
        for name in density.COLUMNS:
            callback.put(name, self.arrays[name], mi.ParamFlags.Differentiable)
        callback.put("albedo", self.albedo, mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Sort Gaussians into cells anew."""
        self._build()

    def density(self, points: Any, active: Any) -> Any:
        """σ at points; 0 outside of the box."""
        low, high = self.low, self.high
        local = [(points[k] - low[k]) * (self.side / (high[k] - low[k])) for k in range(3)]
        inside = mi.Bool(active)
        for k in range(3):
            inside = inside & (local[k] >= 0) & (local[k] < self.side)
        at = [mi.UInt32(dr.clip(dr.detach(local[k]), 0, self.side - 1)) for k in range(3)]
        cell = (at[2] * self.side + at[1]) * self.side + at[0]
        begin = dr.gather(mi.UInt32, self.starts, cell, inside)
        end = dr.gather(mi.UInt32, self.starts, cell + 1, inside)
        return self.scale * density.listed(self.arrays, self.numbers, begin, end, points, self.floor)

    def intersect_aabb(self, ray: Any) -> Any:
        """(whether it does, first, last) where a ray crosses the box."""
        return mi.ScalarBoundingBox3f(list(self.low), list(self.high)).ray_intersect(ray)

    def get_majorant(self, mei: Any, active: Any = True) -> Any:
        """A bound of σ_t."""
        return mi.UnpolarizedSpectrum(self.bound) & active

    def get_scattering_coefficients(self, mei: Any, active: Any = True) -> tuple[Any, Any, Any]:
        """σ_s, σ_n and σ_t, of which the last is alike at all wavelengths."""
        extinction = mi.UnpolarizedSpectrum(self.density(mei.p, active))
        return extinction * self.albedo.eval(mei, active), self.bound - extinction, extinction

    def class_name(self) -> str:
        """Name of the class."""
        return "GaussianMedium"

    def to_string(self) -> str:
        """One line for logs."""
        return f"{PLUGIN}[{len(self.arrays['peaks'])} Gaussians, at most {float(self.bound[0]):g}]"


def _volume(value: Any) -> Any:
    """The volume that an option is: itself, a number or a colour. Raises OptionError for anything else."""
    if isinstance(value, mi.Volume):
        return value
    if isinstance(value, float | int):
        return load_object({"type": "constvolume", "value": float(value)})
    try:
        color = [float(v) for v in value]
    except (TypeError, ValueError):
        raise OptionError(f"{PLUGIN}: albedo is a volume, a number or a colour, not {type(value).__name__}.") from None
    return load_object({"type": "constvolume", "value": {"type": "rgb", "value": color}})


def _arrays(props: Any) -> dict[str, Any]:
    """The arrays of a `density.cloud` that a scene gives. Raises OptionError, or DataError for the file."""
    given = [name for name in density.COLUMNS if name in props]
    if ("filename" in props) == bool(given) or (given and len(given) < len(density.COLUMNS)):
        raise OptionError(f"{PLUGIN}: give either filename, or all of {', '.join(density.COLUMNS)}.")
    if not given:
        return density.cloud(read_ply(str(mi.file_resolver().resolve(props["filename"]))))
    values = {name: np.asarray(props[name], dtype=np.float32) for name in given}
    count = len(values["peaks"])
    flat = {name: values[name].reshape(count, -1) for name in given}
    for name, width in density.COLUMNS.items():
        if flat[name].shape[1] != width:
            raise OptionError(
                f"{PLUGIN}: {name} has the shape {values[name].shape}; {count} Gaussians need ({count}, {width})."
            )
    none = np.zeros(count, np.float32)
    of = Gaussians(flat["centers"], flat["log_scales"], flat["rotations"], none, np.zeros((count, 1, 3), np.float32))
    return density.cloud(of, flat["peaks"][:, 0])


def make() -> Any:
    """Function for Mitsuba's registry that makes the medium, for the active variant."""
    members = {k: v for k, v in vars(GaussianMediumMethods).items() if k not in ("__dict__", "__weakref__")}
    plugin = type("GaussianMedium", (mi.Medium,), members)
    return lambda props: plugin(props)


def register() -> None:
    """Register the medium for the active variant and every later one."""

    def on_variant(_old: Any = None, _new: Any = None) -> None:
        if mi.variant() is not None and "_ad_" in mi.variant():
            mi.register_medium(PLUGIN, make())

    mi.detail.add_variant_callback(on_variant)
    on_variant()
