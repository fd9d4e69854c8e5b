"""The delivery pipeline as it stands: its stages, what waits for a person, and what the dossier said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Deployment
from ops.faults import OperatorFault, is_absent

# The approval that the dossier asks for when it names risks, and the step that writes the dossier.
CONFIRM_RISKS = "ConfirmRisks"
DOSSIER = "Dossier"


class NoPipeline(OperatorFault):
    """The pipeline is not deployed."""


@dataclass(frozen=True)
class Dossier:
    """What the approver reads: a link, one line, and the risks that need a confirmation of their own."""

    url: str
    summary: str
    risk: str
    risks: str


@dataclass(frozen=True)
class Approval:
    """A decision that waits for a person. `token` is what the decision refers to."""

    stage: str
    action: str
    token: str
    execution: str
    comment: str
    reports: tuple[str, ...]
    dossier: Dossier | None

    @property
    def confirms_risks(self) -> bool:
        """Whether it is the confirmation of risks, and not the promotion itself."""
        return self.action == CONFIRM_RISKS


@dataclass(frozen=True)
class Stage:
    """A stage; `closed` is why nothing gets into it, empty while it is open."""

    name: str
    status: str
    execution: str
    closed: str


class Pipeline:
    """The pipeline of a deployment."""

    def __init__(self, deployment: Deployment, access: Access) -> None:
        """Nothing is asked yet."""
        self.name, self._place, self._access = deployment.pipeline, deployment.tooling, access

    @cached_property
    def api(self) -> Any:
        """A CodePipeline client in the tooling account."""
        return self._access.client(self._place, "codepipeline")

    def state(self) -> dict[str, Any]:
        """What CodePipeline says. Raises NoPipeline."""
        try:
            return self.api.get_pipeline_state(name=self.name)
        except ClientError as fault:
            if is_absent(fault):
                raise NoPipeline(
                    f"{self._place} has no pipeline {self.name}: python -m ops deploy deploys it"
                ) from None
            raise

    def stages(self) -> list[Stage]:
        """The stages in order. Raises NoPipeline."""
        return [
            Stage(
                name=stage["stageName"],
                status=stage.get("latestExecution", {}).get("status", "-"),
                execution=stage.get("latestExecution", {}).get("pipelineExecutionId", ""),
                closed=_closed(stage),
            )
            for stage in self.state()["stageStates"]
        ]

    def approvals(self) -> list[Approval]:
        """What waits for a person. Raises NoPipeline."""
        return list(self._approvals())

    def _approvals(self) -> Iterator[Approval]:
        for stage in self.state()["stageStates"]:
            for action in stage["actionStates"]:
                latest = action.get("latestExecution", {})
                if latest.get("status") != "InProgress" or "token" not in latest:
                    continue
                execution = stage["latestExecution"]["pipelineExecutionId"]
                runs = self.actions(execution)
                own = next(
                    (run for run in runs if run["actionExecutionId"] == latest["actionExecutionId"]), {}
                )
                configuration = own.get("input", {}).get("resolvedConfiguration") or {}
                yield Approval(
                    stage=stage["stageName"],
                    action=action["actionName"],
                    token=latest["token"],
                    execution=execution,
                    comment=configuration.get("CustomData", ""),
                    reports=tuple(_values(runs, "SMOKE_REPORT")),
                    dossier=_dossier(runs),
                )

    def actions(self, execution: str) -> list[dict[str, Any]]:
        """The runs of an execution's actions, newest first."""
        pages = self.api.get_paginator("list_action_executions").paginate(
            pipelineName=self.name, filter={"pipelineExecutionId": execution}
        )
        return [run for page in pages for run in page["actionExecutionDetails"]]

    def executions(self, *, succeeded_in: str | None = None) -> list[dict[str, Any]]:
        """Executions, newest first; only those that have succeeded in a stage, where one is named."""
        only = {"filter": {"succeededInStage": {"stageName": succeeded_in}}} if succeeded_in else {}
        pages = self.api.get_paginator("list_pipeline_executions").paginate(pipelineName=self.name, **only)
        return [each for page in pages for each in page["pipelineExecutionSummaries"]]


def _closed(stage: dict[str, Any]) -> str:
    inbound = stage.get("inboundTransitionState", {})
    return "" if inbound.get("enabled", True) else inbound.get("disabledReason") or "no reason given"


def _values(runs: list[dict[str, Any]], variable: str) -> Iterator[str]:
    """What the runs have put into an exported variable, oldest first."""
    for run in reversed(runs):
        value = run.get("output", {}).get("outputVariables", {}).get(variable)
        if value:
            yield value


def _dossier(runs: list[dict[str, Any]]) -> Dossier | None:
    """The newest dossier of an execution: each approval follows its own."""
    for run in runs:
        said = run.get("output", {}).get("outputVariables", {})
        if run["actionName"] == DOSSIER and "DOSSIER_URL" in said:
            return Dossier(
                url=said["DOSSIER_URL"],
                summary=said.get("DOSSIER_SUMMARY", ""),
                risk=said.get("DOSSIER_RISK", ""),
                risks=said.get("DOSSIER_RISKS", ""),
            )
    return None
