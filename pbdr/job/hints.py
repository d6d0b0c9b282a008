"""What people write in their first job files: words of other tools, and keys in the wrong section."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ..errors import closest

_STEPS = "the number of steps is [optim] steps = 400"
_RATE = "a learning rate belongs to each variable: [vars.NAME] lr = 0.02"
_SPP = "samples per pixel are [render] spp = 16"
_VARIABLES = 'what is estimated is a table for each variable: [vars.albedo] match = "object/base_color"'
_OUTPUT = 'results go below [output] dir = "runs"'
_PRIOR = "what is added to the loss belongs to a variable: [vars.NAME] prior = { tv = 1e-3 }"
_IMAGES = 'images are [data] cameras = "transforms.json", or images = "photos/*.png" with cameras = "scene"'
_SCENE = 'the scene is [scene] file = "scene.xml"'
_DEPTH = 'how it is rendered is [render] integrator = { type = "pathspace", max_depth = 6 }'

#: Words of other tools → what is meant here. Letters are small, "-" is "_".
FOREIGN: dict[str, str] = {
    **dict.fromkeys(("lr", "learning_rate", "learningrate", "base_lr", "lr_init", "step_size"), _RATE),
    **dict.fromkeys(
        ("iterations", "iteration", "iters", "n_iters", "n_iter", "num_iterations", "max_iterations", "max_iter", "niter",
         "max_steps", "num_steps", "n_steps"), _STEPS
    ),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs"), f"there are no epochs; {_STEPS}"),
    **dict.fromkeys(("batch_size", "batch", "n_views"), "views in each step are [optim] views_per_step = 4"),
    **dict.fromkeys(("samples", "samples_per_pixel", "sample_count", "n_samples"), _SPP),
    **dict.fromkeys(
        ("optimizer", "train", "training", "optimization", "optimisation", "fit"),
        'how it is optimised is [optim], with steps = 400 and optimiser = "adam"',
    ),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), 'it is [optim] lr_decay = "cosine"'),
    **dict.fromkeys(("loss_fn", "loss_function", "criterion", "objective"), 'the loss is [loss] image = "l1"'),
    **dict.fromkeys(("output_dir", "out_dir", "outdir", "out", "log_dir", "logdir", "save_dir", "results"), _OUTPUT),
    **dict.fromkeys(("save_every", "save_interval", "checkpoint_interval"), "it is [output] checkpoint_every = 100"),
    **dict.fromkeys(("log_every", "log_interval", "image_interval"), "it is [output] image_every = 50"),
    **dict.fromkeys(("device", "gpu", "cuda", "backend"), 'where it runs is [scene] variant = "auto"'),
    **dict.fromkeys(("scene_file", "scene_path", "xml"), _SCENE),
    **dict.fromkeys(("dataset", "data_dir", "image_dir", "images_dir", "camera", "sensors", "views"), _IMAGES),
    **dict.fromkeys(("ground_truth", "gt", "reference", "ref"), '[data] target = "truth.xml" is a scene, images are files'),
    **dict.fromkeys(("val", "validation", "test", "test_every", "split", "val_split"), 'it is [data] holdout = "every:8"'),
    **dict.fromkeys(("params", "parameters", "param", "variables", "variable", "var", "optimize", "unknowns"), _VARIABLES),
    **dict.fromkeys(("max_depth", "depth", "bounces"), _DEPTH),
    **dict.fromkeys(("regularization", "regularisation", "regularizer", "reg", "weight_decay", "priors"), _PRIOR),
    **dict.fromkeys(("early_stopping", "early_stop"), "it is [stop] patience = 60"),
    **dict.fromkeys(("resume", "ckpt", "checkpoint", "load_checkpoint"), "a run goes on by `pbdr resume RUN`"),
    **dict.fromkeys(("experiment", "experiment_name", "exp_name", "project", "title", "job"), 'it is name = "my-job"'),
}  # fmt: skip

#: Values of other tools → the closest thing here, for choices. Letters are small, "-" is "_".
VALUES: dict[str, str] = {
    **dict.fromkeys(("mse", "l2_loss", "mse_loss"), "l2"),
    **dict.fromkeys(("mae", "l1_loss"), "l1"),
    **dict.fromkeys(("dssim", "ssim_loss", "structural_similarity"), "ssim"),
    **dict.fromkeys(("mask", "alpha"), "silhouette"),
    **dict.fromkeys(("relative_mse", "rel_mse", "smape", "mape"), "relmse"),
    **dict.fromkeys(("gauss_newton", "gn", "levenberg_marquardt", "lbfgs", "least_squares"), "lm"),
    **dict.fromkeys(("sgd", "adamw", "momentum", "rmsprop"), "adam"),
    **dict.fromkeys(("logit", "logistic"), "sigmoid"),
    **dict.fromkeys(("log",), "exp"),
    **dict.fromkeys(("none", "identity", "linear", "clip"), "clamp"),
    **dict.fromkeys(("large_steps", "laplacian"), "largesteps"),
    **dict.fromkeys(("se(3)", "pose", "quaternion"), "se3"),
}

#: What a table that is not one should look like.
TABLES: dict[str, str] = {"integrator": '{ type = "pathspace", max_depth = 6 }', "define": "{ res = 256 }"}

#: What a key that is missing looks like.
MISSING: dict[str, str] = {
    "version": "begin the file with version = 1",
    "name": 'add name = "my-job" above the first section',
    "scene": 'add [scene] with file = "scene.xml"',
    "scene.file": 'add file = "scene.xml"',
    "data": 'add [data] with cameras = "transforms.json", or with target = "truth.xml" or images = "photos/*.png"',
    "vars": "say what is estimated: a table [vars.NAME] for each variable; `pbdr params SCENE` lists what there is; "
    "or [field], for a radiance field; or [gaussians]",
    "gauge.fix": 'add fix = "mean_luminance(object/base_color) = 0.5"',
}

#: Options that other commands have, for which `pbdr fit` has a command or a key.
FLAGS: dict[str, str] = {
    **dict.fromkeys(("dry-run", "dryrun", "check", "validate", "n"), "a dry run is `pbdr check JOB.toml`"),
    **dict.fromkeys(("resume", "continue"), "a run goes on by `pbdr resume RUN`"),
    **dict.fromkeys(("gpu", "cuda", "cpu"), "where it runs is --scene.variant auto"),
    **dict.fromkeys(("verbose", "quiet", "v", "q"), "progress goes to stderr, and to log.txt in the run directory"),
    **dict.fromkeys(("force", "overwrite"), "every run has a directory of its own; nothing is overwritten"),
    **dict.fromkeys(("viewer", "gui"), "`pbdr fit JOB.toml --view` opens the viewer on the job, `pbdr view RUN` on a run"),
}


def foreign(key: str) -> str:
    """What a word of another tool is called here; "" for other words."""
    return FOREIGN.get(key.lower().replace("-", "_"), "")


def meant(value: str, choices: Collection[str]) -> list[str]:
    """Return the closest of `choices`: what a word of another tool is called here, else what looks like it."""
    known = VALUES.get(value.lower().replace("-", "_").replace(" ", "_"), "")
    return [known] if known in choices else closest(value, choices)


def not_toml(text: str, message: str) -> str:
    """Return what to do about text that is not TOML, for the end of a message; "" where nothing is known.

    `message`: what the parser said, which ends in "(at line 4, column 8)".
    """
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return "It looks like a scene file: `pbdr init` writes a job for a scene"
    if start.startswith("{"):
        return "It looks like JSON: a job is a TOML file, which `pbdr init` writes for a scene or a transforms.json"
    place = re.search(r"at line (\d+)", message)
    lines = text.splitlines()
    line = lines[int(place[1]) - 1] if place and int(place[1]) <= len(lines) else ""
    _, equals, value = line.partition("=")
    if equals and '"' in value and "\\" in value:
        return "In double quotes, write \\\\ or / for the \\ of a path, or put it between single quotes"
    if equals and message.startswith("Invalid value") and re.match(r"\s*[A-Za-z./~]", value):
        return f'Text stands between quotes: {line.split("=")[0].strip()} = "{value.strip()}"'
    if message.startswith("Cannot overwrite"):
        return "The key, or the section, is given twice"
    return ""


def homes(sections: Iterator[tuple[str, list[str]]], key: str) -> list[str]:
    """Sections that have a key of this name."""
    return [name for name, keys in sections if key in keys]
