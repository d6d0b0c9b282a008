"""Every parameter of every material against finite differences of Mitsuba's own `path`, on a ball under a smooth sky.

Scenes whose parameters bend rays (indices of refraction, normals) have no floor: its border seen through the ball would move,
and edges seen through glass are another term.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.parameters import is_radiometric, traverse, write
from pbdr.scene import load_scene
from validation.agreement import assert_agrees
from validation.finite_differences import REPLICAS, Differences, adjoint, check, gradients, parameters
from validation.scenes import zoo
from validation.scenes.materials import AT_BOUNDS, DELTA, DEPTH, subject, tangent

NOISE = 0.012  # bound on the standard error, relative to the derivative: 10 % more are always found

CASES = {
    "diffuse": ["base_color"],
    "thindielectric": ["eta"],
    "smoothdielectric": ["eta", "specular", "transmission"],
    "roughdielectric": ["eta", "roughness"],
    "conductor": ["eta", "k", "specular"],
    "roughconductor": ["roughness", "eta", "k"],
    "roughconductor-beckmann": ["roughness_u", "roughness_v", "eta", "k"],
    "plastic": ["base_color"],
    "roughplastic": ["base_color"],
    "pplastic": ["base_color", "eta", "roughness"],
    "principled": [
        "clearcoat", "clearcoat_gloss", "metallic", "specular", "roughness", "base_color", "anisotropic", "spec_tint", "sheen",
        "sheen_tint", "spec_trans", "flatness",
    ],
    "principled-transmission": [
        "clearcoat", "clearcoat_gloss", "metallic", "eta", "roughness", "base_color", "anisotropic", "spec_tint", "sheen",
        "sheen_tint", "spec_trans", "flatness",
    ],
    "principledthin": [
        "eta", "roughness", "diff_trans", "base_color", "anisotropic", "spec_tint", "sheen", "sheen_tint", "spec_trans", "flatness",
    ],
    "twosided": ["base_color"],
    "blend": ["weight", "base_color", "roughness", "eta", "k"],
    "mask": ["opacity", "base_color"],
    "normalmap": ["roughness", "eta", "k", "normal_map"],
    "bumpmap": ["base_color", "nested_texture"],
}  # fmt: skip
NOISY = {  # times the samples of the others
    ("thindielectric", "eta"): 4, ("smoothdielectric", "eta"): 4, ("smoothdielectric", "specular"): 4,
    ("principled", "clearcoat_gloss"): 4, ("bumpmap", "nested_texture"): 16,
    ("normalmap", "roughness"): 4, ("principledthin", "diff_trans"): 4,
    ("pplastic", "roughness"): 4, ("principled", "roughness"): 4, ("normalmap", "normal_map"): 4, ("mask", "opacity"): 16,
}  # fmt: skip
REFUSED = {"roughplastic": ["roughness", "eta"]}


@pytest.mark.parametrize(
    ("material", "role"),
    [
        pytest.param(m, r, marks=pytest.mark.slow if (m, r) == ("mask", "opacity") else ())  # has two minutes of noise
        for m, roles in CASES.items()
        for r in roles
    ],
)
def test_material(material, role):
    """All parameters of the material that move rays, or all that do not, are differentiated at once; one is looked at."""
    name, delta = f"ball/{role}", material in DELTA
    scene = subject(material)
    found = parameters(scene)
    kind = is_radiometric(found[name].raw, role)
    group = [found[f"ball/{r}"] for r in CASES[material] if is_radiometric(found[f"ball/{r}"].raw, r) == kind]
    tangents = {p.name: tangent(scene, p) if p.name == name else np.zeros(p.shape) for p in group}
    path = {"type": "path", "max_depth": DEPTH}
    spp = (256 if delta else 64) * NOISY.get((material, role), 1)
    exact = Differences(scene, name, tangents[name], 0.1 if delta else 0.01, spp=spp, integrator=path)
    weights = exact.signs()
    count = (
        20 if (material, role) == ("mask", "opacity") else REPLICAS
    )  # noisy: more replicas decide better than more samples
    ours = gradients(scene, tangents, weights, spp=spp, count=count, max_depth=DEPTH, terms=("interior",))
    check(ours[name], exact.replicas(weights, gap=0.03, count=count), max_relative_se=NOISE)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(x, marks=() if x in ("roughplastic", "blend, 0", "metallic") else pytest.mark.slow)
        for x in AT_BOUNDS
    ],
)
def test_lobes_without_weight(case):
    """At an end of its bounds, a parameter has its one-sided derivative, although nothing is scattered by its lobe there.

    The derivative is constant: images are linear in the parameter, and differences have no truncation.
    """
    material, role, value = AT_BOUNDS[case]
    scene = load_scene(zoo.alone(material, "ball", {"rim": zoo.lamp(-1, -0.8, -0.5)}))
    parameter = parameters(scene)[f"ball/{role}"]
    params, inward, weights = traverse(scene.mi), 1 - 2 * value, adjoint()
    path = mi.load_dict({"type": "path", "max_depth": DEPTH})

    def image(there):
        write(params, parameter, np.full(parameter.shape, there, np.float32))
        params.update()
        return np.array(mi.render(scene.mi, integrator=path, spp=256, seed=3), dtype=np.float64)

    start = image(value)
    slopes = [float(((image(value + inward * h) - start) * weights).sum()) / (inward * h) for h in (0.1, 0.05)]
    image(value)
    assert slopes[0] == pytest.approx(slopes[1], rel=0.02)
    ours = gradients(scene, {parameter.name: np.ones(parameter.shape)}, weights, spp=256, max_depth=DEPTH)[
        parameter.name
    ]
    assert_agrees(ours, slopes[1], max_relative_se=0.02, rounding=0.02)


def test_nothing_is_left_out():
    """Every differentiable parameter of every material in the zoo is a case above, or refused."""
    for material in zoo.MATERIALS:
        names = {n for n, p in parameters(subject(material)).items() if p.raw.startswith("ball.bsdf")}
        covered = {f"ball/{role}" for role in [*CASES.get(material, []), *REFUSED.get(material, [])]}
        assert names == covered, material
