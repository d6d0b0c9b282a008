"""Choose CUDA or LLVM before Dr.Jit initialises, and say what to install when there is neither.

Dr.Jit searches for LLVM while it is imported, so `prepare` must run before the first `import drjit` or
`import mitsuba`. Both happen in `activate`; `import pbdr` calls the two.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pbdr import llvm
from pbdr.errors import BackendError

INSTALL = {
    "Debian, Ubuntu": "sudo apt-get install libllvm19",
    "Fedora": "sudo dnf install llvm-libs",
    "macOS": "brew install llvm",
    "Windows": "winget install LLVM.LLVM",
}
"""Command that installs a usable LLVM, by system."""

EXTRAS = {
    "torch": ("torch",), "view": ("viser",), "video": ("av",), "remesh": ("gpytoolbox",),
    "dev": ("pytest", "xdist", "hypothesis", "scipy", "importlinter"),
}  # fmt: skip


@dataclass(frozen=True)
class Backend:
    """Where kernels run: `kind`, Mitsuba `variant`, LLVM `library` and its `version` (also beside CUDA, if there)."""

    kind: Literal["cuda", "llvm"]
    variant: str
    library: Path | None
    version: tuple[int, ...]


def find(environ: Mapping[str, str] = os.environ, folders: Sequence[Path] | None = None) -> Backend:
    """Return the backend to use: CUDA if there, else the newest LLVM of at least version 16.

    `PBDR_VARIANT` names a Mitsuba variant and so forces one of the two; `DRJIT_LIBLLVM_PATH` names the library.
    `folders` replaces the places to look for LLVM. Raises `BackendError` with what to install.
    """
    forced = environ.get("PBDR_VARIANT", "")
    if forced and not forced.startswith(("cuda_ad_", "llvm_ad_")):
        raise BackendError(
            f"PBDR_VARIANT='{forced}' is not a differentiable Mitsuba variant. Use cuda_ad_rgb or llvm_ad_rgb."
        )
    if not forced.startswith("llvm"):
        reason = cuda_unusable()
        if not reason:
            library = _llvm(environ, folders)[0]
            return _backend("cuda", forced, library if library is not None and not library.rejected else None)
        if forced:
            raise BackendError(
                f"PBDR_VARIANT='{forced}' asks for CUDA, but {reason}. Unset it, or set PBDR_VARIANT=llvm_ad_rgb."
            )
    library, rejected = _llvm(environ, folders)
    if library is None:
        raise BackendError(_nothing_found(rejected))
    if library.rejected:
        raise BackendError(
            f"DRJIT_LIBLLVM_PATH names {library.label}, which is unusable: {library.rejected}. "
            f"Unset it, or name an LLVM of version {llvm.MINIMUM} or newer."
        )
    return _backend("llvm", forced, library)


def _backend(kind: Literal["cuda", "llvm"], forced: str, library: llvm.Library | None) -> Backend:
    variant = forced or f"{kind}_ad_rgb"
    if library is None:
        return Backend(kind, variant, None, ())
    return Backend(kind, variant, library.path, library.version)


def _llvm(environ: Mapping[str, str], folders: Sequence[Path] | None) -> tuple[llvm.Library | None, list[llvm.Library]]:
    """Return the library to use (an explicit one even if unusable) and the ones rejected on the way."""
    explicit = environ.get("DRJIT_LIBLLVM_PATH")
    if explicit:
        return llvm.inspect(Path(explicit)), []
    libraries = llvm.search(llvm.directories(environ) if folders is None else folders)
    usable = [library for library in libraries if not library.rejected]
    return (usable[0] if usable else None), [library for library in libraries if library.rejected]


def _nothing_found(rejected: Sequence[llvm.Library]) -> str:
    seen = "; ".join(f"{library.label}: {library.rejected}" for library in rejected)
    commands = "; ".join(f"{system}: {command}" for system, command in INSTALL.items())
    return (
        f"no CUDA GPU and no LLVM of version {llvm.MINIMUM} or newer found"
        + (f" (only {seen})" if seen else "")
        + f". Install one. {commands}. Or set DRJIT_LIBLLVM_PATH to its library."
    )


def cuda_unusable() -> str:
    """Return why CUDA cannot be used ('' if it can): driver, a device, and OptiX for tracing rays are needed."""
    windows = sys.platform == "win32"
    try:
        driver = ctypes.CDLL("nvcuda.dll" if windows else "libcuda.so.1")
        if driver.cuInit(0) != 0:
            return "the CUDA driver does not start"
        count = ctypes.c_int(0)
        if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
            return "there is no CUDA device"
    except (OSError, AttributeError):
        return "there is no CUDA driver"
    if not windows:  # on Windows the driver store holds OptiX, which only Dr.Jit knows to search
        try:
            ctypes.CDLL("libnvoptix.so.1")
        except OSError:
            return "the CUDA driver comes without OptiX (libnvoptix.so.1)"
    return ""


def prepare() -> Backend:
    """Find the backend and hand its LLVM to Dr.Jit through `DRJIT_LIBLLVM_PATH`. Call before importing Mitsuba.

    Raises `BackendError` if there is no backend, or if Dr.Jit was imported before and holds an unusable LLVM.
    """
    backend = find()
    quick = _compiles_quickly()
    if "drjit" in sys.modules:
        if backend.kind == "llvm":
            _check_loaded(backend)
    elif backend.library is not None:
        os.environ["DRJIT_LIBLLVM_PATH"] = str(backend.library)
        if quick and backend.kind == "llvm":
            # Dr.Jit names kernels in its cache by their code alone: those compiled in haste need a folder of their own.
            os.environ.setdefault("DRJIT_CACHE_DIR", str(Path.home() / ".drjit" / "quick"))
            llvm.skip_optimisation(backend.library)
    return backend


def _compiles_quickly(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `PBDR_COMPILE` asks for kernels that compile quickly; raises `BackendError` for an unknown value."""
    value = environ.get("PBDR_COMPILE", "full")
    if value not in ("full", "quick"):
        raise BackendError(f"PBDR_COMPILE='{value}' is unknown. Use full (fast kernels) or quick (fast compilation).")
    return value == "quick"


