"""A field as a volume of Mitsuba, for a `heterogeneous` medium: light passes through it, meshes throw shadows onto it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import OptionError
from pbdr.fields import occupancy
from pbdr.fields.field import Box, Field

#: What a volume may give: the extinction coefficient, or the colour that the field has from in front of it.
WHATS = ("density", "colour")
MARGIN = 1.1  # of the largest density found, above which densities are cut, so that it is a majorant
CLASSES: dict[str, Any] = {}


class VolumeMethods:
    """A `mitsuba.Volume`; the class is made of this one for each variant. Its parameters are the field's latents."""

    def __init__(self, field: Field, latents: Mapping[str, Any], box: Box, what: str) -> None:
        props = mi.Properties()
        size = np.subtract(box.high, box.low).tolist()
        props["to_world"] = mi.ScalarTransform4f().translate(list(box.low)).scale(size)
        mi.Volume.__init__(self, props)  # type: ignore[arg-type]
        self.field, self.box, self.what = field, box, what
        self.latents = {key: mi.TensorXf(dr.detach(value)) for key, value in latents.items()}
        self.largest = self._largest()

    def _largest(self) -> float:
        """The largest density at random points of all cells of a grid, and a little more."""
        return MARGIN * float(dr.max(occupancy.whole(self.field, self.latents, self.box))[0])

    def eval(self, it: Any, active: Any = True) -> Any:
        """The value at the point of an interaction."""
        point = self.box.local(it.p)
        inside = mi.Bool(active) & dr.all((point >= 0) & (point <= 1))
        raw = self.field.raw(self.latents, dr.clip(point, 0, 1))
        if self.what == "density":
            value = mi.Color3f(dr.minimum(self.field.density(raw, self.box), self.largest))
        else:
            value = dr.clip(self.field.emission(raw, -it.wi), 0, 1)
        return mi.UnpolarizedSpectrum(dr.select(inside, value, 0))

    def eval_1(self, it: Any, active: Any = True) -> Any:
        """The same of one channel."""
        return self.eval(it, active)[0]

    def max(self) -> float:
        """An upper bound of its values."""
        return self.largest if self.what == "density" else 1.0

    def traverse(self, callback: Any) -> None:
        """Expose the latents."""
        mi.Volume.traverse(self, callback)  # type: ignore[arg-type]
        for key in self.latents:
            callback.put(key, self.latents[key], mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Find the majorant of new latents."""
        with dr.suspend_grad():
            self.largest = self._largest()

    def class_name(self) -> str:
        """Name of the class."""
        return "FieldVolume"

    def to_string(self) -> str:
        """One line for logs."""
        return f"FieldVolume[{self.field.name}, {self.what}]"


def volume(field: Field, latents: Mapping[str, Any], box: Box, what: str = "density") -> Any:
    """Return a field as a volume, for the active variant: for `sigma_t` of a heterogeneous medium, or its `albedo` ("colour").

    Emission of the field becomes the albedo of something that scatters: it has shadows, and no light of its own. Densities above
    the largest that is found at random points, and a tenth more, are cut. Raises OptionError.
    """
    if what not in WHATS:
        raise OptionError(f"what = {what!r}: it is {' or '.join(map(repr, WHATS))}")
    variant = str(mi.variant())
    if variant not in CLASSES:
        members = {k: v for k, v in vars(VolumeMethods).items() if k not in ("__dict__", "__weakref__")}
        CLASSES[variant] = type("FieldVolume", (mi.Volume,), members)
    return CLASSES[variant](field, latents, box, what)
