"""The Python example of README.md runs as it stands, and its two ways to one derivative agree."""

import numpy as np

import pbdr


def test_readme_example(root, monkeypatch):
    monkeypatch.chdir(root)
    (code,) = [block.split("```")[0] for block in (root / "README.md").read_text().split("```python\n")[1:]]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    through_image = np.array(names["slope"]).ravel()
    by_name = names["gradient"].total["red/base_color"]
    # 32 spp: the two estimates use independent seeds and scatter by about 3 %; all three are clearly negative
    assert np.all(through_image < 0)
    np.testing.assert_allclose(by_name, through_image, rtol=0.1)


def test_cornell_has_the_radiance_its_readme_states(root):
    scene = pbdr.load_scene(root / "scenes" / "cornell" / "scene.xml", define={"res": 64})
    image = np.array(pbdr.render(scene, spp=256, integrator={"type": "path", "max_depth": 4}))
    np.testing.assert_allclose(image.mean(axis=(0, 1)), [0.40, 0.32, 0.20], rtol=0.02)
