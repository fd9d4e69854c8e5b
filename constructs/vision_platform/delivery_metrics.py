"""Delivery metrics: a function that measures the pipeline when one of its stages ends, and a dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.delivery_dashboard import DeliveryDashboard
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.monitoring import Alarms, Objective, let_alarms_publish
from vision_platform.permissions import allow

NAMESPACE = "VisionDelivery"


@dataclass(frozen=True, kw_only=True)
class DeliveryMetricsProps:
    """What is measured: the pipeline by its name, and which of its stages deploy to production."""

    pipeline_name: str
    production_stages: Sequence[str]
    source: Path
    """The folder `lambda_src`."""
    log_retention_days: int
    alerts: sns.ITopic | None = None
    """Who is told when events could not be measured: a topic of the same stack."""
    runbook_url: str | None = None


class DeliveryMetrics(Construct):
    """Measures a pipeline of this account and region. Events that cannot be measured wait in a queue."""

    def __init__(self, scope: Construct, id: str, *, props: DeliveryMetricsProps, key: PlatformKey) -> None:
        super().__init__(scope, id)
        self._records = self._table(key)
        self.function = self._function(props, key)
        self._allow(props.pipeline_name)
        self._rule(props.pipeline_name)
        DeliveryDashboard(
            self,
            "Dashboard",
            name=props.pipeline_name,
            namespace=NAMESPACE,
            pipeline=props.pipeline_name,
        )
        if props.alerts is not None:
            self._alarm(props.alerts, props)

    def _table(self, key: PlatformKey) -> dynamodb.Table:
        """What has been counted already. It goes with the pipeline: without it there is nothing to count."""
        table = dynamodb.Table(
            self,
            "Records",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires_at",
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            table,
            "DynamoDBInBackupPlan",
            reason="The table holds ids of stages that have been counted, no figures: without it an event "
            "that comes twice could be counted twice; it can be recovered to any second of the last 35 days",
        )
        return table

    def _function(self, props: DeliveryMetricsProps, key: PlatformKey) -> PlatformFunction:
        return PlatformFunction(
            self,
            "Measure",
            props=FunctionProps(
                source=props.source,
                folder="delivery_metrics",
                description="Measures the delivery pipeline by its history",
                environment={
                    "PIPELINE_NAME": props.pipeline_name,
                    "PRODUCTION_STAGES": ",".join(props.production_stages),
                    "METRICS_NAMESPACE": NAMESPACE,
                    "RECORDS_TABLE": self._records.table_name,
                },
                memory_mb=256,
                # Lambda calls again after one minute and after two more: by then the lease of a call that
                # died has ended.
                timeout_seconds=120,
                log_retention_days=props.log_retention_days,
                # The history is the same for all; more calls at once would only throttle each other there.
                reserved_concurrency=5,
                # It asks one service and writes one table: its log tells what a trace would.
                traced=False,
            ),
            key=key,
            placement=None,
        )

    def _allow(self, pipeline_name: str) -> None:
        pipeline = Stack.of(self).format_arn(service="codepipeline", resource=pipeline_name)
        role = self.function.role
        allow(role, ["codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions"], [pipeline])
        allow(
            role,
            ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
            [self._records.table_arn],
        )

    def _rule(self, pipeline_name: str) -> None:
        queue = cast("sqs.IQueue", self.function.failures)
        target = targets.LambdaFunction(self.function.function, dead_letter_queue=queue)
        events.Rule(
            self,
            "StageEnded",
            description=f"A stage of {pipeline_name} has succeeded or failed",
            event_pattern=events.EventPattern(
                source=["aws.codepipeline"],
                detail_type=["CodePipeline Stage Execution State Change"],
                detail={"pipeline": [pipeline_name], "state": ["SUCCEEDED", "FAILED"]},
            ),
            targets=[cast("events.IRuleTarget", target)],
        )

    def _alarm(self, topic: sns.ITopic, props: DeliveryMetricsProps) -> None:
        let_alarms_publish(topic)
        waiting = self.function.failures.metric_approximate_number_of_messages_visible(
            statistic=cloudwatch.Stats.MAXIMUM
        )
        Alarms(
            self,
            "Alarms",
            prefix=props.pipeline_name,
            topic=topic,
            objectives=[
                Objective(
                    name="metrics-incomplete",
                    metric=waiting,
                    threshold=1,
                    says="Events were not measured: see the function's log, then send them again.",
                )
            ],
            runbook_url=props.runbook_url,
        )
