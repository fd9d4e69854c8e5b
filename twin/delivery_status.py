"""How the pipeline stands, as `python -m twin status` tells it: stages with their reasons, approvals."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.delivery_view import at_minute
from twin.delivery_watch import Approval, Watch, retries

Plain = dict[str, Any]


def describe(api: Any, pipeline: str, approvals: Callable[[], list[Approval]]) -> Plain:
    """Return a pipeline's state as data; `api` is a CodePipeline client, `approvals` tells what waits."""
    seen = Watch(api, pipeline)
    if not seen.exists():
        return {"name": pipeline, "deployed": False}
    newest = seen.newest()
    state = api.get_pipeline_state(name=pipeline)
    return {
        "name": pipeline,
        "deployed": True,
        "stages": [_stage(stage) for stage in state["stageStates"]],
        "approvals": [asdict(approval) for approval in approvals()],
        "newest": _newest(newest, seen.execution(newest)) if newest else None,
    }


def _newest(key: str, execution: Mapping[str, Any]) -> Plain:
    return {
        "execution": key,
        "status": execution["status"],
        "summary": execution.get("statusSummary"),
        "type": execution.get("executionType"),
    }


def _stage(stage: Mapping[str, Any]) -> Plain:
    latest = stage.get("latestExecution", {})
    return {
        "name": stage["stageName"],
        "status": latest.get("status"),
        "execution": latest.get("pipelineExecutionId"),
        "type": latest.get("type"),
        "waiting": [e["pipelineExecutionId"] for e in stage.get("inboundExecutions", [])],
        "notes": _notes(stage, latest),
    }


def _notes(stage: Mapping[str, Any], latest: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of a stage beyond its status."""
    notes: list[str] = []
    if latest.get("type") == "ROLLBACK":
        notes.append("rollback")
    if latest.get("status") == "Skipped":
        notes.append(_why(stage, "beforeEntryConditionState"))
    if latest.get("status") == "Failed":
        failed = [a.get("latestExecution", {}) for a in stage["actionStates"]]
        reasons = [
            f.get("errorDetails", {}).get("message", "") for f in failed if f.get("status") == "Failed"
        ]
        conditions = [_why(stage, f"{kind}ConditionState") for kind in ("beforeEntry", "onSuccess")]
        notes += [*reasons[:1], *(text for text in conditions if text and not reasons)]
    if tries := retries(stage):
        notes.append(f"tried again {tries}")
    transition = stage.get("inboundTransitionState", {})
    if not transition.get("enabled", True):
        notes.append(f"closed: {transition.get('disabledReason', 'no reason given')}")
    if waiting := len(stage.get("inboundExecutions", [])):
        notes.append(f"{waiting} execution(s) wait to enter")
    return [note for note in notes if note]


def _why(stage: Mapping[str, Any], member: str) -> str:
    latest = stage.get(member, {}).get("latestExecution", {})
    return latest.get("summary", "") if latest.get("status") != "Succeeded" else ""


def show(out: Console, found: Mapping[str, Any]) -> None:
    """Print what `describe` has found of a deployed pipeline: its stages."""
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "status", "execution", ""):
        table.add_column(name, no_wrap=name != "")
    for each in found["stages"]:
        notes = "; ".join(each["notes"]).splitlines()
        table.add_row(each["name"], each["status"] or "-", each["execution"] or "", notes[0] if notes else "")
    out.print(table, markup=False)


def show_approvals(out: Console, found: Mapping[str, Any]) -> None:
    """Print the approvals that wait, what there is to read, until when, and how to decide each."""
    waiting = [Approval(**approval) for approval in found["approvals"]]
    for approval in waiting:
        line = f"approval waits: {approval.stage} / {approval.action} {approval.text}"
        out.print(line, markup=False, soft_wrap=True)
        if approval.to_read:
            out.print(f"  read: {approval.to_read}", markup=False, soft_wrap=True)
        choice = f" --stage {approval.stage} --action {approval.action}" if len(waiting) > 1 else ""
        until = f"  until {at_minute(approval.expires)}: " if approval.expires else "  "
        out.print(f"{until}python -m twin approve{choice} (or --reject)", markup=False, soft_wrap=True)
