"""What a label changes: which one stands, and what is to be counted. Arithmetic alone, no AWS.

Labels for a prediction come in any order, more than once, before the prediction and days after it. One of
them stands: the one with the latest `labelled_at`, and of two of the same instant the one that sorts last, so
that the order of their arrival does not matter. A label that names no time is taken to be newer than all
before it, unless it says what stands already: then it is a repetition, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a label; the value is part of the API's answer."""

    COUNTED = "counted"
    CORRECTED = "corrected"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    PENDING = "pending"


class Status(StrEnum):
    """How the label of a prediction stands."""

    PENDING = "PENDING"
    COUNTED = "COUNTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Told:
    """A label as somebody gives it: `labelled_at` (UTC) is when it was decided, where they say so."""

    prediction_id: str
    label: str
    labelled_at: datetime | None = None
    source: str | None = None


@dataclass(frozen=True)
class Prediction:
    """What a label is compared with: the answer of `model` (its package's ARN), on the UTC `day` (ISO)."""

    id: str
    line: str
    model: str
    label: str
    day: str
    expires_at: int


@dataclass(frozen=True)
class Cell:
    """One count: how often `model` said `predicted` on `day` where the truth is `truth`."""

    line: str
    day: str
    model: str
    truth: str
    predicted: str


@dataclass(frozen=True)
class Standing:
    """The label that stands for a prediction. `revision` grows with every change.

    `prediction` is what it is counted for; without one it waits since `waiting_since`, or did so in vain.
    """

    prediction_id: str
    label: str
    labelled_at: datetime
    source: str | None
    waiting_since: datetime
    revision: int = 1
    prediction: Prediction | None = None
    expired: bool = False

    @property
    def status(self) -> Status:
        """Counted, waiting for its prediction, or given up."""
        if self.prediction is not None:
            return Status.COUNTED
        return Status.EXPIRED if self.expired else Status.PENDING

    @property
    def cell(self) -> Cell | None:
        """Where the label is counted; None while it waits."""
        if self.prediction is None:
            return None
        known = self.prediction
        return Cell(known.line, known.day, known.model, self.label, known.label)


@dataclass(frozen=True)
class Change:
    """What stands afterwards, what that is called, and which counts grow and shrink by one."""

    before: Standing | None
    after: Standing
    outcome: Outcome

    @property
    def is_none(self) -> bool:
        """Whether all stays as it is."""
        return self.before == self.after

    @property
    def more(self) -> Cell | None:
        """The count that grows by one."""
        before = self.before.cell if self.before else None
        return None if before == self.after.cell else self.after.cell

    @property
    def less(self) -> Cell | None:
        """The count that shrinks by one."""
        before = self.before.cell if self.before else None
        return None if before == self.after.cell else before


def tell(standing: Standing | None, told: Told, prediction: Prediction | None, now: datetime) -> Change:
    """What a label changes; `prediction` is the one it is for, where there is one yet. `now` is UTC."""
    if standing is None:
        first = Standing(told.prediction_id, told.label, told.labelled_at or now, told.source, now)
        after = replace(first, prediction=prediction)
        return Change(None, after, Outcome.COUNTED if prediction else Outcome.PENDING)
    chosen = _chosen(standing, told, now)
    known = standing.prediction or prediction
    after = replace(chosen, prediction=known, expired=False)
    if known is None and standing.expired:
        # Somebody still cares: it waits once more.
        after = replace(after, waiting_since=now)
    if after != standing:
        after = replace(after, revision=standing.revision + 1)
    return Change(standing, after, _outcome(standing, told, chosen, known))


def join(standing: Standing, prediction: Prediction) -> Change:
    """The prediction of a waiting label has come; one that is counted already stays so."""
    if standing.prediction is not None:
        return Change(standing, standing, Outcome.UNCHANGED)
    after = replace(standing, prediction=prediction, expired=False, revision=standing.revision + 1)
    return Change(standing, after, Outcome.COUNTED)


def expire(standing: Standing) -> Change:
    """The prediction of a waiting label is not waited for any longer."""
    if standing.status is not Status.PENDING:
        return Change(standing, standing, Outcome.UNCHANGED)
    after = replace(standing, expired=True, revision=standing.revision + 1)
    return Change(standing, after, Outcome.PENDING)


def _chosen(standing: Standing, told: Told, now: datetime) -> Standing:
    """The one of the two that stands."""
    if told.labelled_at is None:
        if told.label == standing.label:
            return standing
        # What stands may bear a time of a clock that is ahead.
        at = max(now, standing.labelled_at + timedelta(microseconds=1))
    else:
        at = told.labelled_at
    if (at, told.label) <= (standing.labelled_at, standing.label):
        return standing
    return replace(standing, label=told.label, labelled_at=at, source=told.source)


def _outcome(standing: Standing, told: Told, chosen: Standing, known: Prediction | None) -> Outcome:
    if known is None:
        return Outcome.PENDING
    if chosen.label != told.label:
        return Outcome.SUPERSEDED
    if standing.prediction is None:
        return Outcome.COUNTED
    return Outcome.UNCHANGED if standing.label == told.label else Outcome.CORRECTED
