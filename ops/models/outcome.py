"""How a training run ended, for people and for machines, and what to do next."""

from __future__ import annotations

from typing import Any

from ops.faults import OperatorFault
from ops.models.execution import RUNNING, Execution
from ops.models.home import Home
from ops.models.records import Records
from ops.models.watch import follow
from ops.terminal import say

# What a person wants to know first, in this order.
_SPLITS = ("train", "validation", "holdout", "rejected")
_METRICS = ("accuracy", "macro_f1", "ece", "latency_p95_ms")

Record = dict[str, Any]


def find(home: Home, run: str) -> Execution:
    """The newest execution of a run, which is named by its id or by the execution itself.

    Raises OperatorFault when there is none.
    """
    api = home.client("stepfunctions")
    record = Records(home).run(run)
    arn = str(record["execution_arn"]) if record else _execution_arn(home, run)
    found = Execution(api, arn)
    try:
        found.look()
    except OperatorFault:
        raise OperatorFault(
            f"{home} has no run and no execution {run}: python -m ops runs {home.option} lists them"
        ) from None
    return found


def _execution_arn(home: Home, name: str) -> str:
    if name.startswith("arn:"):
        return name
    return f"{home.machine('training').replace(':stateMachine:', ':execution:')}:{name}"


def watch(home: Home, execution: Execution) -> Record:
    """Follows a run until it ends, an equal one's that it found as well; answers how it ended."""
    follow(home, execution, again=again(home, execution))
    told = execution.output
    if told.get("repeated") and "model_package_arn" not in told:
        # An equal run works on: that is the one to look at.
        other = find(home, str(told["run_id"]))
        say(f"run {told['run_id']} is under way already: this is how it goes on")
        if other.arn != execution.arn:
            return watch(home, other)
    return result(execution)


def again(home: Home, execution: Execution) -> str:
    """The command by which the run is watched again."""
    return f"python -m ops watch {execution.run_id or execution.name} {home.option}"


def result(execution: Execution) -> Record:
    """A run as a machine reads it."""
    error, cause = execution.failure
    return {
        **execution.output,
        "run_id": execution.run_id,
        "status": execution.status,
        "execution_arn": execution.arn,
        **({"error": error, "cause": cause} if execution.status not in (RUNNING, "SUCCEEDED") else {}),
    }


def show(home: Home, told: Record) -> None:
    """How a run ended, for people."""
    run = told["run_id"] or told["execution_arn"].rsplit(":", 1)[1]
    if told["status"] != "SUCCEEDED":
        say(f"run {run}: {told['status']}: {told.get('error', '')}", style="bold red")
        if told.get("cause"):
            say(f"  why: {told['cause']}")
        say("  the champion serves as before")
        if told["run_id"]:
            command = f"python -m ops train --again {run} {home.option} --watch"
            say(f"  once it is mended, go on where it stopped: {command}")
        return
    if told.get("repeated"):
        say(
            f"run {run} had done this already: the same input runs once. --run-id NAME trains on it again",
            style="yellow",
        )
    dataset, counts = told.get("dataset", {}), told.get("counts", {})
    say(f"run {run}: {told.get('endpoint_name', 'the endpoint')} serves its model", style="bold green")
    if dataset:
        images = ", ".join(f"{counts[split]} {split}" for split in _SPLITS if counts.get(split))
        say(f"  dataset   {dataset.get('name')} {dataset.get('version')}{f' ({images})' if images else ''}")
    say(f"  metrics   {metrics(told.get('metrics', {}))}")
    say(f"  model     {told.get('model_package_arn', '')}")
    if told.get("report_uri"):
        say(f"  report    {told['report_uri']}")
        say(f"            aws s3 cp {told['report_uri']} report.html")
    say(f"  lineage   python -m ops lineage show {run} {home.option}")


def metrics(told: Record) -> str:
    """The metrics that people look at first."""
    return ", ".join(
        f"{name} {told[name]:.4g}" for name in _METRICS if isinstance(told.get(name), int | float)
    )
