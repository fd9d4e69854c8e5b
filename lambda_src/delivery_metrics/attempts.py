"""What became of the stages of an execution: each attempt at a stage, its end, and where its time went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from history import Action, Execution, History


class Outcome(StrEnum):
    """How an attempt at a stage stands; only the first two are measured."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "running"


@dataclass(frozen=True)
class Attempt:
    """One attempt at one stage: first all its actions, in a retry those that are run again and the rest."""

    stage: str
    actions: tuple[Action, ...]
    outcome: Outcome
    before: datetime
    """When the way to the stage was free: the end of the stage before it, or the execution's start."""

    @property
    def id(self) -> str:
        """The attempt's identity: that of the action that began it."""
        return self.actions[0].id

    @property
    def began(self) -> datetime:
        """When its first action began."""
        return self.actions[0].began

    @property
    def ended(self) -> datetime:
        """When its last action ended."""
        return max(each.ended for each in self.actions)

    @property
    def finished(self) -> bool:
        """Whether it came to an end by itself."""
        return self.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)

    @property
    def deployed(self) -> bool:
        """Whether it did more than to ask a person."""
        return any(not each.is_approval for each in self.actions)

    def waiting_seconds(self) -> float:
        """Time in which nothing but people's decisions was waited for, and time before the stage began."""
        work = _union((each.began, each.ended) for each in self.actions if not each.is_approval)
        approvals = _union((each.began, each.ended) for each in self.actions if each.is_approval)
        decisions = sum(_seconds(*span) - _overlap(span, work) for span in approvals)
        return max(0.0, _seconds(self.before, self.began)) + decisions

    def working_seconds(self) -> float:
        """All the rest of the time from the end of the stage before it to its own."""
        return max(0.0, _seconds(min(self.before, self.began), self.ended) - self.waiting_seconds())


def attempts(history: History, execution: Execution, *, passed: str | None = None) -> list[Attempt]:
    """All attempts at the stages that an execution has entered, in their order.

    The history does not say whether a stage in which everything has succeeded has more to do. It is over when
    a later stage has begun, when the execution is, or when an event has said so (`passed` names that stage).
    """
    by_stage: dict[str, list[Action]] = {}
    for action in history.actions(execution):
        by_stage.setdefault(action.stage, []).append(action)
    found: list[Attempt] = []
    for position, (stage, actions) in enumerate(by_stage.items()):
        left = position + 1 < len(by_stage) or stage == passed or execution.status in _LEFT
        free = found[-1].ended if found else execution.started
        for number, each in enumerate(_split(actions)):
            # Between two attempts nobody waits for a turn: the stage stands still until it is retried.
            before = free if number == 0 else each[0].began
            found.append(Attempt(stage, tuple(each), _outcome(each, left, execution.status), before))
    return found


# An execution fails in a stage with a failed action, or before the next; it is superseded between two.
_LEFT = frozenset({"Succeeded", "Failed", "Superseded"})


def _split(actions: Sequence[Action]) -> list[list[Action]]:
    """Cut a stage's actions into attempts: an action that has run before is run again by a retry."""
    found: list[list[Action]] = [[]]
    for action in actions:
        if action.name in {each.name for each in found[-1]}:
            found.append([])
        found[-1].append(action)
    return found


def _outcome(actions: Sequence[Action], left: bool, execution_status: str) -> Outcome:
    statuses = {each.status for each in actions}
    if "InProgress" in statuses:
        return Outcome.RUNNING
    if "Failed" in statuses:
        return Outcome.FAILED
    if "Abandoned" in statuses:
        return Outcome.STOPPED
    if left:
        return Outcome.SUCCEEDED
    return Outcome.RUNNING if execution_status in ("InProgress", "Stopping") else Outcome.STOPPED


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _union(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The time that the spans cover together, as spans that do not touch."""
    covered: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if covered and begin <= covered[-1][1]:
            covered[-1] = (covered[-1][0], max(end, covered[-1][1]))
        else:
            covered.append((begin, end))
    return covered


def _overlap(span: tuple[datetime, datetime], others: Sequence[tuple[datetime, datetime]]) -> float:
    return sum(max(0.0, _seconds(max(span[0], begin), min(span[1], end))) for begin, end in others)
