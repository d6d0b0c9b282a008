"""One start of one case in a process of its own: `python -m benchmarks.jobs_child CASE START FOLDER RESULT`."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from pbdr.errors import PbdrError

from . import jobs
from .harness import Missed, machine


def main(name: str, start: int, folder: Path, result: Path) -> int:
    """Run it and write its record: figures and seconds, or why there are none; 3 without its input."""
    case = jobs.cases()[name]
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"case": name, "start": start}
    wall, processor = time.perf_counter(), time.process_time()
    try:
        record["figures"] = {key: float(value) for key, value in case.run(start, folder).items()}
    except Missed as missed:
        print(missed, file=sys.stderr)
        return 3
    except PbdrError as error:  # a job that fails is a result
        record["error"] = f"{type(error).__name__}: {error}"
    except Exception as error:
        traceback.print_exc()
        record["error"] = f"{type(error).__name__}: {error}"
    record["seconds_wall"] = round(time.perf_counter() - wall, 2)
    record["seconds_processor"] = round(time.process_time() - processor, 2)
    facts = machine()
    record["machine"] = {key: facts[key] for key in ("cpu", "cores", "commit", "load_average", "variant")}
    result.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
