"""Artifacts for environments in other regions: CloudFormation reads templates only in its own."""

from __future__ import annotations

from typing import Any

from aws_cdk import Environment, Stack
from constructs import Construct

from delivery.storage import CAN_BE_MADE_AGAIN, artifact_bucket
from stages.settings import PlatformSettings
from vision_platform.data_lake import access_log_bucket, acknowledge_one_region
from vision_platform.encryption import PlatformKey


class ReplicationStack(Stack):
    """One region's artifact bucket and key, in the tooling account."""

    def __init__(
        self, scope: Construct, id: str, *, settings: PlatformSettings, region: str, **kwargs: Any
    ) -> None:
        name = f"{settings.name}-delivery"
        super().__init__(
            scope,
            id,
            stack_name=f"{name}-{region}",
            env=Environment(account=settings.tooling.account, region=region),
            description=f"Artifacts of {name} for environments in {region}",
            tags={"platform": settings.name, "environment": "delivery"},
            **kwargs,
        )
        self.key = PlatformKey(self, "Encryption", alias=f"alias/{name}")
        access_logs = access_log_bucket(self, "AccessLogs", retention_days=settings.retention.access_log_days)
        self.bucket = artifact_bucket(
            self,
            "Artifacts",
            key=self.key,
            access_logs=access_logs,
            # The pipeline, in its own region, must know the name beforehand.
            name=f"{name}-{settings.tooling.account}-{region}",
        )
        for bucket in (self.bucket, access_logs):
            acknowledge_one_region(bucket, because=CAN_BE_MADE_AGAIN)


def replication_stacks(scope: Construct, settings: PlatformSettings) -> dict[str, ReplicationStack]:
    """A stack for each region that has environments but not the pipeline, by region."""
    regions = {region for environment in settings.environments for region in environment.regions}
    return {
        region: ReplicationStack(scope, f"Delivery-{region}", settings=settings, region=region)
        for region in sorted(regions - {settings.tooling.region})
    }
