"""Tells people what the pipeline does: an encrypted topic, and a readable text for each thing that happens.

What waits for a person is told by the approval itself, whose message brings the dossier's text along, which
events do not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from vision_platform.encryption import PlatformKey
from vision_platform.permissions import service_principal

_ROLLBACKS = ["AutomatedRollback", "ManualRollback"]


@dataclass(frozen=True, kw_only=True)
class _Notice:
    """One thing that people are told: what of the pipeline's events it is about, and the first line."""

    name: str
    of: str
    detail: dict[str, Any]
    says: str


_NOTICES = (
    _Notice(
        name="Failed",
        of="Pipeline",
        detail={"state": ["FAILED"]},
        says="A delivery failed: the environments after the failed stage keep what they run.",
    ),
    _Notice(
        name="StageFailed",
        of="Stage",
        detail={"state": ["FAILED"]},
        says="Stage <stage> failed.",
    ),
    _Notice(
        name="RolledBack",
        of="Pipeline",
        detail={"state": ["STARTED"], "execution-trigger": {"trigger-type": _ROLLBACKS}},
        says="A stage is rolled back to its last success (<trigger>); another message tells how it ends.",
    ),
    _Notice(
        name="Succeeded",
        of="Pipeline",
        detail={"state": ["SUCCEEDED"]},
        says="A delivery succeeded.",
    ),
)


class DeliveryNotifications(Construct):
    """The topic with its subscribers, and a rule for each notice."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline_name: str,
        emails: Sequence[str],
        reports: s3.IBucket,
        report_prefixes: Sequence[str],
        key: PlatformKey,
    ) -> None:
        super().__init__(scope, id)
        self.topic = cast("sns.ITopic", sns.Topic(self, "Topic", master_key=key.key, enforce_ssl=True))
        for email in emails:
            subscription = subscriptions.EmailSubscription(email)
            self.topic.add_subscription(cast("sns.ITopicSubscription", subscription))
        region = Stack.of(self).region
        console = f"https://{region}.console.aws.amazon.com"
        lines = [
            f"Pipeline {pipeline_name}, execution <execution>:",
            f"{console}/codesuite/codepipeline/pipelines/{pipeline_name}/executions/<execution>/timeline?region={region}",
            "Reports, as far as it came:",
            *[
                f"{console}/s3/buckets/{reports.bucket_name}?region={region}&prefix={prefix}/<execution>/"
                for prefix in report_prefixes
            ],
        ]
        rules = [self._rule(notice, pipeline_name, [notice.says, *lines]) for notice in _NOTICES]
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Events",
                principals=[service_principal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"ArnEquals": {"aws:SourceArn": [rule.attr_arn for rule in rules]}},
            )
        )

    def _rule(self, notice: _Notice, pipeline_name: str, lines: Sequence[str]) -> events.CfnRule:
        known = {"execution": "$.detail.execution-id"}
        # EventBridge does not read escapes: a text of several lines is several strings.
        text = "\n".join(json.dumps(line) for line in lines)
        if "<stage>" in text:
            known["stage"] = "$.detail.stage"
        if "<trigger>" in text:
            known["trigger"] = "$.detail.execution-trigger.trigger-type"
        # The L2 target would let every rule of the account publish.
        return events.CfnRule(
            self,
            notice.name,
            description=f"Tells people: {notice.name} ({pipeline_name})",
            event_pattern={
                "source": ["aws.codepipeline"],
                "detail-type": [f"CodePipeline {notice.of} Execution State Change"],
                "detail": {"pipeline": [pipeline_name], **notice.detail},
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Topic",
                    arn=self.topic.topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map=known, input_template=text
                    ),
                )
            ],
        )
