"""Nothing depends on units or on the origin: derivatives by motions in a scene's own size are the same in all of them.

Seeds are shared. With scales that are powers of two every number is the same but for its exponent, so that terms agree up to the
order of sums. About other origins coordinates lose digits, and terms may differ by 1 % of the largest one beyond three paired
standard errors. Negative controls: offsets of a fixed length.
"""

import warnings

import numpy as np
import pytest

from pbdr.boundary.edges import frustum, primary
from pbdr.boundary.inside_faces import horizon
from pbdr.geometry import bspline, linear_curve, rounding
from pbdr.rendering import gradient
from pbdr.transport import convention
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


def test_linear_curves_that_embree_loses_are_refused(tmp_path):
    """Of segments of 2 thousandths of a unit, 4 % are missing; of segments ten times as long, less than a thousandth."""
    case = CASES["linear curve, point light"]
    assert refuses(case, Place(0.003))
    shapes = {shape.id(): shape for shape in case.scene(Place(1 / 32), tmp_path).mi.shapes()}
    assert linear_curve.lost(shapes["thing"]) < 1e-3


@pytest.mark.slow
def test_outlines_of_tubes_in_small_units(monkeypatch):
    """The indirect term. Negative control: rays that pass a tube do not clear what Embree takes for it (20 % are missing)."""
    case = CASES["B-spline curve, area light"]
    here = derivatives(case, Place(), 8, 16)
    ratio = lambda: compared(here, derivatives(case, Place(2.0**-10), 8, 16))["ratio"][TERMS.index("indirect")]  # noqa: E731
    assert abs(ratio() - 1) < 0.05
    monkeypatch.setattr(bspline, "tolerance", lambda points, first: 0.0)
    assert ratio() < 0.9


@pytest.mark.slow
def test_horizons_far_from_the_origin(monkeypatch):
    """Negative control: the clearance of other points of surfaces."""
    case = CASES["smooth mesh, directional light"]
    here = derivatives(case, Place(), 4, 16)
    assert right(compared(here, derivatives(case, PLACES["x = 256"], 4, 16)))
    monkeypatch.setattr(horizon.Rim, "clearance", lambda rim, distance: primary.clear_of(rim.point, distance))
    assert not right(compared(here, derivatives(case, PLACES["x = 256"], 4, 16)))


@pytest.mark.slow
def test_contacts_far_from_the_origin(monkeypatch):
    """The sixteenth part of these samples holds one whose origin lies in the other plate. Negative control: the Jacobian of the
    direction between the two points, which the ray does not have (one sample was 200 times the sum of all)."""
    case = CASES["plates in contact, spot light"]
    here = derivatives(case, Place(), 10, 64)
    assert right(compared(here, derivatives(case, FAR, 10, 64)))
    monkeypatch.setattr(convention, "as_traced", lambda omega, towards: towards)
    assert not right(compared(here, derivatives(case, FAR, 10, 64)))


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
    """What has details too small for x = 1024 is told there, and compared nearer to the origin."""
    case = CASES[name]
    assert tells(case, FAR) == (case.distant != FAR)
    assert right(compared(derivatives(case, Place(), 4, 64), derivatives(case, case.distant, 4, 64)))
