"""Job files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pbdr.errors import PbdrError
from pbdr.job import config, overrides, preflight, toml
from validation.files.parts import CHOICES, JOB
from validation.files.text import encoded, names, one_line, values


def _put(document: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    table = document
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            return
        table = inner
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


@dataclass(frozen=True)
class JobFile:
    """A job file's bytes and words of the command line."""

    data: bytes
    words: list[str] = field(default_factory=list)


@st.composite
def job_files(draw: st.DrawFn) -> JobFile:
    """A right job with some settings changed to other plausible ones or to anything, saved somehow."""
    document = json.loads(json.dumps(JOB))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 1, 2, 2, 3, 4]))):
        key = draw(st.sampled_from(sorted(CHOICES)))
        if draw(st.integers(0, 4)) == 0:
            if draw(st.booleans()):
                section, _, last = key.rpartition(".")
                spot = draw(st.integers(0, len(last) - 1))
                key = f"{section}.{last[:spot] + last[spot + 1 :]}" if len(last) > 1 else key
            _put(document, key, draw(values))
        else:
            _put(document, key, draw(st.sampled_from(CHOICES[key])))
    words = []
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        key = draw(st.one_of(st.sampled_from(sorted(CHOICES)), names))
        words += [
            f"--{key}",
            draw(st.one_of(names, st.sampled_from(["1", "nan", "[0, 1]", "{ a = 1 }", "[[[", "''", "true"]))),
        ]
    return JobFile(draw(encoded(_toml(document))), words)


def _toml(document: dict[str, Any]) -> str:
    def without_none(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_none(v) for k, v in value.items() if v is not None}
        return [without_none(v) for v in value if v is not None] if isinstance(value, list) else value

    return toml.dumps(without_none(document))


def check_job(case: JobFile, folder: Path) -> bool:
    """A job is refused, or is what its written form is, loads its scene, finds its names and its images."""
    (folder / "job.toml").write_bytes(case.data)
    try:
        job, _ = config.load_job(folder / "job.toml", overrides.parse_overrides(case.words))
        assert config.parse_job(toml.dumps(job.model_dump(mode="python")), "again") == job
        data = preflight.check(job).data
        if data is not None:
            assert data.training
            for view in data.views:
                target = np.asarray(view.target)
                assert target.ndim == 3 and np.isfinite(target).all()
                assert view.mask is None or (np.isfinite(view.mask).all() and (view.mask > 0).any())
    except PbdrError as error:
        for one in error.all:
            one_line(one)
        return False
    return True
