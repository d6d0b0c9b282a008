"""Media that shine: the plugin `emissive`, and the light that they add to a way (docs/theory.md, section 11).

Mitsuba has none. An `emissive` medium is what Mitsuba's `heterogeneous` is, with one volume more: `emission`, radiance that a ray
gains per unit of length, whatever σ_t is. `sigma_t`, `albedo` and `emission` are volumes, numbers or colours. A volume with a box
is zero outside its box; numbers and colours are everywhere in the shape. A volume may depend on the direction, −`wi` of the
interaction.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError
from pbdr.scene import EMISSIVE as PLUGIN
from pbdr.scene import load_object

CLASS = "EmissiveMedium"
DEFAULTS = {"sigma_t": 1.0, "albedo": 0.0, "emission": 1.0}
#: Besides these, a phase function.
OPTIONS = (*DEFAULTS, "scale", "id")


def _volume(props: Any, name: str) -> Any:
    """The volume of this name; numbers and colours become one that is constant."""
    given = props[name] if name in props else DEFAULTS[name]
    if isinstance(given, mi.Volume):
        return given
    return load_object({"type": "constvolume", "value": props.get_unbounded_texture(name, DEFAULTS[name])})


class EmissiveMethods:
    """A medium that absorbs, scatters and shines; the class is made of this one for each variant."""

    m_has_spectral_extinction: Any
    m_is_homogeneous: Any

    def __init__(self, props: Any) -> None:
        phases = [name for name in props.keys() if isinstance(props[name], mi.PhaseFunction)]
        unknown = [name for name in props.keys() if name not in OPTIONS and name not in phases]
        if unknown:
            raise OptionError(
                f"{PLUGIN}: unknown option '{unknown[0]}'. Options: {', '.join(OPTIONS[:-1])}, and a phase function."
            )
        scale = float(props.get("scale", 1.0))
        volumes = {name: _volume(props, name) for name in DEFAULTS}
        mi.Medium.__init__(self, props)
        self.volumes = volumes
        self.scale = dr.opaque(mi.Float, scale)
        self.m_is_homogeneous = False
        self.m_has_spectral_extinction = True
        self._look()

    def _look(self) -> None:
        """What is asked for often: the greatest σ_t, and the box outside which nothing is."""
        self.majorant = dr.opaque(mi.Float, float(self.volumes["sigma_t"].max())) * self.scale
        boxes = [self._box(name) for name in ("sigma_t", "emission")]
        self.box = None
        if None not in boxes:
            self.box = mi.BoundingBox3f(dr.minimum(boxes[0].min, boxes[1].min), dr.maximum(boxes[0].max, boxes[1].max))

    def _box(self, name: str) -> Any:
        """Outside which the volume is 0; None for constants."""
        volume = self.volumes[name]
        if volume.class_name() == "ConstVolume":
            return None
        return mi.BoundingBox3f(mi.Point3f(volume.bbox().min), mi.Point3f(volume.bbox().max))

    def traverse(self, callback: Any) -> None:
        """Expose the three volumes and the phase function."""
        mi.Medium.traverse(self, callback)
        for name, volume in self.volumes.items():
            callback.put(name, volume, mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Look at the volumes again."""
        mi.Medium.parameters_changed(self, keys)
        self._look()

    def _eval(self, name: str, mei: Any, active: Any) -> Any:
        box = self._box(name)
        inside = active if box is None else active & box.contains(mei.p)
        return dr.select(inside, mi.Spectrum(self.volumes[name].eval(mei, inside)), 0)

    def get_majorant(self, mei: Any, active: Any = True) -> Any:
        """The greatest σ_t anywhere."""
        return mi.Spectrum(self.majorant) & active

    def get_scattering_coefficients(self, mei: Any, active: Any = True) -> tuple[Any, Any, Any]:
        """σ_s, majorant − σ_t, σ_t."""
        extinction = self._eval("sigma_t", mei, active) * self.scale
        return extinction * self._eval("albedo", mei, active), self.majorant - extinction, extinction

    def emitted(self, mei: Any, active: Any) -> Any:
        """ε: radiance that a ray gains per unit of length."""
        return self._eval("emission", mei, active)

    def intersect_aabb(self, ray: Any) -> tuple[Any, Any, Any]:
        """Where a ray is in the box: (is it ever, from, to)."""
        if self.box is None:
            return mi.Bool(True), mi.Float(0), mi.Float(dr.inf)
        return self.box.ray_intersect(ray)

    def class_name(self) -> str:
        """Name of the class."""
        return CLASS

    def to_string(self) -> str:
        """One line for logs."""
        return f"{PLUGIN}[{', '.join(f'{name} = {volume.class_name()}' for name, volume in self.volumes.items())}]"


def make() -> Any:
    """Function for Mitsuba's registry that makes the medium, for the active variant."""
    members = {k: v for k, v in vars(EmissiveMethods).items() if k not in ("__dict__", "__weakref__")}
    plugin = type(CLASS, (mi.Medium,), members)
    return lambda props: plugin(props)


def glows(medium: Any) -> bool:
    """Whether a medium may shine."""
    return hasattr(medium, "emitted")


def emitted(medium: Any, mei: Any, active: Any) -> Any:
    """ε of media by pointer, 0 where there is none or where it does not shine; attached where the volume is."""

    def ask(one: Any, mei: Any, active: Any) -> Any:
        return mi.Spectrum(one.emitted(mei, active)) if glows(one) else mi.Spectrum(0)

    return mi.Spectrum(dr.dispatch(medium, ask, mei, active))
