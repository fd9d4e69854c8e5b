"""Reads a Step Functions execution history: how long each state took, and which one failed why."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smoke_tests.faults import cause_in_words

Event = dict[str, Any]

# Events that carry an error and a cause; ExecutionFailed only repeats what the workflow itself reported.
_SHOWN_STATES = 6
_LOOK_BACK = 20  # events; a state that is under way has fewer
_FAILURES = ("Failed", "TimedOut", "Aborted", "ScheduleFailed", "StartFailed", "SubmitFailed")


@dataclass(frozen=True)
class StateTime:
    """One state of the workflow: seconds spent in all its visits, and how often it was entered."""

    name: str
    seconds: float
    visits: int


@dataclass(frozen=True)
class Failure:
    """Where and why an execution failed; `state` is empty when none failed, as at a gate's verdict."""

    state: str
    error: str
    cause: str
    path: tuple[str, ...]

    def in_words(self) -> str:
        """One sentence for a report."""
        way = " -> ".join(self.path[-_SHOWN_STATES:]) or "no state was entered"
        what = f"{self.error or 'no error name'}: {self.cause or 'no cause given'}"
        return f"{f'state {self.state} failed' if self.state else 'it gave up'} with {what} (way: {way})"


def latest_state(states: Any, execution_arn: str) -> str:
    """The state that a running execution entered last; empty before the first."""
    answer = states.get_execution_history(
        executionArn=execution_arn, reverseOrder=True, maxResults=_LOOK_BACK, includeExecutionData=False
    )
    newest_first = sorted(answer["events"], key=lambda event: event["id"], reverse=True)
    return next((name for event in newest_first if (name := _entered(event))), "")


def events_of(states: Any, execution_arn: str) -> list[Event]:
    """The whole history, oldest event first."""
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=True
    )
    return [event for page in pages for event in page["events"]]


def state_times(events: Iterable[Event]) -> list[StateTime]:
    """Time per state, in the order in which the states were first entered.

    A state that never ended counts up to the last event.
    """
    seconds: dict[str, float] = {}
    visits: dict[str, int] = {}
    entered: dict[str, datetime] = {}
    last: datetime | None = None
    for event in events:
        last = event["timestamp"]
        if name := _entered(event):
            entered[name] = event["timestamp"]
            visits[name] = visits.get(name, 0) + 1
            seconds.setdefault(name, 0.0)
        elif (name := _exited(event)) and name in entered:
            seconds[name] += (event["timestamp"] - entered.pop(name)).total_seconds()
    for name, since in entered.items():
        seconds[name] += (last - since).total_seconds() if last else 0.0
    return [StateTime(name, seconds[name], visits[name]) for name in seconds]


def explain(events: list[Event], error: str = "", cause: str = "") -> Failure:
    """Find the state behind a failed execution; `error` and `cause` are those of the Fail state it ended in.

    The workflow catches a fault, records and announces it, and ends in a Fail state that keeps error and
    cause; people want the state that was caught. Other failures of a history do not matter: retries that
    succeeded later, or a lookup that failed because there was no endpoint yet.
    """
    current, state_of = "", dict[int, str]()
    failures: list[tuple[str, str, str]] = []
    for event in events:
        current = _entered(event) or current
        # In parallel branches the event's ancestry knows its state better than the order of arrival.
        state_of[event["id"]] = _entered(event) or state_of.get(event.get("previousEventId", 0)) or current
        details = _failure_details(event)
        if details is not None:
            failures.append((state_of[event["id"]], details.get("error", ""), details.get("cause", "")))
    path = tuple(_path(events))
    same = [found for found in failures if (error and error == found[1]) or (cause and cause == found[2])]
    if same:
        state, own_error, own_cause = same[-1]
        return Failure(state, own_error or error, cause_in_words(own_cause or cause), path)
    # An execution that ran out of time or was stopped has no error of its own: the state it was in says most.
    return Failure("" if error else "".join(path[-1:]), error, cause_in_words(cause), path)


def parameter(events: Iterable[Event], name: str) -> str:
    """The first value of `name` (such as TrainingJobName) in the parameters of the tasks; empty if absent."""
    for event in events:
        raw = event.get("taskScheduledEventDetails", {}).get("parameters", "")
        if f'"{name}"' not in raw:
            continue
        try:
            value = json.loads(raw).get(name, "")
        except ValueError:
            continue
        if value:
            return str(value)
    return ""


def started(events: Iterable[Event], state_machine_arn: str) -> str:
    """The name of the first execution of that state machine that a task started; empty if there was none."""
    for event in events:
        raw = event.get("taskScheduledEventDetails", {}).get("parameters", "")
        if f'"{state_machine_arn}"' not in raw:
            continue
        try:
            asked = json.loads(raw)
        except ValueError:
            continue
        if asked.get("StateMachineArn") == state_machine_arn and asked.get("Name"):
            return str(asked["Name"])
    return ""


def _path(events: Iterable[Event]) -> list[str]:
    """The states in the order in which they were entered, repeated visits of a loop's state left out."""
    path: list[str] = []
    for event in events:
        name = _entered(event)
        if name and name not in path:
            path.append(name)
    return path


def _entered(event: Event) -> str:
    return str(event.get("stateEnteredEventDetails", {}).get("name", ""))


def _exited(event: Event) -> str:
    return str(event.get("stateExitedEventDetails", {}).get("name", ""))


def _failure_details(event: Event) -> dict[str, str] | None:
    kind = str(event.get("type", ""))
    if kind.startswith("Execution") or not kind.endswith(_FAILURES):
        return None
    details = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails", {})
    return details if isinstance(details, dict) else {}
