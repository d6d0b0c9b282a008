"""`pbdr bench`: the benchmarks of a checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ...errors import OptionError
from ..shared import Json, Result

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Bench:
    """Run a benchmark of the repository: `pbdr bench run`, `pbdr bench matrix --only 'sphere*'`, `pbdr bench report`.

    The same as `python -m benchmarks` in a checkout; its options follow. Without a name: what there is."""

    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """In a process of its own."""
        if not (ROOT / "benchmarks" / "__main__.py").is_file():
            raise OptionError(
                "the benchmarks are not part of an installed package: clone the repository, run `make setup` in it, and "
                "`.venv/bin/pbdr bench` there."
            )
        words = [sys.executable, "-m", "benchmarks", *(rest or ["--help"])]
        place = {**os.environ, "PYTHONPATH": str(ROOT)}  # paths among the options are relative to where the user is
        if not self.json:
            return subprocess.run(words, env=place, check=False).returncode, {}
        done = subprocess.run([*words, "--json"], env=place, check=False, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.strip().splitlines()
        try:
            found = json.loads(lines[-1]) if lines else {}
        except json.JSONDecodeError:
            found = {}
        return done.returncode, {"ok": done.returncode == 0, "benchmark": found}
