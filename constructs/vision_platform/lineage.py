"""The lineage table: dataset version -> run -> model -> prediction, and back, one query each way."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP

REVERSE_INDEX = "gsi1"


class LineageTable(Construct):
    """Items are keyed by what they are (pk, sk), and by what they came from in the reverse index."""

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
            index_name=REVERSE_INDEX,
            partition_key=_text("gsi1pk"),
            sort_key=_text("gsi1sk"),
            projection_type=dynamodb.ProjectionType.ALL,
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

    def allow_queries(self, role: PlatformRole) -> None:
        """Let `role` read items and follow lineage both ways."""
        allow(
            role,
            ["dynamodb:GetItem", "dynamodb:Query"],
            [self.table.table_arn, f"{self.table.table_arn}/index/{REVERSE_INDEX}"],
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
