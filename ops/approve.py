"""Approving or rejecting what waits, after its dossier's summary has been shown."""

from __future__ import annotations

from typing import Any

from ops.faults import OperatorFault
from ops.pipeline import Approval, Pipeline
from ops.terminal import confirm, say


def decide(
    pipeline: Pipeline,
    *,
    reject: bool,
    confirm_risks: bool,
    stage: str | None,
    reason: str,
    yes: bool,
) -> dict[str, Any]:
    """Shows what waits, asks, and hands in the decision; answers what was decided.

    Raises OperatorFault when nothing waits, several do, or what waits is the other kind; Cancelled.
    """
    chosen = choose(pipeline.approvals(), stage=stage, confirm_risks=confirm_risks)
    show(chosen)
    verb = "Reject" if reject else "Confirm the risks of" if confirm_risks else "Approve"
    confirm(f"{verb} {chosen.stage} / {chosen.action}?", yes=yes)
    status = "Rejected" if reject else "Approved"
    pipeline.api.put_approval_result(
        pipelineName=pipeline.name,
        stageName=chosen.stage,
        actionName=chosen.action,
        token=chosen.token,
        result={"summary": reason, "status": status},
    )
    return {
        "stage": chosen.stage,
        "action": chosen.action,
        "execution": chosen.execution,
        "status": status,
    }


def choose(waiting: list[Approval], *, stage: str | None, confirm_risks: bool) -> Approval:
    """The one approval that is meant. Raises OperatorFault when it is not clear which."""
    here = [each for each in waiting if stage is None or each.stage.lower() == stage.lower()]
    if not here:
        where = f" in stage {stage}" if stage else ""
        raise OperatorFault(f"nothing waits for approval{where}: python -m ops status shows what goes on")
    kind = [each for each in here if each.confirms_risks == confirm_risks]
    if not kind and confirm_risks:
        raise OperatorFault(
            f"what waits is the approval {here[0].stage} / {here[0].action}, not a confirmation of risks: "
            "leave out --confirm-risks"
        )
    if not kind:
        raise OperatorFault(
            "what waits is the confirmation of the risks that the dossier names"
            f"{_risks(here[0])}: read it, then add --confirm-risks"
        )
    if len(kind) > 1:
        raise OperatorFault(f"several wait: add --stage with one of {', '.join(each.stage for each in kind)}")
    return kind[0]


def show(approval: Approval) -> None:
    """What the approver should know before deciding."""
    say(f"{approval.stage} / {approval.action} waits, execution {approval.execution}", style="bold")
    if approval.comment:
        say(f"  {approval.comment}")
    dossier = approval.dossier
    if dossier is not None:
        say(f"  dossier: {dossier.summary}")
        if dossier.risks:
            say(f"  risks: {dossier.risks}", style="bold red")
        say(f"  read it: {dossier.url}")
    for report in approval.reports:
        say(f"  smoke report: {report}")


def _risks(approval: Approval) -> str:
    return f" ({approval.dossier.risks})" if approval.dossier and approval.dossier.risks else ""
