"""Lists of edges that may be silhouettes from lights: none that is one may be missing."""

import numpy as np
import pytest

from pbdr.boundary.sampling import light_points, silhouettes
from pbdr.boundary.table import builder as table
from pbdr.scene import load_scene
from pbdr.seeds import lanes
from validation.scenes import zoo
from validation.scenes.small import mesh

trimesh = pytest.importorskip("trimesh")
VIEWS = 64
SKY = {"type": "constant", "radiance": zoo.rgb(1.0)}
LIGHTS = {
    "area": {"lamp": zoo.above(size=0.5, emitter={"type": "area", "radiance": zoo.rgb(12.0)})},
    "ball": {"lamp": {"type": "sphere", "center": [2, 0.5, 1], "radius": 0.3, "emitter": {"type": "area"}}},
    "point": {"lamp": {"type": "point", "position": [1, 0.5, 2], "intensity": zoo.rgb(9.0)}},
    "directional": {"lamp": {"type": "directional", "direction": [0.3, 0.2, -1]}},
    "many": {f"lamp{k}": {"type": "point", "position": [np.cos(k), np.sin(k), 2 + 0.01 * k]} for k in range(90)},
}


def listed(folder, lights):
    """(number of edges, number of those looked at, mass of all pairs, mass of the pairs looked at)."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    points = np.asarray(ball.vertices) * (0.5 + 0.05 * np.sin(9 * np.asarray(ball.vertices)[:, :1]))
    thing = mesh(folder, "ball", points + [0, 0, 0.7], ball.faces)
    scene = load_scene({"type": "scene", "camera": zoo.camera(), "ball": thing, **lights}).mi
    edges = table.TableBuilder().build(scene, frozenset([0]))
    emitters = len(scene.emitters())
    pilot = lambda: light_points.draw_views(scene, lanes(emitters, 0, "pilot"), emitters)  # noqa: E731
    views = light_points.draw_views(scene, lanes(VIEWS, 1, "views"), VIEWS)
    chosen = silhouettes.candidates(edges, silhouettes.regions(scene, pilot))
    every = silhouettes.candidates(edges, None)
    masses = [np.array(light_points.shadow_mass(scene, edges, which, views)) for which in (every, chosen)]
    return len(every), len(chosen), *masses


@pytest.mark.parametrize("kind", LIGHTS)
def test_nothing_that_counts_is_left_out(tmp_path, monkeypatch, kind):
    """Lists of all edges and of the chosen ones hold the same silhouettes; under a lamp the second list is much shorter."""
    monkeypatch.setattr(silhouettes, "FEW", 0)
    count, chosen, everything, some = listed(tmp_path, LIGHTS[kind])
    assert chosen < (0.5 if kind == "area" else 0.3 if kind != "many" else 0.9) * count
    assert (everything > 0).sum() == (some > 0).sum() > 0
    assert np.isclose(everything.sum(), some.sum(), rtol=1e-5)


def test_a_light_all_around_leaves_every_edge(tmp_path, monkeypatch):
    monkeypatch.setattr(silhouettes, "FEW", 0)
    count, chosen, *_ = listed(tmp_path, {"sky": SKY, **LIGHTS["point"]})
    assert chosen == count


def test_the_check_sees_an_edge_that_is_missing(tmp_path, monkeypatch):
    """Negative control: regions that are too small lose silhouettes."""
    monkeypatch.setattr(silhouettes, "FEW", 0)
    regions = silhouettes.regions

    def shrunk(*arguments):
        found = regions(*arguments)
        found.half = 0 * found.half
        return found

    monkeypatch.setattr(silhouettes, "regions", shrunk)
    _, _, everything, some = listed(tmp_path, LIGHTS["ball"])
    assert (everything > 0).sum() > (some > 0).sum()
