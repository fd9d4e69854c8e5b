"""A Step Functions state machine as the platform runs them: named, logged, traced, its role written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from vision_platform import logs
from vision_platform.encryption import PlatformKey
from vision_platform.permissions import PlatformRole, allow, allow_tracing

_LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)


class WorkflowMachine(Construct):
    """Base of the platform's workflows: a subclass grants `role` what its states call, then calls `_make`."""

    def __init__(self, scope: Construct, id: str, *, name: str, role: PlatformRole) -> None:
        super().__init__(scope, id)
        self.name, self.role = name, role
        role.grant_from(self)
        # Log groups of this prefix share one resource policy; others would each take their part of its limit.
        self.log_group_name = f"/aws/vendedlogs/states/{name}"

    def _make(self, definition: Mapping[str, Any], *, key: PlatformKey, log_retention_days: int) -> None:
        """Make the machine, once its role has all that the definition needs."""
        allow(
            self.role,
            _LOG_DELIVERY,
            ["*"],
            because="CloudWatch Logs: deliveries by AWS services have no resource",
        )
        allow_tracing(self.role)
        self.log_group = logs.log_group(
            self, "Logs", key=key.key, retention_days=log_retention_days, name=self.log_group_name
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=self.name,
            definition_body=sfn.DefinitionBody.from_string(Stack.of(self).to_json_string(definition)),
            role=self.role.without_policy_updates(),
            tracing_enabled=True,
            # The states carry ids and addresses, never images, so that their data may be logged.
            logs=sfn.LogOptions(
                destination=self.log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )
        # Step Functions checks at creation that the role may write logs.
        self.machine.node.add_dependency(self.role.permissions, self.role.account_level)

    @property
    def arn(self) -> str:
        """The state machine's ARN."""
        return self.machine.state_machine_arn

    @property
    def own_arn(self) -> str:
        """The same from the machine's name, for policies that the machine itself depends on."""
        return self._named("stateMachine", self.name)

    @property
    def execution_arn(self) -> str:
        """The pattern of the ARNs of its executions."""
        return self._named("execution", f"{self.name}:*")

    def _named(self, kind: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service="states",
            resource=kind,
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
