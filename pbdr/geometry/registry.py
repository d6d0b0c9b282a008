"""The kinds of geometry. A new kind is a class in a file of its own, and a line here (or `register`, from outside the package)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pbdr.errors import OptionError
from pbdr.geometry import groups
from pbdr.geometry.analytic import Analytic
from pbdr.geometry.bspline import BSplines
from pbdr.geometry.grids import Grids
from pbdr.geometry.instance import Instances
from pbdr.geometry.kind import Kind
from pbdr.geometry.linear_curve import LinearCurves
from pbdr.geometry.mesh import Mesh

KINDS: list[type[Kind]] = []
#: Of a kind with rows, one of each: without them, it would be at rest, or passed through, and nobody would know.
NEEDED = (("rows",), ("curve",), ("moved", "follows_pose"), ("solid", "ball"))


def register(kind: type[Kind]) -> type[Kind]:
    """Add a kind, and return it, so that this may decorate one. The same class again, as a notebook makes it, replaces the old one.

    Raises OptionError for what is no kind, lacks what a kind with rows must say, or has the name or a plugin of another kind.
    """
    if not (isinstance(kind, type) and issubclass(kind, Kind) and isinstance(getattr(kind, "name", None), str)):
        raise OptionError(
            f"{getattr(kind, '__name__', kind)} is no kind of geometry: it is a class below Kind with a name."
        )
    for methods in NEEDED if kind.forms else ():
        if all(getattr(kind, name) in (False, getattr(Kind, name)) for name in methods):
            raise OptionError(
                f"{kind.__name__} has rows of edges, and must have {' or '.join(methods)} (pbdr/geometry/kind.py says why)."
            )
    forget(kind.name, kind.__qualname__)
    for other in KINDS:
        shared = {kind.name} & {other.name} or set(kind.plugins) & set(other.plugins)
        if shared:
            raise OptionError(
                f"'{min(shared)}' is a kind of geometry already ({other.__module__}.{other.__qualname__})."
            )
    KINDS.append(kind)
    _count()
    return kind


def forget(name: str, qualname: str | None = None) -> None:
    """Take a kind out again (if it is called `qualname`); nothing happens if there is none."""
    KINDS[:] = [kind for kind in KINDS if kind.name != name or qualname not in (None, kind.__qualname__)]
    _count()


def _count() -> None:
    """Codes of the forms: which number stands for which means nothing, but kernels in the cache have them."""
    for code, form in enumerate(form for kind in KINDS for form in kind.forms):
        form.code = code


def kind_of(shape: Any) -> type[Kind] | None:
    """The kind of a shape; None if there is none that matches."""
    return next((kind for kind in KINDS if kind.matches(shape)), None)


def among(kinds: Iterable[Kind], shape: Any) -> Kind | None:
    """The one of these kinds that a shape is of; None if it is of none."""
    own = kind_of(shape)
    return next((kind for kind in kinds if type(kind) is own), None)


def present(scene: Any) -> tuple[Kind, ...]:
    """The kinds of geometry in a scene: meshes first, then those that show shapes of other kinds.

    Raises SceneError for shapes that have no boundary term.
    """
    found = {kind: None for kind in map(kind_of, groups.everything(scene)) if kind not in (None, Mesh)}
    made = [kind.of(scene) for kind in KINDS if kind in found]
    some = [kind for kind in made if kind is not None]
    return (Mesh.of(scene), *sorted(some, key=lambda kind: not kind.shows_others))


for _kind in (Mesh, Analytic, BSplines, LinearCurves, Grids, Instances):
    register(_kind)
