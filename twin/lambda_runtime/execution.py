"""Runs one invocation: takes an execution environment, invokes, logs, counts, and words the result."""

import json
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from twin import environments, faults, glue
from twin.glue import lambdas
from twin.lambda_runtime import custom_resources, logs
from twin.lambda_runtime.function import Function, from_record
from twin.lambda_runtime.package import PackageError
from twin.lambda_runtime.pool import Pool
from twin.lambda_runtime.tracing import InvocationTrace
from twin.lambda_runtime.worker import Outcome

RESPONSE_LIMIT_BYTES = 6_291_556
# The trace that a request arrived with, while API Gateway or Invoke hand it on.
inbound_trace: ContextVar[str] = ContextVar("twin_inbound_trace", default="")
# The alias that was invoked, where its weights chose another version than the one that runs.
invoked_alias: ContextVar[str] = ContextVar("twin_invoked_alias", default="")
pool = Pool()
log = logging.getLogger("twin.lambda")


def execute(record: dict[str, Any], config: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Run a function and return the emulator's form of a result; never raises for faults of the function."""
    function = from_record(record, config)
    arn = config["FunctionArn"]
    if alias := invoked_alias.get():
        arn = f"{':'.join(arn.split(':')[:7])}:{alias}"
    outcome, log_text = _run(function, event, request_id, arn)
    _count(function, arn, outcome)
    if outcome.error is not None:
        custom_resources.report_failure(event, outcome.error)
        failed = {"body": outcome.error, "error": True, "function_error": "Unhandled"}
        return {**failed, "log": log_text}
    return {"body": json.loads(outcome.payload or "null"), "log": log_text}


def throttled(name: str) -> None:
    """Count an invocation that was refused for the function's concurrency."""
    glue.record_metric("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": name})


def _run(function: Function, event: Any, request_id: str, arn: str) -> tuple[Outcome, str]:
    if refusal := refusal_of(function):
        return _refused(function, refusal, "Twin.NotSupported"), refusal
    try:
        worker, initialised = pool.acquire(function)
    except (PackageError, environments.EnvironmentBuildError, glue.TrustError) as fault:
        log.warning("%s", fault)
        return _refused(function, str(fault), f"Twin.{type(fault).__name__}"), str(fault)
    usable = False
    try:
        if initialised is not None and initialised.error is not None:
            outcome = initialised
        else:
            trace = InvocationTrace.begin(function, inbound_trace.get())
            lineage = f"1:{function.fingerprint[:8]}:{lambdas.invocation_depth()}"
            strike = faults.strikes_function(function.name, arn)
            outcome = worker.invoke(event, request_id, arn, trace.header(lineage), strike=strike)
            trace.record(arn, request_id, outcome.began_ms / 1000, failed=outcome.error is not None)
        usable = not outcome.ended
    finally:
        pool.release(worker, usable=usable)
    size = len((outcome.payload or "").encode())
    if size > RESPONSE_LIMIT_BYTES:
        text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT_BYTES} bytes)."
        outcome.error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}
    if outcome.error is not None and outcome.error.get("requestId") == "":
        outcome.error["requestId"] = request_id
    return outcome, logs.write(worker, request_id, initialised, outcome)


def refusal_of(function: Function) -> str | None:
    """Return why the twin cannot run a function at all, or None."""
    if not function.runtime:
        return f"function {function.name} is a container image: the twin runs zip packages only"
    if not function.runtime.startswith("python"):
        return f"function {function.name}: the twin runs Python functions, not runtime {function.runtime}"
    if not function.code:
        return f"function {function.name} has no code: its package was not found when it was created"
    return None


def _refused(function: Function, text: str, kind: str) -> Outcome:
    stream = time.strftime(f"%Y/%m/%d/[{function.version}]twin", time.gmtime())
    glue.put_log_lines(function.log_group, stream, [f"[ERROR] {kind}: {text}"])
    return Outcome(error={"errorType": kind, "errorMessage": text})


def _count(function: Function, arn: str, outcome: Outcome) -> None:
    """Record Lambda's own metrics: by function, and by alias or version where one was invoked."""
    sets: list[Mapping[str, str]] = [{"FunctionName": function.name}]
    qualifier = arn.rpartition(":function:")[2].partition(":")[2]
    if qualifier:
        sets.append({"FunctionName": function.name, "Resource": f"{function.name}:{qualifier}"})
    for dimensions in sets:
        glue.record_metric("AWS/Lambda", "Invocations", 1, "Count", dimensions)
        glue.record_metric("AWS/Lambda", "Errors", int(outcome.error is not None), "Count", dimensions)
        glue.record_metric("AWS/Lambda", "Duration", outcome.seconds * 1000, "Milliseconds", dimensions)
