"""Nothing depends on units or on the origin: derivatives by motions in a scene's own size are the same in all of them.

Seeds are shared. With scales that are powers of two every number is the same but for its exponent, so that terms agree up to the
order of sums. About other origins coordinates lose digits, and terms may differ by 1 % of the largest one beyond three paired
standard errors. Negative controls: offsets of a fixed length.
"""

import warnings

import numpy as np
import pytest

from pbdr.boundary import frustum
from pbdr.rendering import gradient
from pbdr.transport import rounding
from pbdr.transport.support import IncompleteGradientWarning
from validation.unit_cases import CASES
from validation.units import FAR, PLACES, TERMS, Place, adjoint, compared, derivatives, refuses, right, tells

ROUNDING = 2e-4  # of the largest term: sums of a thousand samples in another order
SCALES = (2.0**-10, 2.0**10)
CHEAP = ("box, area light", "plates in contact, spot light", "sphere, area light")


def agrees_in_all_units(name, spp):
    case = CASES[name]
    here = derivatives(case, Place(), 1, spp)
    for scale in SCALES:
        if scale < case.refused:
            assert refuses(case, Place(scale))
            continue
        there = derivatives(case, Place(scale), 1, spp)
        np.testing.assert_allclose(
            there, here, rtol=0, atol=ROUNDING * np.abs(here).max(), err_msg=f"scale {scale}: {TERMS}"
        )


def test_units(monkeypatch):
    """Negative control: Mitsuba's offsets of rays, a part of which is a fixed length."""
    name = CHEAP[0]
    agrees_in_all_units(name, 16)
    monkeypatch.setattr(rounding, "offset", lambda si: 8.9e-5 * (1 + rounding.largest(si.p)))
    with pytest.raises(AssertionError, match="scale"):
        agrees_in_all_units(name, 16)


def test_origins(monkeypatch):
    """Negative control: offsets for coordinates with all their digits."""
    case = CASES[CHEAP[0]]
    here = derivatives(case, Place(), 4, 32)
    assert right(compared(here, derivatives(case, FAR, 4, 32)))
    monkeypatch.setattr(rounding, "POSITION", 1e-9)
    assert not right(compared(here, derivatives(case, FAR, 4, 32)))


def test_borders_of_light_far_from_the_origin(monkeypatch):
    """Of a projected image. Negative control: light just inside of the border is evaluated close to the lamp, where coordinates
    have too few digits to tell inside from outside (a random scene found that: 70 % of a border were missing)."""
    case = CASES["floor below the box, projector"]
    here = derivatives(case, Place(), 4, 16)
    assert right(compared(here, derivatives(case, FAR, 4, 16)))
    monkeypatch.setattr(frustum, "FAR", 1e-3)
    assert not right(compared(here, derivatives(case, FAR, 4, 16)))


def test_coordinates_without_digits_are_told(tmp_path):
    """A box that lies 16,000 times its own size away from the origin: its shadow is 11 % off, and said to be."""
    case = CASES[CHEAP[0]]
    for far in (2048, 8192):
        made = case.scene(Place(1, (far, -far / 2, far / 4)), tmp_path)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            gradient(made, [case.moving], adjoint(), spp=1, integrator={"type": "pathspace"}, terms=("primary",))
        found = [w for w in told if issubclass(w.category, IncompleteGradientWarning)]
        assert len(found) == (far > 4096) and all("'thing' lies" in str(w.message) for w in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_case_in_all_units(name):
    """Embree's hits on B-spline curves depend on the unit, by 1e-5 of their size; short linear curves are refused."""
    if CASES[name].alike:
        agrees_in_all_units(name, 32)
        return
    here = derivatives(CASES[name], Place(), 4, 32)
    for scale in SCALES:
        assert right(compared(here, derivatives(CASES[name], Place(scale), 4, 32))), scale


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_case_about_a_far_origin(name):
    """What has details too small for x = 1024 is told there, and compared at x = 256."""
    case = CASES[name]
    assert tells(case, FAR) == case.fine
    far = PLACES["x = 256"] if case.fine else FAR
    assert right(compared(derivatives(case, Place(), 4, 64), derivatives(case, far, 4, 64)))
