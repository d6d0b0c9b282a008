"""Estimators of a moving shadow and silhouette side by side: which are biased, and by how much.

Scene: a square occluder before a bright wall (its silhouette, depth 1) and its shadow on the wall (depth 2); the parameter is the
occluder's position. What is shown for each estimator is its derivative image, and the bias of a smooth functional of it against
finite differences of Mitsuba's `path`. The baselines are small and for comparison only:

edge, warp   `pathspace` with its boundary terms by edge sampling, or by the warped-area form where it is there
oracle       boundary sampling aided by finite differences: the same random path at θ ± ε, whatever jumps between the two (1 / 2ε)
rotation     Loubet et al. 2019: rays turn with a moving surface that rays near them hit; biased where those miss it
naive        automatic differentiation without a boundary
soft         as soft rasterisers do: a silhouette blurred by a sigmoid over the image; nothing for shadows
image edges  as rasterisers with image-space antialiasing do: image gradients at the silhouette's pixels times their motion
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.replicas import mean_and_error

from .harness import Result, table

Array = NDArray[np.float64]
HALF = (
    0.53  # of the occluder's side; no edge lies on a border of pixels, where the derivative of a pixel is not defined
)
DEPTH = 2.0  # the occluder's distance from the pinhole; the wall is at 4
WALL = 4.0
LIGHT = np.array([1.5, 1.0, 0.0])  # centre of a square light of half side 0.3 that looks along +z
SIDE = 0.3
FACTOR = WALL / (WALL - DEPTH)  # from the occluder to its image on the light, as seen from the wall
VIEW = 1.0  # tangent of half of the angle of view
ALBEDO, RADIANCE = 0.8, 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--spp", type=int, default=64)


def run(options: argparse.Namespace) -> Result:
    """All estimators, the table and the plot."""
    import pbdr
    from pbdr.errors import PbdrError
    from pbdr.rendering import derivative
    from pbdr.seeds import hashed
    from pbdr.verify.functionals import smooth_weights
    from pbdr.verify.sources import Differences

    size, spp = options.size, options.spp
    with tempfile.TemporaryDirectory() as folder:
        scene = loaded(Path(folder), size)
        parameter = next(p for p in pbdr.list_parameters(scene) if p.name == "occluder/positions")
        tangent = np.tile([1.0, 0.4, 0.0], (parameter.shape[0], 1))
        path = pbdr.scene.integrator_of(scene, {"type": "path", "max_depth": 2})
        exact = Differences(scene, parameter, tangent, sensor=scene.mi.sensors()[0], integrator=path)

        def pathspace(boundary: str) -> Callable[[int], Array]:
            chosen = {"type": "pathspace", "max_depth": 2, "boundary": boundary}
            return lambda seed: np.asarray(
                sum(derivative(scene, {parameter.name: tangent}, spp=spp, seed=seed, integrator=chosen).values()),
                np.float64,
            )

        def differences(seed: int) -> Array:
            return (4 * exact.image(0.02, seed, 4 * spp) - exact.image(0.04, seed, 4 * spp)) / 3

        toy = Toy(size, tangent[0])
        tasks: dict[str, Callable[[int], Array]] = {
            "finite differences": differences,
            "edge": pathspace("edge"),
            "warp": pathspace("warp"),
            "oracle": lambda seed: toy.oracle(seed, 4 * spp),
            "rotation": lambda seed: toy.rotation(seed, spp),
            "naive": pathspace("none"),
            "soft": lambda seed: toy.soft(),
            "image edges": lambda seed: toy.image_edges(seed, spp),
        }
        weights = smooth_weights(size, size, 3)
        records: dict[str, Any] = {}
        images: dict[str, Array] = {}
        for name, task in tasks.items():
            deterministic = name == "soft"
            try:
                task(0)
                start = time.perf_counter()
                found = [task(hashed(options.seed, name, k)) for k in range(2 if deterministic else options.replicas)]
            except PbdrError as error:
                records[name] = {"not_available": str(error)}
                continue
            seconds = (time.perf_counter() - start) / len(found)
            images[name] = np.mean(found, axis=0)
            mean, error = mean_and_error([float(np.sum(weights * image)) for image in found])
            records[name] = {"mean": float(mean), "error": float(error), "seconds": seconds, "replicas": len(found)}
    judge(records)
    options.out.mkdir(parents=True, exist_ok=True)
    picture = options.out / "estimators.png"
    plot(records, images, picture)
    return Result(
        "estimators", {"estimators": records, "picture": picture.name}, page(records, picture.name), met(records)
    )


def judge(records: dict[str, Any]) -> None:
    """Bias of each against the finite differences, relative, with its standard error."""
    reference = records["finite differences"]
    for name, record in records.items():
        if name != "finite differences" and "mean" in record:
            record["bias"] = (record["mean"] - reference["mean"]) / abs(reference["mean"])
            record["bias_error"] = float(np.hypot(record["error"], reference["error"])) / abs(reference["mean"])


def met(records: dict[str, Any]) -> bool:
    """Edges and the oracle are unbiased within 3.5 standard errors or 1 %, naive AD is not. (The warp has a bias of its own.)"""

    def right(name: str) -> bool:
        record = records[name]
        return "mean" in record and abs(record["bias"]) <= max(3.5 * record["bias_error"], 0.01)

    return all(right(name) for name in ("edge", "oracle")) and not right("naive")


def page(records: dict[str, Any], picture: str) -> str:
    """Table and plot."""
    rows = []
    for name, record in records.items():
        if "mean" not in record:
            rows.append([name, f"not available: {record['not_available']}", "", ""])
            continue
        bias = f"{record['bias']:+.1%} ± {record['bias_error']:.1%}" if "bias" in record else ""
        rows.append([name, f"{record['mean']:.3e} ± {record['error']:.1e}", bias, f"{record['seconds']:.2f}"])
    header = ["estimator", "derivative of the smooth functional", "bias", "s"]
    return (
        f"{__doc__.split(chr(10) * 2)[1]}\n\n" + table(header, rows) + f"\n\n![derivative images and biases]({picture})"
    )


def plot(records: dict[str, Any], images: dict[str, Array], path: Path) -> None:
    """Derivative images in a row, their biases under them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * len(images), 4.2), layout="constrained", dpi=90)
    grid = figure.add_gridspec(2, len(images), height_ratios=[1, 1])
    limit = float(np.percentile(np.abs(images["edge"].mean(-1)), 99))
    for column, (name, image) in enumerate(images.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(image.mean(-1), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    bars = figure.add_subplot(grid[1, :])
    names = [name for name in images if "bias" in records[name]]
    bars.bar(
        names,
        [100 * records[n]["bias"] for n in names],
        yerr=[200 * records[n]["bias_error"] for n in names],
        color="#1f5fbf",
    )
    bars.axhline(0, color="black", linewidth=0.8)
    bars.set_ylabel("bias in %, ± 2 standard errors")
    figure.savefig(path, format="png", metadata={"Software": None})


def flat(vectors: Array) -> Array:
    """(N, 2) as (N, 3) within a plane of constant z."""
    return np.concatenate([vectors, np.zeros((len(vectors), 1))], axis=1)


# ---------------------------------------------------------------------- the scene


def loaded(folder: Path, size: int) -> Any:
    """The scene for Mitsuba; the camera looks along z, x to the left, as Mitsuba has it."""
    import mitsuba as mi

    import pbdr

    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    mesh = mi.Mesh("occluder", 4, 2)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float((HALF * corners + [0, 0, DEPTH]).astype(np.float32).ravel())
    params["faces"] = mi.UInt32(np.array([0, 1, 2, 0, 2, 3]))
    params.update()
    mesh.write_ply(str(folder / "occluder.ply"))
    grey = lambda value: {"type": "rgb", "value": value}  # noqa: E731
    black = {"type": "diffuse", "reflectance": grey(0)}
    wall = mi.ScalarTransform4f().translate([0, 0, WALL]).rotate([1, 0, 0], 180).scale(20)
    lamp = mi.ScalarTransform4f().translate(list(LIGHT)).scale(SIDE)
    return pbdr.load_scene(
        {
            "type": "scene",
            "camera": {
                "type": "perspective", "fov": float(2 * np.degrees(np.arctan(VIEW))), "near_clip": 0.01,
                "film": {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}},
            },
            "occluder": {"type": "ply", "filename": str(folder / "occluder.ply"), "bsdf": black},
            "wall": {"type": "rectangle", "to_world": wall, "bsdf": {"type": "diffuse", "reflectance": grey(ALBEDO)}},
            "lamp": {"type": "rectangle", "to_world": lamp, "emitter": {"type": "area", "radiance": grey(RADIANCE)},
                     "bsdf": {"type": "diffuse", "reflectance": grey(0)}},
        }
    )  # fmt: skip


class Toy:
    """The same scene in NumPy: a black square before a diffuse wall, one square light. Images are (size, size, 3)."""

    def __init__(self, size: int, velocity: Array) -> None:
        self.size, self.velocity = size, np.asarray(velocity, dtype=np.float64)

    def primary(self, rng: np.random.Generator, spp: int) -> Array:
        """Camera directions (N, 3) with z = 1, pixel after pixel; x to the left, as Mitsuba has it."""
        rows, columns = np.divmod(np.repeat(np.arange(self.size**2), spp), self.size)
        u = (columns + rng.random(rows.size)) / self.size
        v = (rows + rng.random(rows.size)) / self.size
        return np.stack([VIEW * (1 - 2 * u), VIEW * (1 - 2 * v), np.ones(rows.size)], -1)

    def covered(self, points: Array, theta: float) -> Array:
        """Is a point of the occluder's plane on the occluder, moved by θ?"""
        return np.all(np.abs(points[:, :2] - theta * self.velocity[:2]) < HALF, axis=1)

    def unshadowed(self, wall: Array, light: Array) -> Array:
        """Radiance from wall points by light points, as if nothing were between them, times the light's area."""
        away = light - wall
        distance2 = np.sum(away**2, -1)
        return ALBEDO / np.pi * RADIANCE * (2 * SIDE) ** 2 * away[..., 2] ** 2 / distance2**2

    def blocked(self, wall: Array, light: Array, theta: float) -> Array:
        """Is the occluder, moved by θ, between them?"""
        return self.covered(light + (wall - light) * (DEPTH / WALL), theta)

    def shade(self, directions: Array, light: Array, theta: float) -> Array:
        """Radiance along camera rays, with a light point for each."""
        wall = directions * WALL
        dark = self.covered(directions * DEPTH, theta) | self.blocked(wall, light, theta)
        return np.where(dark, 0.0, self.unshadowed(wall, light))

    def lights(self, rng: np.random.Generator, count: int) -> Array:
        """Uniform points on the light."""
        return LIGHT + SIDE * np.concatenate([rng.uniform(-1, 1, (count, 2)), np.zeros((count, 1))], 1)

    def film(self, values: Array) -> Array:
        """Means over each pixel's samples, in three equal channels."""
        grey = values.reshape(self.size, self.size, -1).mean(-1)
        return np.repeat(grey[..., None], 3, -1)

    def oracle(self, seed: int, spp: int, epsilon: float = 5e-3) -> Array:
        """The jump along the same random path between θ − ε and θ + ε: a finite difference in expectation."""
        rng = np.random.default_rng(seed)
        directions = self.primary(rng, spp)
        light = self.lights(rng, len(directions))
        jump = self.shade(directions, light, epsilon) - self.shade(directions, light, -epsilon)
        return self.film(jump / (2 * epsilon))

    def rotation(self, seed: int, spp: int, cone: float = 0.03, around: int = 4) -> Array:
        """Loubet et al. 2019: each ray turns with the moving surface that some of `around` rays near it hit; AD does the rest.

        A ray ω belongs to a kernel k about a centre c, all of which turns with 𝒱(c):

            d/dθ ∫h f = ∫∫ k [ h f′ + (∇h·𝒱) f + (∇k·𝒱/k) h f ]

        f′ is taken along the turning ray, and jumps are ignored, as if the ray followed them. Kernels that missed the occluder, but
        whose rays meet its edge, do not: the bias.
        """
        rng = np.random.default_rng(seed)
        directions = self.primary(rng, spp)
        light = self.lights(rng, len(directions))
        wall, velocity = directions * WALL, self.velocity[:2]

        def turning(hits: Any, points: Array, width: float) -> tuple[Array, Array]:
            """Share of 𝒱 that a point turns with, and that share's gradient, from an antithetic pair of centres."""
            jitter = rng.standard_normal((len(points), 2))
            found = []
            for sign in (1, -1):
                centres = points + flat(sign * width * jitter)
                near = [hits(centres + flat(width * rng.standard_normal(jitter.shape))) for _ in range(around)]
                found.append(np.any(near, axis=0).astype(float))
            return 0.5 * (found[0] + found[1]), (found[0] - found[1])[:, None] * jitter / (2 * width)

        share, spread = turning(lambda d: self.covered(d * DEPTH, 0.0), directions, cone)
        turn = flat(share[:, None] * velocity / DEPTH)
        shaded = self.shade(directions, light, 0.0)
        seen, lit = ~self.covered(directions * DEPTH, 0.0), shaded > 0
        h = 1e-3
        after, before = (self.unshadowed(wall + s * h * WALL * turn, light) for s in (1, -1))
        total = np.where(lit, (after - before) / (2 * h), 0.0) + shaded * (spread @ velocity) / DEPTH
        # The same on the light, in whose plane edges move FACTOR times as fast as the occluder, and against the wall point.
        motion = FACTOR * velocity + (1 - FACTOR) * WALL * turn[:, :2]
        part, spread = turning(lambda y: self.blocked(wall, y, 0.0), light, cone * WALL)
        shift = flat(h * part[:, None] * motion)
        after, before = (self.unshadowed(wall, light + s * shift) for s in (1, -1))
        total += np.where(lit, (after - before) / (2 * h), 0.0) + shaded * np.sum(spread * motion, axis=1)
        # ∇h is on the border: of the light here, of the pixel below.
        for axis in (0, 1):
            for side in (1, -1):
                rim = self.lights(rng, len(wall))
                rim[:, axis] = LIGHT[axis] + side * SIDE
                share_at, _ = turning(lambda y: self.blocked(wall, y, 0.0), rim, cone * WALL)
                bright = seen & ~self.blocked(wall, rim, 0.0)
                flux = self.unshadowed(wall, rim) * side * share_at * motion[:, axis] / (2 * SIDE)
                total -= np.where(bright, flux, 0.0)
        flow = [self.film(shaded * turn[:, k])[..., 0] * (-self.size / (2 * VIEW)) for k in (0, 1)]
        carried = np.gradient(flow[0], axis=1) + np.gradient(flow[1], axis=0)
        return self.film(total) - np.repeat(carried[..., None], 3, -1)

    def soft(self, width: float = 1.5) -> Array:
        """Soft silhouette: coverage is a sigmoid of the distance to the outline, `width` pixels wide; no shadow."""
        pixel = 2 * VIEW / self.size
        y, x = np.meshgrid(*2 * [VIEW * (1 - 2 * (np.arange(self.size) + 0.5) / self.size)], indexing="ij")
        reach, scale = HALF / DEPTH, width * pixel

        def coverage(theta: float) -> Array:
            cx, cy = theta * self.velocity[:2] / DEPTH
            distance = np.maximum(np.abs(x - cx), np.abs(y - cy)) - reach
            return 1 / (1 + np.exp(np.clip(distance / scale, -50, 50)))

        h = 1e-3
        change = (coverage(h) - coverage(-h)) / (2 * h)
        light = np.tile(LIGHT, (self.size**2, 1))
        directions = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1)
        background = self.shade(directions, light, 1e3).reshape(self.size, self.size)
        return np.repeat((-change * background)[..., None], 3, -1)

    def image_edges(self, seed: int, spp: int) -> Array:
        """Motion of the silhouette's pixels times the image's own gradient there (screen-space differences)."""
        rng = np.random.default_rng(seed)
        directions = self.primary(rng, spp)
        light = self.lights(rng, len(directions))
        image = self.film(self.shade(directions, light, 0.0))[..., 0]
        mask = self.film(self.covered(directions * DEPTH, 0.0).astype(float))[..., 0]
        dy, dx = np.gradient(image)
        edge = np.hypot(*np.gradient(mask)) > 0
        speed = self.velocity[:2] / DEPTH * (-self.size / (2 * VIEW))
        return np.repeat(np.where(edge, -(dx * speed[0] + dy * speed[1]), 0.0)[..., None], 3, -1)
