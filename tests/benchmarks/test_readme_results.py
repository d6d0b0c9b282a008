"""The tables of README.md say what benchmarks/results holds."""

from __future__ import annotations

import copy
import re

import pytest

from benchmarks import readme_results as page


def test_tables_are_up_to_date() -> None:
    """Else: python -m benchmarks.readme_results."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text) == text


def test_every_record_that_the_tables_name_has_a_page() -> None:
    names = re.findall(r"\(benchmarks/results/(\w+)\.md\)", page.figures())
    assert len(names) >= 5 and all((page.RECORDED / f"{name}.md").is_file() for name in names)


def test_another_record_makes_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: verdicts that change are seen."""
    found = {name: page.record(name) for name in ("matrix", "fuzz", "run", "spot_material_light", "kill", "jobs")}
    changed = copy.deepcopy(found)
    changed["matrix"]["counts"]["wrong"] = 7
    case = changed["matrix"]["cases"][page.SHOWN["the camera moves"]]
    case["verdict"], case["peer"] = "wrong", {"verdict": "wrong", "ratio": -0.5}
    monkeypatch.setattr(page, "record", changed.__getitem__)
    assert "7 wrong" in page.figures()
    row = next(line for line in page.comparison().splitlines() if "the camera moves" in line)
    assert "−0.50 of the truth" in row and "right" not in row
    assert page.filled(page.PAGE.read_text(encoding="utf-8")) != page.PAGE.read_text(encoding="utf-8")


def test_a_place_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="no place for 'figures'"):
        page.filled("# nothing")
