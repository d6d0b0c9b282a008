"""A first job file for a scene and its images: what `pbdr init` writes, with a comment for each key."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Frame, find_images, formats, load_image
from ..data.formats.folder import Folder
from ..data.formats.mitsuba import Sensors
from ..errors import DataError, OptionError, closest
from ..parameters import Parameter, list_parameters, of_sensor, read
from ..parameters.probing import probe_sensors
from ..parameters.roles import Kind, Role, preset
from ..scene import Scene, load_object, load_scene
from . import cameras, toml
from .config import DataSection, OptimSection, OutputSection, RenderSection, SceneSection, Section, VarSection

#: What can be estimated, in the order of the file.
KINDS = ("material", "light", "shape", "camera")
NAMES = {"base_color": "albedo", "radiance": "light", "positions": "shape"}  # of variables, where the role's is not
MAP = Role("", Kind.OTHER).map  # of roles that have none of their own: geometry of these is not moved unasked
LONGEST = 8  # names in a list, beyond which a glob stands for them
COLUMN, WIDTH = 34, 110  # where comments begin, and lines end


#: Formats whose images are another question: a scene's sensors, and images that one camera has taken.
NOT_NAMED = (Sensors, Folder)


@dataclass(frozen=True)
class Sources:
    """Files of a job. `cameras`: a transforms.json, a COLMAP folder, or None for the scene's sensors; then `images` or `target`."""

    scene: Path
    cameras: Path | None = None
    images: str | None = None
    target: Path | None = None
    notes: list[str] = field(default_factory=list)


def find_sources(
    source: Path, scene: Path | None = None, images: str | None = None, target: Path | None = None
) -> Sources:
    """What belongs to a scene file, a transforms.json, or a folder that holds them. Raises DataError, OptionError."""
    if not source.exists():
        there = source.parent.iterdir() if source.parent.is_dir() else ()
        near = closest(source.name, [p.name for p in there if p.is_dir() or p.suffix == source.suffix])
        raise DataError(f"{source}: no such file or folder." + (f" Closest there: '{near[0]}'." if near else ""))
    folder = source if source.is_dir() else source.parent
    if source.suffix.lower() == ".xml":
        scene = scene or source
    found = scene or _scene_in(folder)
    loaded = load_scene(found, sensor_required=False)
    posed = source if source.suffix.lower() == ".json" else None
    if posed is None and images is None and target is None and source.is_dir():
        places = [folder / name for name in ("transforms.json", "transforms_train.json", "sparse/0", "sparse", ".")]
        posed = next((p for p in places if p.exists() and _names_images(p)), None)
    if posed is not None:
        return Sources(found, posed)
    if not loaded.sensors:
        raise DataError(
            f"{found} has no sensor, and there is no transforms.json or sparse/0 in {folder}: give the folder that holds cameras"
        )
    if images is None and target is None and source.is_dir():
        images = next((str(p) for p in (folder / "images", folder) if _enough(p, len(loaded.sensors))), None)
    if images is not None or target is not None:
        return Sources(found, None, images, target)
    note = (
        "no images were given: the scene itself is the target, so that the job tries whether its own values are found again. "
        'For photographs, use images = "photos/*.png" instead of target, one for each sensor'
    )
    return Sources(found, None, None, found, [note])


def _names_images(path: Path) -> bool:
    """Whether a path holds cameras that know their images."""
    return any(entry.claims(path) and not isinstance(entry, NOT_NAMED) for entry in formats.FORMATS)


def _enough(folder: Path, sensors: int) -> bool:
    """Whether a folder has an image for each sensor, or any number for a single one."""
    found = len(find_images(str(folder.resolve()))) if folder.is_dir() else 0
    return found > 0 and sensors in (1, found)


def _scene_in(folder: Path) -> Path:
    every = sorted(folder.glob("*.xml"))
    if (folder / "scene.xml").is_file():
        return folder / "scene.xml"
    if len(every) != 1:
        what = f"{len(every)} scene files ({', '.join(p.name for p in every[:4])})" if every else "no scene file (.xml)"
        raise OptionError(
            f"{folder} holds {what}: say which by --scene; it holds the geometry, and materials and lights to start from"
        )
    return every[0]


def write(sources: Sources, wanted: Sequence[str], out: Path, *, probe: bool = True) -> tuple[str, list[str]]:
    """The text of a job file that lies at `out`, and notes. OptionError where nothing can be estimated; SceneError, DataError."""
    scene = load_scene(sources.scene, sensor_required=sources.cameras is None)
    seen = _seen(sources, scene)
    depth = int(scene.integrator_options().get("max_depth", 6))
    notes = list(sources.notes)
    if seen.frames and list(wanted) == ["camera"]:
        scene = cameras.inserted(scene, seen.frames, str(sources.cameras))
    elif seen.frames and "camera" in wanted:
        wanted = [kind for kind in wanted if kind != "camera"]
        notes.append(
            f"cameras of {sources.cameras} are taken for known; --estimate camera makes a job that estimates them"
        )
    chosen = _chosen(scene, wanted)
    if probe:
        chosen, left_out = _probed(scene, chosen, seen.sensors, depth)
        if left_out:
            notes.append(f"no gradient reaches {', '.join(left_out[:6])} in the views looked at: left out")
    if not chosen:
        raise OptionError(
            f"{sources.scene} has no {' or '.join(wanted)} that can be estimated; all it has: pbdr params {sources.scene}"
        )
    text = "\n".join(
        [
            *_head(out, sources), *_scene_and_data(sources, out, seen), *_how(depth, seen.views),
            *_variables(scene, chosen, sources), *_tail(scene, chosen, sources), "",
        ]
    )  # fmt: skip
    return text, notes


