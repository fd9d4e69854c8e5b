"""``.sync``: starts a job, waits for its end, stops it when the execution is stopped."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twin.stepfunctions import calls, integrations
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.errors import Interrupted, StateError
from twin.stepfunctions.resources import Resource
from twin.stepfunctions.signals import Signal

_FIRST_POLL_SECONDS = 0.1
_SLOWEST_POLL_SECONDS = 0.4


@dataclass(frozen=True)
class _Job:
    """How to look at a job and how to stop it; `read` gives (job, status) of a look's result."""

    look: str
    stop: str
    look_parameters: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    stop_parameters: Callable[[dict[str, Any]], dict[str, Any]]
    read: Callable[[dict[str, Any]], tuple[dict[str, Any], str]]
    good: frozenset[str]
    bad: frozenset[str]


def _sagemaker(kind: str) -> _Job:
    name, status = f"{kind}Name", f"{kind}Status"
    return _Job(
        look=f"describe{kind}",
        stop=f"stop{kind}",
        look_parameters=lambda asked, _started: {name: asked[name]},
        stop_parameters=lambda job: {name: job[name]},
        read=lambda found: (found, found[status]),
        good=frozenset({"Completed"}),
        bad=frozenset({"Failed", "Stopped", "Deleted"}),
    )


_JOBS: dict[str, _Job] = {
    f"sagemaker:create{kind}": _sagemaker(kind)
    for kind in ("HyperParameterTuningJob", "ProcessingJob", "TrainingJob", "TransformJob")
}
_JOBS["codebuild:startBuild"] = _Job(
    look="batchGetBuilds",
    stop="stopBuild",
    look_parameters=lambda _asked, started: {"Ids": [started["Build"]["Id"]]},
    stop_parameters=lambda job: {"Id": job["Build"]["Id"]},
    read=lambda found: ({"Build": found["Builds"][0]}, found["Builds"][0]["BuildStatus"]),
    good=frozenset({"SUCCEEDED"}),
    bad=frozenset({"FAILED", "FAULT", "STOPPED", "TIMED_OUT"}),
)
_JOBS["states:startExecution"] = _Job(
    look="describeExecution",
    stop="stopExecution",
    look_parameters=lambda _asked, started: {"ExecutionArn": started["ExecutionArn"]},
    stop_parameters=lambda job: {"ExecutionArn": job["ExecutionArn"]},
    read=lambda found: (found, found["Status"]),
    good=frozenset({"SUCCEEDED"}),
    bad=frozenset({"ABORTED", "FAILED", "TIMED_OUT"}),
)


def run(
    resource: Resource,
    parameters: Any,
    caller: Caller,
    signal: Signal,
    submitted: Callable[[dict[str, Any]], None],
) -> Any:
    """Start a job and return its description when it has succeeded.

    Raises `StateError` (``States.TaskFailed``, with the description as cause) when it fails; stops it and
    raises `Interrupted` when `signal` is set. `submitted` is told once the job was accepted.
    """
    job = _JOBS[f"{resource.service}:{resource.action}"]
    started = integrations.perform(resource, parameters, caller)
    submitted(started)
    look = calls.optimised(resource.service, job.look)
    wait = _FIRST_POLL_SECONDS
    asked = job.look_parameters(parameters, started)
    while True:
        found, status = job.read(_plain(calls.call(caller, look, asked)))
        if status in job.good:
            return _parsed(found) if resource.pattern == ".sync:2" else found
        if status in job.bad:
            raise StateError("States.TaskFailed", calls.document(found))
        try:
            signal.sleep(wait)
        except Interrupted:
            _stop(resource, job, found, caller)
            raise
        wait = min(wait * 1.5, _SLOWEST_POLL_SECONDS)


def _stop(resource: Resource, job: _Job, found: dict[str, Any], caller: Caller) -> None:
    # Best effort, as Step Functions documents it: the execution has ended already.
    with contextlib.suppress(StateError):
        stop = calls.optimised(resource.service, job.stop)
        calls.call(caller, stop, job.stop_parameters(found))


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if not name.startswith("Sdk")}


def _parsed(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in ("Input", "Output") and value else value
        for name, value in found.items()
    }
