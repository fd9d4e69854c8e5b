"""Writes the JUnit file that a CodeBuild report group reads: one test case per check."""

import re
from xml.etree import ElementTree

from smoke_tests.journal import Check, Status
from smoke_tests.result import Result

# XML 1.0 has no way to write these, and answers of a broken deployment may hold any of them.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Result) -> bytes:
    """The document, UTF-8, with a failure or error text per check that did not pass."""
    counts = {
        "tests": len(result.checks),
        "failures": sum(check.status is Status.FAILED for check in result.checks),
        "errors": sum(check.status is Status.ERROR for check in result.checks),
        "skipped": len(result.skipped),
    }
    totals = {name: str(number) for name, number in counts.items()} | {"time": f"{result.seconds:.3f}"}
    suites = ElementTree.Element("testsuites", {"name": "smoke", **totals})
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {
            "name": f"smoke.{result.settings.environment}",
            "timestamp": result.started_at.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": result.settings.build_id or "laptop",
            **totals,
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("run_id", result.run_id), ("commit", result.settings.commit)):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _text(value)})
    for check in result.checks:
        suite.append(_case(check, result.settings.environment))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)


def _case(check: Check, environment: str) -> ElementTree.Element:
    group = check.group.lower().replace("-", "_")
    case = ElementTree.Element(
        "testcase",
        {"classname": f"smoke.{environment}.{group}", "name": check.name, "time": f"{check.seconds:.3f}"},
    )
    said = _text(check.detail)
    if check.status is Status.SKIPPED:
        ElementTree.SubElement(case, "skipped", {"message": said})
    elif check.status is Status.PASSED:
        ElementTree.SubElement(case, "system-out").text = f"{check.title}: {said}"
    else:
        tag = "failure" if check.status is Status.FAILED else "error"
        fault = ElementTree.SubElement(case, tag, {"message": said, "type": tag})
        evidence = (f"{label}: {value}" for label, value in check.evidence.items())
        fault.text = _text("\n".join(filter(None, (check.title, check.detail, *evidence, check.trace))))
    return case


def _text(value: str) -> str:
    return _UNWRITABLE.sub("?", value)
