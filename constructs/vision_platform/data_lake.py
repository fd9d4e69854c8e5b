"""The data lake: datasets and uploads in, artifacts out, and a bucket for their access logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from vision_platform.compliance import acknowledge, give_reason
from vision_platform.permissions import PlatformRole
from vision_platform.resources import KEEP, cfn_resource

# In the artifacts bucket, with a folder for each line.
ASYNCHRONOUS = "asynchronous/"


@dataclass(frozen=True, kw_only=True)
class LakeRetention:
    """How long the lake keeps what, in days."""

    access_log_days: int
    superseded_version_days: int
    intermediate_days: int
    infrequent_access_days: int
    smoke_days: int
    upload_days: int
    answer_days: int


class DataLake(Construct):
    """Buckets for datasets, for images that are predicted later, and for artifacts.

    Keys: `datasets/` and `smoke/` in the datasets bucket; `uploads/`, `submitted/` and `smoke/` in the
    uploads bucket; `prepared/`, `quarantine/`, `checkpoints/`, `models/` and `evaluations/`, each by model
    line, and `asynchronous/`, `predictions/` and `predictions-failed/` in the artifacts bucket.
    """

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, retention: LakeRetention) -> None:
        super().__init__(scope, id)
        self._key = key
        self._retention = retention
        self.access_logs = access_log_bucket(self, "AccessLogs", retention_days=retention.access_log_days)
        self.datasets = self._bucket(
            "Datasets",
            s3.LifecycleRule(
                id="RarelyReadDatasets",
                prefix="datasets/",
                transitions=[
                    s3.Transition(
                        storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                        transition_after=Duration.days(retention.infrequent_access_days),
                    )
                ],
            ),
            *self._expire(["smoke/"], retention.smoke_days),
        )
        self.uploads = self._bucket(
            "Uploads",
            *self._expire(["uploads/", "submitted/"], retention.upload_days),
            *self._expire(["smoke/"], min(retention.smoke_days, retention.upload_days)),
        )
        for bucket in (self.datasets, self.uploads):
            _announce_objects(bucket)
        self.artifacts = self._bucket(
            "Artifacts",
            # Shards, samples of rejected images, and what interrupted training goes on from.
            *self._expire(["prepared/", "quarantine/", "checkpoints/"], retention.intermediate_days),
            # Images on their way to asynchronous endpoints, and answers: read within seconds, or never.
            s3.LifecycleRule(
                id="Expire-asynchronous",
                prefix=ASYNCHRONOUS,
                expiration=Duration.days(1),
                noncurrent_version_expiration=Duration.days(1),
            ),
            *self._expire(["models/smoke/", "evaluations/smoke/"], retention.smoke_days),
            *self._expire(["predictions/", "predictions-failed/"], retention.answer_days),
        )
        acknowledge_one_region(
            self, because="a copy elsewhere would leave the region that the images' owners have agreed to"
        )

    def _bucket(self, id: str, *lifecycle: s3.LifecycleRule) -> s3.Bucket:
        return encrypted_bucket(
            self,
            id,
            key=self._key,
            access_logs=self.access_logs,
            superseded_version_days=self._retention.superseded_version_days,
            lifecycle=lifecycle,
        )

    @staticmethod
    def _expire(prefixes: Sequence[str], days: int) -> list[s3.LifecycleRule]:
        return [
            s3.LifecycleRule(
                id=f"Expire-{prefix.strip('/').replace('/', '-')}",
                prefix=prefix,
                expiration=Duration.days(days),
            )
            for prefix in prefixes
        ]


def _announce_objects(bucket: s3.Bucket) -> None:
    """Make an object's arrival an event. The L2's own property would bring a custom resource for it."""
    cfn_resource(
        bucket, s3.CfnBucket
    ).notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
        event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
    )


def encrypted_bucket(
    scope: Construct,
    id: str,
    *,
    key: kms.IKey,
    access_logs: s3.IBucket,
    superseded_version_days: int,
    lifecycle: Sequence[s3.LifecycleRule] = (),
    name: str | None = None,
) -> s3.Bucket:
    """A private, versioned bucket: KMS with a bucket key, TLS only, access logged, outliving its stack."""
    return s3.Bucket(
        scope,
        id,
        bucket_name=name,
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        # One KMS call per bucket and hour instead of one per object.
        bucket_key_enabled=True,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        versioned=True,
        server_access_logs_bucket=access_logs,
        server_access_logs_prefix=f"{id.lower()}/",
        lifecycle_rules=[
            s3.LifecycleRule(
                id="SupersededVersions",
                noncurrent_version_expiration=Duration.days(superseded_version_days),
                abort_incomplete_multipart_upload_after=Duration.days(7),
            ),
            *lifecycle,
        ],
        removal_policy=KEEP,
    )


def access_log_bucket(scope: Construct, id: str, *, retention_days: int) -> s3.Bucket:
    """Where S3 delivers access logs, which it does not do to a bucket with a KMS key: SSE-S3 here."""
    bucket = s3.Bucket(
        scope,
        id,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        versioned=True,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="Expire",
                expiration=Duration.days(retention_days),
                noncurrent_version_expiration=Duration.days(1),
                abort_incomplete_multipart_upload_after=Duration.days(7),
            )
        ],
        removal_policy=KEEP,
    )
    acknowledge(
        bucket,
        "S3DefaultEncryptionKMS",
        reason="S3 delivers access logs only to buckets that it encrypts with its own keys (SSE-S3); the "
        "logs hold no content of objects",
    )
    return bucket


def acknowledge_one_region(construct: IConstruct, *, because: str) -> None:
    """Say why the buckets in `construct` are not copied to a second region."""
    acknowledge(
        construct,
        "S3BucketReplicationEnabled",
        reason="S3 keeps every object in three zones, and versions keep what was overwritten or deleted; "
        f"{because}",
    )


def allow_reading(role: PlatformRole, bucket: s3.IBucket, prefixes: Sequence[str], *, because: str) -> None:
    """Let `role` read the objects under `prefixes` (each ends with a slash) and list them."""
    _grant(role, bucket, ["s3:GetObject"], _below(prefixes), because)
    allow_listing(role, bucket, prefixes)


def allow_fetching(role: PlatformRole, bucket: s3.IBucket, keys: Sequence[str], *, because: str) -> None:
    """Let `role` read the objects whose keys match `keys`, without listing any."""
    _grant(role, bucket, ["s3:GetObject"], keys, because)


def allow_writing(role: PlatformRole, bucket: s3.IBucket, prefixes: Sequence[str], *, because: str) -> None:
    """Let `role` write objects under `prefixes` (each ends with a slash)."""
    _grant(role, bucket, ["s3:PutObject", "s3:AbortMultipartUpload"], _below(prefixes), because)


def allow_delivery(role: PlatformRole, bucket: s3.IBucket) -> None:
    """Let Firehose's `role` find out where `bucket` lies and what it has not finished writing there."""
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[_named(role)],
            actions=["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
            resources=[bucket.bucket_arn],
        )
    )


