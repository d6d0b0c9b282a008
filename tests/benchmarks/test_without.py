"""The benchmarks that switch parts off: what they make of a run of the tests, and their records."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import without
from validation.switches import FULL, SWITCHES

REPORT = """<testsuites><testsuite>
<testcase classname="tests.gradient.test_depth" name="test_a"/>
<testcase classname="tests.gradient.test_depth" name="test_b[1]"><failure message="AssertionError: 1 instead of 2"/></testcase>
<testcase classname="tests.gradient.test_depth" name="test_c"><failure message="AssertionError: too noisy to decide: …"/></testcase>
<testcase classname="tests.gradient.test_depth" name="test_d"><skipped message="is about it"/></testcase>
<testcase classname="tests.gradient.test_depth" name="test_e"/>
<testcase classname="tests.gradient.test_depth" name="test_e"><error message="failed on teardown"/></testcase>
</testsuite></testsuites>"""


def test_outcome_of_a_run() -> None:
    record = without.outcome(REPORT)
    assert record["failed"] == ["test_depth.py::test_b[1]", "test_depth.py::test_e"]
    assert record["noisy"] == ["test_depth.py::test_c"]
    assert (record["passed"], record["skipped"]) == (2, 1)


def test_requirements_are_met_by_complete_runs_in_which_all_pass() -> None:
    good = {"passed": 3, "skipped": 1, "failed": [], "noisy": [], "seconds": 1.0, "commit": "abc"}
    runs = dict.fromkeys(without.NAMES, good)
    assert without.result(runs).met
    assert not without.result({FULL: good}).met
    for bad in ({"failed": ["x"]}, {"noisy": ["x"]}, {"passed": 0}, {"error": "exit code 3"}):
        assert not without.result({**runs, "guiding": {**good, **bad}}).met, bad


def test_files_of_the_suite_exist(root: Path) -> None:
    assert all(list((root / "tests" / "gradient").glob(pattern)) for pattern in without.FILES)


def test_the_ablation_has_the_rows_of_its_record(root: Path) -> None:
    """Which may be older than some switches."""
    cases = json.loads((root / "benchmarks/results/ablation.json").read_text(encoding="utf-8"))["cases"]
    labels = {label for case in cases.values() for label in case if "pilot" not in label}
    assert len(labels) > 5 and labels <= {FULL, *(switch.label for switch in SWITCHES.values() if switch.row)}
