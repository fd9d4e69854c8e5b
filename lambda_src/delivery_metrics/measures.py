"""The definitions of what is measured, and the arithmetic behind them.

The four figures are DORA's (https://dora.dev/guides/dora-metrics/): change lead time, deployment frequency,
change fail rate, and failed deployment recovery time, also called time to restore. Here they mean:

- A *production deployment* is an attempt at a production stage in which more was done than to ask for
  approval. A rejected or expired approval is none. A stage that is retried is deployed again. A rollback is
  no deployment of its own: it ends what a failed one began.
- `Deployments` is 1 for one that succeeded, its smoke test included, and 0 for one that failed: the sum is
  the frequency, the number of samples is how many there were at all.
- `DeploymentFailures` is 1 for one that failed, and 1 more when a person rolls back one that had succeeded.
  Failures / samples of `Deployments` is the change fail rate.
- `LeadTimeSeconds` has one value per change that a successful deployment brought: every revision that the
  pipeline took up after the one that succeeded in this stage before, up to this one. Pushes that failed or
  were superseded count with the delivery that at last carried them. A change begins when its commit was made,
  by the source action's word, or, where that is unknown (S3) or later than that (a wrong clock), when the
  pipeline took it up. Of a push with several commits CodePipeline knows the last.
- `RestoreSeconds` goes from the end of the first failed deployment after a success to the end of the next
  success, of a deployment or of a rollback. Where a person rolls back what had succeeded, it begins with the
  rollback.
- `StageSeconds` is how long a stage worked, and `QueueSeconds` how long an execution waited for its turn in
  it and for people's decisions; together they are the time from the end of the stage before. Only attempts
  that succeeded are measured: those that failed would make a stage look quicker than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from attempts import Attempt, Outcome, attempts
from history import ROLLBACK, STANDARD, Execution, History

COUNT, SECONDS = "Count", "Seconds"


@dataclass(frozen=True)
class Measure:
    """Values of one metric at one time; `stage` is its dimension beside the pipeline, where it has one."""

    metric: str
    unit: str
    values: tuple[float, ...]
    at: datetime
    stage: str | None = None


def durations(attempt: Attempt) -> list[Measure]:
    """Where the time of an attempt that succeeded went."""
    if attempt.outcome is not Outcome.SUCCEEDED:
        return []
    return [
        Measure("StageSeconds", SECONDS, (attempt.working_seconds(),), attempt.ended, attempt.stage),
        Measure("QueueSeconds", SECONDS, (attempt.waiting_seconds(),), attempt.ended, attempt.stage),
    ]


def production(history: History, execution: Execution, attempt: Attempt) -> list[Measure]:
    """What a finished attempt at a production stage means for the four figures."""
    if not attempt.deployed:
        return []
    past = _past(history, execution, attempt)
    if execution.kind == ROLLBACK:
        return _rolled_back(past, execution, attempt)
    succeeded = attempt.outcome is Outcome.SUCCEEDED
    found = [
        _count("Deployments", succeeded, attempt.ended),
        _count("DeploymentFailures", not succeeded, attempt.ended),
    ]
    if succeeded:
        lead_times = _lead_times(history, past, attempt.ended)
        if lead_times:
            found.append(Measure("LeadTimeSeconds", SECONDS, lead_times, attempt.ended))
        found += _restored(past.broken_since, attempt.ended)
    return found


@dataclass(frozen=True)
class _Tried:
    execution: Execution
    attempt: Attempt

    @property
    def failed(self) -> bool:
        return self.attempt.outcome is Outcome.FAILED

    @property
    def known(self) -> datetime:
        """When a failure was known; a failed rollback was preceded by the failure that it was to end."""
        return self.execution.started if self.execution.kind == ROLLBACK else self.attempt.ended


@dataclass(frozen=True)
class _Past:
    """What happened in a production stage before an attempt, back to the delivery that succeeded last.

    `tried` is in the order of its ends; `carried` are the executions whose changes the attempt brings.
    """

    tried: tuple[_Tried, ...]
    carried: tuple[Execution, ...]
    delivered: Execution | None

    @property
    def broken_since(self) -> datetime | None:
        """When the first failure after the last success was known; None where production was in order."""
        since: datetime | None = None
        for each in self.tried:
            if not each.failed:
                since = None
            elif since is None:
                since = each.known
        return since


def _past(history: History, execution: Execution, attempt: Attempt) -> _Past:
    tried: list[_Tried] = []
    carried: list[Execution] = []
    delivered: Execution | None = None
    for other in history.executions():
        if other.started > attempt.ended:
            continue
        here = [
            _Tried(other, each)
            for each in attempts(history, other)
            if each.stage == attempt.stage
            and each.id != attempt.id
            and each.finished
            and each.deployed
            and each.ended <= attempt.ended
        ]
        tried += here
        if other.kind != STANDARD or other.started > execution.started:
            continue
        if other.id != execution.id and any(not each.failed for each in here):
            delivered = other
            break
        carried.append(other)
    return _Past(tuple(sorted(tried, key=lambda each: each.attempt.ended)), tuple(carried), delivered)


def _rolled_back(past: _Past, execution: Execution, attempt: Attempt) -> list[Measure]:
    found: list[Measure] = []
    since = past.broken_since
    if since is None:
        since = execution.started
        if past.tried and past.tried[-1].execution.kind == STANDARD:
            # Production was in order by the pipeline's own judgement: a person found otherwise.
            found.append(_count("DeploymentFailures", True, since))
    if attempt.outcome is Outcome.SUCCEEDED:
        found += _restored(since, attempt.ended)
    return found


def _restored(since: datetime | None, until: datetime) -> list[Measure]:
    if since is None:
        return []
    return [Measure("RestoreSeconds", SECONDS, (max(0.0, (until - since).total_seconds()),), until)]


def _lead_times(history: History, past: _Past, until: datetime) -> tuple[float, ...]:
    """The lead time of each change, the oldest first; what ran several times counts from its first time."""
    old = set(past.delivered.revisions) if past.delivered else set[tuple[str, str]]()
    begun: dict[tuple[str, str], datetime] = {}
    for execution in reversed(past.carried):
        for revision in execution.revisions:
            if revision not in old and revision not in begun:
                begun[revision] = _begun(history, execution, revision[0])
    return tuple(max(0.0, (until - time).total_seconds()) for time in begun.values())


def _begun(history: History, execution: Execution, source: str) -> datetime:
    for action in history.actions(execution):
        if action.name == source and action.committed is not None:
            return min(action.committed, execution.started)
    return execution.started


def _count(metric: str, yes: bool, at: datetime) -> Measure:
    return Measure(metric, COUNT, (float(yes),), at)
