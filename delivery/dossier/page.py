"""Renders the page for people: one file, style inside, no scripts, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from delivery.dossier.model import Action, Cost, Dossier, SmokeResult, StackChange
from delivery.dossier.settings import Settings
from delivery.dossier.text import counted, headline
from delivery.dossier.wording import noun

_TONES = {
    Action.ADDED: "good",
    Action.CHANGED: "plain",
    Action.REPLACED: "bad",
    Action.MAYBE_REPLACED: "warn",
    Action.DELETED: "bad",
}
_SIGNS = {
    Action.ADDED: "+",
    Action.CHANGED: "~",
    Action.REPLACED: "±",
    Action.MAYBE_REPLACED: "?",
    Action.DELETED: "−",  # noqa: RUF001  (the minus sign, as wide as the plus)
}
# From this share of what it was on, a rise of the monthly cost stands out.
_NOTED_RISE = 0.1


def page(dossier: Dossier, settings: Settings) -> str:
    """The whole HTML document."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "noun": noun,
        "tone": _TONES.__getitem__,
        "sign": _SIGNS.__getitem__,
        "counted": counted,
        "console": console,
    }
    environment.filters.update(filters)
    # CSS goes in as it is; only the page itself is HTML to escape.
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        dossier=dossier,
        settings=settings,
        style=style,
        headline=headline(dossier),
        tiles=tiles(dossier),
        stacks=sorted(dossier.stacks, key=_interest),
        executions=_executions(dossier, settings),
    )


def tiles(dossier: Dossier) -> list[tuple[str, str, str, str]]:
    """The figures that an approver looks at first, as (value, name, note, tone)."""
    replaced = dossier.counted(Action.REPLACED, Action.MAYBE_REPLACED)
    deleted, gained = dossier.counted(Action.DELETED), len(dossier.permissions.gained)
    kept, only_code = dossier.acknowledgements, dossier.code_changes
    figures = [
        (str(dossier.counted(Action.ADDED)), "Added", "resources", ""),
        (str(dossier.counted(Action.CHANGED)), "Changed", f"{only_code} only in code", ""),
        (str(replaced), "Replaced", "or perhaps replaced", "bad" if replaced else ""),
        (str(deleted), "Deleted", "resources", "bad" if deleted else ""),
        (
            str(gained),
            "Permissions gained",
            "nothing was there before" if dossier.first else f"{len(dossier.permissions.lost)} lost",
            "bad" if dossier.permissions.broadened else "",
        ),
        (
            str(len(kept.added)) if kept.compared_with else str(len(kept.all)),
            "Findings newly accepted" if kept.compared_with else "Findings accepted",
            f"{len(kept.all)} in all" if kept.compared_with else "nothing to compare with",
            "warn" if kept.added else "",
        ),
    ]
    if dossier.cost and not dossier.cost.unknown:
        figures.append(_cost_tile(dossier.cost))
    if dossier.smoke:
        figures.append(_smoke_tile(dossier.smoke.results, dossier.smoke.environment))
    return figures


def _cost_tile(cost: Cost) -> tuple[str, str, str, str]:
    value, name = f"${cost.usd:,.0f}", "A month, about"
    if cost.change is None:
        return value, name, "nothing to compare with", ""
    note = f"${abs(cost.change):,.2f} {'more' if cost.change > 0 else 'less'}" if cost.change else "as before"
    return value, name, note, "warn" if cost.change > _NOTED_RISE * (cost.usd - cost.change) else ""


def _smoke_tile(results: tuple[SmokeResult, ...], environment: str) -> tuple[str, str, str, str]:
    passed = bool(results) and all(each.passed for each in results)
    value = "passed" if passed else "failed" if results else "missing"
    return value, f"Smoke test of {environment}", "in this execution", "good" if passed else "bad"


def console(address: str) -> str:
    """The address of an object in S3 as the AWS console shows it."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return f"https://console.aws.amazon.com/s3/object/{quote(bucket)}?prefix={quote(key, safe='')}"


def _interest(change: StackChange) -> tuple[bool, str]:
    """Stacks in which something happens come first, in the order of deployment otherwise."""
    return not (change.resources or change.outputs or change.parameters or change.notes), ""


def _executions(dossier: Dossier, settings: Settings) -> str:
    name = quote(settings.pipeline)
    return (
        "https://console.aws.amazon.com/codesuite/codepipeline/pipelines/"
        f"{name}/executions/{quote(dossier.execution)}/timeline"
    )
