"""`python -m benchmarks.supported`: docs/reference/supported.md from benchmarks/results/matrix.json and the tests of each case."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from .harness import RECORDED, ROOT, table, write_page
from .matrix import CRASHED, REFUSED, RIGHT, UNDECIDED, WRONG

PAGE = ROOT / "docs" / "reference" / "supported.md"
NOT_RUN = "not measured"
WORDS = {
    RIGHT: "right", REFUSED: "refused", WRONG: "**wrong**", UNDECIDED: "undecided",
    CRASHED: "**crashed**", NOT_RUN: "not measured",
}  # fmt: skip
INTRODUCTION = """# What is supported, and how it was verified

Made by `python -m benchmarks.supported` from `benchmarks/results/matrix.json`; a test compares the two. The figures come from
`python -m benchmarks matrix`: the gradient of `pathspace` against finite differences of Mitsuba's own `path`, and Mitsuba's
`prb_projective` (guiding switched off) on the same scene beside it.

* **right**: the relative standard error of the comparison is at most 3 %, and the bias is within 3 standard errors or 2 %.
* **refused**: asking for the gradient raises an error that names what cannot be done, before rendering.
* **undecided**: the comparison is too noisy to tell; **wrong**: it is not, and the two differ.
"""
FURTHER = """## Radiance fields

Voxels, with spherical harmonics or without, and hash grids with a network. The matrix is about surfaces and media.
Tests: `tests/gradient/test_fields.py`, and for fields as media `tests/gradient/test_fields_in_scenes.py`.

| what | how it was verified |
|---|---|
| image of a field of one density; derivatives of its density and colours | closed form |
| derivatives of all latents of every kind of field, forward and reverse | finite differences, two steps |
| a field as a medium: its image in the path tracer | the marched image |
| derivatives of its latents behind a mesh, in the mesh's shadow | finite differences (slow) |
| variables, exposures, a gauge beside a field; exports | refused by name |

## Refused as a whole

* Polarised variants (`tests/gradient/test_refusals.py::test_variants`).
* Films other than `hdrfilm`.
"""


def page(cases: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    """The document: an overview of scene features by kind of parameter, then one line a case."""
    return (
        "\n\n".join([INTRODUCTION.strip(), overview(cases, records), details(cases, records), FURTHER.strip()]) + "\n"
    )


def verdict(name: str, records: Mapping[str, Any]) -> str:
    """Verdict of a case, or that there is none yet."""
    return str(records[name]["verdict"]) if name in records else NOT_RUN


def overview(cases: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    """Scene feature × kind of parameter: how many cases got which verdict."""
    from validation.cases import FEATURES, KINDS

    rows = []
    for feature in FEATURES:
        row = [feature]
        for kind in KINDS:
            found = [verdict(n, records) for n, c in cases.items() if (c.feature, c.kind) == (feature, kind)]
            row.append(", ".join(f"{found.count(v)} {w}" for v, w in WORDS.items() if v in found))
        rows.append(row)
    return "## Overview\n\n" + table(["scene feature", *(f"{kind} parameters" for kind in KINDS)], rows)


def details(cases: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    """One line a case, by feature."""
    from validation.cases import FEATURES

    rows = []
    for feature in FEATURES:
        for name, case in cases.items():
            if case.feature == feature:
                record = records.get(name, {})
                tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in case.tests) or "the benchmark alone"
                rows.append([feature, name, f"`{case.parameter}`", ours(name, records), theirs(record), tests])
    header = ["scene feature", "case", "parameter", "pathspace", "prb_projective 3.9.1", "verified by"]
    return "## Cases\n\n" + table(header, rows)


def ours(name: str, records: Mapping[str, Any]) -> str:
    """Verdict, bias and its standard error; or the message of the refusal."""
    word, record = WORDS[verdict(name, records)], records.get(name, {})
    if "bias" in record:
        lacks = "; ".join(w.removeprefix("pathspace: ") for w in record.get("warnings", []))
        return f"{word}: {percent(record)}" + (f" (warns: {lacks})" if lacks else "")
    message = record.get("message", record.get("error", "")).replace("\n", " ").replace("|", "/")
    return f"{word}: {message}" if message else word


def theirs(record: Mapping[str, Any]) -> str:
    """What Mitsuba's integrator makes of the same case."""
    peer = record.get("peer", {})
    if "raises" in peer:
        return "raises"
    return f"{peer['verdict']}: {percent(peer)}" if "bias" in peer else ""


def percent(found: Mapping[str, Any]) -> str:
    """Bias ± standard error."""
    return f"{100 * found['bias']:+.1f} ± {100 * found['bias_error']:.1f} %"


def made() -> str:
    """The page as it follows from what is committed."""
    from validation.cases import CASES

    return page(CASES, json.loads((RECORDED / "matrix.json").read_text(encoding="utf-8"))["cases"])


if __name__ == "__main__":
    sys.exit(write_page(PAGE, made()))
