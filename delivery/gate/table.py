"""The verdict as people read it: a table, then each open finding with its construct, rule and cure."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from delivery.gate.verdict import Verdict

# At most one acknowledgement for so many resources is what the project aims at.
GOAL = 20
_MOST_CONSTRUCTS = 6  # that are listed below one open finding; the report has them all


def show(verdict: Verdict, report: Path, console: Console) -> None:
    """Print the table, the open findings, and one line that says how it stands."""
    console.print(_table(verdict))
    console.print(_ratio(verdict), style="dim", highlight=False)
    for (constructs, cure), findings in _together(verdict).items():
        _open(console, findings, constructs, cure)
    total = sum(1 for _ in verdict.open)
    if verdict.passed:
        console.print(f"compliance: passed, the report is in {report}", style="green", highlight=False)
    else:
        finding = "finding is" if total == 1 else "findings are"
        console.print(f"compliance: failed, {total} {finding} open; the report is in {report}", style="red")


def _table(verdict: Verdict) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=_title(verdict), title_justify="left", title_style="bold")
    table.add_column("Check", no_wrap=True)
    for name in ("Rules", "Resources", "Findings", "Acknowledged", "Open"):
        table.add_column(name, justify="right", no_wrap=True)
    for check in verdict.checks:
        still_open = len(check.open)
        table.add_row(
            check.name,
            "all" if check.rules is None else str(check.rules),
            str(check.subjects) if check.unit == "resources" else "",
            str(len(check.findings)),
            str(check.acknowledged),
            Text(str(still_open), style="bold red" if still_open else "green"),
        )
    return table


def _title(verdict: Verdict) -> str:
    return f"Compliance of {verdict.stacks} stacks, {verdict.resources} resources, on {verdict.day}"


def _ratio(verdict: Verdict) -> str:
    count = verdict.acknowledgements
    if not count:
        return "Nothing is acknowledged."
    each = verdict.resources / count
    told = f"{count} acknowledgements, one for {each:.1f} resources (goal: one for {GOAL} or more)"
    if verdict.acknowledged_ids == count:
        return told
    return f"{told};\n{verdict.acknowledged_ids} where a rule that several packs share counts once for each"


def _together(verdict: Verdict) -> dict[tuple[tuple[str, ...], str], list[str]]:
    """What is open, briefly: one entry for all that is to be mended in the same way at the same constructs.

    One mistake often breaks rules of several packs, and does so in every environment.
    """
    places: dict[tuple[str, str], set[str]] = {}
    for each in verdict.open:
        named = each.rule if each.rule.startswith(each.check) or "Ack-" in each.rule else None
        told = f"{named or f'{each.check} {each.rule}'}: {each.says}"
        places.setdefault((told, each.cure), set()).add(each.construct)
    together: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (told, cure), constructs in places.items():
        together.setdefault((tuple(sorted(constructs)), cure), []).append(told)
    return together


def _open(console: Console, findings: list[str], constructs: tuple[str, ...], cure: str) -> None:
    console.print()
    for told in findings:
        rule, _, says = told.partition(": ")
        console.print(Text.assemble(("OPEN ", "bold red"), (rule, "bold"), f": {says}"), soft_wrap=True)
    for construct in constructs[:_MOST_CONSTRUCTS]:
        console.print(Text(f"  at   {construct}", style="cyan"), soft_wrap=True)
    if len(constructs) > _MOST_CONSTRUCTS:
        console.print(Text(f"       and {len(constructs) - _MOST_CONSTRUCTS} more constructs"))
    console.print(Text(f"  cure {cure}", style="green"), soft_wrap=True)
