"""No silent zero: every parameter of every plugin Mitsuba ships agrees with finite differences or is refused by name.

test_materials.py and test_emitters.py do this for the materials and emitters of validation/scenes/zoo.py (each with a test that
none is left out); here it is done, more coarsely, for everything else that can be built without external files
(validation/scenes/plugins.py). All parameters of a scene are differentiated at once, in one pass over all terms, as autograd does.
"""

import functools
import gc
import warnings
from pathlib import Path

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import PbdrError
from pbdr.parameters import list_parameters, read, traverse, write
from pbdr.parameters.attach import attached, restored
from pbdr.parameters.names import is_radiometric
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.agreement import replicas, summary
from validation.scenes.plugins import SCENES

DEPTH, REPLICAS = 2, 4
COARSE = 0.05  # relative error that passes whatever the noise
SURE = 5  # standard errors of both sides together that pass, too
NOISE = 0.15  # and their bound, relative to the finite difference
TURN = np.array([[0, -0.3, 0.2], [0.3, 0, 0.25], [-0.2, -0.25, 0]])
SHIFT = np.array([0.4, 0.3, 0.5])

# Truly without influence: texture coordinates and albedo that nothing reads, angles of polarisation in unpolarised variants, a
# light that no path can hit (directionalarea has no solid angle).
WITHOUT_INFLUENCE = {
    "shapes": {
        "block/texcoords",
        "quad/texcoords",
        "floor/pose",
    },  # the last one: too little to tell, the plate has the same
    "filters": {"polarizer/theta", "retarder/theta", "retarder/delta"},
    "lights": {"beam/radiance", "beam/pose", "beam/base_color"},
    "radiancemeter": {"floor/base_color"},
    "hair": {"rod/scale_tilt", "rod/azimuthal_roughness"},  # too little to tell
    "instance": {"group/group__inner_texcoords"},
}
# Parameters whose finite differences need another step, and scenes that need more samples than others.
STEPS = {"fov": 0.5, "longitudinal_roughness": 0.01}
SPP = {
    "shapes": 1024,
    "perspective": 1024,
    "distant": 65536,
    "medium": 8192,
    "radiancemeter": 64,
    "hair": 1024,
    "linearcurve": 4096,
    "bsplinecurve": 4096,
}
OF_SHAPES, OF_CAMERAS = (
    "shapes",
    "perspective",
)  # scenes where motions of shapes, and parameters of cameras, are looked at


def tangent(scene, parameter):
    """A turn about a tilted axis and a shift for poses and vertices; all entries alike, but not equal, for the rest."""
    value = read(scene, parameter)
    if parameter.raw == "other.to_world" and any(s.class_name() == "SDFGrid" for s in scene.mi.shapes()):
        # Mitsuba traces grids wrongly that are turned.
        return np.column_stack([np.diag([0.3, -0.2, 0.4]), SHIFT])
    if parameter.kind == "transform":
        return np.column_stack([TURN @ value[:, :3], SHIFT])
    if parameter.role == "positions":
        return (value - value.mean(0)) @ TURN.T + SHIFT
    return np.random.default_rng(len(parameter.raw)).uniform(0.5, 1, value.shape)


def weights(scene):
    """Smooth adjoint image, different in all channels."""
    width, height = scene.mi.sensors()[0].film().crop_size()
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    waves = np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y)
    return ((0.5 + x + 0.5 * y)[..., None] * (1 + 0.5 * np.stack(waves, -1)) / (width * height)).astype(np.float32)


def integrator(kind, **options):
    return mi.load_dict({"type": kind, "max_depth": DEPTH, **options})


def refusal(scene, raw):
    """Why a gradient is refused; None if it is not."""
    try:
        gradient(scene, raw, weights(scene), spp=1, integrator=integrator("pathspace"), terms=("indirect",))
    except PbdrError as error:
        return str(error)
    return None


