"""Gaussians as a medium: optical depth in closed form, images and gradients through pathspace, with a mesh that they shadow."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr
from pbdr.errors import ParameterError, PbdrError, SceneError
from pbdr.fields.gaussians import density, write_ply
from pbdr.parameters import traverse
from validation.gaussians import some

T = mi.ScalarTransform4f
COUNT, SIDE = 5, 12
INTEGRATOR = {"type": "pathspace", "max_depth": 2}
SUN = np.array([0.2, 0.1, -1.0])


def cloud():
    """Parameters of five Gaussians above a floor."""
    made = some(COUNT, 0, size=0.15, spread=0.15)
    return {
        "peaks": np.array([2, 3, 2.5, 1, 2.0]), "centers": made.positions + [0, 0, 0.7], "log_scales": made.log_scales,
        "rotations": made.rotations,
    }  # fmt: skip


def arrays(values):
    return {name: mi.Float(np.asarray(value, np.float32).ravel()) for name, value in values.items()}


def scene(values, **rest):
    """A cloud that absorbs, above a floor that the sun lights."""
    given = {name: mi.TensorXf(np.asarray(value, np.float32)) for name, value in values.items()}
    film = {"type": "hdrfilm", "width": SIDE, "height": SIDE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    return pbdr.load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective", "fov": 40, "to_world": T().look_at([0, -4, 2], [0, 0, 0.3], [0, 0, 1]), "film": film},
            "floor": {"type": "rectangle", "to_world": T().scale(2)},
            "sun": {"type": "directional", "direction": SUN.tolist(), "irradiance": 3.0},
            "box": {
                "type": "cube", "to_world": T().translate([0, 0, 0.9]).scale(0.85), "bsdf": {"type": "null"},
                "interior": {"type": "gaussians", "albedo": 0.0, "phase": {"type": "isotropic"}, **given, **rest},
            },
        }
    )  # fmt: skip


def closed(values, sensor, fine=12):
    """The image (SIDE, SIDE) of that scene: light from the floor, through the cloud twice, each in closed form."""
    side = SIDE * fine
    y, x = np.mgrid[:side, :side].reshape(2, -1).astype(np.float32)
    ray, _ = sensor.sample_ray(0, 0.5, mi.Point2f((x + 0.5) / side, (y + 0.5) / side), mi.Point2f(0.5))
    t = -ray.o.z / ray.d.z
    point, to_sun = ray.o + t * ray.d, -dr.normalize(mi.Vector3f(*SUN.tolist()))
    hits = (t > 0) & (dr.abs(point.x) < 2) & (dr.abs(point.y) < 2)
    of = arrays(values)
    depth = density.optical_depth(of, ray.o, ray.d, 0, t) + density.optical_depth(of, point, to_sun)
    radiance = dr.select(hits, 0.5 / dr.pi * 3 * to_sun.z * dr.exp(-depth), 0)
    return radiance.numpy().astype(np.float64).reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3))


def test_optical_depth_against_quadrature():
    """Rays from inside and outside, whose directions are of any length; covariances are those of NumPy."""
    made, peaks = some(COUNT, 0), np.array([2, 0, 2.5, 1, 2.0])
    of = density.cloud(made, peaks)
    random = np.random.default_rng(0)
    origins, directions = random.normal(size=(2, 6, 3))
    near, far = -0.5, 2.0
    t = np.linspace(near, far, 4001)
    offset = origins[:, None, None] + t[:, None, None] * directions[:, None, None] - made.positions
    exponent = np.einsum("rtni,nij,rtnj->rtn", offset, np.linalg.inv(made.covariances), offset)
    expected = np.trapezoid(np.exp(-0.5 * exponent) @ peaks, t, axis=1)
    point, along = mi.Point3f(origins.T.astype(np.float32)), mi.Vector3f(directions.T.astype(np.float32))
    found = density.optical_depth(of, point, along, near, far).numpy()
    assert np.allclose(found, expected, rtol=2e-5, atol=1e-6)
    middle = point + 0.3 * along
    offset = (origins + 0.3 * directions)[:, None] - made.positions
    exponent = np.einsum("rni,nij,rnj->rn", offset, np.linalg.inv(made.covariances), offset)
    values = np.exp(-0.5 * exponent) @ peaks
    assert np.allclose(density.density(of, middle).numpy(), values, rtol=1e-4, atol=1e-6)
    whole = density.optical_depth(of, point, along, -np.inf).numpy()
    parts = [
        density.optical_depth(of, point, along, *ends).numpy() for ends in ((-np.inf, near), (near, far), (far, np.inf))
    ]
    assert np.allclose(whole, np.sum(parts, axis=0), rtol=1e-5)
    assert not np.allclose(found, whole, rtol=0.1)


def test_peaks_are_those_of_opacities():
    """A ray through the centre of a round one is absorbed as its opacity says."""
    made = some(3, 0).replaced(
        {"log_scales": np.log(np.full((3, 3), [[0.1], [0.2], [0.3]])), "positions": np.eye(3) * 40}
    )
    of = density.cloud(made)
    depth = density.optical_depth(of, mi.Point3f(made.positions.T), mi.Vector3f(0.6, 0, 0.8), -np.inf).numpy()
    assert np.allclose(1 - np.exp(-depth), made.opacities, rtol=1e-4)


def test_derivatives_of_optical_depth():
    values = cloud()
    point, along = mi.Point3f([0, 0.1, 0.2], [-1, -1.2, -1], [0.6, 0.7, 0.5]), mi.Vector3f(0.05, 1, 0.1)
    of = arrays(values)
    dr.enable_grad(of)
    dr.backward(dr.sum(density.optical_depth(of, point, along, 0.2, 1.2)))
    random = np.random.default_rng(2)
    for name, value in values.items():
        direction = random.normal(size=np.shape(value))
        slope = float((dr.grad(of[name]).numpy() * direction.ravel()).sum())
        differences = []
        for step in (1e-2, 3e-3):
            ends = [
                np.sum(
                    density.optical_depth(
                        arrays({**values, name: value + sign * step * direction}), point, along, 0.2, 1.2
                    ).numpy()
                )
                for sign in (1, -1)
            ]
            differences.append(float(ends[0] - ends[1]) / (2 * step))
        size = max(abs(slope), 0.1)
        assert abs(differences[0] - differences[1]) < 0.02 * size
        assert abs(slope - differences[1]) < 0.01 * size


def test_the_shadow_of_a_cloud():
    """The floor under the cloud, and seen through it: closed form, and Mitsuba's own integrator for media."""
    made = scene(cloud())
    image = np.array(pbdr.render(made, integrator=INTEGRATOR, spp=256, seed=1))[..., 0]
    expected = closed(cloud(), made.sensors[0])
    error = (image - expected)[expected > 0]
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)
    assert error.std() < 0.03
    clear = closed({**cloud(), "peaks": np.zeros(COUNT)}, made.sensors[0])
    assert (clear - expected).max() > 0.2 and (clear - expected).mean() > 10 * abs(error.mean())


