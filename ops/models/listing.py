"""The newest training runs of an environment, with what became of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError
from rich.table import Table

from ops.models.execution import Execution
from ops.models.home import Home
from ops.models.outcome import metrics
from ops.models.records import Records
from ops.models.start import not_deployed

_AT_ONCE = 8
_STYLE = {"SUCCEEDED": "green", "FAILED": "red", "TIMED_OUT": "red", "ABORTED": "red", "RUNNING": "yellow"}
Record = dict[str, Any]


def newest(home: Home, most: int) -> list[Record]:
    """The newest executions of the training workflow, newest first."""
    api = home.client("stepfunctions")
    try:
        listed = api.list_executions(stateMachineArn=home.machine("training"), maxResults=most)["executions"]
    except ClientError as fault:
        raise not_deployed(home, "training", fault) from None
    # Asked for before threads share it.
    _ = home.table
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: _told(home, each["executionArn"]), listed))


def _told(home: Home, arn: str) -> Record:
    execution = Execution(home.client("stepfunctions"), arn)
    execution.look()
    output = execution.output
    record = (Records(home).run(execution.run_id) if execution.run_id else None) or {}
    # A run that was taken up again has a newer execution: the record is that one's.
    own = record if record.get("execution_arn") == arn else {}
    error, cause = execution.failure
    dataset = output.get("dataset") or own.get("dataset")
    return {
        "run_id": execution.run_id,
        "status": execution.status,
        "stage": own.get("status", "") if execution.status == "RUNNING" else "",
        "repeated": bool(output.get("repeated")),
        "line": execution.input.get("line", ""),
        "reason": execution.input.get("reason", ""),
        "started_at": execution.started.isoformat(timespec="seconds"),
        "seconds": _seconds(execution),
        "dataset": f"{dataset['name']}#{dataset['version']}" if isinstance(dataset, dict) else dataset,
        "metrics": output.get("metrics") or _parsed(own.get("metrics")),
        "model_package_arn": output.get("model_package_arn"),
        "error": error if execution.status not in ("RUNNING", "SUCCEEDED") else None,
        "cause": cause or None,
        "execution_arn": arn,
    }


def table(home: Home, runs: list[Record]) -> Table:
    """The list, for people."""
    drawn = Table(title=f"Training runs of {home}", title_justify="left", box=None, pad_edge=False)
    for name in ("run", "line", "why", "dataset", "started", "took", "status", "result"):
        drawn.add_column(name)
    for each in runs:
        status = each["stage"] or each["status"]
        said = (
            "had been done already" if each["repeated"] else each["error"] or metrics(each["metrics"] or {})
        )
        drawn.add_row(
            each["run_id"] or each["execution_arn"].rsplit(":", 1)[1],
            each["line"],
            each["reason"],
            each["dataset"] or "",
            each["started_at"][:16].replace("T", " "),
            "" if each["seconds"] is None else f"{each['seconds']:.0f} s",
            f"[{_STYLE.get(each['status'], 'default')}]{status}[/]",
            said,
        )
    return drawn


def _seconds(execution: Execution) -> float | None:
    ended = execution.told.get("stopDate")
    return round((ended - execution.started).total_seconds(), 1) if ended else None


def _parsed(text: Any) -> Record:
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
