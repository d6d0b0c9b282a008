"""Find the LLVM shared libraries of this machine, without loading any of them into this process.

Dr.Jit takes the first library its own search meets, and aborts the process when that is LLVM 15. So pbdr looks
first, and hands Dr.Jit one path. The version is read from the file's name; a name without one is asked in a
process of its own, which may crash without harm.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MINIMUM = 16
"""Oldest major version that Dr.Jit's kernels compile with: LLVM 15 cannot select `fminimum`."""

_NAME = re.compile(
    r"(?:lib)?LLVM(?:-C)?(?:-(?P<dashed>[\d.]+))?\.(?:so|dylib|dll)(?:\.(?P<dotted>[\d.]+))?", re.IGNORECASE
)
_PATTERNS = ("libLLVM*.so*", "libLLVM*.dylib", "LLVM-C*.dll")
_ELF_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "ppc64le": 21, "riscv64": 243}
_ASK = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.LLVMContextCreate
numbers = [ctypes.c_uint() for _ in range(3)]
get_version = getattr(library, "LLVMGetVersion", None)
if get_version is None:
    print("15 0 0")  # LLVMGetVersion came with LLVM 16
else:
    get_version(*[ctypes.byref(n) for n in numbers])
    print(*[n.value for n in numbers])
"""


@dataclass(frozen=True)
class Library:
    """One LLVM library: `path`, `version` (major, minor, patch; empty if unknown), and why it is `rejected`."""

    path: Path
    version: tuple[int, ...]
    rejected: str = ""

    @property
    def label(self) -> str:
        number = ".".join(map(str, self.version)) if self.version else "of unknown version"
        return f"LLVM {number} ({self.path})"


def directories(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders of this machine where an LLVM library may lie, in no meaningful order."""
    found: list[Path] = []
    for prefix in filter(None, (environ.get("CONDA_PREFIX"), sys.prefix)):
        found += [Path(prefix, "lib"), Path(prefix, "Library", "bin")]
    if sys.platform == "win32":
        for variable in ("ProgramFiles", "ProgramW6432", "LOCALAPPDATA"):
            if variable in environ:
                found.append(Path(environ[variable], "LLVM", "bin"))
        return found + _split(environ.get("PATH", ""))
    found += _split(environ.get("LD_LIBRARY_PATH", "")) + _split(environ.get("DYLD_LIBRARY_PATH", ""))
    patterns = [
        "usr/lib/*-linux-gnu",
        "usr/lib64",
        "usr/lib",
        "usr/local/lib",
        "usr/lib/llvm*/lib",
        "usr/lib64/llvm*/lib",
    ]
    patterns += ["opt/homebrew/opt/llvm*/lib", "usr/local/opt/llvm*/lib", "opt/local/libexec/llvm*/lib"]
    for pattern in patterns:
        found += sorted(Path("/").glob(pattern))
    return found + _linker_cache()


def _split(paths: str) -> list[Path]:
    return [Path(part) for part in paths.split(os.pathsep) if part]


