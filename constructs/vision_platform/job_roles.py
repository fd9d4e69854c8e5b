"""What SageMaker's jobs and endpoints may do: each reads and writes its own part of the lake."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack, aws_logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole, allow

_LOGGING = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
_BY_RUN = (
    "Objects are keyed by run, and the run does not exist yet; the prefix is the job's own part of the lake"
)


class JobRole(Construct):
    """The permissions of one kind of SageMaker work, with logs and metrics of that kind.

    `log_groups` are the platform's own groups for the work. Without them `log_group_name` (what follows
    /aws/sagemaker/) is a group that another environment in this account owns.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        role: PlatformRole,
        log_groups: Sequence[aws_logs.LogGroup],
        log_group_name: str,
        key: PlatformKey,
        placement: Placement | None,
    ) -> None:
        super().__init__(scope, id)
        self.role = role
        role.grant_from(self)
        key.allow_use(role)
        # SageMaker encrypts the work's volumes with the key in the role's name.
        key.allow_for_volumes(role)
        if log_groups:
            allow(role, _LOGGING, [group.log_group_arn for group in log_groups])
        else:
            self._allow_foreign_group(log_group_name)
        allow(
            role,
            ["cloudwatch:PutMetricData"],
            ["*"],
            because="CloudWatch: PutMetricData has no resource; a condition keeps it to SageMaker's metrics",
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}},
        )
        if placement is not None:
            placement.allow_interfaces(role)

    def allow_reading(self, bucket: s3.IBucket, *prefixes: str) -> None:
        """Let the work read objects under `prefixes`."""
        data_lake.allow_reading(self.role, bucket, prefixes, because=_BY_RUN)

    def allow_writing(self, bucket: s3.IBucket, *prefixes: str) -> None:
        """Let the work write objects under `prefixes`."""
        data_lake.allow_writing(self.role, bucket, prefixes, because=_BY_RUN)

    def _allow_foreign_group(self, name: str) -> None:
        allow(
            self.role,
            _LOGGING,
            [Stack.of(self).format_arn(service="logs", resource=f"log-group:/aws/sagemaker/{name}:*")],
            because="SageMaker has one log group for all jobs of an account, and names the streams by job",
        )
