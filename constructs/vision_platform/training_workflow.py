"""The training workflow: a Step Functions state machine, its role, and the events that start it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from constructs import Construct

from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import EVENT_SOURCE, PlatformBus
from vision_platform.functions import PlatformFunction
from vision_platform.lineage import LineageTable
from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.permissions import PlatformRole, allow, service_role
from vision_platform.training_parts import TrainingParts, tuning_prefix
from vision_platform.training_states import definition
from vision_platform.workflow_machine import WorkflowMachine

# Step Functions tags the jobs that it waits for (.sync) with the execution that they belong to.
_MARK_AS_OURS = ("sagemaker:AddTags", "sagemaker:ListTags")


@dataclass(frozen=True, kw_only=True)
class WorkflowResources:
    """What the workflow works with; it grants itself what it needs on each."""

    lines: ModelLines
    table: LineageTable
    bus: PlatformBus
    artifacts: s3.IBucket
    functions: Sequence[PlatformFunction]
    job_roles: Sequence[PlatformRole]
    promotion: WorkflowMachine


class TrainingWorkflow(WorkflowMachine):
    """`<platform>-<environment>-training`: from a manifest to a promoted model, or a recorded failure."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        role: PlatformRole,
        parts: TrainingParts,
        resources: WorkflowResources,
        key: PlatformKey,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id, name=f"{resources.lines.prefix}-training", role=role)
        self._resources = resources
        self._allow_own_account(key)
        self._allow_jobs()
        self._allow_executions()
        self._make(definition(parts), key=key, log_retention_days=log_retention_days)
        self.starter = service_role(
            self,
            "Starter",
            service="events.amazonaws.com",
            description="Starts training when an event asks for it",
        )
        allow(self.starter, ["states:StartExecution"], [self.arn])

    def start_on_arrival(self, bucket: s3.IBucket) -> None:
        """Train the champion whenever a manifest arrives under `datasets/` in `bucket`."""
        key = events.EventField.from_path("$.detail.object.key")
        self._start(
            "DatasetArrival",
            "A dataset's manifest has arrived: train the champion on it",
            {
                "reason": "dataset",
                "manifest_uri": f"s3://{bucket.bucket_name}/{key}",
                # A redelivered event has the same tag, and its run id follows from it.
                "manifest_tag": events.EventField.from_path("$.detail.object.etag"),
            },
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": [{"wildcard": "datasets/*manifest.json"}]},
                },
            ),
        )

    def start_on_schedule(self, schedule: str) -> None:
        """Train the champion's newest dataset again at these times (`rate(...)` or `cron(...)`)."""
        self._start(
            "Schedule",
            "It is time to train the champion again on its newest dataset",
            # Each time is a run of its own, and a redelivered event has the same id.
            {"reason": "schedule", "occurrence": events.EventField.from_path("$.id")},
            schedule=events.Schedule.expression(schedule),
        )

    def start_on_drift(self) -> None:
        """Train the champion's newest dataset again when it drifts: once for each model that does."""
        bus = events.EventBus.from_event_bus_name(self, "Bus", self._resources.bus.name)
        self._start(
            "Drift",
            "The champion's images have drifted: train it again on its newest dataset",
            {
                "reason": "drift",
                "occurrence": events.EventField.from_path("$.detail.model_package_arn"),
            },
            event_bus=bus,
            event_pattern=events.EventPattern(
                source=[EVENT_SOURCE], detail_type=["Drift Detected"], detail={"line": [CHAMPION]}
            ),
        )

    def _start(self, id: str, description: str, run: Mapping[str, str], **trigger: Any) -> None:
        target = targets.SfnStateMachine(
            self.machine,
            input=events.RuleTargetInput.from_object({"line": CHAMPION, **run}),
            role=self.starter.without_policy_updates(),
        )
        events.Rule(
            self, id, description=description, targets=[cast("events.IRuleTarget", target)], **trigger
        )

    def _allow_own_account(self, key: PlatformKey) -> None:
        resources = self._resources
        allow(self.role, ["lambda:InvokeFunction"], [function.arn for function in resources.functions])
        resources.table.allow_actions(
            self.role,
            [
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            ],
        )
        data_lake.allow_fetching(
            self.role,
            resources.artifacts,
            ["prepared/*/batches.json"],
            because="The Distributed Map reads the list of batches in the folder of whatever dataset arrives",
        )
        resources.bus.allow_publishing(self.role)
        key.allow_use(self.role)
        key.allow_for_volumes(self.role)
        allow(
            self.role,
            ["iam:PassRole"],
            [role.role_arn for role in resources.job_roles],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )

    def _allow_jobs(self) -> None:
        """Jobs and packages are named after their run."""
        lines = self._resources.lines
        allow(
            self.role,
            [
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:StopProcessingJob",
                *_MARK_AS_OURS,
                "sagemaker:CreateModelPackage",
            ],
            [lines.of_runs(self, f"{lines.prefix}-")],
            because="Jobs and packages are named after runs that are yet to come; each action fixes the kind "
            "of resource, and the pattern admits this environment's names only",
            by_name=True,
        )
        allow(
            self.role,
            [
                "sagemaker:CreateHyperParameterTuningJob",
                "sagemaker:DescribeHyperParameterTuningJob",
                "sagemaker:StopHyperParameterTuningJob",
                *_MARK_AS_OURS,
            ],
            [tuning_arn(self, lines)],
            because="Tuning jobs are named after runs that are yet to come, and begin with this "
            "environment's prefix, or with a mark of its own where that is too long for them",
            by_name=True,
        )
        self._allow_rules(
            *(f"SageMaker{kind}Jobs" for kind in ("Training", "Processing", "Tuning")),
            "StepFunctionsExecution",
        )

    def _allow_rules(self, *kinds: str) -> None:
        """Step Functions learns by these rules of its own that what it waits for has ended (.sync)."""
        allow(
            self.role,
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [
                Stack.of(self).format_arn(
                    service="events", resource="rule", resource_name=f"StepFunctionsGetEventsFor{kind}Rule"
                )
                for kind in kinds
            ],
        )

    def _allow_executions(self) -> None:
        """It starts its Map's batches and the promotion, and asks whether those before it still run."""
        promotion = self._resources.promotion
        allow(self.role, ["states:StartExecution"], [self.own_arn, promotion.arn])
        allow(
            self.role,
            ["states:DescribeExecution", "states:StopExecution"],
            [self.execution_arn, promotion.execution_arn],
            because="Executions are named when they start; the patterns are those of one state machine each",
            by_name=True,
        )

    @property
    def execution_arn(self) -> str:
        """The pattern of the ARNs of its executions: with a colon its own, with a slash those of its Map."""
        return super().execution_arn.replace(f"{self.name}:*", f"{self.name}*")


def tuning_arn(scope: Construct, lines: ModelLines) -> str:
    """The pattern of this environment's tuning jobs and of their trials."""
    return lines.of_runs(scope, tuning_prefix(lines.prefix))
