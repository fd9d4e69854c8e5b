"""What a demo run comes to: read from the pipeline, the smoke reports and the log of IAM decisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ops.accounts import Account
    from twin.client import Twin

_SUMMARY = "summary.json"
_REPORT_FILES = ("index.html", _SUMMARY, "junit.xml")


def stages(twin: Twin, execution: str) -> list[dict[str, Any]]:
    """Every stage of the pipeline with its status in this execution and its seconds, in order."""
    structure = twin.pipeline_api.get_pipeline(name=twin.pipeline_name)["pipeline"]["stages"]
    return summarise([stage["name"] for stage in structure], actions(twin, execution))


def summarise(names: Sequence[str], runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The status and seconds of each stage: one without actions was skipped when a later one has some."""
    told = [_stage(name, [run for run in runs if run["stageName"] == name]) for name in names]
    reached = max((place for place, stage in enumerate(told) if stage["status"] != "NotReached"), default=0)
    return [
        stage | {"status": "Skipped"} if stage["status"] == "NotReached" and place < reached else stage
        for place, stage in enumerate(told)
    ]


def _stage(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    if not runs:
        return {"name": name, "status": "NotReached", "seconds": 0.0}
    statuses = {run["status"] for run in runs}
    worst = next((s for s in ("Failed", "Abandoned", "InProgress") if s in statuses), "Succeeded")
    started = min(run["startTime"] for run in runs)
    seconds = max(run["lastUpdateTime"] for run in runs) - started
    return {"name": name, "status": worst, "seconds": round(seconds.total_seconds(), 1)}


def actions(twin: Twin, execution: str) -> list[dict[str, Any]]:
    """Every action that ran in an execution, oldest first."""
    listed = twin.pipeline_api.list_action_executions(
        pipelineName=twin.pipeline_name, filter={"pipelineExecutionId": execution}, maxResults=100
    )
    return list(reversed(listed["actionExecutionDetails"]))


def smoke_reports(
    tooling: Account, execution: str, environments: Iterable[str], folder: Path
) -> dict[str, dict[str, Any]]:
    """Fetches the smoke reports of an execution into `folder`; answers the summary of each environment.

    An environment that the execution has not reached, or whose smoke test was cut off, has none.
    """
    s3, bucket = tooling.client("s3"), tooling.output("ReportsBucketName")
    found: dict[str, dict[str, Any]] = {}
    for environment in environments:
        target = folder / environment
        for name in _REPORT_FILES:
            key = f"smoke/{execution}/{environment}/{name}"
            try:
                body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                continue
            target.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(body)
            if name == _SUMMARY:
                found[environment] = json.loads(body)
    return found
