"""The results of predictions that are answered later: one item each, until their time is over."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP


class ResultsTable(Construct):
    """Items are keyed by prediction (`pk`); `expires_at` ends them."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, protected: bool) -> None:
        super().__init__(scope, id)
        self.table = dynamodb.Table(
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

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.table_name

    def acknowledge_no_backups(self) -> None:
        """Say why a table that the settings leave without backups may do so."""
        acknowledge(
            self.table,
            "DynamoDBInBackupPlan",
            reason="The settings leave daily copies out (safeguards.backups is off); the table can still be "
            "recovered to any second of the last 35 days, and results are kept for days anyway",
        )

    def allow_actions(self, role: PlatformRole, actions: Sequence[str]) -> None:
        """Let `role` do `actions` (full names) on the table's items."""
        allow(role, actions, [self.table.table_arn])
