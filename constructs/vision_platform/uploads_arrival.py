"""An uploaded image becomes a claim check: EventBridge puts one into the stream for each new object."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from vision_platform.claim_stream import ClaimStream
from vision_platform.encryption import PlatformKey
from vision_platform.model_lines import CHAMPION
from vision_platform.permissions import allow, service_principal, service_role

# EventBridge puts quotes around the texts. The prediction's id is the last part of the key.
_CLAIM_CHECK = (
    f'{{"bucket": <bucket>, "key": <key>, "line": "{CHAMPION}", "content_type": "", "bytes": <bytes>, '
    '"submitted_at": <time>}'
)


class UploadsArrival(Construct):
    """A rule on the events of `bucket`, for keys under `prefix`.

    EventBridge tries for a day to put a claim check into the stream; then the event goes to `failures`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        bucket: s3.IBucket,
        prefix: str,
        stream: ClaimStream,
        failures: sqs.Queue,
        key: PlatformKey,
    ) -> None:
        super().__init__(scope, id)
        role = service_role(
            self, "Role", service="events.amazonaws.com", description="Queues uploaded images for prediction"
        )
        # EventBridge puts what it has together, too.
        allow(role, ["kinesis:PutRecord", "kinesis:PutRecords"], [stream.arn])
        key.allow_use(role)
        rule = events.CfnRule(
            self,
            "Rule",
            description="An image was uploaded",
            event_pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": [{"prefix": prefix}]},
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Stream",
                    arn=stream.arn,
                    role_arn=role.role_arn,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=failures.queue_arn),
                    kinesis_parameters=events.CfnRule.KinesisParametersProperty(
                        partition_key_path="$.detail.object.key"
                    ),
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "bucket": "$.detail.bucket.name",
                            "key": "$.detail.object.key",
                            "bytes": "$.detail.object.size",
                            "time": "$.time",
                        },
                        input_template=_CLAIM_CHECK,
                    ),
                )
            ],
        )
        rule.node.add_dependency(role.permissions)
        # Queues of failures are written to without the target's role.
        failures.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventsOfUploads",
                principals=[service_principal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[failures.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
            )
        )