def ours(scene, chosen, tangents, spp, seed):
    """Directional derivatives of all `chosen` parameters from one pass over all terms."""
    with attached(scene.mi, {p.name: p for p in chosen}) as leaves:
        tracer = integrator("pathspace", n_primary=2**15, n_direct=2**15)
        tracer.backward_terms(scene.mi, mi.TensorXf(weights(scene)), 0, seed, spp)
        found = leaves.gradients()
    return [float(np.sum(found[p.name].astype(np.float64) * tangents[p.name])) for p in chosen]


def theirs(scene, parameter, along, spp, seed):
    """Central difference of Mitsuba's `path`, where there are media of its `volpathmis`."""
    params, start, step = traverse(scene), read(scene, parameter), STEPS.get(parameter.role, 0.02)
    foggy = any(shape.interior_medium() or shape.exterior_medium() for shape in scene.mi.shapes())
    tracer = integrator("volpathmis" if foggy else "path")
    pair = []
    with restored(params, [parameter.raw]):
        for offset in (step, -step):
            write(params, parameter, mi.TensorXf((start + offset * along).astype(np.float32)))
            params.update()
            image = mi.render(scene.mi, integrator=tracer, spp=spp, seed=seed)
            pair.append(np.array(image, dtype=np.float64))
    return float(np.sum((pair[0] - pair[1]) * weights(scene)) / (2 * step))


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    """(class, role) of the parameters of shapes and cameras that the scenes `OF_SHAPES` and `OF_CAMERAS` look at."""
    found = set()
    for name, kind in ((OF_SHAPES, mi.Shape), (OF_CAMERAS, mi.Sensor)):
        scene = load_scene(SCENES[name](tmp_path_factory.mktemp(name)))
        params = traverse(scene)
        owners = [(params.properties[p.raw][2], p.role) for p in list_parameters(scene)]
        found |= {(owner.class_name(), role) for owner, role in owners if isinstance(owner, kind)}
    return found


def repeated(name, scene, parameter, motions):
    """Whether another scene looks at this motion of a shape or parameter of a camera, or test_emitters.py at this light,
    or test_sensors.py at this lens, or test_shapes_groups.py at this instance (alone, as Mitsuba demands)."""
    owner = traverse(scene).properties[parameter.raw][2]
    if parameter.role in ("aperture_radius", "focus_distance") or owner.class_name() == "Instance":
        return True
    if owner.class_name() in ("DirectionalEmitter", "EnvironmentMapEmitter"):
        return True
    here = (name == OF_SHAPES and isinstance(owner, mi.Shape)) or (name == OF_CAMERAS and isinstance(owner, mi.Sensor))
    return not here and isinstance(owner, (mi.Shape, mi.Sensor)) and (owner.class_name(), parameter.role) in motions


SLOW = {OF_SHAPES, OF_CAMERAS, "textures"}
CASES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SCENES]


