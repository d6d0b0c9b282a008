"""The job file: what is accepted, what it becomes, and the one line for every mistake."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbdr.errors import OptionError
from pbdr.job import toml
from pbdr.job.config import load_job, parse_job
from pbdr.job.overrides import parse_overrides, untested, wanted_variant

TEXT = """version = 1
name = "bunny"
[scene]
file = "scene.xml"
[data]
cameras = "transforms.json"
[optim]
steps = 10
[vars.albedo]
match = "mat/base_color"
lr = 1e-2
"""


def test_defaults_and_round_trip() -> None:
    job = parse_job(TEXT, "job.toml", {"data.background": [1, 1, 1], "vars.albedo.prior.tv": 0.1, "goal.psnr": 30})
    assert job.optim.steps == 10 and job.vars["albedo"].prior == {"tv": 0.1}
    assert job.data.background == (1.0, 1.0, 1.0)
    assert parse_job(toml.dumps(job.model_dump()), "again") == job


def test_the_documented_job_is_accepted() -> None:
    text = """version = 1
name = "bunny-material"
[scene]
file = "scene.xml"
define = { res = 256 }
variant = "auto"
[data]
cameras = "transforms.json"
color = "srgb"
mask = "alpha"
holdout = "every:8"
[render]
integrator = { type = "pathspace", max_depth = 4 }
spp = 16
spp_grad = 16
resolution = [{ step = 0, scale = 0.25 }, { step = 150, scale = 1.0 }]
[loss]
image = "l1"
[optim]
steps = 400
views_per_step = 4
seed = 0
lr_decay = "cosine"
[vars.albedo]
match = "mat-bunny/base_color"
texture = 512
map = "sigmoid"
bounds = [0.0, 1.0]
init = 0.5
lr = 2e-2
start = 0
prior = { tv = 1e-3 }
[gauge]
fix = "mean_luminance(mat-*/base_color) = 0.5"
[guard]
nonfinite = "skip"
max_skips = 5
[stop]
patience = 60
max_minutes = 30
[output]
dir = "runs"
image_every = 25
checkpoint_every = 100
"""
    job = parse_job(text, "job.toml")
    assert job.render.resolution[1].scale == 1.0 and job.stop.max_minutes == 30


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps", "stepz", "job.toml:8: [optim] has no key 'stepz'. Closest: 'steps'."),
        ("[optim]", "[optimm]", "job.toml:7: there is no section or key 'optimm'. Closest: 'optim'."),
        ("lr = 1e-2", "lrr = 1e-2", "job.toml:11: [vars.albedo] has no key 'lrr'. Closest: 'lr'."),
        ("lr = 1e-2", "prior = { tvv = 1 }", "job.toml:11: [vars.albedo.prior] has no key 'tvv'. Closest: 'tv'."),
        ("steps = 10", "steps = 0", "job.toml:8: [optim] steps = 0: input should be greater than or equal to 1"),
        ("steps = 10", "steps = 'ten'", "job.toml:8: [optim] steps = 'ten': input should be a valid integer"),
        ("steps = 10", "steps =", "not valid TOML"),
        ('"scene.xml"', "scene.xml", 'Text stands between quotes: file = "scene.xml"'),
        ('"scene.xml"', '"C:\\Users\\me.xml"', "put it between single quotes"),
        ("steps = 10", "steps = 10\nsteps = 11", "is given twice"),
        ("version = 1", "<scene>", "It looks like a scene file: `pbdr init` writes a job"),
        ("version = 1", '{"version": 1}', "It looks like JSON"),
        ("[optim]", "[loss]\nimage = 'MSE'\n[optim]", "Closest: 'l2'. Choices"),
        ("lr = 1e-2", "map = 'logit'", "Closest: 'sigmoid'. Choices"),
        ("[optim]", "[render]\nintegrator = 'path'\n[optim]", "it is a table, such as { type ="),
        ("steps = 10", "lr_decay = 'cosin'", "Closest: 'cosine'. Choices: cosine, none"),
        ("lr = 1e-2", "map = 'sigmoidd'", "Closest: 'sigmoid'"),
        ("lr = 1e-2", "lr = nan", "lr = nan: input should be a finite number"),
        ("lr = 1e-2", "lr = -1.0", "should be greater than 0"),
        ("lr = 1e-2", "bounds = [1.0, 0.0]", "not in increasing order"),
        ("lr = 1e-2", "bounds = [0, 1, 2]", "bounds"),
        ("lr = 1e-2", "init = 'grey'", "job.toml:11: [vars.albedo] init = 'grey'"),
        ('match = "mat/base_color"', "match = 3", "job.toml:10: [vars.albedo] match = 3"),
        ('match = "mat/base_color"', "", "give either match"),
        ("version = 1", "version = 2", "version = 2"),
        ("version = 1", "", "version is missing"),
        ('name = "bunny"', 'name = "../up"', "job.toml:2: name = '../up'"),
        ('cameras = "transforms.json"', 'cameras = "scene"', "neither is given"),
        ('cameras = "transforms.json"', 'target = "x.xml"\nimages = "y"', "both given: leave one out"),
        ('cameras = "transforms.json"', 'images = "y"\nfov = 50.0', "fov is that of a folder of images"),
        ('cameras = "transforms.json"', 'cameras = "t.json"\ntarget = "x.xml"', 'belongs to cameras = "scene"'),
        ("[optim]", "[goal]\nrmse = { albed = 0.1 }\n[optim]", "job.toml: [goal] rmse names the variable 'albed'"),
        ("[optim]", "[render]\nresolution = [{ step = 0, scale = 0.3 }]\n[optim]", "1 divided by a whole number"),
        ("[optim]", "[render]\nresolution = [{ step = 5, scale = 0.5 }]\n[optim]", "must start at 0"),
        ("[optim]", "[render]\nresolution = [{ step = 0, scal = 1.0 }]\n[optim]", "no key 'scal'. Closest: 'scale'"),
        ("[optim]", "[render]\nintegrator = { max_depth = 3 }\n[optim]", "needs its type"),
    ],
)
def test_mistakes_are_one_line_with_the_place(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(OptionError) as caught:
        parse_job(TEXT.replace(old, new, 1), "job.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value).lower()


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = TEXT.replace("version = 1\n", "epochs = 3\n").replace("steps = 10", "stepz = 10\nlr = 1")
    text = text.replace("lr = 1e-2", "lrr = -1\nprior = { tvv = 1 }").replace(
        'match = "mat/base_color"', "matchh = 'x'"
    )
    with pytest.raises(OptionError) as caught:
        parse_job(text, "job.toml", {"optim.spp": 3, "vars.albedo.start": -1})
    assert [str(error) for error in caught.value.all] == [
        "job.toml: version is missing: begin the file with version = 1",
        "job.toml:1: there is no section or key 'epochs'. Here there are no epochs; the number of steps is [optim] steps = 400.",
        "job.toml:8: [optim] has no key 'stepz'. Closest: 'steps'.",
        "job.toml:9: [optim] has no key 'lr'. Here a learning rate belongs to each variable: [vars.NAME] lr = 0.02.",
        "job.toml:11: [vars.albedo] has no key 'matchh'. Closest: 'match'.",
        "job.toml:12: [vars.albedo] has no key 'lrr'. Closest: 'lr'.",
        "job.toml:13: [vars.albedo.prior] has no key 'tvv'. Closest: 'tv'.",
        "command line, --optim.spp: [optim] has no key 'spp'. It belongs to [render].",
        "command line, --vars.albedo.start: [vars.albedo] start = -1: input should be greater than or equal to 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", "version = 1\nlearning-rate = 0.1", "Here a learning rate belongs to each variable: [vars.NAME] lr"),
        ("steps = 10", "iterations = 10", "[optim] has no key 'iterations'. Here the number of steps is [optim] steps"),
        ("version = 1", "version = 1\nspp = 4", "no section or key 'spp'. It belongs to [render]"),
        ("[optim]", "[optimizer]", "Here how it is optimised is [optim]"),
        ("[vars.albedo]", "[albedo]", "vars is missing: say what is estimated: a table [vars.NAME]"),
        ('[scene]\nfile = "scene.xml"', 'scene = "scene.xml"', "scene = 'scene.xml': this is a section, [scene]"),
    ],
)  # fmt: skip
def test_first_job_files(old: str, new: str, message: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    if "=" in new and new.startswith("scene"):  # a key before the sections
        text = new + "\n" + TEXT.replace(old, "", 1)
    with pytest.raises(OptionError) as caught:
        parse_job(text, "job.toml")
    assert any(message in str(error) for error in caught.value.all), [str(error) for error in caught.value.all]


def test_overrides_are_read_as_toml() -> None:
    words = [
        "--vars.albedo.lr",
        "1e-4",
        "--optim.steps=5",
        "--a.b",
        "[0, 1]",
        "--name",
        "x y",
        "--x",
        "-3",
        "--p",
        "true",
    ]
    assert parse_overrides(words) == {
        "vars.albedo.lr": 1e-4, "optim.steps": 5, "a.b": [0, 1], "name": "x y", "x": -3, "p": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], "is not an option"),
        (["--a"], "needs a value"),
        (["--a", "--b"], "--a"),
        (["--dry-run"], "pbdr check JOB.toml"),
        (["--optim.steps", "3", "--resume"], "pbdr resume RUN"),
    ],
)
def test_malformed_overrides(words: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_overrides(words)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optim.stepz": 3}, "command line, --optim.stepz: [optim] has no key 'stepz'. Closest: 'steps'."),
        ({"vars.albedo.lr": "fast"}, "command line, --vars.albedo.lr: [vars.albedo] lr = 'fast'"),
        ({"vars.albeda.lr": 0.1}, "there is no variable 'albeda'. Closest: 'albedo'."),
        ({"name.x": 1}, "'name' is a value, not a section"),
    ],
)
def test_wrong_overrides_are_blamed_on_the_command_line(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_job(TEXT, "job.toml", overrides)
    assert message in str(caught.value)


def test_a_new_variable_may_come_from_the_command_line() -> None:
    job = parse_job(TEXT, "job.toml", {"vars.rough.match": "mat/roughness", "vars.rough.lr": 0.1})
    assert job.vars["rough"].match == "mat/roughness"


@pytest.mark.parametrize(
    ("text", "overrides", "variant"),
    [
        ('[scene]\nvariant = "llvm_ad_rgb"', {}, "llvm_ad_rgb"),
        ('[scene]\nvariant = "llvm_ad_rgb"', {"scene.variant": "cuda_ad_rgb"}, "cuda_ad_rgb"),
        ("[scene]", {"scene.variant": "llvm_ad_rgb"}, "llvm_ad_rgb"),
        ('[scene]\nvariant = "metal_ad_rgb"', {}, "metal_ad_rgb"),
        ('[scene]\nvariant = "llvm_ad_spectral"', {}, "llvm_ad_spectral"),
        ('[scene]\nvariant = "llvm"', {}, "auto"),
        ("[scene]\nvariant = 3", {}, "auto"),
        ("scene = 3", {}, "auto"),
        ("not TOML", {}, "auto"),
    ],
)
def test_the_variant_is_found_before_the_job_is_checked(
    tmp_path: Path, text: str, overrides: dict[str, Any], variant: str
) -> None:
    (tmp_path / "job.toml").write_text(text)
    assert wanted_variant(tmp_path / "job.toml", overrides) == variant
    assert wanted_variant(tmp_path / "none.toml", {}) == "auto"


def test_untested_variants_are_told() -> None:
    assert untested("llvm_ad_rgb") == untested("cuda_ad_rgb") == ""
    assert "not tested in variant metal_ad_rgb" in untested("metal_ad_rgb") and "coefficients" in untested(
        "llvm_ad_spectral"
    )


def test_nothing_imports_mitsuba_before_the_backend_is_prepared(root: Path) -> None:
    """Dr.Jit looks for LLVM while it is imported."""
    program = "import sys; sys.argv = ['pbdr']; import pbdr.cli, pbdr.job.overrides; sys.exit('drjit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=60, check=False).returncode == 0


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    job, text = load_job("jobs/job.toml")
    assert text == TEXT
    assert job.scene.file == str(tmp_path / "jobs" / "scene.xml")
    assert job.data.cameras == str(tmp_path / "jobs" / "transforms.json")
    assert job.output.dir == str(tmp_path / "runs")


def test_missing_job_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "bunny.toml").write_text(TEXT)
    with pytest.raises(OptionError, match=r"buny\.toml: no such job file\. Closest there: 'bunny\.toml'"):
        load_job(tmp_path / "buny.toml")
    with pytest.raises(OptionError, match="pbdr resume"):
        load_job(tmp_path)


values = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.one_of(values, st.lists(values), st.dictionaries(st.text("abc_-.é", min_size=1), values)),
    )
)
def test_written_toml_reads_back(document: dict[str, Any]) -> None:
    read = tomllib.loads(toml.dumps(document))
    assert read == document
    assert all(math.copysign(1, read[k]) == math.copysign(1, v) for k, v in document.items() if isinstance(v, float))
