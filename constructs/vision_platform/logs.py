"""Log groups: always explicit, encrypted and with an end to their retention."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP, cfn_resource


def log_group(
    scope: Construct, id: str, *, key: kms.IKey, retention_days: int, name: str | None = None
) -> logs.LogGroup:
    """An encrypted log group that keeps its lines for `retention_days` and outlives its stack."""
    group = logs.LogGroup(scope, id, log_group_name=name, encryption_key=key, removal_policy=KEEP)
    # The typed enumeration of retention periods is the settings' business; CloudFormation takes the number.
    cfn_resource(group, logs.CfnLogGroup).retention_in_days = retention_days
    return group


def allow_writing(role: PlatformRole, group: logs.LogGroup) -> None:
    """Let `role` write to the streams of `group`."""
    allow(role, ["logs:CreateLogStream", "logs:PutLogEvents"], [group.log_group_arn])
