"""The dossier in a few lines: for the approval, for the notification, and as variables of the pipeline."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from delivery.dossier.model import Action, Dossier
from delivery.dossier.settings import Settings

# CodePipeline's approval takes 1000 characters, and the link comes on top.
LONGEST = 900
_LONGEST_RISKS = 700
_ASCII = {"…": "..."}


def counted(number: int, one: str, many: str = "") -> str:
    """`1 stack`, `2 stacks`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def short_text(dossier: Dossier) -> str:
    """What an approver must know, in at most 900 characters on one line, the gravest first."""
    return _fitted(
        [_what(dossier), _danger(dossier), _staging(dossier), _net(dossier), cost_text(dossier)], LONGEST
    )


def variables(dossier: Dossier, settings: Settings) -> dict[str, str]:
    """What the pipeline is told: address, text, and whether somebody must confirm the risks."""
    return {
        "DOSSIER_URL": settings.url,
        "DOSSIER_SUMMARY": short_text(dossier),
        "DOSSIER_RISK": dossier.risk,
        "DOSSIER_RISKS": _row(dossier.risks, _LONGEST_RISKS) or "none",
    }


def exports(values: Mapping[str, str]) -> str:
    """A script for a shell to read that exports the variables; no value is ever run."""
    return "".join(f"export {name}={shlex.quote(one_line(value))}\n" for name, value in values.items())


def one_line(text: str) -> str:
    """The text without line breaks and control characters, in ASCII, as variables of a pipeline must be."""
    for character, plain in _ASCII.items():
        text = text.replace(character, plain)
    text = re.sub(r"\s+", " ", text).strip()
    return "".join(each if " " <= each <= "~" else "?" for each in text)


def headline(dossier: Dossier) -> str:
    """What the deployment does, in one sentence."""
    if dossier.first:
        return (
            f"First deployment to {dossier.environment}: {counted(len(dossier.stacks), 'stack')}, "
            f"{counted(dossier.counted(Action.ADDED), 'resource')}, all new."
        )
    parts = [
        f"{number} {words}"
        for words, number in (
            ("added", dossier.counted(Action.ADDED)),
            ("changed", dossier.counted(Action.CHANGED)),
            ("replaced", dossier.counted(Action.REPLACED)),
            ("perhaps replaced", dossier.counted(Action.MAYBE_REPLACED)),
            ("deleted", dossier.counted(Action.DELETED)),
        )
        if number
    ]
    if not parts:
        return f"Nothing changes in {dossier.environment}."
    only_code = dossier.code_changes
    code = f", {only_code} of them only in code" if only_code else ""
    if only_code and only_code == sum(len(each.resources) for each in dossier.stacks):
        return f"Only code changes in {dossier.environment}: {counted(only_code, 'resource')}."
    return f"Resources in {dossier.environment}: {', '.join(parts)}{code}."


def _what(dossier: Dossier) -> str:
    commits = dossier.commits
    if commits.going_back:
        come = "This goes back to an earlier commit."
    elif commits.since is None:
        come = f"{counted(len(commits.commits), 'commit')}, none was deployed before."
    else:
        come = f"{counted(len(commits.commits), 'commit')} since the last deployment."
    return f"{headline(dossier)} {come}"


def _danger(dossier: Dossier) -> str:
    if dossier.risks:
        count = counted(len(dossier.risks), "risk")
        return f"TO BE CONFIRMED ({count}): {_row(dossier.risks, 420)}."
    if dossier.first:
        return "Nothing can be lost yet; all permissions are new, see the dossier."
    return "No permission is broadened, nothing that holds data is replaced or deleted."


def _staging(dossier: Dossier) -> str:
    smoke, added = dossier.smoke, dossier.acknowledgements.added
    parts: list[str] = []
    if smoke and not smoke.results:
        parts.append(f"No smoke result of {smoke.environment} was found.")
    for result in smoke.results if smoke else ():
        accuracy = f", accuracy {result.accuracy:.1%}" if result.accuracy is not None else ""
        verdict = "passed" if result.passed else "FAILED"
        parts.append(
            f"Smoke test of {result.environment} {verdict} ({result.total_seconds:.0f} s{accuracy})."
        )
    if added:
        parts.append(f"{counted(len(added), 'compliance finding')} newly accepted.")
    return " ".join(parts)


def _net(dossier: Dossier) -> str:
    return "" if dossier.rollback.present else f"{dossier.rollback.why}."


def cost_text(dossier: Dossier) -> str:
    """What a month is estimated to cost and how that changes, in a sentence; empty where nothing is known."""
    cost = dossier.cost
    if cost is None or cost.unknown:
        return ""
    month = f"A month costs about {cost.usd:,.0f} USD"
    if cost.change is None:
        return f"{month}."
    if not cost.change:
        return f"{month}, as before."
    return f"{month}, {abs(cost.change):,.2f} {'more' if cost.change > 0 else 'less'} than before."


def _row(items: tuple[str, ...], limit: int) -> str:
    """The items in a row as far as they fit, and how many more there are."""
    shown: list[str] = []
    for item in items:
        rest = len(items) - len(shown) - 1
        tail = f"; and {rest} more" if rest else ""
        if len("; ".join([*shown, item])) + len(tail) > limit:
            break
        shown.append(item)
    if items and not shown:
        shown = [items[0][: limit - 20] + "..."]
    rest = len(items) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more" if rest else "")


def _fitted(sentences: list[str], limit: int) -> str:
    text = one_line(" ".join(each for each in sentences if each))
    return text if len(text) < limit else text[: limit - 4] + "..."
