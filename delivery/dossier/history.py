"""What the pipeline's own records tell: commits since the last deployment, and whether it can go back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from delivery.dossier.faults import DossierError, in_words
from delivery.dossier.model import Commit, Commits, RollbackNet
from delivery.dossier.settings import Settings

_LONGEST_SUMMARY = 200
_KEPT = 300  # executions looked at: more commits nobody reads one by one


@dataclass(frozen=True)
class History:
    """What the pipeline's executions say about this deployment."""

    commits: Commits
    rollback: RollbackNet


def read(settings: Settings, codepipeline: Any) -> History:
    """Read the pipeline's executions.

    Raises:
        DossierError: they cannot be read, or the running execution is not among them.
    """
    try:
        last = _last_success(settings, codepipeline)
        executions = list(_until(settings, codepipeline, last))
        net = _net(settings, codepipeline, last)
    except (ClientError, BotoCoreError) as error:
        raise DossierError(in_words(error, f"reading the executions of {settings.pipeline}")) from None
    own = next((each for each in executions if each["pipelineExecutionId"] == settings.execution), None)
    if own is None:
        raise DossierError(
            f"{settings.pipeline} has no execution {settings.execution} among its last {_KEPT}: "
            "check PIPELINE_NAME and PIPELINE_EXECUTION_ID"
        )
    return History(_commits(own, executions, last), net)


def _last_success(settings: Settings, codepipeline: Any) -> Mapping[str, Any] | None:
    """The newest other execution that got through the environment's stage."""
    pages = codepipeline.get_paginator("list_pipeline_executions").paginate(
        pipelineName=settings.pipeline, filter={"succeededInStage": {"stageName": settings.stage}}
    )
    for page in pages:
        for each in page["pipelineExecutionSummaries"]:
            if each["pipelineExecutionId"] != settings.execution:
                return each
    return None


def _until(
    settings: Settings, codepipeline: Any, last: Mapping[str, Any] | None
) -> Iterator[Mapping[str, Any]]:
    """The executions, newest first, back to the one whose revision is deployed and to this one."""
    awaited = {settings.execution, _deployed_execution(last) if last else ""}
    pages = codepipeline.get_paginator("list_pipeline_executions").paginate(
        pipelineName=settings.pipeline, PaginationConfig={"MaxItems": _KEPT}
    )
    for page in pages:
        for each in page["pipelineExecutionSummaries"]:
            yield each
            awaited.discard(each["pipelineExecutionId"])
            if not awaited:
                return


def _deployed_execution(last: Mapping[str, Any]) -> str:
    """Which execution's revision is deployed: that which a rollback went back to, where the last was one."""
    if last.get("executionType") == "ROLLBACK":
        target = (last.get("rollbackMetadata") or {}).get("rollbackTargetPipelineExecutionId")
        return str(target or last["pipelineExecutionId"])
    return str(last["pipelineExecutionId"])


def _commits(
    own: Mapping[str, Any], executions: list[Mapping[str, Any]], last: Mapping[str, Any] | None
) -> Commits:
    deployed = _deployed_execution(last) if last else None
    base = next((each for each in executions if each["pipelineExecutionId"] == deployed), None)
    started: datetime = own["startTime"]
    since: datetime | None = base["startTime"] if base else None
    known = {_revision(base)[0]} if base else set[str]()
    found: list[Commit] = []
    for each in sorted(executions, key=lambda item: item["startTime"]):
        revision, summary, url = _revision(each)
        within = each["startTime"] <= started and (since is None or each["startTime"] > since)
        if not within or not revision or revision in known or each.get("executionType") == "ROLLBACK":
            continue
        known.add(revision)
        found.append(
            Commit(
                revision=revision,
                summary=summary,
                at=each["startTime"],
                execution=each["pipelineExecutionId"],
                url=url,
            )
        )
    return Commits(
        since=deployed,
        since_revision=_revision(base)[0] if base else "",
        deployed_at=last.get("lastUpdateTime") if last else None,
        commits=tuple(found),
        going_back=since is not None and started < since,
    )


def _revision(execution: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """An execution's revision, its summary and its address."""
    for each in (execution or {}).get("sourceRevisions") or []:
        summary = str(each.get("revisionSummary") or "")
        return str(each.get("revisionId", "")), _first_line(summary), str(each.get("revisionUrl") or "")
    return "", "", ""


def _first_line(summary: str) -> str:
    """The message's first line; connections to git hosts wrap the message in JSON."""
    try:
        wrapped: Any = json.loads(summary)
    except ValueError:
        wrapped = None
    if isinstance(wrapped, dict) and "CommitMessage" in wrapped:
        summary = str(wrapped["CommitMessage"])
    line = next((line.strip() for line in summary.splitlines() if line.strip()), "")
    return line if len(line) <= _LONGEST_SUMMARY else line[: _LONGEST_SUMMARY - 1] + "…"


def _net(settings: Settings, codepipeline: Any, last: Mapping[str, Any] | None) -> RollbackNet:
    """CodePipeline goes back only to an execution that ran under the structure that it has now."""
    pipeline = codepipeline.get_pipeline(name=settings.pipeline)["pipeline"]
    stage = next((each for each in pipeline["stages"] if each["name"] == settings.stage), None)
    if stage is None:
        raise DossierError(
            f"{settings.pipeline} has no stage {settings.stage}: set PIPELINE_STAGE to the one that deploys "
            f"{settings.environment}"
        )
    if (stage.get("onFailure") or {}).get("result") != "ROLLBACK":
        return RollbackNet(present=False, why=f"The stage {settings.stage} does not go back by itself")
    if last is None:
        return RollbackNet(
            present=False,
            why=f"Nothing has succeeded in the stage {settings.stage} yet: there is nothing to go back to",
        )
    target = last["pipelineExecutionId"]
    ran = codepipeline.get_pipeline_execution(pipelineName=settings.pipeline, pipelineExecutionId=target)
    then, now = ran["pipelineExecution"]["pipelineVersion"], pipeline["version"]
    if then != now:
        return RollbackNet(
            present=False,
            why=f"The pipeline's structure changed since the last success in {settings.stage} "
            f"(version {then}, now {now}): should this deployment fail, it will not go back by itself",
        )
    return RollbackNet(
        present=True,
        why=f"Should this deployment fail, the stage {settings.stage} goes back to execution {target}",
    )
