"""The platform's encryption key: one customer-managed KMS key per environment, rotated every year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow, service_principal
from vision_platform.resources import KEEP

_USE = ("kms:Decrypt", "kms:GenerateDataKey")
# All that can be done with one symmetric key, and to it. The account hands this on by IAM; without it, nobody
# could ever change the key's policy again.
_BY_THE_ACCOUNT = (
    *_USE,
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:Encrypt",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)


class PlatformKey(Construct):
    """Encrypts what the platform stores. Roles get it by IAM, services without a role by the key's policy."""

    def __init__(self, scope: Construct, id: str, *, alias: str) -> None:
        super().__init__(scope, id)
        key = kms.Key(
            self,
            "Key",
            description="Encrypts the vision platform's data, logs and messages",
            enable_key_rotation=True,
            alias=alias,
            policy=iam.PolicyDocument(statements=[_by_the_account()]),
            removal_policy=KEEP,
        )
        self.key = cast("kms.IKey", key)
        self._let_logs_encrypt()
        # Alarms publish to the encrypted topic, and buses store events, without a role of ours.
        self._let_services_use(["cloudwatch.amazonaws.com", "events.amazonaws.com"])

    @property
    def arn(self) -> str:
        """The key's ARN."""
        return self.key.key_arn

    def allow_use(self, role: PlatformRole) -> None:
        """Let `role` read and write what the key encrypts."""
        allow(role, _USE, [self.arn])

    def allow_by_policy(self, statement: iam.PolicyStatement) -> None:
        """Let someone use the key whom its own policy must name, such as roles of another account."""
        self.key.add_to_resource_policy(statement)

    def allow_for_volumes(self, role: PlatformRole) -> None:
        """Let `role` hand the key to SageMaker for the volumes of jobs and endpoints."""
        allow(role, ["kms:DescribeKey"], [self.arn])
        allow(
            role, ["kms:CreateGrant"], [self.arn], conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}}
        )

    def _let_logs_encrypt(self) -> None:
        stack = Stack.of(self)
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchLogs",
                principals=[service_principal(f"logs.{stack.region}.amazonaws.com")],
                actions=[
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncryptFrom",
                    "kms:ReEncryptTo",
                    "kms:GenerateDataKey",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:DescribeKey",
                ],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                            service="logs", resource="log-group:*"
                        )
                    }
                },
            )
        )

    def _let_services_use(self, services: Sequence[str]) -> None:
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsAndEvents",
                principals=[service_principal(name) for name in services],
                actions=[*_USE, "kms:DescribeKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )


def _by_the_account() -> iam.PolicyStatement:
    """Let the key's account decide by IAM who may use it: what the CDK would allow with `kms:*`."""
    return iam.PolicyStatement(
        principals=[cast("iam.IPrincipal", iam.AccountRootPrincipal())],
        actions=list(_BY_THE_ACCOUNT),
        resources=["*"],
    )