@dataclass(frozen=True)
class Seen:
    """What there is to see: whether images have an alpha channel that varies, how many views, their sensors, missing frames."""

    masked: bool
    views: int
    sensors: list[Any]
    missing: bool = False
    frames: Sequence[Frame] = ()


def _seen(sources: Sources, scene: Scene) -> Seen:
    if sources.cameras is not None:
        found, missing = _frames(sources.cameras)
        first = load_image(found[0].path)
        sensors = [load_object(f.camera.to_dict()) for f in found if f.camera is not None]
        return Seen(_alpha(first), len(found), sensors, missing, found)
    files = find_images(str(Path(sources.images).resolve())) if sources.images else []
    return Seen(bool(files) and _alpha(load_image(files[0])), len(files) or len(scene.sensors), scene.sensors)


def _frames(path: Path) -> tuple[list[Frame], bool]:
    """The frames, and whether some were left out because their images are missing."""
    try:
        return formats.read(formats.Source(path, tell=lambda _: None)), False
    except DataError:
        return formats.read(formats.Source(path, missing="skip", tell=lambda _: None)), True


def _alpha(image: Any) -> bool:
    return image.alpha is not None and float(np.ptp(image.alpha)) > 0


def _chosen(scene: Scene, wanted: Sequence[str]) -> list[Parameter]:
    """Parameters of the kinds that are wanted."""
    every = [p for p in list_parameters(scene) if p.kind != "integer"]
    lamps = {str(shape.id()) for shape in scene.mi.shapes() if shape.is_emitter()}
    names = {
        kind: {row.name for row in preset(name)} for kind, name in (("material", "materials"), ("light", "lighting"))
    }
    sensors = {p.name for p in every if of_sensor(scene, p)}
    still = [p for p in every if p.name not in sensors and p.name.split("/")[0] not in lamps]
    moving = [p for p in still if p.row.surface] or [
        p for p in still if p.row.kind is Kind.GEOMETRY and p.row.map != MAP
    ]
    found = {
        "material": [p for p in every if p.role in names["material"]],
        "light": [p for p in every if p.role in names["light"]],
        "shape": moving,
        "camera": [p for p in every if p.name in sensors and p.kind == "transform"],
    }
    return [p for kind in KINDS if kind in wanted for p in found[kind]]


def _probed(scene: Scene, chosen: list[Parameter], sensors: list[Any], depth: int) -> tuple[list[Parameter], list[str]]:
    """Those that a gradient reaches in one of a few views, and the names of the others."""
    # Every camera is seen by its own view alone, so that none is left out here.
    cameras = {p.name for p in chosen if of_sensor(scene, p)}
    others = [p for p in chosen if p.name not in cameras]
    seen = probe_sensors(scene, others, sensors=sensors, integrator={"type": "pathspace", "max_depth": depth})
    kept = [p for p in chosen if seen.get(p.name) or p.name in cameras]
    return kept, [p.name for p in chosen if p not in kept]


# --- text ----------------------------------------------------------------------------------------------------------------


def _line(section: type[Section], key: str, value: Any, *, off: bool = False, more: str = "") -> str:
    """`key = value   # what it means`, of which the meaning is that of the model; `off`: as a comment."""
    text = ("# " if off else "") + f"{key} = {toml.inline(value)}"
    return _commented(text, more or first_sentence(section.model_fields[key].description or ""))


def _commented(text: str, meaning: str) -> str:
    """A line with its comment beside it, or above it where that would be too long."""
    beside = f"{text.ljust(COLUMN)}  # {meaning}"
    return beside if len(beside) <= WIDTH else "\n".join([*_comment(meaning), text])


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def first_sentence(text: str) -> str:
    """The first sentence of a description, on one line."""
    plain = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"\1 are in docs/reference/\2", text)  # a link of Markdown
    return re.split(r"(?<=[.!?])\s+(?=[A-Z\"`\[])", " ".join(plain.split()))[0]


def _beside(path: str | Path, out: Path) -> str:
    """A path relative to the job's folder."""
    return Path(os.path.relpath(Path(path).resolve(), out.resolve().parent)).as_posix()


def _head(out: Path, sources: Sources) -> list[str]:
    stem = out.stem if out.stem != "job" else sources.scene.resolve().parent.name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:80] or "job"
    return [
        f"# `pbdr check {out.name}` looks at it without fitting anything; `pbdr fit {out.name}` runs it.",
        "# Every key: docs/reference/job.md.",
        *[line for note in sources.notes for line in _comment(f"Note: {note}.")],
        "version = 1", f'name = "{name}"',
    ]  # fmt: skip


