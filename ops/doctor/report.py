"""How findings are shown: faults with their cures first of all, and one line that counts."""

from __future__ import annotations

from dataclasses import asdict

from ops.doctor.findings import Finding, Verdict
from ops.terminal import as_json, say

_STYLE = {Verdict.WELL: "green", Verdict.FAULT: "bold red", Verdict.NOT_CHECKED: "yellow"}


def show(findings: list[Finding]) -> None:
    """One line for each finding, and the cure below what needs one."""
    for each in findings:
        mark = {Verdict.WELL: "ok   ", Verdict.FAULT: "FAULT", Verdict.NOT_CHECKED: "?    "}[each.verdict]
        say(f"{mark}  {each.name}: {each.where}: {each.what}", style=_STYLE[each.verdict])
        if each.cure:
            say(f"       cure: {each.cure}")
    count = {verdict: sum(each.verdict is verdict for each in findings) for verdict in Verdict}
    say(
        f"{len(findings)} findings: {count[Verdict.FAULT]} to mend, {count[Verdict.WELL]} well, "
        f"{count[Verdict.NOT_CHECKED]} not checked"
    )


def print_json(findings: list[Finding]) -> None:
    """The same for a machine."""
    as_json([asdict(each) for each in findings])


def any_fault(findings: list[Finding]) -> bool:
    """Whether anything is wrong."""
    return any(each.verdict is Verdict.FAULT for each in findings)
