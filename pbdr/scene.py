"""Loading scenes so that every parameter can be named and differentiated.

Mitsuba's own loader merges shapes, names objects by their address and keeps 8-bit textures as integers. Here nothing
is merged, every object has a deterministic id, and 8-bit textures become floats.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mitsuba as mi

from pbdr import errors, shown
from pbdr.environments import check_texels
from pbdr.errors import DataWarning, PbdrError, SceneError, closest, no_scene, unusual
from pbdr.preview import preview
from pbdr.transforms import check_transforms

#: Properties that hold the path of a file.
FILE_PROPERTIES = frozenset({"filename", "volume_filename"})
#: The plugin of media that shine (pbdr/transport/media/emissive.py).
EMISSIVE = "emissive"


@dataclass(eq=False)
class Scene:
    """A loaded scene, and the recipe it can be built from again after an edit.

    `mi` is the Mitsuba scene, `source` what it was loaded from (a path, or `<dict>`, `<xml>`). `named` holds the ids
    that parameter names are made of, in scene order. `notes` say what was changed on loading. `kept`: what is found of the scene in
    one call and may still hold in the next, by name; who keeps something asks whether it does.
    """

    mi: Any
    source: str
    named: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _config: Any = field(default=None, repr=False)
    _state: Any = field(default=None, repr=False)
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def integrator(self) -> Any:
        """The integrator of the scene file, a `mitsuba.Integrator`, or None."""
        return self.mi.integrator()

    @property
    def sensors(self) -> list[Any]:
        """The sensors of the scene file, in order."""
        return list(self.mi.sensors())

    def integrator_options(self) -> dict[str, Any]:
        """Options that the scene file gives its integrator; empty without one."""
        for node in self._state.nodes if self._state is not None else ():
            if node.type == mi.ObjectType.Integrator:
                return {name: node.props[name] for name in node.props.keys()}
        return {}

    def edited(self, edit: Callable[[Any], None]) -> Scene:
        """Return a new scene built from this one's recipe after `edit(state)` changed a copy of the parser state.

        Values that were written to the old scene's parameters are not in the recipe and are not carried over.
        """
        if self._state is None:
            raise SceneError(f"{self.source} cannot be rebuilt: it was not loaded by pbdr.load_scene")
        state = mi.parser.ParserState(self._state)
        edit(state)
        return Scene(
            _instantiate(self._config, state, self.source), self.source, self.named, self.notes, self._config, state
        )

    def node(self, object_id: str) -> Any:
        """Return the parser node (type, props) of the object with this id, or None."""
        if self._state is not None:
            for node in self._state.nodes:
                if node.props.id() == object_id:
                    return node
        return None

    def _repr_html_(self) -> str:
        """For notebooks: what is in the scene, and a small picture by Mitsuba's path tracer where its sensor and variant allow."""
        kinds = (("shape", self.mi.shapes()), ("light", self.mi.emitters()), ("sensor", self.sensors))
        facts = [", ".join(f"{len(found)} {kind}{'s' * (len(found) != 1)}" for kind, found in kinds), *self.notes]
        pictures = []
        if self.sensors and mi.is_rgb:
            with contextlib.suppress(RuntimeError, TypeError):  # sensors without rays of their own, such as `batch`
                path = integrator_of(self, {"type": "path", "max_depth": 4})
                pictures.append([("as the first sensor sees it", shown.png(preview(self.mi, self.sensors[0], path)))])
        return shown.fragment(f"Scene {self.source}", facts, pictures)


def mitsuba_scene(scene: Any) -> Any:
    """Return the `mitsuba.Scene` of a `Scene` or of a `mitsuba.Scene`; SceneError for anything else."""
    if isinstance(scene, Scene):
        return scene.mi
    if isinstance(scene, mi.Scene):
        return scene
    raise SceneError(f"expected a scene from pbdr.load_scene or a mitsuba.Scene, got {type(scene).__name__}")


