"""Encryption and privacy at rest: everything that stores data uses a key of ours, and nothing is public."""

from __future__ import annotations

from typing import Any

import pytest

from tests.assembly import Assembly, Resource

# Where the key stands in the properties, by type.
KEY_OF = {
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::Lambda::Function": ("KmsKeyArn",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::CodeBuild::Project": ("EncryptionKey",),
}


def inside(properties: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = properties
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize(("type", "path"), KEY_OF.items(), ids=KEY_OF.keys())
def test_what_stores_data_names_a_key_of_ours(assembly: Assembly, type: str, path: tuple[str, ...]) -> None:
    found = assembly.resources(type)
    assert found
    for resource in found:
        assert "Fn::Get" in str(inside(resource.properties, path)), resource.logical_id


def test_keys_rotate(assembly: Assembly) -> None:
    keys = assembly.resources("AWS::KMS::Key")
    assert len(keys) == 4
    assert all(key.properties["EnableKeyRotation"] for key in keys)


def test_log_groups_forget(assembly: Assembly) -> None:
    assert {each.properties["RetentionInDays"] for each in assembly.resources("AWS::Logs::LogGroup")} == {365}


def buckets(assembly: Assembly) -> list[Resource]:
    return assembly.resources("AWS::S3::Bucket")


def test_buckets_are_encrypted_with_a_bucket_key_except_for_access_logs(assembly: Assembly) -> None:
    for bucket in buckets(assembly):
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        if "AccessLogs" in bucket.logical_id:
            assert algorithm == "AES256"
        else:
            assert (algorithm, rule["BucketKeyEnabled"]) == ("aws:kms", True), bucket.logical_id


def test_buckets_are_private_versioned_and_logged(assembly: Assembly) -> None:
    for bucket in buckets(assembly):
        assert all(bucket.properties["PublicAccessBlockConfiguration"].values())
        assert bucket.properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert ("LoggingConfiguration" in bucket.properties) != ("AccessLogs" in bucket.logical_id)


def test_buckets_refuse_what_is_not_tls(assembly: Assembly) -> None:
    guarded = {
        policy.properties["Bucket"]["Ref"]
        for policy in assembly.resources("AWS::S3::BucketPolicy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert guarded == {bucket.logical_id for bucket in buckets(assembly)}


def test_versions_that_were_superseded_expire(assembly: Assembly) -> None:
    for bucket in buckets(assembly):
        rules = bucket.properties["LifecycleConfiguration"]["Rules"]
        assert [rule for rule in rules if "NoncurrentVersionExpiration" in rule], bucket.logical_id


def test_smoke_data_expires_by_itself(assembly: Assembly) -> None:
    expiring = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for bucket in assembly.resources("AWS::S3::Bucket", stack="vision-dev-data")
        for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule and "Prefix" in rule
    }
    intermediate = {"prepared/": 30, "quarantine/": 30, "checkpoints/": 30, "asynchronous/": 1}
    burst = {"uploads/": 7, "submitted/": 7, "predictions/": 400, "predictions-failed/": 400}
    assert expiring == {"smoke/": 7, "models/smoke/": 7, "evaluations/smoke/": 7} | intermediate | burst


def test_topics_refuse_what_is_not_tls(assembly: Assembly) -> None:
    for policy in assembly.resources("AWS::SNS::TopicPolicy"):
        conditions = [each.get("Condition") for each in policy.properties["PolicyDocument"]["Statement"]]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_the_key_serves_services_only_for_this_account(assembly: Assembly) -> None:
    key = assembly.only("AWS::KMS::Key", stack="vision-dev-foundation")
    for statement in key.properties["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert "222222222222" in str(statement["Condition"])
