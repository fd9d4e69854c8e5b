"""A Lambda function as the platform runs them: a role of its own, an encrypted log group, tracing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from vision_platform import logs
from vision_platform.compliance import acknowledge
from vision_platform.encryption import PlatformKey
from vision_platform.network import Placement
from vision_platform.packaging import ARCHITECTURE, RUNTIME, function_code
from vision_platform.permissions import PlatformRole, allow, allow_tracing, service_role


@dataclass(frozen=True, kw_only=True)
class FunctionProps:
    """What a function is: where its code lies, what it is told, and how much it may use.

    `also` are files from elsewhere that it is packaged with; `name` is for functions that others know by it.
    """

    source: Path
    folder: str
    description: str
    environment: Mapping[str, str]
    memory_mb: int
    timeout_seconds: int
    log_retention_days: int
    reserved_concurrency: int | None = None
    traced: bool = True
    also: Sequence[Path] = ()
    name: str | None = None


class PlatformFunction(Construct):
    """One function; permissions are added to `role`, each written out by whoever hands it a resource.

    Without `role` it gets one of its own. What nobody waits for and fails three times stays in `failures`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        props: FunctionProps,
        key: PlatformKey,
        placement: Placement | None,
        role: PlatformRole | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.log_group = logs.log_group(self, "Logs", key=key.key, retention_days=props.log_retention_days)
        self.failures = sqs.Queue(
            self,
            "Failures",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key.key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.role = role or service_role(
            self, "Role", service="lambda.amazonaws.com", description=f"Runs: {props.description}"
        )
        self.role.grant_from(self)
        logs.allow_writing(self.role, self.log_group)
        if props.traced:
            allow_tracing(self.role)
        key.allow_use(self.role)
        allow(self.role, ["sqs:SendMessage"], [self.failures.queue_arn])
        if placement is not None:
            placement.allow_interfaces(self.role)
        function = lambda_.Function(
            self,
            "Function",
            function_name=props.name,
            description=props.description,
            code=function_code(props.source, props.folder, props.also),
            handler="handler.handler",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            memory_size=props.memory_mb,
            timeout=Duration.seconds(props.timeout_seconds),
            environment={**props.environment},
            environment_encryption=key.key,
            # The L2 grants by wildcard what it thinks is needed; this role's statements are written out.
            role=self.role.without_policy_updates(),
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE if props.traced else lambda_.Tracing.DISABLED,
            dead_letter_queue=cast("sqs.IQueue", self.failures),
            reserved_concurrent_executions=props.reserved_concurrency,
            vpc=placement.vpc if placement else None,
            vpc_subnets=placement.subnets if placement else None,
            security_groups=[placement.security_group] if placement else None,
        )
        # The function must not start before its role may write logs.
        function.node.add_dependency(self.role.permissions)
        if props.traced or placement is not None:
            function.node.add_dependency(self.role.account_level)
        self._acknowledge(function, props, placement)
        self.function = cast("lambda_.IFunction", function)

    @property
    def arn(self) -> str:
        """The function's ARN."""
        return self.function.function_arn

    @staticmethod
    def _acknowledge(function: lambda_.Function, props: FunctionProps, placement: Placement | None) -> None:
        """What the settings have switched off shows in the report, beside the function."""
        if placement is None:
            acknowledge(
                function,
                "LambdaInsideVPC",
                reason="Without a network of its own (network.vpc is off) the function calls AWS's APIs "
                "alone, over TLS and with its role's credentials, and nothing can call it but AWS's services",
            )
        if props.reserved_concurrency is None:
            acknowledge(
                function,
                "LambdaConcurrency",
                reason="The settings reserve no concurrency (reserved_concurrency is 0): an account whose "
                "quota is still small could not give any away; the API is throttled",
            )
