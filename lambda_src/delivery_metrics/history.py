"""The pipeline's own history: its executions, newest first, and what their actions did and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.config import Config

# CodePipeline's list calls are throttled at a few a second for the whole account; backing off is cheap here.
PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 10})
STANDARD, ROLLBACK = "STANDARD", "ROLLBACK"
_COMMIT_TIMES = ("CommitterDate", "AuthorDate")


class HistoryBehind(Exception):
    """The history does not show yet what an event has told of: the invocation is to be repeated."""


@dataclass(frozen=True)
class Action:
    """One run of one action; `ended` is the last change, which for a finished action is its end."""

    id: str
    stage: str
    name: str
    category: str
    status: str
    began: datetime
    ended: datetime
    variables: dict[str, str]

    @property
    def is_approval(self) -> bool:
        """Whether a person is waited for."""
        return self.category == "Approval"

    @property
    def committed(self) -> datetime | None:
        """When the commit that this source action brought was made; None where the source does not say."""
        for name in _COMMIT_TIMES:
            written = self.variables.get(name)
            if written:
                try:
                    time = datetime.fromisoformat(written)
                except ValueError:
                    continue
                if time.tzinfo is not None:
                    return time
        return None


@dataclass(frozen=True)
class Execution:
    """One execution; `revisions` are what its source actions brought, as (action, revision)."""

    id: str
    status: str
    kind: str
    started: datetime
    revisions: tuple[tuple[str, str], ...]


class History:
    """What CodePipeline remembers of one pipeline, read as far back as somebody asks, and read once."""

    def __init__(self, client: Any, pipeline: str) -> None:
        self._client, self._pipeline = client, pipeline
        self._known: list[Execution] = []
        self._unread = self._read()
        self._actions: dict[str, tuple[Action, ...]] = {}

    def executions(self) -> Iterator[Execution]:
        """All executions, newest first; pages are fetched as the iteration needs them."""
        yield from self._known
        for execution in self._unread:
            self._known.append(execution)
            yield execution

    def execution(self, id: str) -> Execution:
        """The execution of that id. Raises HistoryBehind when the history does not show it."""
        for execution in self.executions():
            if execution.id == id:
                return execution
        raise HistoryBehind(f"the history of {self._pipeline} does not show the execution {id}")

    def actions(self, execution: Execution) -> tuple[Action, ...]:
        """The runs of an execution's actions, in the order in which they began."""
        if execution.id not in self._actions:
            pages = self._client.get_paginator("list_action_executions").paginate(
                pipelineName=self._pipeline, filter={"pipelineExecutionId": execution.id}
            )
            found = [_action(each) for page in pages for each in page["actionExecutionDetails"]]
            self._actions[execution.id] = tuple(sorted(found, key=lambda each: (each.began, each.ended)))
        return self._actions[execution.id]

    def _read(self) -> Iterator[Execution]:
        pages = self._client.get_paginator("list_pipeline_executions").paginate(pipelineName=self._pipeline)
        for page in pages:
            for each in page["pipelineExecutionSummaries"]:
                yield _execution(each)


def _execution(summary: dict[str, Any]) -> Execution:
    revisions = [
        (each["actionName"], each["revisionId"])
        for each in summary.get("sourceRevisions") or []
        if each.get("revisionId")
    ]
    return Execution(
        id=summary["pipelineExecutionId"],
        status=summary["status"],
        kind=summary.get("executionType") or STANDARD,
        started=summary["startTime"],
        revisions=tuple(revisions),
    )


def _action(detail: dict[str, Any]) -> Action:
    return Action(
        id=detail["actionExecutionId"],
        stage=detail["stageName"],
        name=detail["actionName"],
        category=((detail.get("input") or {}).get("actionTypeId") or {}).get("category", ""),
        status=detail["status"],
        began=detail["startTime"],
        ended=detail["lastUpdateTime"],
        variables=(detail.get("output") or {}).get("outputVariables") or {},
    )
