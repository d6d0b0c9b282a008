"""The plugin as Mitsuba sees it, and the semi-private parts of Mitsuba it rests on."""

from __future__ import annotations

import subprocess
import sys

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.scene import load_scene

XML = """<scene version="3.0.0">
  <integrator type="pathspace"><integer name="max_depth" value="2"/></integrator>
  <sensor type="perspective"><transform name="to_world"><lookat origin="0,0,4" target="0,0,0" up="0,1,0"/></transform>
    <film type="hdrfilm"><integer name="width" value="8"/><integer name="height" value="8"/></film></sensor>
  <shape type="sphere" id="ball"/>
  <emitter type="constant"/>
</scene>"""


def test_it_is_built_from_xml_and_renders():
    scene = load_scene(XML)
    assert scene.integrator.is_pathspace
    image = np.array(mi.render(scene.mi, spp=16))
    assert image.shape == (8, 8, 3)
    assert image[0, 0] == pytest.approx(1.0, abs=1e-3)  # the constant sky, white within its spectrum
    assert 0.4 < image[4, 4, 0] < 0.6  # albedo 0.5


def test_it_is_there_in_every_later_variant():
    """`mi.detail.add_variant_callback` is semi-private: without it a variant set after the import has no `pathspace`."""
    code = (
        "import pbdr, mitsuba as mi\n"
        "other = {'llvm_ad_rgb': 'llvm_ad_mono', 'cuda_ad_rgb': 'cuda_ad_mono'}[mi.variant()]\n"
        "mi.set_variant(other)\n"
        "scene = mi.load_dict({'type': 'scene', 'c': {'type': 'perspective'}, 'e': {'type': 'constant'}})\n"
        "tracer = mi.load_dict({'type': 'pathspace'})\n"
        "mi.render(scene, integrator=tracer, spp=1)\n"
        "print(type(tracer).__name__, mi.variant())\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "PathSpaceIntegrator" in result.stdout.splitlines()[-1]


def test_mitsubas_interfaces_that_the_plugin_rests_on():
    """Names outside Mitsuba's documented interface. If one goes, the file named here must change."""
    assert isinstance(mi.load_dict({"type": "pathspace"}), mi.CppADIntegrator)  # integrator.py: autograd of mi.render
    assert hasattr(mi.detail, "add_variant_callback")  # integrator.py: registration for later variants
    assert hasattr(mi.ImageBlock, "read")  # transport/film.py: the transpose of splatting
    assert hasattr(mi.parser, "ParserState")  # scene.py: deterministic ids


def test_forward_mode_through_mi_render():
    """dr.forward through mi.render equals reverse mode on the same samples."""
    scene = load_scene(XML)
    alike = mi.load_dict({"type": "pathspace", "adjoint_sampling": False})
    params = mi.traverse(scene.mi)
    key = "ball.bsdf.reflectance.value"
    weights = mi.TensorXf(np.random.default_rng(1).uniform(size=(8, 8, 3)).astype(np.float32))

    def attached():
        value = mi.Float(dr.detach(params[key]))
        dr.enable_grad(value)
        params[key] = value
        params.update()
        return value

    value = attached()
    image = mi.render(scene.mi, params, spp=16, seed=3, integrator=alike)
    dr.forward(value)
    forward = float(dr.sum(dr.grad(image) * weights, axis=None).array[0])
    value = attached()
    image = mi.render(scene.mi, params, spp=16, seed=3, integrator=alike)
    dr.backward(dr.sum(image * weights, axis=None))
    backward = float(dr.grad(value)[0])
    assert forward != 0
    assert forward == pytest.approx(backward, rel=1e-4)
