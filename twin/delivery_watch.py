"""Follows a pipeline from outside, through CodePipeline's API: what changed, what waits, what failed."""

import json
import re
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_LOOK_SECONDS = 0.5
_FIND_SECONDS = 30.0
_SUCCESSOR = re.compile(r"execution ([0-9a-f-]{36}) runs the new one")
_DEFAULT_APPROVAL_MINUTES = 7 * 24 * 60
ENDED = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")


@dataclass(frozen=True)
class Change:
    """One thing that changed.

    `kind` is ``execution``, ``stage`` (its status is Skipped or Retried then) or ``action``; `seconds` is how
    long it has taken so far; `log` is where a build writes; `rollback` marks an execution that rolls a stage
    back. For the change of an execution, stage and action are empty.
    """

    kind: str
    execution: str
    status: str
    seconds: float
    stage: str = ""
    action: str = ""
    summary: str = ""
    error: str = ""
    log: Path | None = None
    started: float = 0.0
    rollback: bool = False


@dataclass(frozen=True)
class Approval:
    """An approval that waits; `text` and `link` are what the approver is given to read.

    It fails when nobody decides until `expires` (epoch seconds). `page` is a copy on this machine of what the
    link shows, where it leads into AWS's console, which the twin has not.
    """

    execution: str
    stage: str
    action: str
    token: str
    text: str
    link: str
    expires: float = 0.0
    page: str = ""

    @property
    def to_read(self) -> str:
        """What an approver is to open, or an empty text."""
        return self.page or self.link


class NoExecution(Exception):
    """There is nothing to watch; the message says why."""


