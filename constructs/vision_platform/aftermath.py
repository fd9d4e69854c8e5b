"""The aftermath: a small state machine that clears up after training runs that were stopped from outside."""

from __future__ import annotations

from typing import cast

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from vision_platform.aftermath_states import definition
from vision_platform.encryption import PlatformKey
from vision_platform.permissions import PlatformRole, allow
from vision_platform.training_parts import TrainingParts
from vision_platform.training_workflow import TrainingWorkflow, WorkflowResources, tuning_arn
from vision_platform.workflow_machine import WorkflowMachine

# What Step Functions says when an execution has ended in another way than well.
_BAD_ENDS = ["FAILED", "TIMED_OUT", "ABORTED"]


class Aftermath(WorkflowMachine):
    """`<platform>-<environment>-aftermath`: started by each bad end of a training execution."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        role: PlatformRole,
        parts: TrainingParts,
        resources: WorkflowResources,
        training: TrainingWorkflow,
        key: PlatformKey,
        log_retention_days: int,
    ) -> None:
        lines = resources.lines
        super().__init__(scope, id, name=f"{lines.prefix}-aftermath", role=role)
        resources.table.allow_actions(
            role, ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
        )
        resources.bus.allow_publishing(role)
        key.allow_use(role)
        allow(
            role,
            [
                "sagemaker:StopTrainingJob",
                "sagemaker:StopProcessingJob",
                "sagemaker:StopHyperParameterTuningJob",
            ],
            list(dict.fromkeys([lines.of_runs(self, f"{lines.prefix}-"), tuning_arn(self, lines)])),
            because="Jobs are named after runs that are yet to come; the patterns admit this environment's",
            by_name=True,
        )
        self._make(definition(parts), key=key, log_retention_days=log_retention_days)
        allow(training.starter, ["states:StartExecution"], [self.arn])
        target = targets.SfnStateMachine(
            self.machine,
            input=events.RuleTargetInput.from_event_path("$.detail"),
            role=training.starter.without_policy_updates(),
        )
        events.Rule(
            self,
            "Ended",
            description="A training execution failed, was stopped or took too long: clear up after it",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": _BAD_ENDS, "stateMachineArn": [training.arn]},
            ),
            targets=[cast("events.IRuleTarget", target)],
        )
