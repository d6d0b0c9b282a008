"""Names of scene parameters: `<object id>/<role>`, derived from Mitsuba's keys.

Mitsuba calls the colour of a two-sided diffuse wall `wall.brdf_0.reflectance.value`; here it is `wall/base_color`,
whatever the material or its wrappers. The object is the scene's direct child (or an object inside a shape to which
the user gave an id of its own), the role says what the quantity is. Where one object holds two parameters of a role,
the path inside the object tells them apart: `wall.brdf_1/base_color`.
"""

from __future__ import annotations

import fnmatch
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mitsuba as mi

from pbdr.errors import ParameterError, closest
from pbdr.parameters import roles
from pbdr.scene import Scene, mitsuba_scene

#: Names that are told instead of one that does not exist, at most.
SHOWN = 4
#: Path components that only say where in a shape or wrapper a quantity sits.
WRAPPERS = frozenset(
    ("bsdf", "emitter", "brdf_0", "brdf_1", "bsdf_0", "bsdf_1", "nested_bsdf", "sensor", "film")
    + ("interior_medium", "exterior_medium", "medium", "phase_function")
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a scene.

    `name` is `<object id>/<role>`, `raw` Mitsuba's key, `shape` the shape of its value as pbdr reads and writes it,
    `bounds` the range its role allows, `kind` one of scalar, color, vector, array, texture, environment, mesh,
    transform (3×4), integer (cannot be differentiated), coefficients (of a smooth spectrum, in spectral variants).
    """

    name: str
    raw: str
    role: str
    shape: tuple[int, ...]
    bounds: tuple[float, float]
    kind: str

    @property
    def row(self) -> roles.Role:
        """What the table of roles says of it. Whatever its name, a transform is a pose."""
        return roles.find("pose" if self.kind == "transform" else self.role)


_LOOKING: list[dict[int, tuple[Any, Any]]] = []  # of `looking`: node → itself and its parameters


@contextmanager
def looking() -> Iterator[None]:
    """For the time of a block that writes no parameters, nodes are traversed once: their values are looked up all the same."""
    _LOOKING.append(_LOOKING[-1] if _LOOKING else {})
    try:
        yield
    finally:
        _LOOKING.pop()


def traverse(node: Any) -> Any:
    """Return Mitsuba's parameters of a scene (`Scene` or `mitsuba.Scene`) or of any Mitsuba object."""
    node = node.mi if isinstance(node, Scene) else node
    if not _LOOKING:
        return mi.traverse(node)
    known = _LOOKING[-1]
    if id(node) not in known:
        known[id(node)] = node, mi.traverse(node)
    return known[id(node)][1]


@functools.cache
def _looks_at_one() -> type[Any]:
    """The class of what looks at a node alone, not below it: made once a variant is active."""

    class Entries(mi.TraversalCallback):
        def __init__(self, node: Any) -> None:
            super().__init__()
            self.node = node
            self.found: list[tuple[str, Any]] = []

        def put(self, name: str, value: Any, flags: Any, cpptype: Any = None) -> None:
            """Called by Mitsuba for every entry."""
            if not isinstance(value, mi.Object):
                self.put_value(name, value, flags, cpptype)

        def put_value(self, name: str, value: Any, flags: Any, cpptype: Any = None) -> None:
            self.found.append((name, value if cpptype is None else mi.get_property(value, cpptype, self.node)))

        def put_object(self, name: str, node: Any, flags: Any) -> None:
            pass

    return Entries


def own_entries(node: Any) -> list[tuple[str, Any]]:
    """Names and values of what Mitsuba shows of a node itself, without what is below it; much quicker than `traverse`."""
    callback = _looks_at_one()(node)
    node.traverse(callback)
    return list(callback.found)


def list_parameters(scene: Any) -> list[Parameter]:
    """Return every continuous parameter of `scene` (a `Scene` or `mitsuba.Scene`), in scene order.

    Whether a gradient reaches a parameter is another question: `probe` answers it.
    """
    params = traverse(mitsuba_scene(scene))
    named = frozenset(scene.named) if isinstance(scene, Scene) else frozenset()
    found = []
    for raw in params.keys():  # its iterator yields pairs
        described = _describe(params, raw)
        if described is not None:
            found.append((raw, *_locate(params, raw, named), *described))
    plain = Counter(f"{thing}/{role}" for _, thing, _, role, _, _ in found)
    full = Counter(f"{'.'.join((thing, *inner))}/{role}" for _, thing, inner, role, _, _ in found)
    result = []
    for raw, thing, inner, role, shape, kind in found:
        name = f"{thing}/{role}"
        if plain[name] > 1:
            name = f"{'.'.join((thing, *inner))}/{role}"
            name = name if full[name] == 1 else f"{raw}/{role}"
        result.append(Parameter(name, raw, role, shape, _bounds(params, raw, role, shape, kind), kind))
    return result


def _bounds(params: Any, raw: str, role: str, shape: tuple[int, ...], kind: str) -> tuple[float, float]:
    """Range that the role allows; none for coefficients of spectra, wavelengths and temperatures."""
    name = params.properties[raw][2].class_name()
    fitted = kind == "coefficients" or (kind == "texture" and name.startswith("BitmapTexture") and shape[-1] == 3)
    if mi.is_spectral and (fitted or kind == "environment"):
        return roles.EVERYWHERE
    return roles.find(role).bounds


def resolve(
    scene: Any, match: str | Sequence[str] | None = None, *, raw: str | Sequence[str] | None = None
) -> list[Parameter]:
    """Return the parameters that `match` (globs over names; `!x` excludes) or `raw` (globs over keys) select.

    The order is the scene's. Raises ParameterError when a pattern selects nothing, with the closest names.
    """
    if (match is None) == (raw is None):
        raise ParameterError("say which parameters: give either match (names) or raw (Mitsuba keys), not both")
    parameters = list_parameters(scene)
    patterns = [p for p in _listed(match if raw is None else raw) if p]
    include = [p for p in patterns if not p.startswith("!")]
    exclude = [p[1:] for p in patterns if p.startswith("!")]
    labels = {p.raw: (p.name if raw is None else p.raw) for p in parameters}
    for pattern in include:
        if not any(_matches(label, pattern) for label in labels.values()):
            raise ParameterError(_unknown(scene, pattern, labels.values()))
    chosen = [
        p
        for p in parameters
        if (not include or any(_matches(labels[p.raw], x) for x in include))
        and not any(_matches(labels[p.raw], x) for x in exclude)
    ]
    if not chosen or not patterns:
        raise ParameterError(f"{patterns} selects no parameter of {_source(scene)}")
    return chosen


def is_radiometric(raw: str, role: str | None = None) -> bool:
    """Return whether the parameter certainly moves no geometry and no direction, so that it has no boundary term.

    `raw` is Mitsuba's key; `role` is derived from it when absent. Anything unknown is False, and so are principled
    `specular` and every index of refraction, which bend refracted rays.
    """
    if role is None:
        parts = raw.split(".")[1:]
        role = "radiance" if parts == ["data"] else _role(parts)[1]
    return roles.find(role).moves_nothing(raw)


def _listed(match: str | Iterable[str] | None) -> list[str]:
    return [match] if isinstance(match, str) else list(match or ())


def _matches(label: str, pattern: str) -> bool:
    return label == pattern or fnmatch.fnmatchcase(label, pattern)


def _source(scene: Any) -> str:
    return scene.source if isinstance(scene, Scene) else "the scene"


def role_of(params: Any, raw: str) -> str:
    """Return the role of Mitsuba's key `raw` in `params` (from `traverse`)."""
    return _locate(params, raw, frozenset())[2]


def owner_of(scene: Any, parameter: Parameter) -> Any:
    """Return the sensor, shape or light of `scene` that the parameter belongs to, the innermost; None for other things."""
    params = traverse(mitsuba_scene(scene))
    node = params.properties[parameter.raw][2]
    while node is not None and not isinstance(node, mi.Sensor | mi.Shape | mi.Emitter):
        node = params.hierarchy[node][0]
    return node


def of_sensor(scene: Any, parameter: Parameter) -> bool:
    """Return whether the parameter belongs to a sensor of `scene`, or to something inside one."""
    return isinstance(owner_of(scene, parameter), mi.Sensor)


def _meant(pattern: str, labels: Sequence[str]) -> list[str]:
    """Return names that a pattern probably means, best first: the object's, by what its role is called here; or that role's."""
    thing, _, word = pattern.rpartition("/")
    role = roles.ELSEWHERE.get(word.lower(), word)
    if f"{thing}/{role}" in labels:
        return [f"{thing}/{role}"]
    near = closest(pattern, labels)
    if any(fnmatch.fnmatchcase(label.rpartition("/")[0], thing) for label in labels):
        return near
    same = [label for label in labels if label.rpartition("/")[2] == role]
    first = closest(f"{thing}/{role}", same)
    return (first + [label for label in same if label not in first])[:SHOWN] or near


def _unknown(scene: Any, pattern: str, labels: Iterable[str]) -> str:
    near = _meant(pattern, list(labels))
    hint = f" Closest: {', '.join(repr(n) for n in near)}." if near else ""
    if pattern.endswith("eta") and any(n.class_name() == "SmoothDielectric" for n in traverse(scene).hierarchy):
        hint += " The index of Mitsuba's 'dielectric' is no parameter: use pbdr's 'smoothdielectric', which is the same otherwise."
    return f"{pattern!r} is not in {_source(scene)}.{hint} List all: pbdr params {_source(scene)}"


def _describe(params: Any, raw: str) -> tuple[tuple[int, ...], str] | None:
    """Return (shape, kind) of a parameter's value, or None when it is not a continuous quantity."""
    if params.flags(raw) & int(mi.ParamFlags.ReadOnly):
        return None
    try:
        value = params[raw]
    except TypeError:  # an optional parameter that the scene leaves empty
        return None
    leaf = raw.rsplit(".", 1)[-1]
    kind = type(value).__name__
    if kind.startswith("TensorX"):
        if kind not in ("TensorXf", "TensorXf16", "TensorXf64"):
            return tuple(value.shape), "integer"
        shape = tuple(value.shape)
        if _is_environment(params, raw):
            return (shape[0], shape[1] - 2, *shape[2:]), "environment"
        return shape, "texture"
    if kind == "AffineTransform4f":
        return (3, 4), "transform"
    if kind == "Float":
        count = len(value)
        if leaf.startswith("vertex_"):
            prefix = raw[: -len(leaf)]
            columns = {"vertex_texcoords": 2}.get(leaf, 3)
            vertices = len(params[prefix + "vertex_positions"]) // 3 if prefix + "vertex_positions" in params else 0
            if leaf not in ("vertex_positions", "vertex_normals", "vertex_texcoords") and vertices:
                columns = max(1, count // vertices)
            return ((count // columns, columns), "mesh") if count else None
        return ((count,), "scalar" if count == 1 else "array") if count else None
    if kind in ("Color1f", "Color3f"):
        fitted = mi.is_spectral and params.properties[raw][2].class_name() in ("SRGBReflectanceSpectrum", "D65Spectrum")
        return (len(value),), "coefficients" if fitted else "color"
    if kind in ("Point2f", "Point3f", "Vector2f", "Vector3f", "Normal3f"):
        return (len(value),), "vector"
    return None


def _is_environment(params: Any, raw: str) -> bool:
    return raw.endswith(".data") and params.properties[raw][2].class_name() == "EnvironmentMapEmitter"


def _locate(params: Any, raw: str, named: frozenset[str]) -> tuple[str, tuple[str, ...], str]:
    """Return (object id, wrappers inside it, role) of a key."""
    node = params.properties[raw][2]
    chain = []
    while node is not None:
        parent, depth = params.hierarchy[node]
        if depth:
            chain.append(node)
        node = parent
    chain.reverse()
    # Ids may contain dots; the depth in the scene graph tells where the id ends.
    thing, *path = raw.rsplit(".", len(chain)) if chain else [raw.split(".")[0], *raw.split(".")[1:]]
    if len(chain) > 1 and isinstance(chain[0], mi.Shape) and chain[1].id() in named:
        thing, path = chain[1].id(), path[1:]
    if _is_environment(params, raw):
        return thing, tuple(path[:-1]), "radiance"
    inner, role = _role(path)
    return thing, inner, role


def _role(path: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Split a path inside an object into (wrappers, role)."""
    rest = list(path)
    inner: list[str] = []
    while len(rest) > 1 and rest[0] in WRAPPERS:
        inner.append(rest.pop(0))
    while len(rest) > 1 and rest[-1] in ("value", "data"):  # of a texture in a volume, too
        rest.pop()
    return tuple(inner), "_".join(roles.ALIASES.get(part, part) for part in rest)
