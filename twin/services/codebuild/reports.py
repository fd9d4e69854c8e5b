"""Test reports: reads JUnit files that a build wrote into CodeBuild's report and test case records."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_NANOSECONDS = 1_000_000_000
_MESSAGE_LIMIT = 5000  # characters that CodeBuild keeps of a message


class ReportError(Exception):
    """A report file cannot be read; the message names it."""


@dataclass(frozen=True)
class TestCase:
    """One test's result; `duration` in nanoseconds, `status` SUCCEEDED, FAILED, ERROR or SKIPPED."""

    __test__ = False  # not for pytest to collect

    file: str
    suite: str
    name: str
    status: str
    duration: int
    message: str


def read_junit(path: Path, shown_as: str) -> list[TestCase]:
    """Return the test cases of a JUnit file; raises `ReportError`."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  # written by the build that this machine just ran
    except (ElementTree.ParseError, OSError) as fault:
        raise ReportError(f"{shown_as} is not a JUnit file: {fault}") from fault
    if root.tag not in ("testsuites", "testsuite"):
        raise ReportError(f"{shown_as} is not a JUnit file: its root is <{root.tag}>")
    return [
        _case(case, suite.get("name", ""), shown_as)
        for suite in root.iter("testsuite")
        for case in suite.findall("testcase")
    ]


def _case(case: ElementTree.Element, suite: str, file: str) -> TestCase:
    status, message = "SUCCEEDED", ""
    for tag, found in (("failure", "FAILED"), ("error", "ERROR"), ("skipped", "SKIPPED")):
        element = case.find(tag)
        if element is not None:
            status = found
            message = "\n".join(t for t in (element.get("message"), element.text) if t)
            break
    prefix = case.get("classname", "")
    return TestCase(
        file=file,
        suite=suite,
        name=f"{prefix}.{case.get('name', '')}" if prefix else case.get("name", ""),
        status=status,
        duration=int(float(case.get("time") or 0) * _NANOSECONDS),
        message=message[:_MESSAGE_LIMIT],
    )


def summary(cases: Iterable[TestCase]) -> dict[str, Any]:
    """Return the report's `testSummary`."""
    found = list(cases)
    counts = Counter(case.status for case in found)
    kinds = ("SUCCEEDED", "FAILED", "ERROR", "SKIPPED", "UNKNOWN")
    return {
        "total": len(found),
        "statusCounts": {kind: counts.get(kind, 0) for kind in kinds},
        "durationInNanoSeconds": sum(case.duration for case in found),
    }


def status(cases: Iterable[TestCase]) -> str:
    """Return the report's status: SUCCEEDED when no test failed."""
    return "FAILED" if any(case.status in ("FAILED", "ERROR") for case in cases) else "SUCCEEDED"


def wire_form(case: TestCase, report_arn: str) -> dict[str, Any]:
    """Return a test case as DescribeTestCases answers it."""
    return {
        "reportArn": report_arn,
        "testRawDataPath": case.file,
        "prefix": case.suite,
        "testSuiteName": case.suite,
        "name": case.name,
        "status": case.status,
        "durationInNanoSeconds": case.duration,
        "message": case.message,
    }
