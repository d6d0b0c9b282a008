"""What a kind of geometry must answer: the one page. `geometry/registry.py` lists the kinds.

A kind is a class; its object stands for all shapes of this kind in one scene. Both integrals ask it while they trace their kernels:
Python leaves out the kinds that a scene lacks. The boundary (docs/theory.md, section 4) needs edges: *rows* of a table, each of a
*form*, each a curve p(u), u in [0, 1), as seen from a view. A kind with rows must say what they are (`rows`, `curve`), how their
points move (`moved`, or `follows_pose`) and where the shape is (`solid` or `ball`: what passes through it is refused); the registry
asks for these. The rest is right for closed shapes whose hits Mitsuba differentiates. `examples/own_shape.py` is a small one.

Masks, points and rows are arrays on the device, one entry a lane; `here` marks the lanes that are this kind's.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.geometry.intersections import Solid
from pbdr.geometry.near import Line, Round
from pbdr.geometry.placed import Kept, Placed
from pbdr.geometry.plugins import name_of
from pbdr.geometry.view import Curve, View

ALONE = "Use boundary='none' for the interior part alone."
Evaluate = Callable[[Any, Any, Any], Any]  # (hit, ray, active) → surface interaction


@dataclass(eq=False)
class Form:
    """What rows of one form have in common. `code` stands for it in the table: the registry gives it, and its order means nothing.

    straight   from `a` along `b`, between a face through `c` and one through `d`: edges of meshes
    fixed      the curve does not depend on the view
    round      the surface touches the line of sight there; its material point moves as its outline does
    probed     so many of its faces (of 2): the shape, asked by a ray just inside the edge, says what lies there, not `Kind.inside`
    partial    a part of the row may count although its middle does not
    winding    what is there of the row, and how long it is, only its points say; `Kind.size` is about its length
    convex     nothing counts as seen from a point of the shape itself
    outwards   indirect light looks for it from the edge outwards, too, not from camera paths alone
    rough      rays that pass it need the clearance of inexact intersections (rounding.AWAY_ROUGH)
    """

    name: str
    straight: bool = False
    fixed: bool = False
    round: bool = False
    probed: int = 0
    partial: bool = False
    winding: bool = False
    convex: bool = False
    outwards: bool = True
    rough: bool = False
    code: int = -1


@dataclass
class Part:
    """Rows of one shape: `columns` of the table by name (edges.py) and their `forms`.

    `wedges`: some count as seen from one wedge only; `pairs`: where the two faces of a row lie on different pieces (`edges.Pairs`).
    """

    columns: dict[str, Any]
    forms: tuple[Form, ...]
    wedges: bool = False
    pairs: Any = None


@dataclass
class Joints:
    """Rows whose two faces move each for itself, as masks. `meet`: the row is the line in which both meet, equation (12);
    `shared`: both have it, and it moves as they do on average where both are seen."""

    meet: Any
    shared: Any


@dataclass
class Inside:
    """Where a hit just inside an edge lies: on which face of which shape.

    `uv`: Mitsuba's `prim_uv`; `shape`, `member`: None for those of the row; `shift`: how far the hit is moved off the edge in the
    world, where the shape looks up what lies at the point.
    """

    uv: Any
    shape: Any = None
    member: Any = None
    shift: Any = None


class Kind(ABC):
    """All shapes of one kind in a scene. Not a dataclass: Dr.Jit must not take it for loop state.

    name          of the kind, in messages: a plural noun
    plugins       names of Mitsuba's classes, or of a Python plugin's class, whose shapes are of this kind
    forms         of its rows
    follows_pose  its points follow `to_world`: then `moved` is not asked
    tells         Mitsuba says whether such a shape carries derivatives (`parameters_grad_enabled`)
    grouped       its shapes may stand in shape groups
    shows_others  it shows shapes of other kinds, and is asked for hits before these
    textured      texture coordinates of its hits have derivatives
    wraps         texture coordinates jump on it where no edge is
    replayed      its kernels can be recorded and replayed
    triangles     its shapes are triangles: where they pass through each other, there are rows (boundary/table/solids.py)
    """

    name: ClassVar[str]
    plugins: ClassVar[tuple[str, ...]]
    forms: ClassVar[tuple[Form, ...]] = ()
    follows_pose: ClassVar[bool] = False
    tells: ClassVar[bool] = True
    grouped: ClassVar[bool] = False
    shows_others: ClassVar[bool] = False
    textured: ClassVar[bool] = True
    wraps: ClassVar[bool] = False
    replayed: ClassVar[bool] = False
    triangles: ClassVar[bool] = False

    # ------------------------------------------------------------------ which shapes

    @classmethod
    def matches(cls, shape: Any) -> bool:
        """Whether a shape of Mitsuba is of this kind."""
        return name_of(shape) in cls.plugins

    @classmethod
    def of(cls, scene: Any) -> Kind | None:
        """The kind in a scene that has such shapes (in shape groups at least); None where it has nothing to say there.

        Raises SceneError for shapes that have no boundary term.
        """
        return cls()

    # ------------------------------------------------------------------ rows of the table

    def rows(self, placed: Placed, kept: Kept) -> list[Part]:
        """Rows of one shape, filled in by `edges.columns`. `kept`: for what is the same between calls. Raises SceneError."""
        return []

    def made_of(self, placed: Placed) -> list[Any] | None:
        """All that the rows of a shape depend on and that may change: buffers, and values that compare. While these are the same,
        `rows` is not asked again. None: it is asked at every call."""
        return None

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """The rows' curves as seen from `view`, at u."""
        raise NotImplementedError(f"{type(self).__name__} has rows, and must say what their curves are")

    def exists(self, row: Any, view: View, here: Any) -> Any:
        """False for rows that this view does not have at all. May err on the other side."""
        return mi.Bool(True)

    def size(self, row: Any) -> Any:
        """Length of straight rows, and about that of `winding` ones."""
        return dr.norm(row.b)

    def extent(self, row: Any) -> Any:
        """About how large the shape, or the piece of it beside the row, is: what clearances grow with."""
        across = dr.maximum(dr.squared_norm(row.c), dr.squared_norm(row.d))
        return dr.sqrt(dr.maximum(dr.squared_norm(row.b), across))

    def refuse(self, placed: Placed, kept: Kept) -> None:  # noqa: B027 (most kinds have nothing to refuse)
        """Raise SceneError for a shape on which the image has no derivative as soon as rays or shapes move."""

    def near(self, row: Any, view: View, omega: Any) -> list[tuple[Any, Line | Round]]:
        """For boundary = 'warp': where rows that are not `straight` are next to direction ω, each with a mask."""
        return []

    # ------------------------------------------------------------------ motion and hits

    def moved(self, scene: Any, edge: Any, which: Any, here: Any) -> Any:
        """x_B(θ), attached: where the material point of face `which` (0 or 1) at an edge point moves.

        Along the edge the motion is a matter of names; so it is along the surface where the form is `round`.
        """
        return edge.point

    def joints(self, row: Any) -> Joints | None:
        """Rows whose two faces move each for itself; None if there is none."""
        return None

    def inside(self, edge: Any, which: Any, inward: Any, active: Any) -> Inside:
        """The hit on face `which` (0 or 1), moved into it by the fraction `inward` of the face's width; of `probed` rows unused."""
        return Inside(mi.Point2f(0))

    def hits(self, evaluate: Evaluate, hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """`evaluate(hit, ray, active)` with the right derivatives on this kind: at the material point if `follow`, else sliding."""
        return evaluate(hit, ray, active)

    def at_rest(self) -> Any:
        """Context in which Mitsuba's own derivatives of hits on this kind are switched off, where `hits` replaces them."""
        return nullcontext()

    @property
    def smooth(self) -> bool:
        """Whether `interpolates` is true anywhere."""
        return False

    def interpolates(self, hit: Any, active: Any) -> Any:
        """Whether hits are on shapes of this kind whose shading normals differ from the surface's (meshes: vertex_normals.py)."""
        return mi.Bool(False)

    def sighted(self, hit: Any, active: Any) -> Any:
        """Whether hits are on shapes of this kind, if only lines of sight find the horizons of its shading normals."""
        return mi.Bool(False)

    # ------------------------------------------------------------------ on the host

    def state(self, placed: Placed) -> list[Any]:
        """What says where a shape is: buffers, and poses as bytes. While these are the same, so are intersections."""
        return [placed.matrix().tobytes()]

    def solid(self, placed: Placed, kept: Kept) -> Solid:
        """Triangles in world space that stand for the shape, inside it, where intersections with others are looked for."""
        return Solid.empty()

    def ball(self, placed: Placed) -> Any | None:
        """The pose (4, 4) of the unit sphere that the shape is; None if it is none."""
        return None

    def detail(self, shape: Any, size: float) -> float:
        """The smallest of its parts that terms depend on; `size` is its own."""
        return size

    def refusal(self, shape: Any, names: str) -> str:
        """Why the gradient of `names` is not right where this shape is seen to move, and what to do; empty if it is."""
        return ""

    def unwarped(self, shape: Any) -> str:
        """Why boundary = 'warp' cannot have this shape, after "the shape 'x' "; empty if it can."""
        return f"is a {name_of(shape)}: its outlines are not edges of the faces that rays hit."

    def gpu_refusal(self, features: Any, max_depth: int) -> str:
        """What has no usable gradient on GPUs where anything moves in a scene with this kind; empty if everything has."""
        return ""
