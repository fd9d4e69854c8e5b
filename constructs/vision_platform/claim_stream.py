"""The stream of the burst path: claim checks wait in it until their images are predicted."""

from __future__ import annotations

from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow

_READ = (
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)


class ClaimStream(Construct):
    """An encrypted stream: on demand, or with a number of shards. It ends with its stack."""

    def __init__(
        self, scope: Construct, id: str, *, key: kms.IKey, shards: int | None, retention_hours: int
    ) -> None:
        """Without `shards` the stream is on demand."""
        super().__init__(scope, id)
        self.stream = kinesis.Stream(
            self,
            "Stream",
            stream_mode=kinesis.StreamMode.PROVISIONED if shards else kinesis.StreamMode.ON_DEMAND,
            shard_count=shards,
            retention_period=Duration.hours(retention_hours),
            encryption=kinesis.StreamEncryption.KMS,
            encryption_key=key,
            # Claim checks are worth nothing without the platform that answers them; images outlive it.
            removal_policy=RemovalPolicy.DESTROY,
        )

        acknowledge(
            self.stream,
            "AwsSolutions-KDS3",
            reason="The platform encrypts all that it stores with one key of the customer's, whose policy "
            "and use can be shown; the rule prefers the AWS-managed key for its price per request alone, "
            "and a stream asks for a data key every five minutes",
        )

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.stream.stream_name

    @property
    def arn(self) -> str:
        """The stream's ARN."""
        return self.stream.stream_arn

    @property
    def as_stream(self) -> kinesis.IStream:
        """The stream, as the CDK's other constructs take it."""
        return cast("kinesis.IStream", self.stream)

    def allow_reading(self, role: PlatformRole) -> None:
        """Let `role` read records: Lambda does it with the role of the function that gets them."""
        allow(role, _READ, [self.arn])

    def allow_putting(self, role: PlatformRole) -> None:
        """Let `role` put records, one at a time."""
        allow(role, ["kinesis:PutRecord"], [self.arn])
