"""The feedback table: the label that stands for each prediction, and what was counted by model and day."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP

PENDING_INDEX = "pending"


class FeedbackTable(Construct):
    """Items are keyed by prediction, counts by day; the index holds the labels that wait and nothing else."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, protected: bool) -> None:
        super().__init__(scope, id)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=_text("pk"),
            sort_key=_text("sk"),
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
        self.table.add_global_secondary_index(
            index_name=PENDING_INDEX,
            partition_key=_text("pending"),
            sort_key=_text("waiting_since"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
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
            "recovered to any second of the last 35 days",
        )

    def allow_actions(self, role: PlatformRole, actions: Sequence[str]) -> None:
        """Let `role` do `actions` (full names) on the table's items."""
        allow(role, actions, [self.table.table_arn])

    def allow_finding_pending(self, role: PlatformRole) -> None:
        """Let `role` list the labels that wait for their predictions."""
        allow(role, ["dynamodb:Query"], [f"{self.table.table_arn}/index/{PENDING_INDEX}"])


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
