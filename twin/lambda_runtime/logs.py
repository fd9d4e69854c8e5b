"""Writes an invocation's output and Lambda's own lines to CloudWatch Logs; EMF lines become metrics."""

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from twin import glue
from twin.glue import lambdas
from twin.lambda_runtime.function import Function
from twin.lambda_runtime.worker import Outcome, Worker
from twin.role_checks import role_may

log = logging.getLogger("twin.lambda")


def write(worker: Worker, request_id: str, initialised: Outcome | None, outcome: Outcome) -> str:
    """Log one invocation and record its embedded metrics; returns the log text."""
    function = worker.function
    now = int(time.time() * 1000)
    began = outcome.began_ms
    printed = outcome.lines if outcome is not initialised else []
    lines: list[tuple[int, str]] = []
    if initialised is not None:
        runtime = f"{function.runtime} (here Python {worker.python})"
        text = f"INIT_START Runtime Version: {runtime}"
        about = {"initializationType": "on-demand", "phase": "init", "runtimeVersion": runtime}
        lines.append((initialised.began_ms, _platform(function, "initStart", text, about)))
        lines += initialised.lines
    told = {"requestId": request_id, "version": function.version}
    start = f"START RequestId: {request_id} Version: {function.version}"
    lines.append((began, _platform(function, "start", start, told)))
    lines += printed
    if outcome.timed_out:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        text = f"{stamp}Z {request_id} Task timed out after {function.timeout_seconds:.2f} seconds"
        lines.append((now, text))
    elif outcome.ended and outcome.error is not None:
        lines.append((now, str(outcome.error["errorMessage"])))
    lines += _closing(function, request_id, initialised, outcome, now)
    if _may_write(worker):
        lambdas.put_log_events(function.log_group, worker.log_stream, lines)
        record_embedded_metrics(text for _, text in lines)
    return "\n".join(text for _, text in lines)


def _may_write(worker: Worker) -> bool:
    """Whether the function's role may write its log; without, the log just stays empty, as on AWS."""
    if worker.may_log is None:
        function = worker.function
        group = f"arn:aws:logs:{function.region}:{function.account}:log-group:{function.log_group}"
        lacking = [
            action
            for action in ("logs:CreateLogStream", "logs:PutLogEvents")
            if not role_may(
                function.role_arn, action, f"{group}:log-stream:{worker.log_stream}", function.name
            )
        ]
        worker.may_log = not lacking
        if lacking:
            log.warning("%s writes no log: its role lacks %s on %s:*", function.name, lacking, group)
    return worker.may_log


def _closing(
    function: Function, request_id: str, initialised: Outcome | None, outcome: Outcome, now: int
) -> list[tuple[int, str]]:
    milliseconds = outcome.seconds * 1000
    metrics: dict[str, Any] = {
        "durationMs": round(milliseconds, 2),
        "billedDurationMs": math.ceil(milliseconds),
        "memorySizeMB": function.memory_mb,
        "maxMemoryUsedMB": outcome.memory_mb,
    }
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\tBilled Duration: "
        f"{metrics['billedDurationMs']} ms\tMemory Size: {function.memory_mb} MB\t"
        f"Max Memory Used: {outcome.memory_mb} MB"
    )
    if initialised is not None and initialised.init_seconds is not None:
        metrics["initDurationMs"] = round(initialised.init_seconds * 1000, 2)
        report += f"\tInit Duration: {metrics['initDurationMs']:.2f} ms"
    status = "timeout" if outcome.timed_out else "error" if outcome.error else "success"
    if outcome.timed_out:
        report += "\tStatus: timeout"
    record = {"requestId": request_id, "status": status, "metrics": metrics}
    lines = [(now, _platform(function, "report", report, record))]
    if function.log_format != "JSON":
        lines.insert(0, (now, f"END RequestId: {request_id}"))
    return lines


def _platform(function: Function, kind: str, text: str, record: Mapping[str, Any]) -> str:
    """Word one of Lambda's own lines in the function's log format."""
    if function.log_format != "JSON":
        return text
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + "Z"
    return json.dumps({"time": stamp, "type": f"platform.{kind}", "record": dict(record)})


def record_embedded_metrics(lines: Iterable[str]) -> None:
    """Record the metrics of lines in CloudWatch's embedded metric format; other lines are passed over."""
    for line in lines:
        if '"_aws"' not in line or not line.lstrip().startswith("{"):
            continue
        try:
            document = json.loads(line)
            about = document["_aws"]
            directives, at = about["CloudWatchMetrics"], float(about["Timestamp"]) / 1000
        except (ValueError, KeyError, TypeError):
            continue
        for directive in directives:
            _record_directive(document, directive, at)


def _record_directive(document: Mapping[str, Any], directive: Mapping[str, Any], at: float) -> None:
    for names in directive.get("Dimensions") or [[]]:
        if any(name not in document for name in names):
            continue  # CloudWatch drops a set that names a missing member
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive.get("Metrics") or []:
            name, unit = metric["Name"], metric.get("Unit", "None")
            values = document.get(name)
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, int | float):
                    glue.record_metric(directive["Namespace"], name, value, unit, dimensions, at=at)
