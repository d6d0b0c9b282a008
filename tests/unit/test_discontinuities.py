"""Every plugin of Mitsuba declares where its radiance jumps; every jump has a term with a test, or a refusal."""

from __future__ import annotations

import importlib
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.geometry import registry
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport import camera, discontinuities
from pbdr.transport.discontinuities import MISSING, PLUGINS, REFUSED, TERM
from validation.scenes import zoo

ROOT = Path(__file__).parents[2]
FOLDER = Path(mi.__file__).parent / "plugins"
KINDS = {
    "Shape": "shape", "Texture": "texture", "Volume": "volume", "BSDF": "bsdf", "Emitter": "emitter",
    "Sensor": "sensor", "Film": "film", "ReconstructionFilter": "filter", "Medium": "medium", "PhaseFunction": "phase",
}  # fmt: skip
NO_PART = ("Integrator", "Sampler")  # kinds on which no radiance depends
OURS = {"smoothdielectric", "emissive", "opencv", "opencv_fisheye"}


def shipped():
    """Name → kind of all plugins that Mitsuba ships."""
    manager = mi.PluginManager.instance()
    return {file.stem: str(manager.plugin_type(file.stem)).partition(".")[2] for file in sorted(FOLDER.glob("*.so"))}


def test_all_plugins_are_declared():
    expected = {name: KINDS[kind] for name, kind in shipped().items() if kind not in NO_PART}
    assert len(expected) > 70
    assert {plugin.name: plugin.kind for plugin in PLUGINS if plugin.name not in OURS} == expected
    assert len({plugin.name for plugin in PLUGINS}) == len(PLUGINS)


def test_names_of_classes():
    """The names by which objects of a scene are looked up are those that the plugins' libraries have."""
    for plugin in PLUGINS:
        if plugin.name not in OURS:
            library = (FOLDER / f"{plugin.name}.so").read_bytes()
            assert any(made.encode() in library for made in plugin.classes), plugin.name


def test_jumps_have_terms_with_tests_or_refusals():
    for plugin in PLUGINS:
        for jump in plugin.jumps:
            assert jump.handled in (TERM, REFUSED, MISSING)
            assert bool(jump.test) == (jump.handled == TERM) and bool(jump.by) == (jump.handled != MISSING), jump
            if jump.test:
                assert (ROOT / jump.test).is_file(), jump
            if jump.by:
                assert _exists(jump.by), jump


def test_nothing_is_missing():
    """But for what is written down here as a fault that is known."""
    missing = {plugin.name for plugin in PLUGINS for jump in plugin.jumps if jump.handled == MISSING}
    assert missing <= {"area"}


def test_the_code_agrees():
    """Sensors, films and shapes that the code knows are those whose rows do not refuse them as a whole."""
    whole = {"sensor": discontinuities.UNSEEN, "shape": discontinuities.NO_OUTLINE}
    supported = {"sensor": camera.SUPPORTED, "shape": [name for kind in registry.KINDS for name in kind.plugins]}
    for plugin in PLUGINS:
        if plugin.kind == "sensor" or (plugin.kind == "shape" and discontinuities.CREASE not in plugin.jumps):
            known = any(made in supported[plugin.kind] for made in plugin.classes)
            known |= plugin.name in ("instance", "shapegroup", "rectangle")
            assert known == (whole[plugin.kind] not in plugin.jumps), plugin.name
        if plugin.kind == "film":
            assert (plugin.name == "hdrfilm") == (not plugin.jumps)


def _exists(name):
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return callable(found)
    return False


class Paint(mi.BSDF):
    """A material of a user's own."""

    def __init__(self, props):
        mi.BSDF.__init__(self, props)
        self.inner = mi.load_dict({"type": "diffuse"})
        self.m_flags = self.inner.flags()
        self.m_components = [self.m_flags]

    def eval(self, *given):
        return self.inner.eval(*given)

    def pdf(self, *given):
        return self.inner.pdf(*given)

    def sample(self, *given):
        return self.inner.sample(*given)

    def eval_pdf(self, *given):
        return self.inner.eval_pdf(*given)

    def to_string(self):
        return "Paint"


def test_undeclared_plugins_are_refused_where_it_matters():
    mi.register_bsdf("userpaint", lambda props: Paint(props))
    film = zoo.film(width=4, height=4)
    scene = load_scene(
        zoo.scene(bsdf={"type": "userpaint"}, light=zoo.EMITTERS["constant"](), sensor=zoo.camera(film=film))
    )
    weights = np.ones((4, 4, 3), np.float32)
    integrator = {"type": "pathspace", "max_depth": 1}
    for name in ("ball/pose", "camera/pose"):
        with pytest.raises(pbdr.errors.SceneError, match="is a Paint, which does not declare where its radiance jumps"):
            gradient(scene, name, weights, spp=1, integrator=integrator)
    gradient(scene, "floor/base_color", weights, spp=1, integrator=integrator)
    gradient(scene, "ball/pose", weights, spp=1, integrator={**integrator, "boundary": "none"})
    Paint.discontinuities = ()
    try:
        gradient(scene, "ball/pose", weights, spp=1, integrator=integrator)
    finally:
        del Paint.discontinuities


def test_negative_control_of_the_registry(monkeypatch):
    """A plugin that loses its row is refused."""
    monkeypatch.delitem(discontinuities.BY_CLASS, "Sphere")
    scene = load_scene(zoo.scene(light=zoo.EMITTERS["constant"](), sensor=zoo.camera(film=zoo.film(width=4, height=4))))
    with pytest.raises(pbdr.errors.SceneError, match="Sphere, which does not declare"):
        gradient(scene, "floor/pose", np.ones((4, 4, 3), np.float32), spp=1, integrator={"type": "pathspace"})
