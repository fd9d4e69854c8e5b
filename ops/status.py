"""How everything stands: the pipeline, what waits, each environment's endpoints, alarms and failed runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.access import Access
from ops.approve import show as show_approval
from ops.deployment import Deployment, Place
from ops.faults import OperatorFault, in_words, is_absent
from ops.pipeline import Approval, NoPipeline, Pipeline
from ops.terminal import say

_LINES = ("champion", "smoke")
_LOOK_BACK = timedelta(days=1)
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
_STYLE = {
    "Succeeded": "green",
    "InService": "green",
    "Active": "green",
    "Failed": "bold red",
    "InProgress": "yellow",
}
Record = dict[str, Any]


def collect(deployment: Deployment, access: Access) -> tuple[Record, list[Approval]]:
    """The whole state, and in it what waits for a person. Raises OperatorFault."""
    pipeline = Pipeline(deployment, access)
    try:
        stages: list[Record] = [asdict(stage) for stage in pipeline.stages()]
        approvals = pipeline.approvals()
    except NoPipeline:
        stages, approvals = list[Record](), list[Approval]()
    with ThreadPoolExecutor(4) as pool:
        environments = list(
            pool.map(
                lambda place: _environment(deployment, place, access), list(deployment.environment_places())
            )
        )
    told: Record = {
        "pipeline": pipeline.name,
        "deployed": bool(stages),
        "stages": stages,
        "approvals": [asdict(each) for each in approvals],
        "environments": environments,
    }
    return told, approvals


def _environment(deployment: Deployment, place: Place, access: Access) -> Record:
    prefix = deployment.prefix(place.name)
    told: Record = {"name": place.name, "account": place.account, "region": place.region, "unknown": []}
    own = next(each for each in deployment.environments if each.name == place.name)
    questions: dict[str, Callable[[], list[Record]]] = {
        "endpoints": lambda: endpoints(access.client(place, "sagemaker"), prefix),
        "alarms": lambda: alarms(access.client(place, "cloudwatch"), prefix),
        "failed_workflows": lambda: failed_workflows(access.client(place, "stepfunctions"), place, prefix),
    }
    if own.on_functions:
        questions["functions"] = lambda: functions(access.client(place, "lambda"), prefix)
    for name, ask in questions.items():
        try:
            told[name] = ask()
        except (OperatorFault, ClientError, BotoCoreError) as fault:
            told[name] = []
            why = str(fault) if isinstance(fault, OperatorFault) else in_words(fault)
            told["unknown"].append(f"{name}: {why}")
    return told


def endpoints(sagemaker: Any, prefix: str) -> list[Record]:
    """The endpoints whose names begin with `prefix`, and how they are."""
    pages = sagemaker.get_paginator("list_endpoints").paginate(NameContains=prefix)
    return [
        {"name": each["EndpointName"], "status": each["EndpointStatus"]}
        for page in pages
        for each in page["Endpoints"]
        if each["EndpointName"].startswith(prefix)
    ]


def functions(api: Any, prefix: str) -> list[Record]:
    """The functions that serve models where no endpoint does, and how they are."""
    found: list[Record] = []
    for name in (f"{prefix}{line}-model" for line in _LINES):
        try:
            told = api.get_function_configuration(FunctionName=name)
        except ClientError as fault:
            if not is_absent(fault):
                raise
            continue
        found.append({"name": name, "status": told["State"]})
    return found


def alarms(cloudwatch: Any, prefix: str) -> list[Record]:
    """The alarms that are in ALARM."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return [
        {"name": each["AlarmName"], "reason": each.get("StateReason", "")}
        for page in pages
        for each in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
    ]


def failed_workflows(states: Any, place: Place, prefix: str) -> list[Record]:
    """The training runs that have failed within the last day, newest first."""
    machine = f"arn:aws:states:{place.region}:{place.account}:stateMachine:{prefix}training"
    since, found = datetime.now(UTC) - _LOOK_BACK, list[Record]()
    try:
        for status in _FAILED:
            pages = states.get_paginator("list_executions").paginate(
                stateMachineArn=machine, statusFilter=status
            )
            for page in pages:
                recent = [each for each in page["executions"] if each["stopDate"] >= since]
                found += [_failure(states, each) for each in recent]
                if len(recent) < len(page["executions"]):
                    break
    except ClientError as fault:
        if not is_absent(fault):
            raise
    return sorted(found, key=lambda each: each["ended"], reverse=True)


def _failure(states: Any, execution: Record) -> Record:
    told = states.describe_execution(executionArn=execution["executionArn"])
    return {
        "name": execution["name"],
        "status": execution["status"],
        "ended": execution["stopDate"].astimezone(UTC).isoformat(timespec="seconds"),
        "error": told.get("error", ""),
        "cause": told.get("cause", ""),
    }


def show(told: Record, waiting: list[Approval]) -> None:
    """The state, for people."""
    if not told["deployed"]:
        say(f"{told['pipeline']} is not deployed: python -m ops deploy", style="yellow")
    else:
        say(told["pipeline"], style="bold")
    for stage in told["stages"]:
        closed = f"  CLOSED: {stage['closed']}" if stage["closed"] else ""
        say(f"  {stage['name']:<16} {stage['status']}{closed}", style=_STYLE.get(stage["status"], ""))
    for approval in waiting:
        show_approval(approval)
        flag = " --confirm-risks" if approval.confirms_risks else ""
        say(f"  decide: python -m ops approve{flag}, or with --reject")
    for environment in told["environments"]:
        say(f"{environment['name']} ({environment['account']}, {environment['region']})", style="bold")
        models = environment.get("functions", [])
        if not environment["endpoints"] and not models:
            say("  no endpoint")
        for each in models:
            say(f"  function {each['name']}: {each['status']}", style=_STYLE.get(each["status"], ""))
        for each in environment["endpoints"]:
            say(f"  endpoint {each['name']}: {each['status']}", style=_STYLE.get(each["status"], ""))
        for each in environment["alarms"]:
            say(f"  ALARM {each['name']}: {each['reason']}", style="bold red")
        for each in environment["failed_workflows"]:
            say(
                f"  {each['status']} {each['name']}, {each['ended']}: {each['error']} {_short(each['cause'])}"
            )
        for each in environment["unknown"]:
            say(f"  unknown: {each}", style="yellow")


def _short(text: str, most: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]} ..."
