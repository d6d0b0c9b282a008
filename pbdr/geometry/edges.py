"""The table of edges: columns on the device, a row an edge, whatever kind of shape it belongs to.

A *view* is a point (or a direction, for distant lights) the silhouettes are taken from. `EdgeTable.curve` gives, for pairs of
an edge and a view, the curve p(u), u in [0, 1), and the adjacent surface on either side of it. What the columns mean, the kinds of
geometry say (kind.py); here is no logic of a kind.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import groups
from pbdr.geometry.kind import Form, Kind
from pbdr.geometry.topology import NO_FACE
from pbdr.geometry.view import Curve, View

NO_MEMBER = NO_PAIR = 0xFFFFFFFF
COLUMNS = (
    "form",
    "a",
    "b",
    "c",
    "d",
    "sign",
    "face0",
    "face1",
    "corners0",
    "corners1",
    "jump",
    "faint",
    "shape",
    "moving",
    "member",
)
VECTORS = ("a", "b", "c", "d")
MASKS = ("jump", "moving")


@dataclass
class Pairs:
    """Rows at the end of the table whose two faces belong to different shapes, or whose ends are no vertices.

    For each of the two faces: `shape` and `member` as in the table, second and third barycentric coordinate `start` and `end` at
    both ends of the row, and their change `inward` by the vector into the face.
    """

    count: int
    shape: tuple[Any, Any]
    member: tuple[Any, Any]
    start: tuple[Any, Any]
    end: tuple[Any, Any]
    inward: tuple[Any, Any]

    def flat(self) -> list[Any]:
        """All columns as arrays of numbers; `unflat` makes them columns again."""
        whole = [*self.shape, *self.member]
        return whole + [x[i] for both in (self.start, self.end, self.inward) for x in both for i in (0, 1)]

    @staticmethod
    def unflat(columns_of: Sequence[Any]) -> Pairs:
        """The pairs that `flat` has made arrays of numbers."""
        kinds = (mi.Point2f, mi.Point2f, mi.Vector2f)
        planes = [kind(*columns_of[k : k + 2]) for kind, k in zip(np.repeat(kinds, 2), range(4, 16, 2), strict=True)]
        first, second = (tuple(columns_of[k : k + 2]) for k in (0, 2))
        return Pairs(
            dr.width(columns_of[0]),
            first,
            second,
            (planes[0], planes[1]),
            (planes[2], planes[3]),
            (planes[4], planes[5]),
        )  # type: ignore[arg-type]

    def of(self, which: Any, pair: Any, u: Any, inward: Any, active: Any) -> tuple[Any, Any, Any]:
        """Face `which` of rows: (shape, member, barycentric coordinates at u, moved into the face by a fraction of it)."""

        def get(columns: tuple[Any, Any]) -> Any:
            values = [dr.gather(type(c), c, pair, active) for c in columns]
            return dr.select(which == 0, values[0], values[1])

        uv = dr.lerp(get(self.start), get(self.end), u) + inward * get(self.inward)
        return get(self.shape), get(self.member), mi.Point2f(uv)


class Layout:
    """What Python knows of a table while it traces: not a dataclass, so that Dr.Jit does not take it for loop state.

    `kinds` of geometry that have rows, the first of which need not; `forms` that occur; `wedges`: some rows count as seen from one
    wedge only.
    """

    def __init__(self, kinds: tuple[Kind, ...], forms: frozenset[Form], wedges: bool) -> None:
        self.kinds, self.forms, self.wedges = kinds, forms, wedges

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.kinds, self.forms, self.wedges

    @property
    def known(self) -> list[Form]:
        """Forms that the rows of these kinds may have: scenes that differ in their shapes alone share kernels."""
        return [form for kind in self.kinds for form in kind.forms]

    @property
    def probed(self) -> int:
        """Most faces of a row that are looked for by a ray."""
        return max(form.probed for form in self.forms)


@dataclass
class EdgeTable:
    """Device arrays over all edges; `form` says how the rows are read, by `Form.code`.

    a, b, c, d    vectors, as the kind uses them; of `straight` rows: from a along b, c towards the first face, d towards the second
    sign          a number, as the kind uses it
    face          Mitsuba's numbers of the primitives on either side, NO_FACE where there is none
    corners       of faces with corners: packed start | end << 2 | opposite << 4, never 0; else as the kind uses them, the first 0
    jump          radiance may jump although both faces are seen
    faint         about how large that jump is, as a part of the radiance: what samples are spread by
    shape         index into the scene's shapes (of the instance, for shapes of a group)
    member        id of the shape in its group (groups.member_ids), NO_MEMBER for others; None if the scene has no instance
    gap           how far the true edge may be off: corners that do not quite agree, tubes that rays hit too early; None if nowhere
    pairs         of the last rows; `pair`: the number of a row within these, after `row`
    """

    count: int
    form: Any
    a: Any
    b: Any
    c: Any
    d: Any
    sign: Any
    face: tuple[Any, Any]
    corners: tuple[Any, Any]
    jump: Any
    faint: Any
    shape: Any
    moving: Any
    layout: Layout
    member: Any = None
    gap: Any = None
    pairs: Pairs | None = None
    pair: Any = None

    # ------------------------------------------------------------------ which rows

    def of(self, *forms: Form) -> Any:
        """Rows of these forms."""
        known = self.layout.known
        chosen = [form for form in forms if form in known]
        if len(chosen) in (0, len(known)):
            return mi.Bool(bool(chosen))
        return functools.reduce(operator.or_, (self.form == form.code for form in chosen))

    def having(self, flag: str) -> Any:
        """Rows whose form has a flag of `kind.Form`."""
        return self.of(*(form for form in self.layout.known if getattr(form, flag)))

    def of_kind(self, kind: Kind) -> Any:
        """Rows of a kind of geometry."""
        return self.of(*kind.forms)

    def faceted(self) -> Any:
        """Rows between faces with corners."""
        return self.corners[0] != 0

    def own(self, scene: Any, hit: Any, active: Any = True) -> Any:
        """Whether a hit a row is on the shape of that row: of several in an instance, the same one."""
        own = dr.gather(mi.ShapePtr, scene.shapes_dr(), self.shape, active)
        member = mi.UInt32(NO_MEMBER) if self.member is None else self.member
        grouped = hit.instance != None  # noqa: E711 (Dr.Jit comparison)
        return dr.select(grouped, (hit.instance == own) & (groups.member(hit) == member), hit.shape == own)

    def row(self, index: Any, active: Any = True) -> EdgeTable:
        """The rows at `index`."""
        get = lambda array: dr.gather(type(array), array, index, active)  # noqa: E731
        pair = None
        if self.pairs is not None:
            first = dr.opaque(mi.UInt32, self.count - self.pairs.count)
            pair = dr.select(index >= first, index - first, NO_PAIR)
        return dataclasses.replace(
            self, form=get(self.form), a=get(self.a), b=get(self.b), c=get(self.c), d=get(self.d), sign=get(self.sign),
            face=(get(self.face[0]), get(self.face[1])), corners=(get(self.corners[0]), get(self.corners[1])),
            jump=get(self.jump), faint=get(self.faint), shape=get(self.shape), moving=get(self.moving),
            member=None if self.member is None else get(self.member), gap=None if self.gap is None else get(self.gap), pair=pair,
        )  # fmt: skip

    # ------------------------------------------------------------------ what the kinds say of them

    def curve(self, view: View, u: Any) -> Curve:
        """Points of these rows' curves as seen from `view`."""
        first, *others = self.layout.kinds
        result = first.curve(self, view, u, self.of_kind(first))
        for kind in others:
            here = self.of_kind(kind)
            result = kind.curve(self, view, u, here).over(result, here)
        return result

    def exists(self, view: View) -> Any:
        """False for rows that this view does not have at all, as silhouettes of a ball from within it."""
        result = mi.Bool(True)
        for kind in self.layout.kinds:
            if type(kind).exists is not Kind.exists:
                here = self.of_kind(kind)
                result &= ~here | kind.exists(self, view, here)
        return result

    @property
    def size(self) -> Any:
        """Lengths of straight rows, and about those of `winding` ones."""
        return self._by_kind("size")

    @property
    def extent(self) -> Any:
        """About how large what the rows belong to is: faces of meshes, whole shapes."""
        return self._by_kind("extent")

    def _by_kind(self, name: str) -> Any:
        first, *others = self.layout.kinds
        result = getattr(first, name)(self)
        for kind in others:
            if getattr(type(kind), name) is not getattr(type(first), name):
                result = dr.select(self.of_kind(kind), getattr(kind, name)(self), result)
        return result

    def view_offset(self, view: View) -> Any:
        """From the row's `a` to the viewpoint (its direction, for distant views)."""
        return dr.select(view.distant, view.towards, view.point - self.a)