def allow_removing(role: PlatformRole, bucket: s3.IBucket, prefixes: Sequence[str], *, because: str) -> None:
    """Let `role` remove objects under `prefixes` (each ends with a slash), all versions of them."""
    _grant(role, bucket, ["s3:DeleteObject", "s3:DeleteObjectVersion"], _below(prefixes), because)
    allow_listing(role, bucket, prefixes, action="s3:ListBucketVersions")


def allow_listing(
    role: PlatformRole, bucket: s3.IBucket, prefixes: Sequence[str], *, action: str = "s3:ListBucket"
) -> None:
    """Let `role` list the keys under `prefixes`, and no others."""
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[_named(role)],
            actions=[action],
            resources=[bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        )
    )


def _grant(
    role: PlatformRole, bucket: s3.IBucket, actions: Sequence[str], keys: Sequence[str], because: str
) -> None:
    """Allow it in the bucket's own policy: all who may touch what lies in a bucket are listed there."""
    resources = [f"{bucket.bucket_arn}/{key}" for key in keys]
    bucket.add_to_resource_policy(
        iam.PolicyStatement(principals=[_named(role)], actions=list(actions), resources=resources)
    )
    for resource in resources:
        give_reason(bucket, resource, because=because, actions=actions)


def _below(prefixes: Sequence[str]) -> list[str]:
    return [f"{prefix}*" for prefix in prefixes]


def _named(role: PlatformRole) -> iam.IPrincipal:
    return cast("iam.IPrincipal", iam.ArnPrincipal(role.role_arn))