def load_scene(
    source: str | Path | dict[str, Any], *, define: Mapping[str, Any] | None = None, sensor_required: bool = True,
    clamp: bool = True, emitter_required: bool = True,
) -> Scene:  # fmt: skip
    """Load a Mitsuba scene from an XML file, an XML string or a dictionary.

    `define` sets the `$name` defaults of an XML file, as `mitsuba -D` does. A scene without a sensor is refused
    unless `sensor_required` is false (its cameras then come from elsewhere), one without an emitter unless `emitter_required` is.

    Negative texels of environments and of lights' textures are taken for 0 and told in a DataWarning; `clamp=False` keeps them.
    Images with texels that are not finite are refused.

    Objects without an id get `<plugin>-<n>`, counted per plugin in file order. Relative file names are resolved
    against the file that mentions them, then against the working directory. Raises SceneError.
    """
    config = mi.parser.ParserConfig(mi.variant())
    config.merge_equivalent = False
    config.merge_meshes = False
    label = _label(source)
    try:
        state = _parse(config, source, dict(define or {}))
        _resolve_files(state, label)
        mi.parser.transform_all(config, state)
    except RuntimeError as error:
        raise SceneError(f"{label}: {_reason(error)}") from None
    root = state.nodes[0]
    if root.type != mi.ObjectType.Scene:
        raise SceneError(f"{label} describes a {root.props.plugin_name()!r}, not a scene: its root must be a scene")
    _exact_textures(state)
    named = _name_objects(state)
    check_transforms(state, label)
    notes = check_texels(state, label, clamp)
    for note in notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    scene = Scene(_instantiate(config, state, label), label, named, notes, config, state)
    if emitter_required and not scene.mi.emitters() and not _shines(state):
        raise SceneError(f"{label} has no emitter, so every image of it is black: add one, for example 'constant'")
    if sensor_required and not scene.mi.sensors():
        raise SceneError(f"{label} has no sensor: add one, for example 'perspective', or give cameras")
    return scene


def _shines(state: Any) -> bool:
    """Whether there is a medium that is a light, which Mitsuba does not count among them."""
    return any(node.props.plugin_name() == EMISSIVE for node in state.nodes)


def load_object(description: Mapping[str, Any]) -> Any:
    """Build one Mitsuba object (sensor, integrator, shape, …) from its dictionary; SceneError if it is wrong."""
    try:
        return mi.load_dict(dict(description), optimize=False)
    except RuntimeError as error:
        raise _own(error) or SceneError(f"{description.get('type', 'object')!s}: {_reason(error)}") from None


def integrator_of(scene: Any, integrator: Any = None) -> Any:
    """Return `integrator` as a `mitsuba.Integrator`: given as one, as a dictionary, or None for plain `pathspace`."""
    if isinstance(integrator, mi.Integrator):
        return integrator
    if integrator is None:
        return load_object({"type": "pathspace"})
    if isinstance(integrator, Mapping):
        return load_object(integrator)
    raise SceneError(f"an integrator is a dictionary or a mitsuba.Integrator, not {type(integrator).__name__}")


def sensor_of(scene: Any, sensor: Any) -> Any:
    """Return a `mitsuba.Sensor` given as one or as its index in the scene."""
    if isinstance(sensor, mi.Sensor):
        return sensor
    sensors = mitsuba_scene(scene).sensors()
    if not isinstance(sensor, int) or not 0 <= sensor < len(sensors):
        raise SceneError(f"sensor {sensor!r} does not exist: the scene has {len(sensors)} sensor(s), counted from 0")
    return sensors[sensor]


# ---- internals ---------------------------------------------------------------------------------------------------


def _label(source: Any) -> str:
    if isinstance(source, dict):
        return "<dict>"
    return "<xml>" if _is_xml(source) else str(source)


def _is_xml(source: Any) -> bool:
    return isinstance(source, str) and source.lstrip().startswith("<")


def _parse(config: Any, source: Any, define: dict[str, Any]) -> Any:
    if isinstance(source, dict):
        if define:
            raise SceneError("define is for XML scenes: a dictionary holds its values already")
        return mi.parser.parse_dict(config, source)
    values = {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in define.items()}
    if _is_xml(source):
        return mi.parser.parse_string(config, source, **values)
    if not isinstance(source, str | Path):
        raise SceneError(f"a scene is a path, an XML string or a dictionary, not {type(source).__name__}")
    path = Path(source)
    if not path.exists():
        near = closest(path.name, [p.name for p in path.parent.glob("*.xml")] if path.parent.is_dir() else [])
        raise SceneError(f"scene file {path} does not exist." + (f" Closest: {', '.join(near)}." if near else ""))
    if wrong := unusual(str(path.resolve())) or no_scene(path):
        raise SceneError(wrong)
    _check_encoding(path)
    return mi.parser.parse_file(config, str(path.resolve()), **values)


def _check_encoding(path: Path) -> None:
    """SceneError for bytes that are no text in the encoding that XML has without a declaration or a mark."""
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or re.match(rb"(\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}encoding", data):
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SceneError(
            f"{path}:{line}: the byte 0x{data[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
        ) from None


