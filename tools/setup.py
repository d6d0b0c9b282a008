#!/usr/bin/env python3
"""Set up a checkout: find or install LLVM, create .venv, install pbdr and its dependencies into it.

    python3 tools/setup.py [--with EXTRA ...]

Needs only the standard library and starts with any Python 3, to say clearly when it is too old. A second run
does nothing: a stamp in .venv remembers what was installed from which pyproject.toml and constraints.txt.
Exit code 3 means that this machine lacks something; the last line says what, and the command that installs it.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "pbdr-setup.json"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NEEDED = (3, 11)
NEWER = ("python3.11", "python3.12", "python3.13", "python3.14")
# Debian 12 and 13 have the first; older Ubuntu releases only one of the others.
LLVM_PACKAGES = ("libllvm19", "libllvm18", "libllvm17", "libllvm16")


def fail(message):
    print("setup: " + message, file=sys.stderr)
    raise SystemExit(3)


def ensure_python():
    """Go on in a newer Python if this one is too old and there is one."""
    if sys.version_info >= NEEDED:
        return
    for name in NEWER:
        command = shutil.which(name)
        if command is None:
            continue
        # a pyenv shim may stand there without its version being selected
        if subprocess.run([command, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            raise SystemExit(subprocess.call([command, *sys.argv]))
    version = ".".join(map(str, sys.version_info[:2]))
    fail(
        f"Python {version} is too old: pbdr needs 3.11 or newer. Install one, or name it: make PYTHON=/path/to/python3"
    )


def administrator():
    """Return the prefix that runs a command as root without asking, or None."""
    if os.name == "nt":
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(["sudo", "-n", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ["sudo", "-n"] if allowed.returncode == 0 else None


def apt_install(*alternatives):
    """Install the first of the Debian packages that can be had; return whether that worked."""
    root = administrator()
    if root is None or shutil.which("apt-get") is None:
        return False
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    for refresh in (False, True):
        if refresh:  # the package lists of a fresh image are empty or stale
            subprocess.run([*apt, "update"], **quiet)
        for package in alternatives:
            command = [*apt, "install", "--no-install-recommends", package]
            if subprocess.run(command, **quiet).returncode == 0:
                print("setup: installed the system package " + package, file=sys.stderr)
                return True
    return False


def ensure_backend():
    """Make sure that there is CUDA or an LLVM that pbdr accepts, by pbdr's own rules."""
    # `import pbdr` needs Mitsuba, which may not be installed yet; its backend module needs only the standard library.
    package = types.ModuleType("pbdr")
    package.__path__ = [str(ROOT / "pbdr")]
    sys.modules["pbdr"] = package
    from pbdr import backend
    from pbdr.errors import BackendError

    try:
        backend.find()
    except BackendError as error:
        if "DRJIT_LIBLLVM_PATH" in os.environ or "PBDR_VARIANT" in os.environ or not apt_install(*LLVM_PACKAGES):
            fail(str(error))
        try:
            backend.find()
        except BackendError as still:
            fail(str(still))


def ensure_venv_module():
    """Debian splits `ensurepip` off its Python: install that part, or say how."""
    try:
        import ensurepip  # noqa: F401

        return
    except ImportError:
        pass
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    if not apt_install(package, "python3-venv"):
        fail(
            f"this Python cannot create virtual environments. Debian, Ubuntu: sudo apt-get install {package}. "
            "Or name another one: make PYTHON=/path/to/python3 ..."
        )


def fingerprint():
    """Return what an installation depends on, as one hash."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "tools/setup.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def read_stamp():
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def install(extras):
    """Bring .venv up to `extras`, unless the stamp says that it is there."""
    stamp = read_stamp()
    current = stamp.get("fingerprint") == fingerprint() and stamp.get("root") == str(ROOT)
    if current and set(extras) <= set(stamp["extras"]) and PYTHON.exists():
        return
    moved = stamp.get("root", str(ROOT)) != str(ROOT)
    check = f"import sys, pip; sys.exit(sys.version_info < {NEEDED!r})"
    works = PYTHON.exists() and subprocess.run([str(PYTHON), "-c", check], stderr=subprocess.DEVNULL).returncode == 0
    if moved or not works:
        ensure_venv_module()
        print("setup: creating .venv with Python {}.{}.{}".format(*sys.version_info[:3]), file=sys.stderr)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            fail(f"could not create {VENV}: see the messages above.")
    wanted = sorted(set(extras) | (set(stamp["extras"]) if current else set()))
    target = ".[{}]".format(",".join(wanted)) if wanted else "."
    print(
        f"setup: installing pbdr{target[1:]} into .venv, once; this downloads a few hundred megabytes",
        file=sys.stderr,
    )
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--constraint", "constraints.txt", "--editable", target]
    if subprocess.call(command, cwd=str(ROOT), stdin=subprocess.DEVNULL) != 0:
        fail("pip could not install the dependencies: see its messages above, check the network, then try again.")
    STAMP.write_text(json.dumps({"fingerprint": fingerprint(), "root": str(ROOT), "extras": wanted}))


def main():
    ensure_python()
    parser = argparse.ArgumentParser(description="Set up this checkout of pbdr.")
    parser.add_argument(
        "--with", dest="extras", action="append", default=[], metavar="EXTRA", help="also install an extra"
    )
    extras = parser.parse_args().extras
    ensure_backend()
    install(extras)


if __name__ == "__main__":
    main()
