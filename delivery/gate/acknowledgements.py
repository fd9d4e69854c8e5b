"""The audit of acknowledgements: each is about one construct and one finding, reasoned, current and needed.

One construct may hold several resources with the same finding, such as the roles of a pipeline. Over-broad
is an acknowledgement that stands on the app, a stage or a stack; that silences its finding on more resources
than anybody looks at together, or on resources of several types; or that stands higher than it needs to: more
than three levels above the lowest construct that holds all of them (a role is two above its policy). What is
added below it later would be accepted without anybody having looked.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from delivery.gate.assembly import Acknowledgement, Assembly
from delivery.gate.findings import SHORTEST_REASON, Check, Finding, convinces
from delivery.gate.iam import NAME as IAM
from delivery.gate.iam import own_acknowledgements_used

NAME = "Acknowledgements"
REASON = "Ack-Reason"
REVIEW_DATE = "Ack-ReviewDate"
EXPIRED = "Ack-Expired"
UNUSED = "Ack-Unused"
DUPLICATE = "Ack-Duplicate"
OVER_BROAD = "Ack-OverBroad"
_RULES = (REASON, REVIEW_DATE, EXPIRED, UNUSED, DUPLICATE, OVER_BROAD)

LONGEST_REVIEW = timedelta(days=366)
MOST_RESOURCES = 20
MOST_LEVELS = 3


def audit(assembly: Assembly, *, today: date) -> Check:
    """Every acknowledgement of the assembly, judged as of `today`."""
    silenced = silenced_resources(assembly)
    findings = [
        *_duplicates(assembly),
        *(
            found
            for each in dict.fromkeys(assembly.acknowledgements)
            for found in _faults(each, silenced.get((each.construct, each.finding), []), assembly, today)
        ),
    ]
    return Check(NAME, len(_RULES), len(assembly.acknowledgements), tuple(findings), unit="acknowledgements")


def silenced_resources(assembly: Assembly) -> dict[tuple[str, str], list[str]]:
    """The constructs on which each acknowledgement silences its finding, by (construct, finding).

    The CDK reports this for packs and rules of its own; for findings of the IAM check the gate works it out.
    """
    silenced: dict[tuple[str, str], list[str]] = own_acknowledgements_used(assembly)
    for report in assembly.reports.values():
        for each in report.get("suppressedViolations") or []:
            place = (each.get("acknowledgedAt") or "", each["acknowledgedId"])
            paths = [found.get("constructPath") or "" for found in each["violatingConstructs"]]
            silenced.setdefault(place, []).extend(paths)
    return silenced


def _faults(each: Acknowledgement, silenced: list[str], assembly: Assembly, today: date) -> Iterator[Finding]:
    if not convinces(each.reason):
        yield _fault(
            each,
            REASON,
            f"the reason {each.reason!r} convinces nobody",
            f"say in a sentence of {SHORTEST_REASON} characters or more why the finding does no harm here",
        )
    yield from _dated(each, today)
    if not silenced:
        cure = "take the acknowledgement out: what it was for is mended, or its id is wrong"
        if not each.finding.startswith(f"{IAM}::") and each.finding.split("::")[0] == "Annotation":
            cure = "write the pack's name in front (AwsSolutions::...): without it the finding just vanishes"
        yield _fault(each, UNUSED, "no finding answers to it", cure)
    else:
        yield from _breadth(each, silenced, assembly)


def _breadth(each: Acknowledgement, silenced: list[str], assembly: Assembly) -> Iterator[Finding]:
    if each.construct in _containers(assembly):
        says, cure = "it stands on a whole stack, stage or app", "move it to the construct it is about"
        yield _fault(each, OVER_BROAD, says, cure)
        return
    places = dict.fromkeys(silenced)
    types = {each.type for each in assembly.resources if each.path in places}
    if len(places) > MOST_RESOURCES or len(types) > 1:
        what = f"{len(places)} resources" + (
            f" of types {', '.join(sorted(types))}" if len(types) > 1 else ""
        )
        cure = "acknowledge the finding at the constructs that it is about, so that the next one is looked at"
        yield _fault(each, OVER_BROAD, f"it silences the finding on {what}", cure)
    lowest = os.path.commonpath(places).removeprefix(each.construct).strip("/")
    if lowest.count("/") + bool(lowest) > MOST_LEVELS:
        cure = f"move it down, to {lowest} or the construct that makes it"
        yield _fault(each, OVER_BROAD, "it stands higher than it needs to", cure)


def _dated(each: Acknowledgement, today: date) -> Iterator[Finding]:
    try:
        due = date.fromisoformat(each.review_by)
    except ValueError:
        told = f"{each.review_by!r} is no date" if each.review_by else "it has no date of review"
        yield _fault(each, REVIEW_DATE, told, "give review_by as YYYY-MM-DD")
        return
    if due < today:
        yield _fault(
            each,
            EXPIRED,
            f"its review was due on {due}",
            "look whether the reason still holds; then mend the finding or set a new date",
        )
    elif due - today > LONGEST_REVIEW:
        latest = today + LONGEST_REVIEW
        yield _fault(each, REVIEW_DATE, f"{due} is too far away", f"choose a date until {latest}")


def _duplicates(assembly: Assembly) -> Iterator[Finding]:
    counted = Counter((each.construct, each.finding) for each in assembly.acknowledgements)
    for (construct, finding), times in counted.items():
        if times > 1:
            says = f"{finding} is acknowledged {times} times"
            yield Finding(NAME, DUPLICATE, construct, says, "acknowledge it once, with the better reason")


def _containers(assembly: Assembly) -> set[str]:
    """Paths of the app, of every stage and of every stack."""
    found = {""}
    for stack in assembly.stacks:
        # The pipeline's stack has the stages of the environments below it: it is a container all the same.
        parts = stack.path.split("/")
        found.update("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found


def _fault(each: Acknowledgement, rule: str, says: str, cure: str) -> Finding:
    return Finding(NAME, rule, each.construct, f"{each.finding}: {says}", cure)
