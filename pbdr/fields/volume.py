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

#: What a volume may give: the extinction coefficient; the colour that a thick layer has; what shines, density times colour.
WHATS = ("density", "colour", "emission")
MARGIN = 1.1  # of the largest density found, above which densities are cut, so that it is a majorant
CLASSES: dict[str, Any] = {}


class Contents:
    """A field with its latents, and the largest density of it: what several volumes of one field share."""

    def __init__(self, field: Field, latents: Mapping[str, Any], box: Box) -> None:
        self.field, self.box = field, box
        self.latents = {key: mi.TensorXf(dr.detach(value)) for key, value in latents.items()}
        self.look()

    def look(self) -> None:
        """Find the largest density at random points of all cells of a grid, and a little more."""
        with dr.suspend_grad():
            self.largest = MARGIN * float(dr.max(occupancy.whole(self.field, self.latents, self.box))[0])


class VolumeMethods:
    """A `mitsuba.Volume`; the class is made of this one for each variant. Its parameters are the latents of the field's density."""

    def __init__(self, contents: Contents, what: str) -> None:
        props, box = mi.Properties(), contents.box
        size = np.subtract(box.high, box.low).tolist()
        props["to_world"] = mi.ScalarTransform4f().translate(list(box.low)).scale(size)
        mi.Volume.__init__(self, props)  # type: ignore[arg-type]
        self.contents, self.what = contents, what

    def eval(self, it: Any, active: Any = True) -> Any:
        """The value at the point of an interaction."""
        of, box = self.contents.field, self.contents.box
        point = box.local(it.p)
        inside = mi.Bool(active) & dr.all((point >= 0) & (point <= 1))
        raw = of.raw(self.contents.latents, dr.clip(point, 0, 1))
        value = mi.Color3f(1)
        if self.what != "colour":
            value *= dr.minimum(of.density(raw, box), self.contents.largest)
        if self.what != "density":
            value *= of.emission(raw, -it.wi)
        return mi.UnpolarizedSpectrum(dr.select(inside, value, 0))

    def eval_1(self, it: Any, active: Any = True) -> Any:
        """The same of one channel."""
        return self.eval(it, active)[0]

    def max(self) -> float:
        """An upper bound of its values."""
        return 1.0 if self.what == "colour" else self.contents.largest

    def traverse(self, callback: Any) -> None:
        """Expose the latents: of one volume, since all of a field share them."""
        mi.Volume.traverse(self, callback)  # type: ignore[arg-type]
        for key, value in self.contents.latents.items() if self.what == "density" else ():
            callback.put(key, value, mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Find the majorant of new latents."""
        self.contents.look()

    def class_name(self) -> str:
        """Name of the class."""
        return "FieldVolume"

    def to_string(self) -> str:
        """One line for logs."""
        return f"FieldVolume[{self.contents.field.name}, {self.what}]"


def volume(contents: Contents, what: str = "density") -> Any:
    """Return a field as a volume of the active variant: "density" for σ_t of a medium; "colour" for its albedo, or "emission".

    Densities above the largest that is found at random points, and a tenth more, are cut. Raises OptionError.
    """
    if what not in WHATS:
        raise OptionError(f"what = {what!r}: it is one of {', '.join(map(repr, WHATS))}")
    variant = str(mi.variant())
    if variant not in CLASSES:
        members = {k: v for k, v in vars(VolumeMethods).items() if k not in ("__dict__", "__weakref__")}
        CLASSES[variant] = type("FieldVolume", (mi.Volume,), members)
    return CLASSES[variant](contents, what)


def shape(field: Field, latents: Mapping[str, Any], box: Box, mode: str = "emission") -> dict[str, Any]:
    """Return the description of a shape with a field in it, to stand in a scene among meshes and lights.

    mode  "emission": it absorbs and shines, as it was fitted; or "albedo": what shines becomes the albedo of something that
          scatters the light of the scene, alike in all directions, so that it is lit and lies in the shadows of meshes. Its
          colours have to be at most 1 (`shine = "sigmoid"`).

    Raises OptionError.
    """
    contents = Contents(field, latents, box)
    density = volume(contents)
    if mode == "emission":
        medium = {"type": "emissive", "sigma_t": density, "emission": volume(contents, "emission"), "albedo": 0.0}
    elif mode == "albedo" and field.shine == "sigmoid":
        medium = {"type": "heterogeneous", "sigma_t": density, "albedo": volume(contents, "colour")}
    else:
        raise OptionError(f'mode = {mode!r}: it is "emission", or "albedo", for fields with shine = "sigmoid"')
    middle, half = (0.5 * (np.array(box.high) + s * np.array(box.low)) for s in (1, -1))
    placed = mi.ScalarTransform4f().translate(middle.tolist()).scale(half.tolist())
    return {"type": "cube", "to_world": placed, "bsdf": {"type": "null"}, "interior": medium}
