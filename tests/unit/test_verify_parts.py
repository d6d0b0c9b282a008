"""Parts of `pbdr verify` that need no rendering: directions, functionals, words, the page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from pbdr import page, verify_report
from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import Parameter
from pbdr.verify import Along, Estimate, Verification, diagnosis, directions, sources, statistics
from pbdr.verify.arguments import effort_of
from pbdr.verify.decision import Decision, Stream
from pbdr.verify.functionals import GLOBALS, Functionals, smooth_weights, tents
from pbdr.verify.result import Step
from validation.pages import Addresses

MESH = Parameter("m/positions", "m.vertex_positions", "positions", (5, 3), (-np.inf, np.inf), "mesh")
POSE = Parameter("m/pose", "m.to_world", "pose", (3, 4), (-np.inf, np.inf), "transform")
COLOR = Parameter("m/base_color", "m.reflectance", "base_color", (3,), (0.0, 1.0), "color")


def test_values_at_an_end_of_their_range(monkeypatch):
    """Differences keep to the range: black goes forwards, white backwards; what can only go the other way rests."""
    tangent = np.ones(3)
    for value, side, moved in (([0.2, 0.5, 0.8], 0, 3), ([0, 0, 0.5], 1, 3), ([1, 1, 0.5], -1, 3), ([0, 0, 1], 1, 2)):
        along, found = directions.feasible(np.array(value, float), tangent, (0.0, 1.0))
        assert (found, int(along.sum())) == (side, moved), value
        # One-sided differences go two steps far.
        monkeypatch.setattr(directions, "read", lambda scene, parameter, value=value: np.array(value, float))
        step = directions.longest_step(None, COLOR, along, found)
        ends = [np.array(value) + k * step * along for k in sources.stencil(found)]
        assert step > 0 and np.min(ends) >= 0 and np.max(ends) <= 1, value
    assert directions.feasible(np.zeros(3), -tangent, (0.0, 1.0))[1] == -1


@pytest.mark.parametrize("side", [0, 1, -1])
def test_differences_are_of_second_order(side):
    """x² is differentiated exactly; the error for x³ falls with the square of the step."""
    slope = lambda f, h: sum(w * f(1 + k * h) for k, w in sources.stencil(side).items()) / h  # noqa: E731
    assert slope(np.square, 0.1) == pytest.approx(2, rel=1e-12)
    errors = [slope(lambda x: x**3, h) - 3 for h in (0.1, 0.05)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_directions():
    assert directions.defaults(MESH) == ("x", "y", "z", "smooth") and directions.defaults(COLOR) == ("all",)
    assert (directions.direction(None, MESH, "y") == [0, 1, 0]).all()
    assert (directions.direction(None, MESH, "1,0.5,0") == [1, 0.5, 0]).all()
    assert (directions.direction(None, POSE, "z") == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]).all()
    assert (directions.direction(None, COLOR, "all") == 1).all()
    assert np.ptp(directions.direction(None, COLOR, "smooth")) > 0
    with pytest.raises(OptionError, match="smooth"):
        directions.direction(None, MESH, "sideways")
    with pytest.raises(ParameterError, match="no position"):
        directions.direction(None, COLOR, "x")
    with pytest.raises(ParameterError, match="2 numbers"):
        directions.direction(None, MESH, "1,2")


def test_random_directions(monkeypatch):
    """The same for a seed, another for another one; those of poses are rigid: what rotates stays a rotation, to first order."""
    turned = np.array([[0.0, -1, 0, 2], [1, 0, 0, 3], [0, 0, 1, 4]])
    monkeypatch.setattr(directions, "read", lambda scene, parameter: turned)
    monkeypatch.setattr(directions, "_size", lambda scene, parameter: 3.0)
    monkeypatch.setattr(directions, "of_sensor", lambda scene, parameter: scene == "sensor")
    for parameter in (COLOR, POSE):
        one = directions.direction(None, parameter, "random", 1)
        assert one.shape == parameter.shape and np.abs(one).max() == 1
        assert (one == directions.direction(None, parameter, "random", 1)).all()
        assert (one != directions.direction(None, parameter, "random", 2)).any()
    rotation, change = turned[:, :3], directions.direction(None, POSE, "random")[:, :3]
    assert np.abs(change).max() > 0.01
    np.testing.assert_allclose(change @ rotation.T + rotation @ change.T, 0, atol=1e-12)
    assert (directions.direction("sensor", POSE, "random")[:, :3] == 0).all()


@pytest.mark.parametrize("length", [4, 9, 16, 48])
def test_blocks_are_a_partition_of_unity(length):
    weights = tents(length)
    assert weights.sum(0) == pytest.approx(np.ones(length)) and (weights >= 0).all()


def test_functionals():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((1, 32, 48, 1)) + np.linspace(-3, 3, 48)[:, None]
    images = truth + 0.1 * rng.standard_normal((4, 32, 48, 3))
    look = Functionals.fitted(images)
    assert (
        set(np.unique(look.signs)) <= {-1.0, 0.0, 1.0}
        and (look.signs[:, 0] == -1).all()
        and (look.signs[:, -1] == 1).all()
    )
    a, b = look.summary(images[0]), look.summary(images[1])
    assert look.summary(2 * images[0] - images[1]) == pytest.approx(2 * a - b)  # linear
    assert a[0] > 0.9 * np.abs(a[GLOBALS:]).mean()  # nothing cancels
    assert look.apart.sum() == 25
    # Blocks said to be apart share no pixel.
    rows = tents(32)[::2] > 0
    assert (rows.sum(0) <= 1).all()
    weights = smooth_weights(32, 48, 3)
    assert weights.sum() == pytest.approx(1, abs=0.3) and weights.min() > 0


def decision(ours, reference, error=0.01, verdict="wrong", reason="globals", **rest):
    size = len(ours)
    difference = statistics.Difference(ours - reference, np.full(size, error), np.full(size, 20.0))
    return Decision(verdict, difference, np.zeros(size), abs(reference[0]), np.ones(2), np.ones(size - 2), 1.0, False,
                    reason=reason, **rest)  # fmt: skip


@pytest.fixture
def parts():
    rng = np.random.default_rng(1)
    found = {
        name: scale * rng.standard_normal(27) for name, scale in (("interior", 0.3), ("primary", 2.0), ("direct", 1.0))
    }
    return {**found, "indirect": np.zeros(27)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {**p, "direct": 0 * p["direct"]}, "about the size of the direct term"),
        (lambda p: {**p, "primary": -p["primary"]}, "primary term has the wrong sign"),
        (lambda p: {**p, "primary": 2 * p["primary"]}, "primary term is there twice"),
        (lambda p: {k: 1.03 * v for k, v in p.items()}, "1.03 times the right one"),
        (lambda p: {k: -v for k, v in p.items()}, "wrong sign everywhere"),
        (lambda p: {"interior": p["interior"]}, "about the size of the whole boundary term"),
        (lambda p: {"interior": 0 * p["interior"]}, "exactly zero"),
        (lambda p: {"interior": 1e-8 * p["primary"]}, "zero but for rounding"),
    ],
)
def test_the_cause_is_named(parts, change, words):
    right, ours = sum(parts.values()), sum(change(parts).values())
    assert words in diagnosis.cause(decision(ours, right), ours, right, parts, own=False)


def test_the_cause_within_pathspace_itself(parts):
    """Then the terms at hand are the wrong ones: what would make them right is named."""
    wrong = {**parts, "primary": -parts["primary"]}
    right, ours = sum(parts.values()), sum(wrong.values())
    assert "primary term looks as if its sign were wrong" in diagnosis.cause(
        decision(ours, right), ours, right, wrong, own=True
    )
    wrong = {**parts, "direct": 0.5 * parts["direct"]}
    ours = sum(wrong.values())
    assert "direct term looks to be 0.5 times" in diagnosis.cause(decision(ours, right), ours, right, wrong, own=True)


def test_a_quick_look_keeps_what_it_is_given():
    quick, full = effort_of(True, None, None, 64), effort_of(False, None, None, 64)
    assert (quick.budget, quick.tolerance, quick.resolution) == (0.5, 0.1, 16) and not quick.whole
    assert (full.budget, full.tolerance, full.resolution) == (20.0, 0.02, 64) and full.whole
    given = effort_of(True, 7.0, 0.03, 8)
    assert (given.budget, given.tolerance, given.resolution) == (7.0, 0.03, 8)
    assert effort_of(True, None, None, None).resolution == 16 and effort_of(False, None, None, None).resolution is None
    for wrong in ((0.0, None, 64), (None, 0.6, 64), (None, None, 3)):
        with pytest.raises(OptionError):
            effort_of(True, *wrong)


def test_shares_of_the_noise():
    rng = np.random.default_rng(1)
    ours, reference = Stream("a", lambda seed: seed), Stream("b", lambda seed: seed)
    ours.samples = [np.stack([rng.normal(1, 0.1, 3), rng.normal(1, 3.0, 3)]) for _ in range(400)]
    reference.samples = [rng.normal(1, 1.0, 3) for _ in range(400)]
    found = diagnosis.noise(decision(np.ones(10), np.ones(10)), ours, reference, ("interior", "direct"))
    assert found["direct"] == pytest.approx(0.9, abs=0.03) and sum(found.values()) == pytest.approx(1)


def test_words():
    ours, right = np.full(10, 1.5), np.ones(10)
    assert (
        diagnosis.words(decision(ours, right), 0.02, 20, (0.1, 0.05)) == "wrong: +50 % ± 1 % of the derivative's size"
    )
    noisy = decision(ours, right, verdict="undecided", reason="noise", needed=9.2)
    assert diagnosis.words(noisy, 0.02, 20, (0.1, 0.05)).endswith("raise --budget to about 190 s")
    # Where time alone would take hours, the text says what else would help, by where the noise is from.
    hopeless = decision(ours, right, verdict="undecided", reason="noise", needed=4150.0)
    shares = {"interior": 0.1, "indirect": 0.8, "finite differences": 0.1}
    text = diagnosis.words(hopeless, 0.02, 20, (0.1, 0.05), shares)
    assert "83000" not in text and "about 23 hours" in text and "80 % of the noise is that of the indirect term" in text
    assert "--option n_indirect" in text and "--tolerance 0.24 with --budget 600" in text and "--resolution 16" in text
    text = diagnosis.words(hopeless, 0.1, 20, (0.1, 0.05), {"finite differences": 0.9, "total": 0.1})
    assert "90 % of the noise is that of the finite differences: a longer --step" in text and "--tolerance" not in text
    assert set(sources.TERMS) | {diagnosis.DIFFERENCES, "total"} == set(diagnosis.LESS_NOISE)
    fine = decision(right, right, verdict="agrees", reason="")
    assert diagnosis.words(fine, 0.02, 20, (0.1, 0.05)).startswith("agrees within 2 %")


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((12, 16, 3))
    blocks = {name: rng.standard_normal((9, 9)) for name in ("ours", "reference")} | {"error": np.full((9, 9), 0.5)}
    ours, reference = (Estimate(name, 1.0, 0.01, 1e-3, 0.5, 10, 64) for name in ("ours", "reference"))
    one = Along(
        "x", "wrong", "wrong: −38 % ± 1 %; the missing part is about the size of the direct term", -0.38, 0.01, 1.0,
        ours, reference,
        [Estimate("direct", 0.4, 0.01, 1e-3, 0.5, 10, 64)], "pathspace", [Step(0.1, 1.0, 0.1, True), Step(0.05, 1.0, 0.1)], True,
        (1.0, 1.1, 0.01), (3, 4, 0.5, 0.1), 1e-9, 1e-12, True, 1.0, 0.002, 0.5, False,
        {"status": "refused", "boundary": "warp", "reason": "<no warp>"},
        {"ours": image, "reference": image, "difference": 0 * image}, blocks,
    )  # fmt: skip
    return Verification("<b>.xml", "box/positions", {"type": "prb", "max_depth": 2}, {"type": "path", "max_depth": 2}, (16, 12),
                        0.02, 20.0, 12.0, 0, [one])  # fmt: skip


def test_the_page_is_one_file_and_says_what_was_found(found):
    text = verify_report.build(found)
    parser = Addresses()
    parser.feed(text)
    assert parser.open == [] and parser.found and all(a.startswith("data:") for a in parser.found)
    for words in (
        "Wrong",
        "size of the direct term",
        "prb (max_depth = 2)",
        "warp not available: &lt;no warp&gt;",
        "medians of means",
    ):
        assert words in text, words
    assert "&lt;b&gt;" in text and "<script" not in text
    assert "Along x" not in text and "Direction: x" in text


def test_json(found):
    record = json.loads(json.dumps(found.to_dict()))
    assert record["verdict"] == "wrong" and record["along"][0]["ours"]["efficiency"] == pytest.approx(2000)
    assert "images" not in record["along"][0] and len(record["along"][0]["blocks"]["ours"]) == 9


def test_the_worst_direction_decides(found):
    import dataclasses

    good = dataclasses.replace(found.along[0], name="y", verdict="agrees", text="agrees within 2 %")
    noisy = dataclasses.replace(found.along[0], name="z", verdict="undecided", text="too noisy")
    assert dataclasses.replace(found, along=[good, good]).ok
    assert dataclasses.replace(found, along=[good, noisy]).text == "along z: too noisy"
    assert dataclasses.replace(found, along=[good, noisy, found.along[0]]).verdict == "wrong"


def test_signed_colours():
    image = np.array([[-1.0, 0.0, 1.0, 9.0]])
    low, middle, high, above = page.signed_pixels(image, 1.0)[0]
    assert low[2] > low[0] and high[0] > high[2] and tuple(high) == tuple(above) and middle.min() > 240
    assert len(re.findall("rgb", page.signed_css())) == 9
    assert page.signed_limit(np.zeros((2, 2))) == 1.0


def test_image_files(tmp_path):
    image = np.random.default_rng(0).standard_normal((8, 10, 3))
    entries = verify_report.write_images(tmp_path / "g", "x", {"direct": image, "total": 2 * image}, many=True)
    assert [entry["term"] for entry in entries] == ["direct", "total"]
    assert sorted(p.name for p in (tmp_path / "g").iterdir()) == [
        "x-direct.exr",
        "x-direct.png",
        "x-total.exr",
        "x-total.png",
    ]
    import mitsuba as mi

    assert np.array(mi.Bitmap(entries[0]["exr"])) == pytest.approx(image, abs=1e-6)


def test_pictures_of_the_explanation_are_there_and_small(root):
    folder = root / "docs" / "explanation"
    names = set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", (folder / "gradients.md").read_text()))
    assert names == {"samples.png", "split.png"} and all(
        f'"{name}"' in (folder / "gradients.py").read_text() for name in names
    )
    assert sum((folder / name).stat().st_size for name in names) < 200_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wrong: -38 % ± 1 %; the direct-light term", "−38 % ± 1 %; the direct-light term"),
        ("along x: agrees within 2 %: +1 %", "Along x: within 2 %: +1 %"),
        ("wrong in parts of the image", "In parts of the image"),
        ("too noisy to decide (-1 %)", "Too noisy to decide (−1 %)"),
    ],
)
def test_sentences_of_the_page(text, shown):
    assert verify_report._sentence(text) == shown


def test_blends_are_differenced_without_their_density():
    """Mitsuba's `path` is biased where a `blendbsdf` is; emitter samples alone are not, but miss mirrors and longer paths."""
    from pbdr.scene import load_scene
    from validation.scenes import zoo

    blended, plain = (load_scene(zoo.scene(zoo.MATERIALS[name]())) for name in ("blend", "plastic"))
    assert sources.primal_of({"max_depth": 2}, scene=blended) == sources.UNWEIGHED
    assert sources.primal_of({"max_depth": 2}, scene=plain) == {"type": "path", "max_depth": 2}
    mirror = {"type": "sphere", "center": [2, 0, 0.5], "bsdf": {"type": "conductor"}}
    both = load_scene({**zoo.scene(zoo.MATERIALS["blend"]()), "mirror": mirror})
    assert sources.primal_of({"max_depth": 2}, scene=both)["type"] == "path"
    assert sources.primal_of({"max_depth": 3}, scene=blended)["type"] == "path"
    assert sources.primal_of({"max_depth": 2}, "prb", blended)["type"] == "prb"
