"""As data: which resources hold something that a replacement loses, and which settings protect it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Protection(NamedTuple):
    """A setting that protects data: by dotted path, and what happens without it.

    `rule` says when a change weakens it: `on` when it was on and no longer is, `present` when it was there
    and is gone, `more` when the number gets smaller, `off` when it was off and is switched on, and `equals`
    when it had the value and has another.
    """

    path: str
    rule: Literal["on", "off", "present", "more", "equals"]
    without: str
    value: str = ""


# What is lost with each; a type that is not here can be made again from its template.
STATEFUL: dict[str, str] = {
    "AWS::ApiGateway::RestApi": "callers hold its address, which a new one does not get",
    "AWS::ApiGatewayV2::Api": "callers hold its address, which a new one does not get",
    "AWS::Backup::BackupVault": "it holds recovery points",
    "AWS::CloudTrail::Trail": "it keeps the audit trail",
    "AWS::Cognito::UserPool": "it holds people's accounts",
    "AWS::DocDB::DBCluster": "it holds data",
    "AWS::DynamoDB::GlobalTable": "it holds data",
    "AWS::DynamoDB::Table": "it holds data",
    "AWS::EC2::Volume": "it holds data",
    "AWS::ECR::Repository": "it holds images that running services start from",
    "AWS::EFS::FileSystem": "it holds data",
    "AWS::ElastiCache::ReplicationGroup": "it holds data",
    "AWS::Events::Archive": "it holds events for replay",
    "AWS::Events::EventBus": "others put events on it, and their rules hang on it",
    "AWS::Glue::Database": "it holds the catalogue of tables",
    "AWS::KMS::Key": "what it encrypted cannot be read without it",
    "AWS::KMS::ReplicaKey": "what it encrypted cannot be read without it",
    "AWS::Kinesis::Stream": "it holds records that nobody has read yet",
    "AWS::KinesisFirehose::DeliveryStream": "it buffers records",
    "AWS::Logs::LogGroup": "it holds logs, which audits ask for",
    "AWS::MSK::Cluster": "it holds data",
    "AWS::Neptune::DBCluster": "it holds data",
    "AWS::OpenSearchService::Domain": "it holds data",
    "AWS::RDS::DBCluster": "it holds data",
    "AWS::RDS::DBInstance": "it holds data",
    "AWS::Redshift::Cluster": "it holds data",
    "AWS::Route53::HostedZone": "names are delegated to it",
    "AWS::S3::Bucket": "it holds data",
    "AWS::SNS::Topic": "its subscriptions are lost, and people must confirm theirs again",
    "AWS::SQS::Queue": "it holds messages that nobody has read yet",
    "AWS::SSM::Parameter": "it holds a value that others read by its name",
    "AWS::SageMaker::Domain": "it holds people's files",
    "AWS::SageMaker::Endpoint": "it serves requests, which fail until a new one is ready",
    "AWS::SageMaker::FeatureGroup": "it holds features",
    "AWS::SageMaker::ModelPackageGroup": "it holds the registered models and their approvals",
    "AWS::SecretsManager::Secret": "it holds a secret",
    "AWS::StepFunctions::StateMachine": "running executions end, and their history is lost",
    "AWS::Timestream::Table": "it holds data",
}

_PUBLIC = "PublicAccessBlockConfiguration"
PROTECTIONS: dict[str, tuple[Protection, ...]] = {
    "AWS::DynamoDB::GlobalTable": (
        Protection("SSESpecification.SSEEnabled", "on", "is no longer encrypted with a key of its own"),
        Protection("Replicas", "present", "has no replicas left"),
    ),
    "AWS::DynamoDB::Table": (
        Protection("DeletionProtectionEnabled", "on", "can be deleted by one call"),
        Protection(
            "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled",
            "on",
            "cannot be restored to a point in time",
        ),
        Protection("SSESpecification.SSEEnabled", "on", "is no longer encrypted with a KMS key"),
        Protection("SSESpecification.KMSMasterKeyId", "present", "no longer has a customer-managed key"),
    ),
    "AWS::ECR::Repository": (
        Protection("ImageTagMutability", "equals", "lets tags be moved to other images", "IMMUTABLE"),
        Protection("EncryptionConfiguration", "present", "no longer has a key of its own"),
        Protection("ImageScanningConfiguration.ScanOnPush", "on", "no longer scans what is pushed"),
    ),
    "AWS::EFS::FileSystem": (
        Protection("Encrypted", "on", "is no longer encrypted"),
        Protection("BackupPolicy.Status", "equals", "is no longer backed up", "ENABLED"),
    ),
    "AWS::KMS::Key": (
        Protection("EnableKeyRotation", "on", "is no longer rotated"),
        Protection("PendingWindowInDays", "more", "can be lost sooner after its deletion was scheduled"),
    ),
    "AWS::Kinesis::Stream": (
        Protection("StreamEncryption", "present", "is no longer encrypted"),
        Protection("RetentionPeriodHours", "more", "forgets records sooner"),
    ),
    "AWS::Logs::LogGroup": (
        Protection("KmsKeyId", "present", "no longer has a customer-managed key"),
        Protection("RetentionInDays", "more", "forgets logs sooner"),
        Protection("DataProtectionPolicy", "present", "no longer masks sensitive data"),
        Protection("DeletionProtectionEnabled", "on", "can be deleted by one call"),
    ),
    "AWS::RDS::DBCluster": (
        Protection("DeletionProtection", "on", "can be deleted by one call"),
        Protection("StorageEncrypted", "on", "is no longer encrypted"),
        Protection("BackupRetentionPeriod", "more", "keeps backups for a shorter time"),
    ),
    "AWS::RDS::DBInstance": (
        Protection("DeletionProtection", "on", "can be deleted by one call"),
        Protection("StorageEncrypted", "on", "is no longer encrypted"),
        Protection("BackupRetentionPeriod", "more", "keeps backups for a shorter time"),
        Protection("PubliclyAccessible", "off", "can be reached from the internet"),
    ),
    "AWS::S3::Bucket": (
        Protection("VersioningConfiguration.Status", "equals", "keeps no earlier versions", "Enabled"),
        Protection("BucketEncryption", "present", "no longer says how it is encrypted"),
        Protection("ObjectLockEnabled", "on", "lets kept objects be deleted"),
        Protection("LoggingConfiguration", "present", "no longer logs who reads it"),
        Protection(_PUBLIC, "present", "no longer refuses public access"),
        *(
            Protection(f"{_PUBLIC}.{name}", "on", f"no longer refuses public access ({name})")
            for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        ),
    ),
    "AWS::SNS::Topic": (Protection("KmsMasterKeyId", "present", "is no longer encrypted"),),
    "AWS::SQS::Queue": (
        Protection("KmsMasterKeyId", "present", "no longer has a customer-managed key"),
        Protection("SqsManagedSseEnabled", "on", "is no longer encrypted"),
        Protection("MessageRetentionPeriod", "more", "forgets messages sooner"),
        Protection("RedrivePolicy", "present", "no longer keeps messages that nobody could handle"),
    ),
    "AWS::SecretsManager::Secret": (
        Protection("KmsKeyId", "present", "no longer has a customer-managed key"),
    ),
}

# CloudFormation's own say on what happens to a resource that it no longer needs, the safest first.
KEPT_BY = ("Retain", "RetainExceptOnCreate", "Snapshot", "Delete")
