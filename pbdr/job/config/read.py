"""Reading job files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...data.text import read_text
from ...errors import OptionError, raise_all
from .. import hints, messages
from .. import overrides as command_line
from .job import Job


def load_job(path: str | Path, overrides: Mapping[str, Any] | None = None) -> tuple[Job, str]:
    """Read a job file and apply ``overrides`` ({"optim.steps": 10}) → (job with absolute paths, the file's text).

    Raises OptionError, naming file, line and key; `others` of it are the further mistakes.
    """
    path = Path(path)
    if path.is_dir():
        raise OptionError(f"{path} is a folder, not a job file; to go on with a run, use `pbdr resume {path}`")
    try:
        text = read_text(path, OptionError)
    except FileNotFoundError as error:
        raise OptionError(messages.missing_file(path, "job file", ".toml")) from error
    return parse_job(text, str(path), overrides).resolved(path.resolve().parent), text


def parse_job(text: str, source: str, overrides: Mapping[str, Any] | None = None) -> Job:
    """Check the text of a job file. Paths stay as they are written."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except ValueError as error:
        what = str(error).splitlines()[0]
        hint = hints.not_toml(text, what)
        raise OptionError(f"{source}: not valid TOML: {what}{'. ' + hint if hint else ''}") from error
    except RecursionError as error:
        raise OptionError(f"{source}: not a job file: it is nested too deeply") from error
    given = dict(overrides or {})
    command_line.check_variables(document, given)
    for key, value in given.items():
        command_line.put(document, key, value)
    try:
        return Job.model_validate(document)
    except ValidationError as error:
        raise_all([OptionError(line) for line in messages.every(error, Job, source, text, given)])