def test_the_bound_holds():
    """Between cells and anywhere: no density is above the majorant, which is not far above the largest one."""
    made = scene(cloud())
    medium = next(shape.interior_medium() for shape in made.mi.shapes() if shape.interior_medium() is not None)
    points = np.random.default_rng(0).uniform([-0.8, -0.8, 0.1], [0.8, 0.8, 1.7], (20000, 3)).astype(np.float32)
    interaction = dr.zeros(mi.MediumInteraction3f, len(points))
    interaction.p = mi.Point3f(points.T)
    _, null, total = (np.array(v)[0] for v in medium.get_scattering_coefficients(interaction, mi.Bool(True)))
    assert (null >= 0).all()
    assert np.allclose(total, density.density(arrays(cloud()), interaction.p).numpy(), atol=3e-3)
    assert float(medium.bound[0]) < 2 * total.max()


def replicas(made, weights, count=6, spp=256):
    """Gradients with seeds of their own: name → (replicas, N, …)."""
    names = [f"box/{name}" for name in density.COLUMNS]
    found = [
        pbdr.gradient(made, names, weights, integrator=INTEGRATOR, spp=spp, seed=seed).total for seed in range(count)
    ]
    return {name: np.stack([np.array(one[f"box/{name}"]) for one in found]) for name in density.COLUMNS}


def _unit(direction):
    return direction / np.linalg.norm(direction)