class Watch:
    """One pipeline, looked at twice a second."""

    def __init__(self, api: Any, pipeline: str) -> None:
        """`api` is a CodePipeline client."""
        self._api, self._pipeline = api, pipeline

    def structure(self) -> list[tuple[str, list[str]]]:
        """Return the pipeline's stages with their actions, in order."""
        stages = self._api.get_pipeline(name=self._pipeline)["pipeline"]["stages"]
        return [
            (stage["name"], [a["name"] for a in sorted(stage["actions"], key=lambda a: a.get("runOrder", 1))])
            for stage in stages
        ]

    def exists(self) -> bool:
        """Whether the pipeline is deployed."""
        listed = self._api.list_pipelines()["pipelines"]
        return any(p["name"] == self._pipeline for p in listed)

    def newest(self) -> str | None:
        """Return the newest execution, or None."""
        listed = self._summaries()
        return listed[0]["pipelineExecutionId"] if listed else None

    def of_commit(self, commit: str) -> str:
        """Return the execution that runs a commit, waiting a moment for it; raises `NoExecution`."""
        until = time.monotonic() + _FIND_SECONDS
        while time.monotonic() < until:
            for execution in self._summaries():
                if any(r.get("revisionId") == commit for r in execution.get("sourceRevisions", [])):
                    return execution["pipelineExecutionId"]
            time.sleep(_LOOK_SECONDS)
        raise NoExecution(
            f"no execution of {self._pipeline} has taken up commit {commit[:8]}: do its triggers exclude it?"
        )

    def _summaries(self) -> list[dict[str, Any]]:
        return self._api.list_pipeline_executions(pipelineName=self._pipeline)["pipelineExecutionSummaries"]

    def execution(self, key: str) -> dict[str, Any]:
        """Return an execution."""
        return self._api.get_pipeline_execution(pipelineName=self._pipeline, pipelineExecutionId=key)[
            "pipelineExecution"
        ]

    def actions(self, key: str) -> list[dict[str, Any]]:
        """Return the action runs of an execution, oldest first."""
        listed = self._api.list_action_executions(
            pipelineName=self._pipeline, filter={"pipelineExecutionId": key}, maxResults=100
        )["actionExecutionDetails"]
        return list(reversed(listed))

    def approvals(self) -> list[Approval]:
        """Return the approvals that wait for a decision; raises `NoExecution` when there is no pipeline."""
        if not self.exists():
            raise NoExecution(f"pipeline {self._pipeline} is not deployed yet")
        found: list[Approval] = []
        for stage in self._api.get_pipeline_state(name=self._pipeline)["stageStates"]:
            for action in stage["actionStates"]:
                latest = action.get("latestExecution", {})
                if latest.get("token") and latest["status"] == "InProgress":
                    execution = stage["latestExecution"]["pipelineExecutionId"]
                    found.append(
                        self._approval(execution, stage["stageName"], action["actionName"], latest["token"])
                    )
        return found

    def _approval(self, execution: str, stage: str, action: str, token: str) -> Approval:
        given: dict[str, str] = {}
        expires = 0.0
        for run in self.actions(execution):
            if (run["stageName"], run["actionName"]) == (stage, action):
                given = run["input"].get("resolvedConfiguration", {})
                expires = run["startTime"].timestamp() + 60 * self._approval_minutes(stage, action)
        text, link = given.get("CustomData", ""), given.get("ExternalEntityLink", "")
        return Approval(execution, stage, action, token, text, link, expires)

    def _approval_minutes(self, stage: str, action: str) -> int:
        for one in self._api.get_pipeline(name=self._pipeline)["pipeline"]["stages"]:
            for declared in one["actions"]:
                if (one["name"], declared["name"]) == (stage, action):
                    return declared.get("timeoutInMinutes", _DEFAULT_APPROVAL_MINUTES)
        return _DEFAULT_APPROVAL_MINUTES

    def changes(self, execution: str | None = None, *, commit: str | None = None) -> Iterator[Change]:
        """Yield what happens to an execution until it ends.

        A restart with a new definition is followed, and so is the rollback of a stage that has failed; the
        last change is the outcome: after a rollback, once more the end of the execution that failed.
        Raises `NoExecution` when there is nothing to watch.
        """
        key = execution or (self.of_commit(commit) if commit else self.newest())
        if key is None:
            raise NoExecution(f"pipeline {self._pipeline} has not run yet")
        while key is not None:
            ended = yield from self._until_end(key)
            successor = _SUCCESSOR.search(ended.summary)
            rollback = self._rollback_of(key) if ended.status == "Failed" else None
            if rollback is not None:
                yield from self._until_end(rollback)
                yield ended
            key = successor[1] if successor else None

    def _rollback_of(self, key: str) -> str | None:
        """Return the execution that rolls back the failed stage of another, or None."""
        for execution in self._summaries():
            trigger = execution.get("trigger", {})
            if (
                trigger.get("triggerType") == "AutomatedRollback"
                and json.loads(trigger["triggerDetail"])["FailedPipelineExecutionId"] == key
            ):
                return execution["pipelineExecutionId"]
        return None

    def _until_end(self, key: str) -> Generator[Change, None, Change]:
        seen: dict[str, str] = {}
        began = next(
            (e["startTime"].timestamp() for e in self._summaries() if e["pipelineExecutionId"] == key),
            time.time(),
        )
        target = self.execution(key).get("rollbackMetadata", {}).get("rollbackTargetPipelineExecutionId")
        told = f"rolls back to what execution {target} has delivered" if target else ""
        beginning = Change(
            "execution", key, "InProgress", 0.0, summary=told, started=began, rollback=bool(target)
        )
        yield beginning
        while True:
            # The status first: when it says the end, what is read afterwards is complete.
            state = self.execution(key)
            for what, how, change in self._news(key):
                if seen.get(what) != how:
                    seen[what] = how
                    yield change
            if state["status"] in ENDED:
                seconds, said = time.time() - began, state.get("statusSummary", "")
                ended = replace(beginning, status=state["status"], seconds=seconds, summary=said)
                yield ended
                return ended
            time.sleep(_LOOK_SECONDS)

    def _news(self, key: str) -> Iterator[tuple[str, str, Change]]:
        """Yield what there is to tell of an execution: what it is of, how that stands, and the change."""
        asked: set[tuple[str, str]] = set()
        for stage in self._api.get_pipeline_state(name=self._pipeline)["stageStates"]:
            if stage.get("latestExecution", {}).get("pipelineExecutionId") != key:
                continue
            asked |= {
                (stage["stageName"], action["actionName"])
                for action in stage["actionStates"]
                if action.get("latestExecution", {}).get("token")
            }
            name, now = stage["stageName"], time.time()
            if stage["latestExecution"]["status"] == "Skipped":
                said = (
                    stage.get("beforeEntryConditionState", {}).get("latestExecution", {}).get("summary", "")
                )
                skipped = Change("stage", key, "Skipped", 0.0, stage=name, summary=said, started=now)
                yield f"{name} skipped", said, skipped
            if tries := retries(stage):
                retried = Change("stage", key, "Retried", 0.0, stage=name, summary=tries, started=now)
                yield f"{name} retried", tries, retried
        for run in self.actions(key):
            waits = run["status"] == "InProgress" and run["input"]["actionTypeId"]["category"] == "Approval"
            if waits and (run["stageName"], run["actionName"]) not in asked:
                continue  # told when it can be decided
            yield run["actionExecutionId"], run["status"], _change_of(key, run)


def retries(stage: Mapping[str, Any]) -> str:
    """Return in words how often a stage (of GetPipelineState) was tried again; empty when it was not."""
    told = stage.get("retryStageMetadata", {})
    counts = {"by itself": "autoStageRetryAttempt", "by a person": "manualStageRetryAttempt"}
    return ", ".join(f"{told[member]} time(s) {who}" for who, member in counts.items() if told.get(member))


def _change_of(key: str, run: dict[str, Any]) -> Change:
    result = run["output"].get("executionResult", {})
    started = run["startTime"].timestamp()
    until = time.time() if run["status"] == "InProgress" else run["lastUpdateTime"].timestamp()
    url = urlsplit(result.get("externalExecutionUrl", ""))
    return Change(
        "action",
        key,
        run["status"],
        max(0.0, until - started),
        stage=run["stageName"],
        action=run["actionName"],
        summary=result.get("externalExecutionSummary", ""),
        error=result.get("errorDetails", {}).get("message", ""),
        log=Path(unquote(url.path)) if url.scheme == "file" else None,
        started=started,
    )