def _scene_and_data(sources: Sources, out: Path, seen: Seen) -> list[str]:
    lines = ["", "[scene]", _line(SceneSection, "file", _beside(sources.scene, out)), "", "[data]"]
    if sources.cameras is not None:
        lines += [
            _line(DataSection, "cameras", _beside(sources.cameras, out)),
            _line(DataSection, "missing", "skip", off=not seen.missing),
        ]
    elif sources.images is not None:
        lines += [_line(DataSection, "cameras", "scene"), _line(DataSection, "images", _beside(sources.images, out))]
    else:
        lines += [
            _line(DataSection, "cameras", "scene"), _line(DataSection, "target", _beside(str(sources.target), out)),
            _line(DataSection, "target_spp", DataSection.model_fields["target_spp"].default),
        ]  # fmt: skip
    if sources.target is None:
        lines += [
            _line(DataSection, "color", "srgb", off=True),
            _line(DataSection, "mask", "alpha", off=not seen.masked),
        ]
    return [*lines, _line(DataSection, "holdout", "every:8", off=seen.views < 8)]


def _how(depth: int, views: int) -> list[str]:
    tracer = {"type": "pathspace", "max_depth": depth}
    schedule = [{"step": 0, "scale": 0.5}, {"step": 150, "scale": 1.0}]
    default = OptimSection.model_fields["views_per_step"].default
    return [
        "", "[render]", _line(RenderSection, "integrator", tracer), _line(RenderSection, "spp", 16),
        _line(RenderSection, "resolution", schedule, off=True),
        "", "[loss]", _commented('image = "auto"', "Or l1, which single wrong pixels disturb less."),
        "", "[optim]", _line(OptimSection, "steps", OptimSection.model_fields["steps"].default),
        _line(OptimSection, "views_per_step", min(default, views)), _line(OptimSection, "seed", 0, off=True),
    ]  # fmt: skip


def _variables(scene: Scene, chosen: list[Parameter], sources: Sources) -> list[str]:
    lines: list[str] = []
    for role, camera in dict.fromkeys((p.role, of_sensor(scene, p)) for p in chosen):
        own = [p for p in chosen if p.role == role and of_sensor(scene, p) == camera]
        lines += ["", f"[vars.{'camera' if camera else NAMES.get(role, role)}]"]
        lines.append(_line(VarSection, "match", _match(scene, own)))
        row = own[0].row
        if row.preset == "materials" and row.kind is Kind.COLOR:
            lines.append(_line(VarSection, "texture", 256, off=True))
        start = _start(scene, own, sources)
        if start is not None or row.preset:
            lines.append(_line(VarSection, "init", 0.5 if start is None else start, off=start is None))
        lines.append(_line(VarSection, "lr", row.lr, off=True))
        if row.preset == "materials":
            lines.append(_line(VarSection, "prior", {"tv": 1e-3}, off=True))
    return lines


def _match(scene: Scene, own: list[Parameter]) -> str | list[str]:
    """Names, or a glob where there are many and it means the same."""
    names = [p.name for p in own]
    every = [p.name for p in list_parameters(scene) if p.name.endswith("/" + own[0].role)]
    if len(names) == 1:
        return names[0]
    if len(names) > LONGEST and all(name.startswith(cameras.PREFIX) for name in names):
        return f"{cameras.PREFIX}*/{own[0].role}"
    return f"*/{own[0].role}" if len(names) > LONGEST and set(every) == set(names) else names


def _start(scene: Scene, own: list[Parameter], sources: Sources) -> float | None:
    """A value to start from that is not the truth, where the scene is its own target."""
    if sources.target is None or sources.target.resolve() != sources.scene.resolve():
        return None
    if own[0].row.preset == "materials":
        return 0.5
    if own[0].row.preset == "lighting":
        mean = float(np.mean([np.mean(read(scene, p)) for p in own]))
        return float(f"{0.5 * mean:.2g}") if mean > 0 else 1.0
    return None


def _tail(scene: Scene, chosen: list[Parameter], sources: Sources) -> list[str]:
    albedos = [p for p in chosen if p.row.albedo]
    lines: list[str] = []
    if albedos and any(p.row.emitted for p in chosen):
        start = _start(scene, albedos, sources)
        mean = float(np.mean([np.mean(read(scene, p)) for p in albedos])) if start is None else start
        match = _match(scene, albedos)
        names = match if isinstance(match, str) else ", ".join(match)
        lines += [
            "", "[gauge]", f'fix = "mean_luminance({names}) = {mean:.2g}"',
            "# Images show the product of albedo and light only: this says how bright the albedos are.",
        ]  # fmt: skip
    return [
        *lines,
        "",
        "[output]",
        _line(OutputSection, "dir", "runs"),
        _line(OutputSection, "image_every", 50, off=True),
    ]