def activate(variant: str = "auto") -> str:
    """Import Mitsuba and return the active variant, setting one first if none is active.

    `variant` other than 'auto' names the Mitsuba variant to set. Raises `BackendError` for an unknown variant,
    and where Mitsuba or the library found does not load.
    """
    backend = prepare()
    try:
        import mitsuba as mi
    except ImportError as error:
        raise BackendError(
            f"Mitsuba does not import ({error}). Install it: pip install 'mitsuba>=3.9,<3.10'."
        ) from error
    wanted = variant if variant != "auto" else mi.variant() or backend.variant
    if wanted not in mi.variants():
        raise BackendError(
            f"'{wanted}' is not a Mitsuba variant of this installation. Available: {', '.join(mi.variants())}."
        )
    if wanted.startswith("llvm"):
        _check_loaded(backend)
    try:
        if mi.variant() != wanted:
            mi.set_variant(wanted)
    except ImportError as error:
        raise BackendError(f"variant '{wanted}' does not run on this machine ({error}): use 'auto'. See: pbdr doctor") from None
    _ensure_worker()
    return str(wanted)


def on_gpu() -> bool:
    """Whether the active variant runs on a GPU."""
    import mitsuba as mi

    return str(mi.variant()).startswith("cuda")


def _ensure_worker() -> None:
    """Give Dr.Jit's pool a second thread on a single core.

    Mitsuba reads and writes EXR files on that pool and waits for it; a pool of one thread has no worker, and the
    process would hang.
    """
    import drjit as dr

    if dr.thread_count() < 2:
        dr.set_thread_count(2)


def _check_loaded(backend: Backend) -> None:
    """Raise `BackendError` if the LLVM that Dr.Jit has loaded would abort the process."""
    import drjit as dr

    if not dr.has_backend(dr.JitBackend.LLVM):
        raise BackendError(f"Dr.Jit cannot use {backend.library}. Set DRJIT_LIBLLVM_PATH to another LLVM library.")
    loaded = dr.detail.llvm_version()
    if loaded[0] < llvm.MINIMUM:
        raise BackendError(
            f"Dr.Jit was imported before pbdr and has loaded LLVM {loaded[0]}, with which it aborts. "
            f"Import pbdr first, or set DRJIT_LIBLLVM_PATH={backend.library}."
        )


def command_line() -> bool:
    """Return whether this process is the `pbdr` command (or `python -m pbdr`).

    The command reports a missing backend itself, on one line, and `pbdr doctor` must run without any; so
    `import pbdr` leaves the activation to it.
    """
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":  # Python has not yet found the module that -m names
        names = [following for flag, following in pairwise(sys.orig_argv) if flag == "-m"]
        return names[:1] in (["pbdr"], ["pbdr.cli"])
    return Path(program).stem == "pbdr"


def report(folder: str | Path = ".") -> dict[str, Any]:
    """Return what `pbdr doctor` shows, as plain JSON values; `folder` is tested for writing. Imports no Mitsuba.

    `ok` tells whether pbdr can run; `problem` says in one line why it cannot.
    """
    libraries = llvm.search(llvm.directories())
    result: dict[str, Any] = {
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in ("pbdr", "mitsuba", "drjit", "numpy", "torch")},
        "extras": {
            extra: all(importlib.util.find_spec(module) is not None for module in modules)
            for extra, modules in EXTRAS.items()
        },
        "cuda": cuda_unusable() or "usable",
        "llvm": [
            {"path": str(library.path), "version": ".".join(map(str, library.version)), "rejected": library.rejected}
            for library in libraries
        ],
        "environment": {name: os.environ.get(name) for name in ("DRJIT_LIBLLVM_PATH", "PBDR_VARIANT")},
        "folder": {"path": str(Path(folder).resolve()), "writable": os.access(folder, os.W_OK)},
        "install": INSTALL,
    }
    try:
        backend = find()
    except BackendError as error:
        return result | {"ok": False, "problem": str(error), "backend": None}
    chosen = {
        "kind": backend.kind, "variant": backend.variant, "version": ".".join(map(str, backend.version)),
        "library": None if backend.library is None else str(backend.library),
    }  # fmt: skip
    missing = [name for name in ("mitsuba", "drjit", "numpy") if result["packages"][name] is None]
    problem = f"not installed: {', '.join(missing)}. Run: pip install pbdr" if missing else ""
    return result | {"ok": not problem, "problem": problem, "backend": chosen}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