def _linker_cache() -> list[Path]:
    """Return the folders in which the dynamic linker's cache knows an LLVM library."""
    command = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if command is None:
        return []
    try:
        output = subprocess.run([command, "-p"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return sorted(
        {Path(line.split("=>")[1].strip()).parent for line in output.splitlines() if "libLLVM" in line and "=>" in line}
    )


def search(folders: Iterable[Path]) -> list[Library]:
    """Return every LLVM library in `folders`, each file once, newest first; unusable ones carry the reason."""
    libraries: dict[Path, Library] = {}
    for folder in dict.fromkeys(folders):
        for pattern in _PATTERNS:
            try:
                paths = sorted(folder.glob(pattern))
            except OSError:  # an unreadable folder holds nothing we could load
                continue
            for path in paths:
                if _NAME.fullmatch(path.name) and path.resolve() not in libraries:
                    libraries[path.resolve()] = inspect(path)
    return sorted(libraries.values(), key=lambda library: (library.version, str(library.path)), reverse=True)


def inspect(path: Path) -> Library:
    """Return what is known of the library file `path`, without loading it into this process."""
    real = path.resolve()
    if not real.is_file():
        return Library(path, (), "no such file")
    reason = _foreign(real)
    if reason:
        return Library(real, _version_in(real.name) or _version_in(path.name), reason)
    version = _version_in(real.name) or _version_in(path.name) or _ask(real)
    if not version:
        return Library(real, (), "does not load, or is not LLVM")
    if version[0] < MINIMUM:
        return Library(real, version, f"older than LLVM {MINIMUM}")
    return Library(real, version)


def _version_in(name: str) -> tuple[int, ...]:
    """Return the version in a file name: `libLLVM-15.so.1`, `libLLVM.so.19.1`, `libLLVM-14.0.6.so.1`; empty if none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return ()
    number = match["dashed"] or match["dotted"] or ""
    version = tuple(int(part) for part in number.split(".") if part)
    # `libLLVM.so.1` is a link's revision, not a version
    return version if version and version[0] > 1 else ()


def _foreign(path: Path) -> str:
    """Return why this process cannot load the ELF file `path` (another architecture, not a library), or ''."""
    expected = _ELF_MACHINES.get(platform.machine().lower())
    if not sys.platform.startswith("linux") or expected is None:
        return ""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return "not a shared library"
    bits_64 = header[4] == 2
    machine = int.from_bytes(header[18:20], sys.byteorder)
    if machine != expected or bits_64 != (sys.maxsize > 2**32):
        return "built for another architecture"
    return ""


def _ask(path: Path) -> tuple[int, ...]:
    """Return the version that the library itself states, asked in a process of its own; empty if it does not load."""
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-c", _ASK, str(path)],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return tuple(int(part) for part in answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


_KEPT: list[object] = []
"""What LLVM points to after `skip_optimisation`."""


def skip_optimisation(path: Path) -> bool:
    """Make the LLVM library `path` compile three times faster in this process; return whether it could be done.

    Dr.Jit optimises its own code before LLVM sees it, and most of the time that LLVM takes goes into simplifying that
    code again. LLVM asks the gate of its context (`OptPassGate`) before each pass that it can do without; the gate set
    here answers no, and registers are allocated by the simplest method. Measured on the gradient of a Cornell box:
    compilation 6.4 s before and 2.1 s after, kernels 5 to 10 % slower, numbers the same but for rounding.

    LLVM has no public way to set a gate: the object is made by hand from LLVM's own class `OptBisect` (with
    `shouldRunPass` replaced by a function of the C library that returns 0), on Linux, and only where its table of
    functions looks as expected. `tests/unit/test_backend.py` says what would break.
    """
    if not sys.platform.startswith("linux"):
        return False
    should_run = "_ZN4llvm9OptBisect13shouldRunPassENS_9StringRefES1_"
    try:
        library = ctypes.CDLL(str(path))
        table = list((ctypes.c_void_p * 6).in_dll(library, "_ZTVN4llvm9OptBisectE"))
        known = ctypes.cast(getattr(library, should_run), ctypes.c_void_p).value
        set_gate = library["_ZN4llvm11LLVMContext14setOptPassGateERNS_11OptPassGateE"]
        get_context, parse = library.LLVMGetGlobalContext, library.LLVMParseCommandLineOptions
        returns_0 = ctypes.CDLL(None).pthread_condattr_destroy
    except (OSError, AttributeError, ValueError):
        return False
    if table[4] != known:
        return False
    table[4] = ctypes.cast(returns_0, ctypes.c_void_p).value
    functions = (ctypes.c_void_p * 6)(*table)
    # vptr, and a limit other than the one (INT_MAX) that means "no gate"
    gate = (ctypes.c_void_p * 4)(ctypes.addressof(functions) + 2 * ctypes.sizeof(ctypes.c_void_p), 0, 0, 0)
    _KEPT.extend((functions, gate))
    get_context.restype = ctypes.c_void_p
    set_gate.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    set_gate.restype = None
    set_gate(get_context(), ctypes.addressof(gate))
    options = (b"pbdr", b"-regalloc=fast")
    parse(len(options), (ctypes.c_char_p * len(options))(*options), None)
    return True
