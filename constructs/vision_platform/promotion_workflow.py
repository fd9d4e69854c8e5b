"""The promotion workflow: a Step Functions state machine, its role, and the rule that tidies up after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import PlatformBus
from vision_platform.functions import PlatformFunction
from vision_platform.lineage import LineageTable
from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.package_sharing import ModelSource
from vision_platform.permissions import PlatformRole, allow, service_role
from vision_platform.promotion_definition import definition
from vision_platform.promotion_language import PromotionParts
from vision_platform.promotion_plan import HostingPlan, ModelFunctions
from vision_platform.workflow_machine import WorkflowMachine

_BY_DEPLOYMENT = (
    "Models, packages and configurations are named after deployments that are yet to come; each action fixes "
    "the kind of resource, and the pattern admits this environment's names only"
)
_TRACKING = "Target tracking names its alarms itself, after the endpoint"
_SCALING = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}


@dataclass(frozen=True, kw_only=True)
class PromotionResources:
    """What the workflow works with; it grants itself what it needs on each.

    `source` is the environment whose packages may be promoted here, judged by `gate`; None where there is
    none.
    """

    lines: ModelLines
    table: LineageTable
    bus: PlatformBus
    gate: PlatformFunction
    hosting: PlatformRole
    source: ModelSource | None
    alarms: Sequence[str]


class PromotionWorkflow(WorkflowMachine):
    """`<platform>-<environment>-promotion`: a model package becomes what a line's endpoint serves."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        role: PlatformRole,
        plan: HostingPlan,
        resources: PromotionResources,
        key: PlatformKey,
        log_retention_days: int,
    ) -> None:
        lines = resources.lines
        super().__init__(scope, id, name=f"{lines.prefix}-promotion", role=role)
        self._resources = resources
        self._allow_own_account(key, plan.functions)
        if plan.functions is not None:
            self._allow_functions()
        else:
            self._allow_hosting()
        self._allow_scaling(plan)
        states = definition(
            PromotionParts(
                prefix=lines.prefix,
                packages=lines.arn(self, "model-package", ""),
                packages_elsewhere=resources.source.packages if resources.source else "",
                table=resources.table.name,
                bus=resources.bus.name,
                gate_function=resources.gate.arn,
                hosting=plan,
            )
        )
        self.timeout_seconds: int = states["TimeoutSeconds"]
        self._make(states, key=key, log_retention_days=log_retention_days)
        self._tidy_up()

    def _allow_own_account(self, key: PlatformKey, functions: ModelFunctions | None) -> None:
        resources = self._resources
        resources.table.allow_actions(
            self.role,
            ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
        )
        resources.bus.allow_publishing(self.role)
        key.allow_use(self.role)
        if functions is None:
            key.allow_for_volumes(self.role)
        allow(
            self.role,
            ["states:DescribeExecution"],
            [self.execution_arn],
            because="Whether another promotion still runs is asked of its execution, named when it started",
            by_name=True,
        )
        if resources.source is not None:
            resources.source.allow_packages(self.role)
            allow(self.role, ["lambda:InvokeFunction"], [resources.gate.arn])

    def _allow_hosting(self) -> None:
        """Models, configurations and packages are named after deployments, endpoints after their line."""
        self._allow_of_deployments(
            [
                "sagemaker:DescribeModelPackage",
                "sagemaker:CreateModel",
                "sagemaker:DeleteModel",
                "sagemaker:CreateEndpointConfig",
                "sagemaker:DeleteEndpointConfig",
                "sagemaker:CreateEndpoint",
                "sagemaker:UpdateEndpoint",
            ]
        )
        allow(
            self.role,
            ["iam:PassRole"],
            [self._resources.hosting.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        # SageMaker looks at the alarms of a deployment as its caller, and as the model's role.
        alarms = [self._alarm(name) for name in self._resources.alarms]
        for role in (self.role, self._resources.hosting):
            allow(role, ["cloudwatch:DescribeAlarms"], alarms)

    def _allow_of_deployments(self, actions: Sequence[str]) -> None:
        """Actions on what is named after deployments; looks at the lines' endpoints, and their removal."""
        lines = self._resources.lines
        allow(
            self.role,
            actions,
            [lines.of_runs(self, f"{lines.prefix}-")],
            because=_BY_DEPLOYMENT,
            by_name=True,
        )
        allow(
            self.role,
            ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"],
            [lines.arn(self, "endpoint", lines.endpoint(line)) for line in lines.names],
        )

    def _allow_functions(self) -> None:
        """Functions serve: of SageMaker's there may be what another hosting mode has left."""
        lines = self._resources.lines
        self._allow_of_deployments(
            ["sagemaker:DescribeModelPackage", "sagemaker:DeleteModel", "sagemaker:DeleteEndpointConfig"]
        )
        allow(
            self.role,
            ["lambda:InvokeFunction"],
            [lines.function_arn(self, line) for line in lines.names],
        )
        allow(
            self.role, ["cloudwatch:DescribeAlarms"], [self._alarm(name) for name in self._resources.alarms]
        )

    def _allow_scaling(self, plan: HostingPlan) -> None:
        """Scaling stops while a model changes, and ends with its endpoint.

        It does for a caller only what the caller may do itself.
        """
        targets_of_scaling = Stack.of(self).format_arn(
            service="application-autoscaling", resource="scalable-target", resource_name="*"
        )
        why = "Application Auto Scaling names its targets itself; a condition keeps it to SageMaker's"
        actions = ["application-autoscaling:DeregisterScalableTarget"]
        if plan.scales:
            actions += [
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
            ]
            self._allow_what_scaling_does()
        allow(self.role, actions, [targets_of_scaling], because=why, conditions=_SCALING)
        # Also where the settings let the endpoint scale no longer: its policies' alarms go with its target.
        endpoint = self._resources.lines.endpoint(CHAMPION)
        allow(
            self.role,
            ["cloudwatch:DeleteAlarms"],
            [self._alarm(f"TargetTracking-endpoint/{endpoint}/*")],
            because=_TRACKING,
        )
        backlog = [self._alarm(f"{endpoint}-backlog")]
        allow(self.role, ["cloudwatch:DeleteAlarms"], backlog)
        if plan.asynchronous is not None and plan.asynchronous.to_zero:
            allow(self.role, ["cloudwatch:PutMetricAlarm"], backlog)

    def _allow_what_scaling_does(self) -> None:
        lines = self._resources.lines
        endpoint = lines.endpoint(CHAMPION)
        allow(
            self.role,
            ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            [lines.arn(self, "endpoint", endpoint)],
        )
        allow(
            self.role,
            ["sagemaker:DescribeEndpointConfig"],
            [lines.arn(self, "endpoint-config", f"{endpoint}-*")],
            because="Configurations are named after deployments that are yet to come",
        )
        allow(
            self.role,
            ["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"],
            [self._alarm(f"TargetTracking-endpoint/{endpoint}/*")],
            because=_TRACKING,
        )
        linked = "sagemaker.application-autoscaling.amazonaws.com"
        allow(
            self.role,
            ["iam:CreateServiceLinkedRole"],
            [
                Stack.of(self).format_arn(
                    service="iam",
                    region="",
                    resource="role",
                    resource_name=f"aws-service-role/{linked}/"
                    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
                )
            ],
            conditions={"StringEquals": {"iam:AWSServiceName": linked}},
        )

    def _alarm(self, name: str) -> str:
        return Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _tidy_up(self) -> None:
        """An execution that was stopped, ran out of time or broke is followed by one that clears up."""
        starter = service_role(
            self,
            "Tidier",
            service="events.amazonaws.com",
            description="Clears up after promotions that could not do so themselves",
        )
        allow(starter, ["states:StartExecution"], [self.arn])
        event = events.RuleTargetInput.from_object(
            {"after": events.EventField.from_path("$.detail.executionArn")}
        )
        target = targets.SfnStateMachine(self.machine, input=event, role=starter.without_policy_updates())
        events.Rule(
            self,
            "Stopped",
            description="A promotion did not end by itself: clear up after it",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"stateMachineArn": [self.arn], "status": ["ABORTED", "FAILED", "TIMED_OUT"]},
            ),
            targets=[cast("events.IRuleTarget", target)],
        )
