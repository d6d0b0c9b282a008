"""docs/reference/job.md and job.schema.json are what their generator makes of the model, and every key says what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks import job_page
from pbdr.job import reference
from pbdr.job.config import Job, Section


def test_pages_are_up_to_date() -> None:
    """Else: python -m benchmarks.job_page."""
    assert job_page.PAGE.read_text(encoding="utf-8") == job_page.made()
    assert job_page.SCHEMA.read_text(encoding="utf-8") == reference.schema()


def every(model: type[Section]) -> Iterator[type[Section]]:
    yield model
    for field in model.model_fields.values():
        for child in reference._models(field.annotation):
            yield from every(child)


def test_every_key_is_described_where_it_is_declared() -> None:
    sections = list(every(Job))
    assert len(sections) > 10
    for section in sections:
        assert section.__doc__ and section.__doc__.strip().endswith("."), section
        for name, field in section.model_fields.items():
            if not list(reference._models(field.annotation)) or section is not Job:
                assert (field.description or "").endswith("."), f"{section.__name__}.{name}"


def test_the_schema_knows_names_and_limits() -> None:
    found = json.loads(reference.schema())
    assert found["properties"]["version"]["const"] == 1 and "data" in found["required"]
    optim, variable = (found["$defs"][name]["properties"] for name in ("OptimSection", "VarSection"))
    assert optim["lr_decay"]["enum"] == ["cosine", "none"] and optim["steps"]["minimum"] == 1
    assert "sigmoid" in variable["map"]["anyOf"][0]["enum"] and "tv" in variable["prior"]["properties"]
    assert not found["$defs"]["OptimSection"]["additionalProperties"]
    assert '"null"' not in reference.schema()
