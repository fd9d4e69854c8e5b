"""A DynamoDB table as the platform keeps them: on demand, encrypted, recoverable, expiring item by item."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow
from vision_platform.resources import KEEP


class PlatformTable(Construct):
    """Items are keyed by `pk`, and by `sk` where the table is `sorted_`; `expires_at` ends them.

    A `protected` table refuses to be deleted.
    """

    def __init__(
        self, scope: Construct, id: str, *, key: kms.IKey, protected: bool, sorted_: bool = False
    ) -> None:
        super().__init__(scope, id)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=text("pk"),
            sort_key=text("sk") if sorted_ else None,
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
            "recovered to any second of the last 35 days",
        )

    def allow_actions(self, role: PlatformRole, actions: Sequence[str]) -> None:
        """Let `role` do `actions` (full names) on the table's items."""
        allow(role, actions, [self.table.table_arn])

    def index_arn(self, name: str) -> str:
        """The ARN of one of the table's indexes."""
        return f"{self.table.table_arn}/index/{name}"


def text(name: str) -> dynamodb.Attribute:
    """A key attribute that is text."""
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
