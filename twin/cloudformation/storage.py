"""What ministack drops of buckets, tables and streams, and the deletions that AWS refuses."""

from typing import Any

from twin import glue
from twin.cloudformation.completion import Properties, api, changed, completes, removes


@completes("AWS::S3::Bucket")
def complete_bucket(name: str, new: Properties, old: Properties) -> None:
    """Set encryption, lifecycle, ownership, tags and access logging."""
    s3 = api("s3")
    if changed("BucketEncryption", new, old) and new.get("BucketEncryption"):
        s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=_encryption(new["BucketEncryption"])
        )
    if changed("LifecycleConfiguration", new, old):
        rules = (new.get("LifecycleConfiguration") or {}).get("Rules", [])
        if rules:
            configuration = {"Rules": [_lifecycle_rule(rule) for rule in rules]}
            s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=configuration)
        else:
            s3.delete_bucket_lifecycle(Bucket=name)
    if changed("OwnershipControls", new, old) and new.get("OwnershipControls"):
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=new["OwnershipControls"])
    if changed("Tags", new, old):
        tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in new.get("Tags") or []]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    if changed("LoggingConfiguration", new, old):
        s3.put_bucket_logging(Bucket=name, BucketLoggingStatus=_logging(new.get("LoggingConfiguration")))
    if old.get("VersioningConfiguration") and not new.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})


def _encryption(properties: Properties) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    for rule in properties["ServerSideEncryptionConfiguration"]:
        made: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        if "BucketKeyEnabled" in rule:
            made["BucketKeyEnabled"] = _flag(rule["BucketKeyEnabled"])
        rules.append(made)
    return {"Rules": rules}


def _lifecycle_rule(rule: Properties) -> dict[str, Any]:
    made: dict[str, Any] = {"Status": rule["Status"], "Filter": _lifecycle_filter(rule)}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    expiration = {
        name: cast(rule[key])
        for key, name, cast in (
            ("ExpirationInDays", "Days", int),
            ("ExpirationDate", "Date", str),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker", _flag),
        )
        if key in rule
    }
    if expiration:
        made["Expiration"] = expiration
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {
            "NoncurrentDays": int(rule["NoncurrentVersionExpirationInDays"])
        }
    for key in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if key in rule:
            made[key] = {name: int(value) for name, value in rule[key].items()}
    if "Transitions" in rule:
        made["Transitions"] = [_transition(t, "Days") for t in rule["Transitions"]]
    if "NoncurrentVersionTransitions" in rule:
        transitions = [_transition(t, "NoncurrentDays") for t in rule["NoncurrentVersionTransitions"]]
        made["NoncurrentVersionTransitions"] = transitions
    return made


def _transition(transition: Properties, days: str) -> dict[str, Any]:
    made: dict[str, Any] = {"StorageClass": transition["StorageClass"]}
    if "TransitionInDays" in transition:
        made[days] = int(transition["TransitionInDays"])
    if "TransitionDate" in transition:
        made["Date"] = transition["TransitionDate"]
    if "NewerNoncurrentVersions" in transition:
        made["NewerNoncurrentVersions"] = int(transition["NewerNoncurrentVersions"])
    return made


def _lifecycle_filter(rule: Properties) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if rule.get("Prefix"):
        parts["Prefix"] = rule["Prefix"]
    for bound in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if bound in rule:
            parts[bound] = int(rule[bound])
    tags = rule.get("TagFilters") or []
    if not tags and len(parts) <= 1:
        return parts or {"Prefix": ""}
    return {"And": {**parts, "Tags": tags}} if tags else {"And": parts}


def _logging(properties: Properties | None) -> dict[str, Any]:
    if not properties:
        return {}
    here = {
        "TargetBucket": properties["DestinationBucketName"],
        "TargetPrefix": properties.get("LogFilePrefix", ""),
    }
    return {"LoggingEnabled": here}


def _flag(value: Any) -> bool:
    return str(value).lower() == "true"


@removes("AWS::S3::Bucket")
def remove_bucket(name: str, _: Properties) -> None:
    """Delete a bucket as S3 does: it refuses one with objects in it."""
    if glue.internal("services.s3")._buckets.get(name) is None:
        return
    if glue.internal("services.s3")._buckets[name]["objects"]:
        raise ValueError(f"The bucket you tried to delete is not empty: {name}")
    api("s3").delete_bucket(Bucket=name)


