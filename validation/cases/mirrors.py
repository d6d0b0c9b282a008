"""Shapes and materials in mirrors and behind glass."""

from __future__ import annotations

from functools import partial

from validation.cases.case import Cases, one
from validation.scenes import normal_maps, sightlines, specular

CASES = Cases()
add = CASES.add

SPECULAR = "tests/gradient/test_specular.py::test_chains"
for _name, (_make, _parameter, _step, _depth, _spp) in specular.CASES.items():
    _kind, _tangent = ("material", one) if _parameter.endswith("eta") else ("shape", specular.shift)
    add(_name, "glass" if "glass" in _name else "mirror", _kind, lambda folder, make=_make: make(), _parameter, _tangent,
        (f"{SPECULAR}[{_name}]",), step=_step, depth=_depth, spp=_spp, fd_spp=16384, options={"n_indirect": 100_000},
        peer="96 % off" if _name == "box in a mirror" else "")  # fmt: skip

SIGHTS = "tests/gradient/test_sightlines.py::test_horizons"
for _name, _feature in (("in a mirror", "mirror"), ("normal map in a mirror", "mirror"), ("instance", "instances")):
    _seen, _parameter, _along, _depth, _step, *_ = sightlines.CASES[_name]
    _wave = _along or partial(normal_maps.texel_signs, depth=_depth)
    _called = {"normal map in a mirror": _name}.get(_name, f"smooth mesh: {_name}")
    add(_called, _feature, "material" if _along is None else "shape", _seen, _parameter, _wave, (f"{SIGHTS}[{_name}]",),
        step=_step, depth=_depth, spp=256, fd_spp=8192, options={"n_primary": 120_000, "n_indirect": 200_000})  # fmt: skip
