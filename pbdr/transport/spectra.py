"""Wavelengths of a lane, from the spectrum its paths carry to the film's linear sRGB, and the transpose of that map.

In spectral variants every lane has wavelengths, drawn as for a camera ray, and all rays of a sample carry the same ones: what
starts anywhere else than at the camera (edges, lights, stored vertices) is given them. In rgb and mono variants there are none.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi


def sample(sensor: Any, sampler: Any) -> tuple[Any, Any]:
    """(wavelengths of every lane in nm, their weight), with the sensor's own density; (None, 1) where there are none."""
    if not mi.is_spectral:
        return None, mi.Spectrum(1)
    return sensor.sample_wavelengths(dr.zeros(mi.SurfaceInteraction3f), sampler.next_1d())


def random_number(sampler: Any) -> Any:
    """What a camera ray chooses its wavelengths by."""
    return sampler.next_1d() if mi.is_spectral else mi.Float(0)


def typical() -> Any:
    """Wavelengths across the visible range, for what only has to know about how bright something is."""
    if not mi.is_spectral:
        return mi.Color0f()
    number = len(mi.Spectrum())
    return mi.Spectrum([460 + 160 * k / max(number - 1, 1) for k in range(number)])


def carry(ray: Any, wavelengths: Any) -> Any:
    """`ray`, with the wavelengths of its sample from now on."""
    if mi.is_spectral and wavelengths is not None:
        ray.wavelengths = wavelengths
    return ray


def to_rgb(spectrum: Any, wavelengths: Any) -> Any:
    """Radiance along a path → colour on the film (`wavelengths` matter in spectral variants only)."""
    if mi.is_monochromatic:
        return mi.Color3f(spectrum[0])
    if mi.is_spectral:
        return mi.spectrum_to_srgb(spectrum, _given(wavelengths))
    return mi.Color3f(spectrum)


def reflectance_to_rgb(spectrum: Any, wavelengths: Any) -> Any:
    """Reflectance at the wavelengths of a camera ray → colour under equal power at all of them, as Mitsuba's `aov` has it."""
    if mi.is_spectral:
        spectrum = spectrum / mi.pdf_rgb_spectrum(_given(wavelengths))
    return to_rgb(spectrum, wavelengths)


def from_rgb(adjoint: Any, wavelengths: Any) -> Any:
    """Transpose of `to_rgb`: adjoint of the colour → adjoint of the spectrum."""
    if mi.is_monochromatic:
        return mi.Spectrum(adjoint.x + adjoint.y + adjoint.z)
    if mi.is_spectral:
        units = [mi.Spectrum([float(i == k) for i in range(len(mi.Spectrum()))]) for k in range(len(mi.Spectrum()))]
        return mi.Spectrum([dr.dot(adjoint, to_rgb(unit, wavelengths)) for unit in units])
    return mi.Spectrum(adjoint)


def _given(wavelengths: Any) -> Any:
    if wavelengths is None:
        raise TypeError("samples of a spectral variant need the wavelengths that their spectrum belongs to")
    return wavelengths
