"""Grids of media as files: read again by Mitsuba and NumPy, and in the recipe of the scene."""

import json

import numpy as np
import pytest

from pbdr import export
from pbdr.errors import OptionError
from pbdr.export import Source, xml
from pbdr.export.asset import read_asset
from pbdr.export.formats.volumes import Volumes
from pbdr.parameters import list_parameters, read, traverse
from pbdr.parameters.recipe import with_values
from pbdr.scene import load_scene
from validation.scenes import media


def changed(described):
    """A scene whose media have other values than its recipe, and their parameters."""
    scene = load_scene(described)
    found = [p for p in list_parameters(scene) if p.row.kind.value == "medium"]
    params = traverse(scene)
    for parameter in found:
        params[parameter.raw] = params[parameter.raw] * 0.5
    params.update()
    return scene, found


def test_grids_are_read_again(tmp_path):
    scene, _ = changed(media.scene(media.cloud()))
    source = Source(scene, scene, read_asset(scene))
    written = Volumes().write(source, tmp_path)
    assert Volumes().check(source, written)["ok"]
    values = np.load(tmp_path / "volumes" / "thing-sigma_t.npy")
    assert values.shape == (3, 4, 5, 1)
    box = json.loads((tmp_path / "volumes" / "volumes.json").read_text(encoding="utf-8"))["thing/sigma_t"]
    assert np.allclose(box["low"], [-0.5, -0.5, 0.1]) and np.allclose(box["high"], [0.5, 0.5, 1.1])
    other = load_scene(media.scene(media.cloud()))  # control: files of other values
    assert not Volumes().check(Source(other, other, source.asset), written)["ok"]


@pytest.mark.parametrize("case", ["colours", "grid", "shines"])
def test_values_are_in_the_recipe_and_in_its_file(case, tmp_path):
    grid = media.volume(np.random.default_rng(3).uniform(size=(2, 3, 4)))
    medium = {
        "colours": media.fog(media.zoo.rgb(0.1, 0.4, 0.9), 0.5, media.forwards()), "grid": media.cloud(),
        "shines": media.flame(0.3, grid),
    }[case]  # fmt: skip
    scene, parameters = changed(media.scene(medium))
    recipe = with_values(scene, [p.raw for p in parameters], tmp_path)
    xml.write(recipe, tmp_path / "scene.xml")
    again = load_scene(tmp_path / "scene.xml")
    named = {p.name: p for p in list_parameters(again)}
    assert len(parameters) >= 2
    for parameter in parameters:
        value = read(scene, parameter)
        assert np.allclose(read(recipe, parameter), value) and np.allclose(read(again, named[parameter.name]), value)


def test_no_vdb():
    with pytest.raises(OptionError, match="no wheel of openvdb"):
        export.chosen(["vdb"])
