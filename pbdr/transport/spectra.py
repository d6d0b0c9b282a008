"""From the spectrum a path carries to the film's linear sRGB, and the transpose of that map."""

from __future__ import annotations

from typing import Any

import mitsuba as mi


def to_rgb(spectrum: Any, wavelengths: Any) -> Any:
    """Radiance along a path → colour on the film (`wavelengths` matter in spectral variants only)."""
    if mi.is_monochromatic:
        return mi.Color3f(spectrum[0])
    return mi.Color3f(spectrum)


def from_rgb(adjoint: Any, wavelengths: Any) -> Any:
    """Transpose of `to_rgb`: adjoint of the colour → adjoint of the spectrum."""
    if mi.is_monochromatic:
        return mi.Spectrum(adjoint.x + adjoint.y + adjoint.z)
    return mi.Spectrum(adjoint)
