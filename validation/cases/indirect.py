"""Light that comes by way of a surface."""

from __future__ import annotations

from pbdr.scene import load_scene
from validation.cases.case import Cases, along, given
from validation.scenes import indirect, zoo

CASES = Cases()
add = CASES.add

INDIRECT = "tests/gradient/test_indirect.py::test_gates"
for _name in indirect.CASES:
    add(f"indirect: {_name}", "indirect light", "shape", lambda folder, name=_name: indirect.case(name)[0],
        next(iter(indirect.case(_name)[1])), given(next(iter(indirect.case(_name)[1].values()))), (f"{INDIRECT}[{_name}]",),
        depth=3, spp=16, fd_spp=32768, options={"n_indirect": 300_000},
        peer="infinite variance" if _name == "panel-low" else "")  # fmt: skip
# The boxes stand on the floor: lifted, the image has a kink.
add("Cornell box, depth 4: a box slides", "indirect light", "shape", lambda folder: load_scene(zoo.cornell()),
    "small-box/positions", along(0.3, 0, 0.2), (INDIRECT,), depth=4, spp=64, fd_spp=4096, options={"n_indirect": 300_000},
    peer="infinite variance")  # fmt: skip
