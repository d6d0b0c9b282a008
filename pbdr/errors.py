"""Errors a user can cause. Each says what was given, what is wrong and what to do.

The command line prints `<class>: <message>` on one line and exits with the class's `exit_code`:
2 usage or configuration, 3 data or scene, 4 diverged, 5 target not met. Anything else that escapes is a bug (1).
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn


class PbdrError(Exception):
    """Base class of every error pbdr raises on purpose. `others`: what else is wrong with the same input (`raise_all`)."""

    exit_code: int = 1
    others: tuple["PbdrError", ...] = ()

    @property
    def all(self) -> list["PbdrError"]:
        """This error and the others."""
        return [self, *self.others]

    def __str__(self) -> str:
        """The message on one line, whatever names with line breaks it holds."""
        return " ".join(super().__str__().splitlines())


class BackendError(PbdrError):
    """No usable LLVM or CUDA, or one that would crash."""

    exit_code = 3


class SceneError(PbdrError):
    """A scene cannot be loaded or rendered as it is."""

    exit_code = 3


class ParameterError(PbdrError):
    """A scene parameter is unknown, ambiguous, or out of its bounds."""

    exit_code = 2


class OptionError(PbdrError):
    """An option is unknown or has a value outside its range."""

    exit_code = 2


class DataError(PbdrError):
    """Images, cameras or a run directory are missing, malformed or non-finite."""

    exit_code = 3


class BusyError(DataError):
    """A run directory belongs to another process that is at work."""


class DivergedError(PbdrError):
    """An optimisation produced non-finite values too often to go on."""

    exit_code = 4


class WorkerError(PbdrError):
    """Another process of the same run has ended: the run can be resumed."""

    exit_code = 130


class GradientError(PbdrError):
    """A gradient differs from finite differences while an optimisation follows it."""

    exit_code = 4


class DataWarning(UserWarning):
    """A file holds something that is read in a way its author may not expect: unknown keys, negative texels, skipped frames."""


def meant(error: BaseException) -> BaseException:
    """Return the PbdrError that another exception was made of, as Dr.Jit does with errors of an integrator; else the exception."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, PbdrError):
        found = found.__cause__ or found.__context__
    return error if found is None else found


def raise_all(errors: Sequence[PbdrError]) -> NoReturn:
    """Raise several errors as one: the first of those with the lowest exit code, with the others; tracebacks show them as notes."""
    first, *others = sorted(errors, key=lambda error: error.exit_code)
    first.others = tuple(others)
    for error in others:
        first.add_note(f"also: {error}")
    raise first


class Mistakes:
    """Collects errors, so that all are told at once."""

    def __init__(self) -> None:
        self.found: list[PbdrError] = []

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Keep what the block raises on purpose, each message once, and go on behind it."""
        try:
            yield
        except PbdrError as error:
            told = {str(one) for one in self.found}
            self.found += [one for one in error.all if str(one) not in told]

    def raise_any(self) -> None:
        """Raise what was collected, if anything was."""
        if self.found:
            raise_all(self.found)


def unusual(path: str) -> str:
    """Why no library takes a path, for messages; "" for a path that is text."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return f"the path {path!a} holds bytes that are not UTF-8: rename the file or its folder"
    return ""


def counted(number: int, noun: str) -> str:
    """Return "1 view" or "4 views" for a message."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def no_scene(path: Path) -> str:
    """Why a path is no scene file, and what to do; "" for a file that may be one."""
    kind = path.suffix.lower()
    if path.is_dir():
        inside = sorted(file.name for file in path.glob("*.xml"))
        return f"{path} is a folder; give the scene file in it: {', '.join(inside[:4]) or 'it holds no .xml file'}"
    if kind in (".obj", ".ply", ".stl", ".gltf", ".glb", ".usd", ".usda", ".blend", ".fbx"):
        example = f'; a scene has it as <shape type="{kind[1:]}">' if kind in (".obj", ".ply") else "; export it as OBJ or PLY"
        return f"{path} is no Mitsuba scene (.xml){example}, with a camera and a light beside it"
    starts = (b"<", b"\xff\xfe", b"\xfe\xff")  # the latter of UTF-16
    if path.is_file() and not path.read_bytes()[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(starts):
        return f"{path} is no Mitsuba scene: an XML file begins with <"
    return ""


def closest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of `candidates` that look like `name`, best first; letter case is ignored."""
    originals: dict[str, str] = {}
    for candidate in candidates:
        originals.setdefault(candidate.lower(), candidate)
    matches = difflib.get_close_matches(name.lower(), originals, n=count, cutoff=0.5)
    return [originals[match] for match in matches]