def _instantiate(config: Any, state: Any, label: str) -> Any:
    # A copy: the parser keeps what it built in the state it was given and would return it again after an edit.
    copy = mi.parser.ParserState(state)
    for node in copy.nodes:
        for name in node.props.keys():
            if node.props.type(name) == mi.Properties.Type.Any and isinstance(node.props[name], mi.TensorXf):
                # Plugins move tensors out of their properties: hand them one of their own.
                node.props[name] = mi.TensorXf(node.props[name])
    try:
        made = mi.parser.instantiate(config, copy)
    except RuntimeError as error:
        raise _own(error) or SceneError(f"{label}: {_reason(error)}") from None
    return made[0] if isinstance(made, list) else made


def _own(error: Exception) -> PbdrError | None:
    """The error that one of pbdr's own plugins raised: Mitsuba wraps it, traceback and all, into one text."""
    found = re.findall(r"(OptionError|SceneError|ParameterError): (.*)", str(error))
    return getattr(errors, found[-1][0])(found[-1][1]) if found else None


def _reason(error: Exception) -> str:
    """Mitsuba's message on one line, without its source location."""
    text = re.sub(r"\[\w+\.(?:cpp|h):\d+\]\s*", "", str(error))
    return re.sub(r"\s+", " ", text).strip()


def _resolve_files(state: Any, label: str) -> None:
    files = [str(f) for f in state.files]
    for node in state.nodes:
        for name in FILE_PROPERTIES & set(node.props.keys()):
            given = node.props[name]
            if not isinstance(given, str) or os.path.isabs(given):
                path = Path(str(given))
            else:
                # The file that mentions it, then the scene: what is included may mean what lies beside the scene.
                parents = [Path(files[k]).parent for k in (node.file_index, 0)] if files else []
                options = [p / given for p in [*parents, Path.cwd()]] + [Path(str(mi.file_resolver().resolve(given)))]
                path = next((p for p in options if p.is_file()), options[0])
            if not path.is_file():
                near = closest(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [], 1)
                hint = f". Closest there: '{near[0]}'." if near else ""
                raise SceneError(
                    f"{label}: the file {path} of plugin {node.props.plugin_name()!r} does not exist{hint}"
                )
            node.props[name] = str(path)


def _exact_textures(state: Any) -> None:
    """Defaults of bitmaps: texels are floating-point numbers, and interpolated as such.

    A GPU's texture units interpolate in steps of 1/256 texel, between which the slope of a texture is zero.
    """
    for node in state.nodes:
        if node.props.plugin_name() == "bitmap":
            for name, value in (("format", "variant"), ("accel", False)):
                if name not in node.props:
                    node.props[name] = value


def _references(node: Any) -> Iterator[tuple[str, int]]:
    """Yield (property, node index) of a node's children, in order."""
    for name in node.props.keys():  # Properties is not a mapping
        # Reading a property marks it as used, and would hide a misspelt one: read references only.
        if node.props.type(name) == mi.Properties.Type.ResolvedReference:
            yield name, int(node.props[name].index())


def _name_objects(state: Any) -> tuple[str, ...]:
    """Give every node a unique id; return the ids that parameter names may use.

    Those are the ids of the scene's direct children, and ids that the user wrote on an object nested in a shape. In a
    dictionary the key is the id; a key of a nested object is a role, not a name.
    """
    nodes = state.nodes
    taken = {n.props.id() for n in nodes if n.props.id()}
    counts: dict[str, int] = {}
    named: list[str] = []
    from_dict = bool(state.node_paths)
    seen: set[int] = set()

    def fresh(plugin: str) -> str:
        while True:
            counts[plugin] = counts.get(plugin, 0) + 1
            name = f"{plugin}-{counts[plugin]}"
            if name not in taken:
                taken.add(name)
                return name

    top = [index for _, index in _references(nodes[0])]
    for index in top:
        props = nodes[index].props
        if not props.id() or props.id().startswith("_unnamed"):
            props.set_id(fresh(props.plugin_name()))
        named.append(props.id())
        seen.add(index)

    def descend(index: int, shape: bool) -> None:
        for key, child in _references(nodes[index]):
            if child in seen:
                continue
            seen.add(child)
            props = nodes[child].props
            explicit = props.id() and not (from_dict and props.id() == key)
            if explicit and shape:
                named.append(props.id())
            if not explicit or props.id() in used:
                props.set_id(f"{nodes[index].props.id()}__{key}")
            used.add(props.id())
            descend(child, nodes[child].type == mi.ObjectType.Shape)

    used = set(named)
    for index in top:
        descend(index, nodes[index].type == mi.ObjectType.Shape)
    # Objects that the user built and put into the dictionary have no node: their key is their name.
    named += [name for name, _ in nodes[0].props.objects()]
    return tuple(dict.fromkeys(named))