# ---------------------------------------------------------------------- building it


def numbers(values: Any) -> Any:
    """Whole numbers of the host on the device."""
    return mi.UInt32(aligned(values, np.uint32))


def column(name: str, values: Any) -> Any:
    """A column of the host (N,), or (N, 3) for vectors, on the device."""
    if name in VECTORS:
        kind = mi.Point3f if name == "a" else mi.Vector3f
        return kind(*[mi.Float(aligned(values[..., i])) for i in range(3)])
    return mi.Float(aligned(values)) if name in ("sign", "gap", "faint") else numbers(values)


def columns(placed: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Columns of a shape's rows; what is not given is 0, but for `face1` (no second face), `jump` (it may) and `faint` (1)."""
    n = dr.width(given["form"])
    missing = {
        **{name: dr.zeros(mi.Point3f if name == "a" else mi.Vector3f, n) for name in VECTORS}, "sign": dr.zeros(mi.Float, n),
        "face0": dr.zeros(mi.UInt32, n), "face1": dr.full(mi.UInt32, NO_FACE, n), "corners0": dr.zeros(mi.UInt32, n),
        "corners1": dr.zeros(mi.UInt32, n), "jump": dr.full(mi.Bool, True, n), "faint": dr.full(mi.Float, 1, n),
        "shape": dr.full(mi.UInt32, placed.index, n), "member": dr.full(mi.UInt32, placed.member, n),
    }  # fmt: skip
    return {**missing, **given}


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """Columns as arrays of numbers, one for each component of vectors; `unflat` makes them columns again."""
    result: dict[str, Any] = {}
    for name, value in found.items():
        if name in VECTORS:
            result |= {f"{name}.{i}": value[i] for i in range(3)}
        else:
            result[name] = dr.select(value, mi.UInt32(1), 0) if name in MASKS else value
    return result


def unflat(numbers_of: dict[str, Any]) -> dict[str, Any]:
    """The columns that `flat` has made arrays of numbers."""
    result: dict[str, Any] = {}
    for name, value in numbers_of.items():
        if name.endswith(".0"):
            kind = mi.Point3f if name == "a.0" else mi.Vector3f
            result[name[:-2]] = kind(*[numbers_of[f"{name[:-2]}.{i}"] for i in range(3)])
        elif "." not in name:
            result[name] = value != 0 if name in MASKS else value
    return result


def joined_columns(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Columns of several parts of the table, one after the other."""
    return unflat(joined_flat([flat(part) for part in parts]))


def joined_flat(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As `joined_columns`, of what `flat` gives; where some have gaps, those of the others are 0."""
    if any("gap" in one for one in each):
        each = [{"gap": dr.zeros(mi.Float, dr.width(one["form"])), **one} for one in each]
    return {name: concat([one[name] for one in each]) for name in each[0]}


def concat(arrays: Sequence[Any]) -> Any:
    """Arrays one after the other; a single one as it is."""
    return arrays[0] if len(arrays) == 1 else dr.concat(arrays)
