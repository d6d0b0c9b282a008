"""Fixtures of the tests of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from validation.tiny_job import write_job


@pytest.fixture
def tiny(tmp_path: Path) -> Any:
    """Writes the tiny job, with text replaced, and returns its path."""
    return lambda changes=None: write_job(tmp_path, changes)
