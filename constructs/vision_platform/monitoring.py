"""What calls people: an encrypted topic, alarms with thresholds from the settings, and a dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from vision_platform.permissions import service_principal

_NOT_BREACHING = cloudwatch.TreatMissingData.NOT_BREACHING
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD


class AlertTopic(Construct):
    """Where alarms go, and from there to people."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, emails: Sequence[str]) -> None:
        super().__init__(scope, id)
        self.topic = cast("sns.ITopic", sns.Topic(self, "Topic", master_key=key, enforce_ssl=True))
        let_alarms_publish(self.topic)
        for email in emails:
            subscription = subscriptions.EmailSubscription(email)
            self.topic.add_subscription(cast("sns.ITopicSubscription", subscription))


def let_alarms_publish(topic: sns.ITopic) -> None:
    """Let the alarms of the topic's account publish to it."""
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="Alarms",
            principals=[service_principal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(topic).account}},
        )
    )


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One alarm: what is measured, from where on it is too much, and what a person should do first."""

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    says: str
    periods: int = 1


class Alarms(Construct):
    """Alarms on objectives. Silence is no breach: an API that nobody calls is not broken."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        topic: sns.ITopic,
        objectives: Sequence[Objective],
        runbook_url: str | None,
    ) -> None:
        super().__init__(scope, id)
        runbook = f" Runbook: {runbook_url}" if runbook_url else ""
        self.alarms = [
            cloudwatch.Alarm(
                self,
                objective.name,
                alarm_name=f"{prefix}-{objective.name}",
                alarm_description=f"{objective.says}{runbook}",
                metric=objective.metric,
                threshold=objective.threshold,
                evaluation_periods=objective.periods,
                comparison_operator=_ABOVE,
                treat_missing_data=_NOT_BREACHING,
            )
            for objective in objectives
        ]
        tell_people = cast("cloudwatch.IAlarmAction", actions.SnsAction(topic))
        for alarm in self.alarms:
            alarm.add_alarm_action(tell_people)
            alarm.add_ok_action(tell_people)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One picture of the dashboard; `unit` says what its axis counts, `limit` from where on an alarm rings.

    What is counted in another unit has the axis on the right.
    """

    title: str
    metrics: Sequence[cloudwatch.IMetric]
    unit: str
    limit: float | None = None
    right: Sequence[cloudwatch.IMetric] = ()
    right_unit: str = ""


class PlatformDashboard(Construct):
    """One page: are requests answered, how fast, and does training work."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        alarms: Sequence[cloudwatch.IAlarm],
        graphs: Sequence[Graph],
    ) -> None:
        super().__init__(scope, id)
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=name,
            default_interval=Duration.days(1),
            widgets=[
                [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=24, height=3)],
                [_widget(graph) for graph in graphs],
            ],
        )


def _widget(graph: Graph) -> cloudwatch.GraphWidget:
    limits = (
        [] if graph.limit is None else [cloudwatch.HorizontalAnnotation(value=graph.limit, label="alarm")]
    )
    return cloudwatch.GraphWidget(
        title=graph.title,
        left=list(graph.metrics),
        left_y_axis=_axis(graph.unit),
        left_annotations=limits,
        right=list(graph.right),
        right_y_axis=_axis(graph.right_unit) if graph.right else None,
        width=8,
        height=6,
    )


def _axis(unit: str) -> cloudwatch.YAxisProps:
    return cloudwatch.YAxisProps(label=unit, min=0, show_units=False)
