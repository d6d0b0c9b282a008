"""Grids of signed distances."""

from __future__ import annotations

from validation.cases.case import Cases
from validation.scenes import grids, grids_in_groups

CASES = Cases()
add = CASES.add

GRIDS = "tests/gradient/test_grids.py::"
for _name, _which in (
    ("values", "shape"), ("values, no smooth normals", "shape"), ("camera", "camera"),
    ("values under a lamp with a surface", "shape"), ("pose", "shape"), ("receiver", "shape"),
):  # fmt: skip
    _parameter, _step, _samples = grids.CASES[_name][1], grids.CASES[_name][3], grids.case(_name)[3]
    add(f"grid: {_name}", "grids", _which, lambda folder, name=_name: grids.case(name)[0], _parameter, grids.change,
        (f"{GRIDS}test_grids_cameras_and_receivers_move[{_name}]",), step=_step, spp=_samples["spp"], fd_spp=4096,
        options={"n_primary": _samples["n_primary"]}, peer="no silhouettes")  # fmt: skip
add("grid: indirect light", "grids", "shape", lambda folder: grids.gate(), "blob/grid", grids.change,
    (GRIDS + "test_indirect_light",), depth=3, spp=4, fd_spp=32768, options={"n_indirect": 400_000},
    peer="no silhouettes")  # fmt: skip
for _name in ("pose", "values in two", "pose in the group", "camera", "pose under a lamp with a surface"):
    _parameter, _step, _samples = grids_in_groups.case(_name)[1:]
    add(f"grid on an instance: {_name}", "grids", "camera" if _name == "camera" else "shape",
        lambda folder, name=_name: grids_in_groups.case(name)[0], _parameter, grids_in_groups.change,
        (f"tests/gradient/test_grids_in_groups.py::test_grids_and_cameras_move[{_name}]",), step=_step,
        spp=_samples["spp"], fd_spp=4096, options={"n_primary": _samples["n_primary"]}, peer="no silhouettes")  # fmt: skip
