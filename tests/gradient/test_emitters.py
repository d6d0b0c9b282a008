"""Every parameter of every emitter against finite differences of Mitsuba's own `path`: a ball that throws a shadow on a floor."""

import pytest

from validation.finite_differences import Differences, check, gradients, parameters
from validation.scenes import zoo
from validation.scenes.emitters import lit, tangent

# Emitter → role → (finite-difference step, samples per pixel of the differences, of the gradients)
CASES = {
    "sky": {"scale": (0.1, 64, 64), "radiance": (0.1, 64, 64), "pose": (0.025, 4096, 4096)},
    "constant": {"radiance": (0.1, 64, 64)},
    "area": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "area-textured": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "area-sphere": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "point": {"position": (0.05, 256, 64), "intensity": (0.5, 64, 64)},
    "spot": {
        "intensity": (0.5, 64, 64), "texture": (0.1, 64, 64), "cutoff_angle": (0.5, 256, 64), "beam_width": (0.5, 256, 64),
        "pose": (0.02, 256, 64),
    },
    "directional": {"irradiance": (0.1, 64, 64), "pose": (0.02, 1024, 256)},
    "sunsky": {"albedo": (0.05, 256, 64)},
    "projector": {"scale": (0.1, 64, 64), "irradiance": (0.1, 64, 64), "pose": (0.02, 1024, 64)},
}  # fmt: skip
REFUSED = {"sunsky": ["pose", "turbidity", "sun_direction"]}
NOISE = 0.015


@pytest.mark.filterwarnings("ignore:pathspace.*indirect boundary")
@pytest.mark.parametrize(("emitter", "role"), [(e, r) for e, roles in CASES.items() for r in roles])
def test_emitter(emitter, role):
    step, spp_differences, spp = CASES[emitter][role]
    depth = 2 if role in ("pose", "position") else 3
    name = f"light/{role}"
    scene = lit(emitter)
    along = tangent(scene, emitter, parameters(scene, name)[name], depth)
    path = {"type": "path", "max_depth": depth}
    exact = Differences(scene, name, along, step, spp=spp_differences, integrator=path)
    weights = exact.signs()
    ours = gradients(scene, {name: along}, weights, spp=spp, max_depth=depth)[name]
    check(ours, exact.replicas(weights, gap=0.03), max_relative_se=NOISE)


def test_nothing_is_left_out():
    """Every differentiable parameter of every emitter in the zoo is a case above, or refused."""
    for emitter in ["sky", *zoo.EMITTERS]:
        found = parameters(lit(emitter)).values()
        roles = {p.role for p in found if p.name.startswith("light/") and "bsdf" not in p.raw}
        assert roles == {*CASES.get(emitter, {}), *REFUSED.get(emitter, [])}, emitter
