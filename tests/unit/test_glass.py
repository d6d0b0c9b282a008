"""The BSDF `smoothdielectric`: Mitsuba's `dielectric`, with an index of refraction that is a parameter."""

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import list_parameters, resolve, traverse
from pbdr.scene import load_scene
from validation.scenes import zoo

GLASS = {"int_ior": "water", "ext_ior": 1.1, "specular_reflectance": zoo.rgb(0.9, 0.5, 0.8)}


def image(kind, **changes):
    scene = load_scene(zoo.scene(bsdf={"type": kind, **GLASS, **changes}))
    return np.array(mi.render(scene.mi, integrator=mi.load_dict({"type": "path", "max_depth": 6}), spp=4, seed=1))


def test_images_are_those_of_mitsuba():
    ours = image("smoothdielectric")
    assert np.array_equal(ours, image("dielectric"))
    assert not np.allclose(ours, image("dielectric", int_ior=1.4))  # negative control


def test_the_index_is_a_parameter():
    scene = load_scene(zoo.scene(bsdf={"type": "smoothdielectric", **GLASS}))
    assert {"ball/eta", "ball/specular", "ball/transmission"} <= {p.name for p in list_parameters(scene)}
    params = traverse(scene)
    with pytest.raises(pbdr.errors.ParameterError, match="eta = -1"):
        params[resolve(scene, "ball/eta")[0].raw] = mi.Float(-1)
        params.update()


def test_where_it_is_not_the_plugin_is_named():
    scene = load_scene(zoo.scene(bsdf={"type": "dielectric", **GLASS}))
    with pytest.raises(pbdr.errors.ParameterError, match="smoothdielectric"):
        resolve(scene, "ball/eta")
    with pytest.raises(pbdr.errors.ParameterError) as caught:
        resolve(scene, "floor/colour")
    assert "smoothdielectric" not in str(caught.value)


@pytest.mark.parametrize(("change", "match"), [({"int_ior": -1.5}, "int_ior"), ({"roughness": 0.1}, "roughness")])
def test_bad_options(change, match):
    with pytest.raises(Exception, match=match):
        load_scene(zoo.scene(bsdf={"type": "smoothdielectric", **GLASS, **change}))
