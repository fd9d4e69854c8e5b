"""Finds a run in CloudWatch Logs: the lines of its jobs, of its workflow, and of each of its requests."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed, code_of

# Lines turn up some seconds after they were written, now and then a minute.
SETTLES_WITHIN = 180.0
_SHOWN_MISSING = 3


@dataclass(frozen=True)
class FoundLog:
    """Lines of this run: where they are, and what the last one says (empty: not shown)."""

    what: str
    group: str
    stream: str
    lines: int
    last: str = ""


def of_job(logs: Any, what: str, group: str, job: str, budget: Budget) -> FoundLog:
    """The lines of a job; its streams are named after it. Raises CheckFailed when there are none."""
    for _ in budget.polls(f"looking for the log of {what}", at_most=SETTLES_WITHIN):
        try:
            answer = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            continue
        for stream in answer["logStreams"]:
            name = stream["logStreamName"]
            read = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=False)
            if events := read["events"]:
                return FoundLog(what, group, name, len(events), events[-1]["message"].strip())
    raise CheckFailed(f"{group} has no lines of {job}")


def of_workflow(logs: Any, group: str, run_id: str, since_ms: int, budget: Budget) -> FoundLog:
    """The events of the workflow's execution. Raises CheckFailed when its end is not among them."""
    kinds: list[str] = []
    for _ in budget.polls("looking for the workflow's log", at_most=SETTLES_WITHIN):
        found = [_parsed(line) for line in _matching(logs, group, f'"{run_id}"', since_ms)]
        kinds = [
            str(one.get("type", "")) for one in found if str(one.get("execution_arn", "")).endswith(run_id)
        ]
        if "ExecutionSucceeded" in kinds:
            return FoundLog("the workflow", group, "", len(kinds), "ExecutionSucceeded")
    raise CheckFailed(f"{group} has {len(kinds)} events of execution {run_id} and not its success")


def of_requests(logs: Any, group: str, request_ids: Iterable[str], since_ms: int, budget: Budget) -> FoundLog:
    """A line for each request of the run. Raises CheckFailed naming requests that left none."""
    wanted = set(request_ids)
    missing = wanted
    count = 0
    for _ in budget.polls("looking for the requests' log lines", at_most=SETTLES_WITHIN):
        # Every line about the smoke line says so; other callers' lines stay out of this.
        lines = [_parsed(line) for line in _matching(logs, group, '"smoke"', since_ms)]
        seen = [str(line.get("request_id", "")) for line in lines]
        count = sum(request_id in wanted for request_id in seen)
        missing = wanted - set(seen)
        if not missing:
            return FoundLog("the requests", group, "", count)
    shown = ", ".join(sorted(missing)[:_SHOWN_MISSING])
    raise CheckFailed(f"{group} has no line of {len(missing)} of {len(wanted)} requests: {shown}")


def _matching(logs: Any, group: str, pattern: str, since_ms: int) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=pattern, startTime=since_ms
    )
    return [event["message"] for page in pages for event in page["events"]]


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