@pytest.mark.parametrize("name", CASES)
def test_every_parameter(name, tmp_path, motions):
    gc.collect()  # Dr.Jit traces calls to every shape that is alive, those of earlier scenes included
    scene = load_scene(SCENES[name](tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdicts = examine(name, scene, motions)
    wrong = {k: v for k, v in verdicts.items() if v.startswith(("wrong", "noisy"))}
    zero = {k for k, v in verdicts.items() if v == "zero"}
    assert not wrong, "\n".join(f"{k}: {v}" for k, v in wrong.items())
    assert zero <= WITHOUT_INFLUENCE.get(name, set()), f"no influence at all, so that nothing was tested: {zero}"


def examine(name, scene, motions):
    """Parameter → 'agrees', 'refused: …', 'zero', 'repeated', 'wrong: …' or 'noisy: …'."""
    verdicts = {}
    listed = {p.raw: p for p in list_parameters(scene)}
    for raw in traverse(scene).keys():
        if raw not in listed:  # integers, flags, plain numbers: not a parameter of pbdr, and refused as such
            reason = refusal(scene, raw)
            verdicts[raw] = f"refused: {reason}" if reason and raw in reason else f"wrong: {raw} is not refused by name"
    groups = {True: [], False: []}
    for raw, parameter in listed.items():
        reason = refusal(scene, raw)
        if reason:
            verdicts[parameter.name] = f"refused: {reason}"
        elif repeated(name, scene, parameter, motions):
            verdicts[parameter.name] = "repeated"
        else:
            groups[is_radiometric(raw, parameter.role)].append(parameter)
    spp = SPP.get(name, 256)
    # Vertex normals follow from positions unless they are given, too: apart from them.
    normals = [p for p in groups[False] if p.role == "normals"]
    moving = [p for p in groups[False] if p.role != "normals"]
    for chosen in (groups[True], moving, normals):
        if not chosen:
            continue
        tangents = {p.name: tangent(scene, p) for p in chosen}
        found = replicas(functools.partial(ours, scene, chosen, tangents, max(spp // 8, 64)), REPLICAS, "ours", name)
        for k, p in enumerate(chosen):
            exact = replicas(functools.partial(theirs, scene, p, tangents[p.name], spp), REPLICAS, "theirs", p.name)
            verdicts[p.name] = verdict(found[:, k], exact, p.name in WITHOUT_INFLUENCE.get(name, ()))
    return verdicts


def verdict(found, exact, exempt):
    """Compare replicas of one derivative."""
    (mean, error), (truth, noise) = summary(found), summary(exact)
    both = float(np.hypot(error, noise))
    text = f"{mean:.5g} ± {error:.2g} instead of {truth:.5g} ± {noise:.2g}"
    if not found.any() and not exact.any():
        return "zero"
    if abs(mean - truth) > COARSE * abs(truth) + SURE * both:
        return f"wrong: {text}"
    if both > NOISE * abs(truth) and not exempt:
        return f"noisy: {text}"
    return "agrees"


def test_planted_errors_are_found():
    """Negative control: a missing fifth, a zero, a wrong sign, and a comparison that noise makes worthless."""
    exact = np.array([1.0, 1.01, 0.99, 1.0])
    assert verdict(exact + 0.01, exact, False) == "agrees"
    for planted in (0.8 * exact, 0 * exact, -exact):
        assert verdict(planted, exact, False).startswith("wrong")
    assert verdict(exact, 100 * (exact - 1) + 1, False).startswith("noisy")
    assert verdict(0 * exact, 0 * exact, False) == "zero"


# Plugins that hold no parameters of an image, and what else this file leaves out.
OTHERS = {
    "integrators": "aov depth direct moment path ptracer stokes volpath volpathmis",
    "samplers": "independent ldsampler multijitter orthogonal stratified",
    "filters and films": "box catmullrom gaussian lanczos mitchell tent hdrfilm specfilm",
    "need a file": "blender measured measured_polarized obj serialized",
    "parameters of media, refused as such": "heterogeneous blendphase isotropic rayleigh sggx tabphase",
    "spectral variants only": "blackbody regular irregular",
    "cannot be rendered by Mitsuba's path, or have no image of their own": "timed_sunsky irradiancemeter batch merge volume",
}


def test_every_plugin_is_in_a_zoo(tmp_path):
    """What Mitsuba ships is in one of the zoos, or named above with the reason."""
    from validation.scenes import zoo

    folder = Path(mi.__file__).parent / "plugins"
    shipped = {p.stem.removeprefix("lib") for p in folder.iterdir() if p.suffix in (".so", ".dylib", ".dll")}
    assert len(shipped) > 80
    seen = set()

    def walk(node):
        if isinstance(node, dict):
            seen.add(node.get("type"))
            for child in node.values():
                walk(child)

    for make in SCENES.values():
        walk(make(tmp_path))
    for make in (*zoo.MATERIALS.values(), *zoo.EMITTERS.values(), zoo.sky, zoo.scene):
        walk(make())
    left_out = {plugin for names in OTHERS.values() for plugin in names.split()}
    assert shipped - seen - left_out == set()
