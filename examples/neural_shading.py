"""Neural shading: a small network is the material of a ball, inside the path tracer, and its weights are what photographs decide.

    python examples/neural_shading.py

`NeuralBSDF` is a Mitsuba BSDF whose colour for a direction in and one out comes from a network of `drjit.nn`. It scatters light
like any other material: the floor sees the ball, shadows fall, and derivatives of everything reach the weights. The truth is rough
plastic, which the network does not know. (A network of torch that paints a texture: `examples/neural_texture.py`.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pbdr

import drjit as dr  # isort: skip  (after pbdr, which finds LLVM)
import drjit.nn as nn  # isort: skip
import mitsuba as mi

from pbdr.inverse import Options, Problem, View, fit

SIZE, WIDTH, VIEWS = 32, 16, 3
TRACER = {"type": "pathspace", "max_depth": 3}
WEIGHTS = "ball.bsdf.weights"


class NeuralBSDF(mi.BSDF):
    """f(ω_i, ω_o) = softplus(network) / π, sampled by the cosine.

    The network gets what is the same for both orders of the directions (sum and product of the cosines to the normal, cosine of the
    half vector, cosine between the directions), so that it is reciprocal. Nothing in it jumps.
    """

    discontinuities = ()  # what pbdr asks of foreign plugins where something moves

    def __init__(self, props: Any) -> None:
        super().__init__(props)
        self.m_components = [mi.BSDFFlags.GlossyReflection | mi.BSDFFlags.FrontSide]
        self.m_flags = self.m_components[0]
        layers = [nn.Linear(4, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, 3)]
        made = nn.Sequential(*layers).alloc(mi.TensorXf, 4, rng=dr.rng(seed=props.get("seed", 0)))
        self.network = nn.pack(made, layout="training")
        self.weights = mi.Float(self.network["weights"])

    def traverse(self, callback: Any) -> None:
        callback.put("weights", self.weights, mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        self.network["weights"] = self.weights

    def colour(self, wi: Any, wo: Any) -> Any:
        """Value of the BSDF."""
        a, b = mi.Frame3f.cos_theta(wi), mi.Frame3f.cos_theta(wo)
        half = mi.Frame3f.cos_theta(dr.normalize(wi + wo))
        found = list(self.network(nn.CoopVec(a + b, a * b, half, dr.dot(wi, wo))))
        # softplus, which is positive and smooth
        return mi.Spectrum(*[dr.log(1 + dr.exp(-dr.abs(x))) + dr.maximum(x, 0) for x in found]) * dr.inv_pi

    def sample(self, ctx: Any, si: Any, sample1: Any, sample2: Any, active: Any = True) -> tuple[Any, Any]:
        bs = dr.zeros(mi.BSDFSample3f)
        bs.wo = mi.warp.square_to_cosine_hemisphere(sample2)
        bs.pdf = mi.warp.square_to_cosine_hemisphere_pdf(bs.wo)
        bs.eta, bs.sampled_component = mi.Float(1), mi.UInt32(0)
        bs.sampled_type = mi.UInt32(+mi.BSDFFlags.GlossyReflection)
        front = active & (mi.Frame3f.cos_theta(si.wi) > 0) & (bs.pdf > 0)
        return bs, dr.select(front, self.colour(si.wi, bs.wo) * dr.pi, 0)

    def eval(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        cosine = mi.Frame3f.cos_theta(wo)
        front = active & (mi.Frame3f.cos_theta(si.wi) > 0) & (cosine > 0)
        return dr.select(front, self.colour(si.wi, wo) * cosine, 0)

    def pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        front = active & (mi.Frame3f.cos_theta(si.wi) > 0)
        return dr.select(front, mi.warp.square_to_cosine_hemisphere_pdf(wo), 0)

    def eval_pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> tuple[Any, Any]:
        return self.eval(ctx, si, wo, active), self.pdf(ctx, si, wo, active)

    def to_string(self) -> str:
        return f"NeuralBSDF[{len(self.weights)} weights]"


mi.register_bsdf("neural", lambda props: NeuralBSDF(props))


def scene(material: dict[str, Any], size: int = SIZE) -> Any:
    """A ball on a grey floor under a lamp and a dim sky, seen from around."""
    T = mi.ScalarTransform4f
    grey = lambda value: {"type": "rgb", "value": value}  # noqa: E731
    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    eyes = [(3 * np.cos(angle), 3 * np.sin(angle), 1.6) for angle in 2 * np.pi * np.arange(VIEWS) / VIEWS]
    cameras = {
        f"camera-{k}": {
            "type": "perspective",
            "fov": 40,
            "film": film,
            "to_world": T().look_at(eye, [0, 0, 0.6], [0, 0, 1]),
        }
        for k, eye in enumerate(eyes)
    }
    return pbdr.load_scene({
        "type": "scene", **cameras,
        "ball": {"type": "sphere", "center": [0, 0, 0.7], "radius": 0.7, "bsdf": material},
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse", "reflectance": grey(0.5)}},
        "lamp": {"type": "point", "position": [1.5, -2, 3], "intensity": grey(12.0)},
        "sky": {"type": "constant", "radiance": grey(0.3)},
    })  # fmt: skip


PLASTIC = {"type": "roughplastic", "diffuse_reflectance": {"type": "rgb", "value": [0.6, 0.2, 0.1]}, "alpha": 0.3}


def estimate(steps: int = 120) -> tuple[float, float]:
    """Return the relative error of the images before and after the weights have been found."""
    truth, made = scene(PLASTIC), scene({"type": "neural"})
    targets = [np.array(pbdr.render(truth, sensor=k, spp=256, seed=k, integrator=TRACER)) for k in range(VIEWS)]
    network = pbdr.VariableSpec(raw=WEIGHTS, map="clamp", lr=0.02)
    options = Options(steps=steps, spp=8, loss="l2", views_per_step=VIEWS, integrator=TRACER)
    views = [View(target, sensor=k) for k, target in enumerate(targets)]

    def error(found: Any) -> float:
        images = [np.array(pbdr.render(found, sensor=k, spp=64, seed=9 + k, integrator=TRACER)) for k in range(VIEWS)]
        squares = [np.mean((a - b) ** 2) for a, b in zip(images, targets, strict=True)]
        return float(np.sqrt(np.mean(squares)) / np.mean(targets))

    before = error(made)
    return before, error(fit(Problem(made, views, {"network": network}, options)).scene)


def main() -> tuple[float, float]:
    """Estimate, and say how good that is."""
    before, after = estimate()
    print(f"error of the images: {after:.3f} of their mean, {before:.3f} at the start")
    return before, after


if __name__ == "__main__":
    main()
