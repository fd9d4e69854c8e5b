"""The data: buckets, lineage and the model registry, kept whatever happens to what works on them."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stages.settings import EnvironmentSettings
from vision_platform.backups import TableBackups
from vision_platform.data_lake import DataLake, LakeRetention
from vision_platform.encryption import PlatformKey
from vision_platform.feedback_table import FeedbackTable
from vision_platform.lineage import LineageTable
from vision_platform.model_lines import ModelLines
from vision_platform.resources import KEEP
from vision_platform.tables import PlatformTable


class DataStack(Stack):
    """Everything with a memory."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentSettings,
        lines: ModelLines,
        key: PlatformKey,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        retention = environment.retention
        self.lake = DataLake(
            self,
            "Lake",
            key=key.key,
            retention=LakeRetention(
                access_log_days=retention.access_log_days,
                superseded_version_days=retention.superseded_version_days,
                intermediate_days=retention.intermediate_days,
                infrequent_access_days=retention.infrequent_access_days,
                smoke_days=retention.smoke_days,
                upload_days=retention.upload_days,
                answer_days=retention.answer_days,
            ),
        )
        self.lineage = LineageTable(self, "Lineage", key=key.key, protected=environment.protected)
        # The answers to requests with an Idempotency-Key, and the predictions that are answered later.
        self.idempotency = PlatformTable(self, "Idempotency", key=key.key, protected=environment.protected)
        self.results = PlatformTable(self, "Results", key=key.key, protected=environment.protected)
        self.feedback = FeedbackTable(self, "Feedback", key=key.key, protected=environment.protected)
        tables = (self.lineage, self.idempotency, self.results, self.feedback)
        if environment.safeguards.backups:
            TableBackups(
                self,
                "Backups",
                name=f"{lines.prefix}-lineage",
                tables=[each.table for each in tables],
                key=key,
                days=retention.backup_days,
            )
        else:
            for each in tables:
                each.acknowledge_no_backups()
        self.model_groups: dict[str, sagemaker.CfnModelPackageGroup] = {}
        for line in lines.names:
            group = sagemaker.CfnModelPackageGroup(
                self,
                f"{line.capitalize()}Models",
                model_package_group_name=lines.endpoint(line),
                model_package_group_description=f"Versions of the {line} model",
            )
            group.apply_removal_policy(KEEP)
            self.model_groups[line] = group
        # Where models lie, in a folder for each line (s3://..., without a slash at its end).
        self.models_folder = f"s3://{self.lake.artifacts.bucket_name}/models"
        self.datasets_bucket = CfnOutput(self, "DatasetsBucket", value=self.lake.datasets.bucket_name)
        self.artifacts_bucket = CfnOutput(self, "ArtifactsBucket", value=self.lake.artifacts.bucket_name)
        self.uploads_bucket = CfnOutput(self, "UploadsBucket", value=self.lake.uploads.bucket_name)
        self.results_table = CfnOutput(self, "ResultsTableName", value=self.results.name)
        self.lineage_table = CfnOutput(self, "LineageTableName", value=self.lineage.name)