@pytest.mark.slow
def test_gradients_of_the_shadow(monkeypatch):
    """Every parameter along two directions, within three standard errors (which are below 7 %) of differences of the closed form.

    Negative control: a density without derivatives of its centres.
    """
    values, random = cloud(), np.random.default_rng(3)
    made = scene(values)
    weights = random.random((SIDE, SIDE, 3)).astype(np.float32) / SIDE**2

    def difference(name, direction, step):
        ends = [closed({**values, name: values[name] + sign * step * direction}, made.sensors[0]) for sign in (1, -1)]
        return float(((ends[0] - ends[1])[..., None] * weights).sum()) / (2 * step)

    found = replicas(made, weights, 8, 1024)
    for name in density.COLUMNS:
        mean = found[name].mean(axis=0).reshape(np.shape(values[name]))
        size = 0.0
        for direction in (_unit(mean), _unit(random.normal(size=mean.shape))):
            slopes = (found[name].reshape(len(found[name]), -1) * direction.ravel()).sum(axis=1)
            error = slopes.std(ddof=1) / np.sqrt(len(slopes))
            coarse, fine = (difference(name, direction, step) for step in (2e-2, 6e-3))
            size = size or abs(fine)
            assert error < 0.07 * size and abs(coarse - fine) < 0.02 * size
            assert abs(slopes.mean() - fine) < 3 * error + 0.01 * size
    whole = density.gathered

    def fixed(*given):
        peak, center, whiten = whole(*given)
        return peak, dr.detach(center), whiten

    monkeypatch.setattr(density, "gathered", fixed)
    assert not np.array(replicas(made, weights, 1)["centers"]).any()


@pytest.mark.slow
def test_scattering_furnace():
    """Albedo 1 in a white environment: the cloud cannot be seen; with a lower one it can."""
    made = some(COUNT, 0, size=0.15, spread=0.15)
    film = {"type": "hdrfilm", "width": 8, "height": 8, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    for albedo, low, high in ((1.0, 0.99, 1.01), (0.5, 0.3, 0.95)):
        medium = {"type": "gaussians", "albedo": albedo, "phase": {"type": "isotropic"}, "scale": 3.0}
        medium |= {
            name: mi.TensorXf(np.asarray(v, np.float32)) for name, v in {**cloud(), "centers": made.positions}.items()
        }
        found = pbdr.load_scene(
            {
                "type": "scene", "sky": {"type": "constant"},
                "camera": {
                    "type": "perspective", "fov": 20, "film": film, "to_world": T().look_at([0, -3, 0], [0, 0, 0], [0, 0, 1])
                },
                "box": {"type": "sphere", "bsdf": {"type": "null"}, "interior": medium},
            }
        )  # fmt: skip
        image = np.array(pbdr.render(found, integrator={"type": "pathspace", "max_depth": 64}, spp=512, seed=1))
        assert low < image.mean() < high


def test_files_names_and_what_is_refused(tmp_path):
    path = write_ply(tmp_path / "cloud.ply", some(4, 1))
    text = f"""<scene version="3.0.0"><emitter type="constant"/><sensor type="perspective"/><shape type="sphere" id="ball">
        <bsdf type="null"/><medium name="interior" type="gaussians"><string name="filename" value="{path}"/>
        <rgb name="albedo" value="0.2, 0.5, 0.9"/><phase type="hg"/></medium></shape></scene>"""
    made = pbdr.load_scene(text)
    names = {p.name: p for p in pbdr.list_parameters(made)}
    assert {"ball/peaks", "ball/centers", "ball/log_scales", "ball/rotations", "ball/albedo", "ball/phase_g"} <= set(
        names
    )
    assert all(names[f"ball/{name}"].row.radiometric is True for name in density.COLUMNS)
    with pytest.raises(PbdrError, match="unknown option 'albeda'"):
        pbdr.load_scene(text.replace('"albedo"', '"albeda"'))
    with pytest.raises(PbdrError, match="filename"):
        scene({"peaks": np.ones(3)})
    with pytest.raises(PbdrError, match="cells"):
        scene(cloud(), cells=0)
    with pytest.raises(PbdrError, match="centers"):
        scene({**cloud(), "centers": np.zeros((COUNT, 2))})
    with pytest.raises(SceneError, match="no derivative"):
        pbdr.gradient(scene(cloud()), "floor/pose", np.ones((SIDE, SIDE, 3)), integrator=INTEGRATOR, spp=1)
    params = traverse(scene(cloud()))
    key = next(k for k in params.keys() if k.endswith("peaks"))
    params[key] = mi.Float(-1, 1, 1, 1, 1)
    with pytest.raises((ParameterError, RuntimeError), match="at least 0"):
        params.update()
