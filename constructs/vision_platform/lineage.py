"""The lineage table: dataset version -> run -> model -> prediction, and back, one query each way."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow
from vision_platform.tables import PlatformTable, text

REVERSE_INDEX = "gsi1"


class LineageTable(PlatformTable):
    """Items are keyed by what they are (pk, sk), and by what they came from in the reverse index."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, protected: bool) -> None:
        super().__init__(scope, id, key=key, protected=protected, sorted_=True)
        self.table.add_global_secondary_index(
            index_name=REVERSE_INDEX,
            partition_key=text("gsi1pk"),
            sort_key=text("gsi1sk"),
            projection_type=dynamodb.ProjectionType.ALL,
        )

    def allow_queries(self, role: PlatformRole) -> None:
        """Let `role` read items and follow lineage both ways."""
        allow(
            role,
            ["dynamodb:GetItem", "dynamodb:Query"],
            [self.table.table_arn, self.index_arn(REVERSE_INDEX)],
        )