@completes("AWS::DynamoDB::Table")
def complete_table(name: str, new: Properties, old: Properties) -> dict[str, Any]:
    """Set expiry, recovery to a point in time, and the key."""
    if changed("TimeToLiveSpecification", new, old):
        _set_expiry(name, new.get("TimeToLiveSpecification") or {}, old.get("TimeToLiveSpecification") or {})
    if changed("PointInTimeRecoverySpecification", new, old):
        _set_recovery(name, new.get("PointInTimeRecoverySpecification") or {})
    if not old and new.get("SSESpecification"):
        _set_key(name, new["SSESpecification"])
    return {"TableId": glue.internal("services.dynamodb")._tables[name]["TableId"]}


@completes("AWS::DynamoDB::GlobalTable")
def complete_global_table(name: str, new: Properties, old: Properties) -> dict[str, Any]:
    """Take the settings of this region's replica: recovery, deletion protection, key, tags."""
    mine, before = _replica(new), _replica(old)
    if changed("TimeToLiveSpecification", new, old):
        _set_expiry(name, new.get("TimeToLiveSpecification") or {}, old.get("TimeToLiveSpecification") or {})
    if changed("PointInTimeRecoverySpecification", mine, before):
        _set_recovery(name, mine.get("PointInTimeRecoverySpecification") or {})
    if changed("DeletionProtectionEnabled", mine, before):
        protected = _flag(mine.get("DeletionProtectionEnabled", False))
        api("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=protected)
    if changed("SSESpecification", new, old) or changed("SSESpecification", mine, before):
        specification = {**(new.get("SSESpecification") or {}), **(mine.get("SSESpecification") or {})}
        _set_key(name, specification)
    table = glue.internal("services.dynamodb")._tables[name]
    if mine.get("Tags") and changed("Tags", mine, before):
        api("dynamodb").tag_resource(ResourceArn=table["TableArn"], Tags=mine["Tags"])
    return {"TableId": table["TableId"]}


def _replica(properties: Properties) -> Properties:
    region = glue.current_scope().region
    return next((r for r in properties.get("Replicas") or [] if r.get("Region") == region), {})


def _set_expiry(name: str, new: Properties, old: Properties) -> None:
    attribute = new.get("AttributeName") or old.get("AttributeName")
    if attribute:
        specification = {"AttributeName": attribute, "Enabled": _flag(new.get("Enabled", False))}
        api("dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def _set_recovery(name: str, specification: Properties) -> None:
    setting: dict[str, Any] = {
        "PointInTimeRecoveryEnabled": _flag(specification.get("PointInTimeRecoveryEnabled", False))
    }
    if "RecoveryPeriodInDays" in specification:
        setting["RecoveryPeriodInDays"] = int(specification["RecoveryPeriodInDays"])
    api("dynamodb").update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=setting)


def _set_key(name: str, specification: Properties) -> None:
    setting: dict[str, Any] = {"Enabled": _flag(specification.get("SSEEnabled", bool(specification)))}
    setting.update({key: specification[key] for key in ("SSEType", "KMSMasterKeyId") if key in specification})
    api("dynamodb").update_table(TableName=name, SSESpecification=setting)


@removes("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
def remove_table(name: str, _: Properties) -> None:
    """Delete a table as DynamoDB does: it refuses a protected one."""
    if name in glue.internal("services.dynamodb")._tables:
        api("dynamodb").delete_table(TableName=name)


@completes("AWS::Kinesis::Stream")
def complete_stream(name: str, new: Properties, old: Properties) -> None:
    """Turn encryption of a stream on or off, and give a stream that was there another number of shards."""
    shards = new.get("ShardCount")
    if old and shards and changed("ShardCount", new, old):
        api("kinesis").update_shard_count(
            StreamName=name, TargetShardCount=int(shards), ScalingType="UNIFORM_SCALING"
        )
    if not changed("StreamEncryption", new, old):
        return
    kinesis, wanted = api("kinesis"), new.get("StreamEncryption")
    if wanted:
        kinesis.start_stream_encryption(
            StreamName=name, EncryptionType=wanted["EncryptionType"], KeyId=wanted["KeyId"]
        )
    elif old.get("StreamEncryption"):
        before = old["StreamEncryption"]
        kinesis.stop_stream_encryption(
            StreamName=name, EncryptionType=before["EncryptionType"], KeyId=before["KeyId"]
        )
