"""A short, seeded run of what `python -m benchmarks fuzz_files` does for long, and that it notices faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from pbdr.data import images
from pbdr.job.config import read
from validation import files

EXAMPLES = {"job files": 25, "camera files": 40, "images": 80, "environments": 20, "folders and names": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    files.prepare(path)
    return path


def tried(kind: str, folder: Path, examples: int) -> dict[bool, int]:
    """How many files were refused (False) and checked (True)."""
    strategy, check = files.KINDS[kind]
    counts = {False: 0, True: 0}

    @seed(1)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(strategy)
    def run(case: Any) -> None:
        counts[check(case, folder)] += 1

    run()
    return counts


@pytest.mark.parametrize("kind", files.KINDS)
def test_files_are_refused_or_right(kind: str, folder: Path) -> None:
    counts = tried(kind, folder, EXAMPLES[kind])
    # Not merely refused. What hypothesis draws for a seed depends on which modules are loaded: from 9 % to 45 % of the images.
    assert counts[True] >= sum(counts.values()) // 25


@pytest.mark.slow
@pytest.mark.parametrize("kind", files.KINDS)
def test_more_files_are_refused_or_right(kind: str, folder: Path) -> None:
    tried(kind, folder, 20 * EXAMPLES[kind])


def test_faults_are_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative controls: without the check of numbers NaN gets through; with another error than pbdr's a job has a traceback."""
    with monkeypatch.context() as patch:
        patch.setattr(images, "check_finite", lambda values, path: None)
        with pytest.raises(AssertionError):
            tried("images", folder, 300)
    with monkeypatch.context() as patch:
        patch.setattr(read, "read_text", lambda path, error: Path(path).read_bytes().decode("utf-8"))
        with pytest.raises(UnicodeDecodeError):
            tried("job files", folder, 200)
