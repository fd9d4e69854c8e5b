"""What the pipeline keeps: artifacts between its actions, build caches, and the smoke tests' reports."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stages.settings import RetentionSettings
from vision_platform.compliance import give_reason
from vision_platform.data_lake import access_log_bucket, acknowledge_one_region, encrypted_bucket
from vision_platform.encryption import PlatformKey

CACHE_PREFIX = "cache"
# CodePipeline reads an artifact within the execution that made it; older ones help only to look back.
_ARTIFACT_DAYS = 30
_CACHE_DAYS = 14
CAN_BE_MADE_AGAIN = "artifacts and reports can be made again from the commit, by the same pipeline"


class DeliveryStorage(Construct):
    """The tooling account's buckets, encrypted with the pipeline's key."""

    def __init__(self, scope: Construct, id: str, *, key: PlatformKey, retention: RetentionSettings) -> None:
        super().__init__(scope, id)
        access_logs = access_log_bucket(self, "AccessLogs", retention_days=retention.access_log_days)
        self.artifacts = artifact_bucket(self, "Artifacts", key=key, access_logs=access_logs)
        self.reports = encrypted_bucket(
            self,
            "Reports",
            key=key.key,
            access_logs=access_logs,
            superseded_version_days=retention.superseded_version_days,
            lifecycle=[s3.LifecycleRule(id="Expire", expiration=Duration.days(retention.report_days))],
        )
        acknowledge_one_region(self, because=CAN_BE_MADE_AGAIN)


def artifact_bucket(
    scope: Construct, id: str, *, key: PlatformKey, access_logs: s3.IBucket, name: str | None = None
) -> s3.Bucket:
    """A bucket for what one pipeline execution hands from action to action, and for build caches."""
    bucket = encrypted_bucket(
        scope,
        id,
        name=name,
        key=key.key,
        access_logs=access_logs,
        superseded_version_days=_CACHE_DAYS,
        lifecycle=[
            s3.LifecycleRule(
                id="ExpireCaches", prefix=f"{CACHE_PREFIX}/", expiration=Duration.days(_CACHE_DAYS)
            ),
            s3.LifecycleRule(id="ExpireArtifacts", expiration=Duration.days(_ARTIFACT_DAYS)),
        ],
    )
    give_reason(
        bucket,
        f"{bucket.bucket_arn}/*",
        because="CodePipeline names its artifacts itself; the bucket holds artifacts and build caches only",
    )
    return bucket
