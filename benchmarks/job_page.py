"""`python -m benchmarks.job_page`: docs/reference/job.md and job.schema.json from the model of job files."""

from __future__ import annotations

import sys

from pbdr.job import reference

from .harness import ROOT, write_page

PAGE = ROOT / "docs" / "reference" / "job.md"
SCHEMA = ROOT / "docs" / "reference" / "job.schema.json"
INTRODUCTION = """# Keys of a job file

Made by `python -m benchmarks.job_page` from `pbdr/job/config/`, where every key is declared with its text; a test compares them.
What belongs together, and what to do with it: [Job files, cameras and images](jobs.md), which also lists losses, priors, optimisers
and maps. `pbdr init` writes a first job file with a comment for each key.

[job.schema.json](job.schema.json) says the same as a JSON schema, and `pbdr init --schema` writes it. Editors complete and check
keys by it, for instance Taplo and Even Better TOML after a first line `#:schema job.schema.json`."""


def made() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, "", *reference.page()]).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(write_page(PAGE, made()) or write_page(SCHEMA, reference.schema()))
