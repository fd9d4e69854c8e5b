"""How good models are by the labels that came back: the feedback function measures, this shows it."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from ops import options
from ops.faults import OperatorFault
from ops.models.home import CHAMPION, Home, find
from ops.options import Json, Profiles, Role, faults_in_words
from ops.terminal import as_json, say, show, speak_to

_OUTPUT = "FeedbackFunctionName"
# Of many classes people look for the worst; --json tells all.
_MOST_CLASSES = 30
Record = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command to the operator's command line."""
    app.command()(faults_in_words(accuracy))


def accuracy(
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Only this one: its package's ARN, or the version at its end."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Of the answers of so many days (UTC).")] = 28,
    line: Annotated[str, typer.Option(help="Which line's answers.")] = CHAMPION,
    by_day: Annotated[bool, typer.Option("--by-day", help="Show each day's accuracy as well.")] = False,
    environment: Annotated[
        str | None, typer.Option(help="Which environment (default: the first of the settings).")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Which of its regions (default: its home).")] = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Show accuracy, precision and recall by the labels that came back, with confidence intervals."""
    speak_to(machine=json)
    deployment, access = options.opened(profile, role)
    home = find(deployment, access, environment, region)
    told = narrowed(home, ask(home, line, days), model)
    if json:
        as_json(told)
        return
    if not told["models"]:
        say(f"{home}: no answer of {_window(told)} has a label yet{_waiting(told)}")
        say('  labels come by POST /v1/feedback {"prediction_id": ..., "label": ...}: docs/feedback.md')
        return
    say(
        f"{home}: {told['labels']} labels for answers of {_window(told)}"
        f"{_share(told)}{_waiting(told)}; intervals hold with {told['confidence']:.0%} confidence"
    )
    for each in told["models"]:
        show(drawn(each, by_day=by_day), broken=False)


def ask(home: Home, line: str, days: int) -> Record:
    """The report on a line. Raises OperatorFault when the function fails."""
    answer = home.client("lambda").invoke(
        FunctionName=home.output(_OUTPUT),
        Payload=json_format.dumps({"report": {"line": line, "days": days}}),
    )
    told = json_format.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise OperatorFault(
            f"{home}: the feedback function failed: {told.get('errorMessage') or told.get('errorType')}; "
            "its log says more"
        )
    return told


def narrowed(home: Home, told: Record, model: str | None) -> Record:
    """The report on one model. Raises OperatorFault when none of its answers has a label."""
    if model is None:
        return told
    found = [each for each in told["models"] if model in (each["model"], each["model"].rsplit("/", 1)[-1])]
    if not found:
        known = ", ".join(_short(each["model"]) for each in told["models"]) or "none"
        raise OperatorFault(
            f"{home}: no answer of {model} in {_window(told)} has a label; models with labels: {known}"
        )
    return {**told, "models": found}


def drawn(model: Record, *, by_day: bool) -> Group:
    """One model's tables."""
    role = " (champion)" if model["champion"] else ""
    f1 = f", macro F1 {model['macro_f1']:.3f}" if model["macro_f1"] is not None else ""
    # Not the table's own title, which would be broken to its width.
    title = (
        f"\n[bold]{_short(model['model'])}[/]{role}: accuracy {_words(model['accuracy'])} "
        f"of {model['labels']} labels{f1}"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("class", "labelled", "predicted", "precision", "recall", "F1"):
        table.add_column(name, justify="left" if name == "class" else "right")
    classes = [each for each in model["classes"] if each["labelled"] or each["predicted"]]
    shown = classes if len(classes) <= _MOST_CLASSES else sorted(classes, key=_worth)[:_MOST_CLASSES]
    for each in shown:
        table.add_row(
            each["label"],
            str(each["labelled"]),
            str(each["predicted"]),
            _words(each["precision"]),
            _words(each["recall"]),
            "-" if each["f1"] is None else f"{each['f1']:.3f}",
        )
    parts: list[Any] = [title, table]
    if len(shown) < len(classes):
        parts.append(f"[dim]the worst {len(shown)} of {len(classes)} classes; --json tells all[/dim]")
    if by_day:
        parts.append(_days(model["by_day"]))
    return Group(*parts)


def _days(days: list[Record]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("day of the answers", "labels", "accuracy"):
        table.add_column(name, justify="left" if name.startswith("day") else "right")
    for each in days:
        table.add_row(each["day"], str(each["labels"]), _words(each["accuracy"]))
    return table


def _words(share: Record) -> str:
    """A share with its interval, such as `0.975 [0.955, 0.986]`."""
    if share["value"] is None:
        return "-"
    return f"{share['value']:.3f} \\[{share['low']:.3f}, {share['high']:.3f}]"


def _worth(each: Record) -> float:
    return each["f1"] if each["f1"] is not None else 2.0


def _short(package: str) -> str:
    return package.partition(":model-package/")[2] or package


def _window(told: Record) -> str:
    first, last = told["days"]
    return first if first == last else f"{first} to {last}"


def _share(told: Record) -> str:
    if told["labelled_share"] is None:
        return ""
    return f", {told['labelled_share']:.1%} of {told['answered']}"


def _waiting(told: Record) -> str:
    return f"; {told['pending']} wait for their predictions" if told["pending"] else ""
