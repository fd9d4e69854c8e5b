"""The feedback table: the label that stands for each prediction, and what was counted by model and day."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow
from vision_platform.tables import PlatformTable, text

PENDING_INDEX = "pending"


class FeedbackTable(PlatformTable):
    """Items are keyed by prediction, counts by day; the index holds the labels that wait and nothing else."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, protected: bool) -> None:
        super().__init__(scope, id, key=key, protected=protected, sorted_=True)
        self.table.add_global_secondary_index(
            index_name=PENDING_INDEX,
            partition_key=text("pending"),
            sort_key=text("waiting_since"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )

    def allow_finding_pending(self, role: PlatformRole) -> None:
        """Let `role` list the labels that wait for their predictions."""
        allow(role, ["dynamodb:Query"], [self.index_arn(PENDING_INDEX)])
