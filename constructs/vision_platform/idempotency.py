"""The table that remembers which requests were answered, by the keys that callers gave them."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP


class IdempotencyTable(Construct):
    """Records expire by themselves within days; nothing is lost with them but the answer to a repetition."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, protected: bool) -> None:
        super().__init__(scope, id)
        self._table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires_at",
            deletion_protection=protected,
            removal_policy=KEEP,
        )
        acknowledge(
            self._table,
            "DynamoDBInBackupPlan",
            reason="Records are worthless after a few hours, when no caller repeats the request any more; a "
            "daily copy would outlive all of them",
        )

    @property
    def name(self) -> str:
        """The table's name."""
        return self._table.table_name

    def allow_use(self, role: PlatformRole) -> None:
        """Let `role` take keys, and remember and look up answers."""
        actions = ("GetItem", "PutItem", "UpdateItem", "DeleteItem")
        allow(role, [f"dynamodb:{action}" for action in actions], [self._table.table_arn])
