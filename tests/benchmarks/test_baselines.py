"""The baselines are what their papers say: values of their forward passes and derivatives in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.baselines import (  # noqa: E402
    difference_sampling,
    neural_mesh_renderer,
    opendr,
    rotation,
    screen,
    softras,
)
from benchmarks.baselines.cases import CASES  # noqa: E402
from benchmarks.baselines.world import World, adjoint, centres, facing  # noqa: E402

SIZE = 16


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def flat(*triangles: tuple[float, list[list[float]]], depth: float = 1.0) -> screen.Triangles:
    """Triangles of a colour and three screen points each, at one depth."""
    points = torch.tensor([point for _, corners in triangles for point in corners], dtype=torch.float64)
    colours = torch.tensor([colour for colour, _ in triangles], dtype=torch.float64)
    faces = torch.arange(len(points)).reshape(-1, 3)
    return screen.Triangles(points, torch.full((len(points),), depth, dtype=torch.float64), faces, colours)


def plate(theta: object, velocity: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> screen.Triangles:
    """A rectangle from -0.35 to 0.27 across the screen and from -0.8 to 0.8 along it."""
    world = World({"plate": facing(0.08, 0, 2, 0.62, 1.6, radiance=1.0, velocity=velocity)})
    return screen.triangles(world, theta)


def zero() -> object:
    return torch.zeros((), dtype=torch.float64, requires_grad=True)


# ---------------------------------------------------------------------- the scenes


@pytest.mark.parametrize("name", CASES)
def test_exact_images_are_what_paths_see(name):
    """Means over many paths a pixel; the derivative by two steps agrees, and the adjoint says something of it."""
    case, each = CASES[name], 10
    film = centres(SIZE * each)
    uv = torch.rand(len(film), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    seen = case.world.radiance(film, uv, 0.0).reshape(SIZE, each, SIZE, each).mean((1, 3)).numpy()
    image = case.image(SIZE, 0.0)
    assert np.abs(seen - image).max() < 0.1 * image.max()
    assert np.abs(seen - image).mean() < 0.01 * image.max()
    assert case.derivative(SIZE, 1e-4) == pytest.approx(case.derivative(SIZE), rel=1e-3)
    assert abs(case.derivative(SIZE)) > 0.1 * np.abs(adjoint(SIZE) * case.derivative_image(SIZE)).sum()


# ---------------------------------------------------------------------- Soft Rasterizer


def test_soft_silhouettes():
    """Far from corners, the distance to a triangle's border is that to one line; two triangles are their union in probability."""
    big = [[-9.0, -9.0], [0.1, -9.0], [0.1, 9.0]]  # its right side is x = 0.1
    image, sigma = softras.silhouette(flat((1.0, big)), SIZE, 0.01), 0.01
    x = screen.centres(SIZE)[SIZE // 2, :, 0]
    near = (x - 0.1).abs() < 0.5
    expected = torch.sigmoid(-torch.sign(x - 0.1) * (x - 0.1) ** 2 / sigma)
    torch.testing.assert_close(image[SIZE // 2][near], expected[near])
    both = softras.silhouette(flat((1.0, big), (1.0, big)), SIZE, sigma)
    torch.testing.assert_close(both, 1 - (1 - image) ** 2)
    sharp = softras.silhouette(flat((1.0, big)), SIZE, 1e-9)
    assert (sharp.round() == torch.tensor(screen.draw(flat((1.0, big)), SIZE).face >= 0)).all()
    assert (image - sharp).abs().max() > 0.3


def test_soft_colours():
    """In the middle of two triangles, weights are a softmax of inverse depth, and the background is one more entry."""
    big = [[-50.0, -50.0], [50.0, -50.0], [0.0, 50.0]]
    near, far, gamma = 2.0, 2.5, 0.01
    front, back = flat((0.7, big), depth=near), flat((0.2, big), depth=far)
    both = screen.Triangles(
        torch.cat([front.screen, back.screen]), torch.cat([front.depth, back.depth]),
        torch.cat([front.faces, back.faces + 3]), torch.cat([front.colours, back.colours]),
    )  # fmt: skip
    normalised = [(1 / z - 1 / softras.FAR) / (1 / softras.NEAR - 1 / softras.FAR) for z in (near, far)]
    powers = [math.exp(z / gamma) for z in (*normalised, softras.EPSILON)]
    expected = (0.7 * powers[0] + 0.2 * powers[1] + 0.9 * powers[2]) / sum(powers)
    image = softras.colours(both, 4, sigma=1e-3, gamma=gamma, background=0.9)
    torch.testing.assert_close(image, torch.full_like(image, expected))
    assert softras.colours(both, 4, 1e-3, 1e-5, 0.9)[0, 0] == pytest.approx(0.7)


def test_soft_silhouettes_have_the_derivative_of_their_own_image():
    theta, step = zero(), 1e-6
    total = lambda t: (torch.tensor(adjoint(SIZE)) * softras.silhouette(plate(t), SIZE, 0.01)).sum()  # noqa: E731
    (slope,) = torch.autograd.grad(total(theta), theta)
    assert float(slope) == pytest.approx(float(total(step) - total(-step)) / (2 * step), rel=1e-5)


# ---------------------------------------------------------------------- OpenDR


def test_opendr_moves_the_image_along_the_flow():
    """A plate that moves to the right by a pixel a unit: each row has its step once on either side, and nothing in between."""
    theta = zero()
    given = plate(theta)
    flow = torch.zeros_like(given.screen)
    flow[:, 0] = 2 / SIZE
    change = opendr.derivative_image(given, flow, SIZE)
    shown = screen.draw(given, SIZE).image
    assert {0.0, 1.0} == set(np.unique(shown))
    row = change[SIZE // 2]
    assert sorted(row[row != 0]) == [-1.0, 1.0] and row.sum() == 0
    left, right = np.flatnonzero(shown[SIZE // 2])[[0, -1]]
    assert abs(int(row.argmin()) - left) <= 1 and abs(int(row.argmax()) - right) <= 1
    upright = torch.zeros_like(flow)
    assert not opendr.derivative_image(given, upright, SIZE).any()


def test_opendr_leaves_borders_out_of_differences():
    """Beside a border, differences are one-sided: a ramp has its slope everywhere."""
    ramp = np.tile(0.25 * np.arange(6.0), (6, 1))
    border = np.zeros((6, 6), bool)
    border[:, 3] = True
    across, down = opendr.differences(ramp, border)
    assert np.allclose(across[:, [0, 1, 2, 4, 5]], 0.25) and np.allclose(down[:, [0, 1, 2, 4, 5]], 0)
    assert np.allclose(across[:, 3], 0.5)  # twice the central difference


def test_opendr_draws_visible_silhouettes_alone():
    world = World({"front": facing(0, 0, 2, 0.5, 1.0, radiance=1.0), "back": facing(0, 0, 3, 0.6, 0.6, radiance=0.5)})
    given = screen.triangles(world, zero())
    found = opendr.borders(given, 32)
    assert found.here.any() and set(found.face[found.here]) <= {0, 1}  # all of the plate behind is hidden


# ---------------------------------------------------------------------- Neural 3D Mesh Renderer


def test_one_pixel_that_an_edge_may_reach():
    """The fall of the loss over how far the ends must move; no gradient where the loss wants the pixel as it is."""
    given = flat((1.0, [[-0.8, -0.9], [0.1, -0.9], [0.1, 0.9]]))
    row, column = 8, 12
    weights = np.zeros((SIZE, SIZE))
    weights[row, column] = -1.0  # brighter is better
    found = neural_mesh_renderer.gradient(given, weights)
    line, cross = row, (0.1 + 1) * 8 - 0.5
    ends = given.pixels(SIZE).numpy()[1:, 1]
    for vertex, (own, other) in zip((1, 2), (ends, ends[::-1]), strict=True):
        share = (other - line) / (other - own)
        distance = (column - cross) / share * 2 / SIZE + neural_mesh_renderer.EPSILON
        assert found[vertex, 0] == pytest.approx(-1 / distance)
    weights[row, column] = 1.0
    assert not neural_mesh_renderer.gradient(given, weights)[:, 0].any()


def test_one_pixel_that_an_edge_may_leave():
    """A pixel inside that had better be dark: the right edge moves to the left, the sloping one to the right."""
    given = flat((1.0, [[-0.8, -0.9], [0.1, -0.9], [0.1, 0.9]]))
    weights = np.zeros((SIZE, SIZE))
    weights[6, 7] = 1.0
    assert screen.draw(given, SIZE).image[6, 7] == 1
    found = neural_mesh_renderer.gradient(given, weights)
    assert found[2, 0] > 0 and found[0, 0] < 0


# ---------------------------------------------------------------------- Monte Carlo


@pytest.mark.parametrize("name", ["silhouette", "occlusion", "depth order"])
def test_difference_sampling_is_exact(name):
    """Light that is seen directly leaves it little noise. Without the lines along one axis, it lacks a part."""
    case = CASES[name]
    found = np.mean([difference_sampling.derivative(case.world, 100, seed) for seed in range(4)])
    assert found == pytest.approx(case.derivative(512), rel=0.01)
    if name == "silhouette":
        half = difference_sampling.derivative(case.world, 100, 0, shares=(0,))
        assert half != pytest.approx(found, rel=0.1)


def test_rotation_of_what_fills_the_film():
    """Where no edge is seen nothing changes; where every kernel meets what moves, rotations are right."""
    wide = World({"plate": facing(0, 0, 2, 9, 9, radiance=1.0, velocity=(1.0, 0.4, 0.0))})
    found = [rotation.derivative(wide, 4000, seed) for seed in range(4)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 2 + 1e-3
    assert CASES["silhouette"].derivative(SIZE) != 0
    still = World({"plate": facing(0, 0, 2, 0.5, 0.5, radiance=1.0)})
    assert rotation.derivative(still, 1000, 0) == 0


def test_kernels_of_rotations():
    """Directions of a kernel are of length 1, mirrored in pairs, and as far from its middle as their distribution says."""
    middle = torch.nn.functional.normalize(torch.randn(2000, 3, dtype=torch.float64), dim=-1)
    around = rotation.spread(middle, 4, 100.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(around.norm(dim=-1), torch.ones(2000, 4, dtype=torch.float64))
    cosine = (around * middle[:, None]).sum(-1)
    torch.testing.assert_close(cosine[:, :2], cosine[:, 2:])
    expected = 1 / math.tanh(100.0) - 1 / 100.0
    assert float(1 - cosine.mean()) == pytest.approx(1 - expected, rel=0.1)
