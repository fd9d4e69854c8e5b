"""What stacks leave behind on purpose: found by name and tag, deleted where nothing demands to keep it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops.destroy.estate import DELIVERY, Estate, pages
from ops.faults import code_of, is_absent

_BATCH = 1000
# Access logs arrive late: a bucket that was empty may not be so when it is to go.
_ATTEMPTS = 5
_ATTEMPT_SECONDS = 2.0
# In the names of the delivery's buckets: reports and dossiers, and who has read them.
_EVIDENCE = ("reports", "dossier", "accesslogs")
# The shortest that KMS allows. Until then the deletion can be cancelled.
KEY_DAYS = 7
# What API Gateway calls the group of an API's execution log; the name says nothing of the platform.
_API_LOGS = "API-Gateway-Execution-Logs_"

Tell = Callable[[str], None]


def buckets(estate: Estate) -> list[str]:
    """The estate's buckets in its region: their names begin with those of their stacks."""
    s3, region = estate.client("s3"), estate.place.region
    names = [each["Name"] for each in s3.list_buckets()["Buckets"] if estate.owns(each["Name"])]
    return [
        name
        for name in names
        if (s3.get_bucket_location(Bucket=name).get("LocationConstraint") or "us-east-1") == region
    ]


def tables(estate: Estate) -> list[str]:
    """The estate's tables."""
    return [
        name for name in pages(estate.client("dynamodb"), "list_tables", "TableNames") if estate.owns(name)
    ]


def log_groups(estate: Estate) -> list[str]:
    """The estate's log groups, by a part of their name, or by tag where a service chose how it begins."""
    api = estate.client("logs")
    alike = list(pages(api, "describe_log_groups", "logGroups", logGroupNamePattern=estate.base))
    of_apis = list(pages(api, "describe_log_groups", "logGroups", logGroupNamePrefix=_API_LOGS))
    found: dict[str, None] = {}
    for group in (*alike, *of_apis):
        name = group["logGroupName"]
        if any(estate.owns(part) for part in name.split("/")) or _has_tags(api, group, estate):
            found[name] = None
    return list(found)


def _has_tags(api: Any, group: Any, estate: Estate) -> bool:
    tags = api.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
    return (tags.get("platform"), tags.get("environment")) == (estate.platform, estate.part)


def keys(estate: Estate) -> Iterator[dict[str, Any]]:
    """The estate's keys as KMS describes them, those that wait for their deletion included."""
    api = estate.client("kms")
    for arn in tagged(estate, "kms:key"):
        try:
            yield api.describe_key(KeyId=arn)["KeyMetadata"]
        except ClientError as fault:
            if not is_absent(fault):
                raise


def roles(estate: Estate) -> list[str]:
    """The estate's roles. IAM has no regions: they are found in each of them."""
    return [
        each["RoleName"]
        for each in pages(estate.client("iam"), "list_roles", "Roles")
        if estate.owns(each["RoleName"])
    ]


def tagged(estate: Estate, kind: str | None = None) -> list[str]:
    """The ARNs of what carries the estate's tags."""
    only = {"ResourceTypeFilters": [kind]} if kind else {}
    found = pages(
        estate.client("resourcegroupstaggingapi"),
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=[
            {"Key": "platform", "Values": [estate.platform]},
            {"Key": "environment", "Values": [estate.part]},
        ],
        **only,
    )
    return [each["ResourceARN"] for each in found]


def is_kept(estate: Estate, bucket: str) -> bool:
    """Whether a bucket must stay. What the pipeline hands from action to action is nobody's evidence."""
    passing = estate.part == DELIVERY and not any(word in bucket for word in _EVIDENCE)
    return estate.keeps and not passing


def delete_buckets(estate: Estate, tell: Tell) -> None:
    """Delete buckets with every version of every object, but for those that must stay."""
    for name in buckets(estate):
        if not is_kept(estate, name):
            tell(f"empties and deletes bucket {name}")
            delete_bucket(estate.client("s3"), name)


def delete_data(estate: Estate, tell: Tell) -> None:
    """Delete tables without their protection, and log groups."""
    for name in tables(estate):
        tell(f"deletes table {name}")
        _delete_table(estate.client("dynamodb"), name)
    for name in log_groups(estate):
        tell(f"deletes log group {name}")
        estate.client("logs").delete_log_group(logGroupName=name)


def delete_keys(estate: Estate, tell: Tell) -> None:
    """Schedule the deletion of keys, when nothing is left that they have encrypted."""
    for key in keys(estate):
        if key["KeyState"] != "PendingDeletion":
            tell(f"schedules the deletion of key {key['KeyId']} in {KEY_DAYS} days")
            estate.client("kms").schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=KEY_DAYS)


def delete_roles(estate: Estate, tell: Tell) -> None:
    """Delete the roles that are left, once API Gateway does not log by one of them."""
    iam, gateway = estate.client("iam"), estate.client("apigateway")
    found = roles(estate)
    if not found:
        return
    logs_as = gateway.get_account().get("cloudwatchRoleArn") or ""
    for name in found:
        tell(f"deletes role {name}")
        if logs_as.endswith(f"/{name}"):
            gateway.update_account(
                patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}]
            )
        for policy in pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=name):
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for policy in pages(iam, "list_role_policies", "PolicyNames", RoleName=name):
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)


def delete_bucket(s3: Any, name: str) -> None:
    """Delete a bucket with all it holds."""
    for attempt in range(_ATTEMPTS):
        _empty(s3, name)
        try:
            s3.delete_bucket(Bucket=name)
        except ClientError as fault:
            if is_absent(fault):
                return
            if code_of(fault) != "BucketNotEmpty" or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_ATTEMPT_SECONDS)
        else:
            return


def _empty(s3: Any, name: str) -> None:
    for upload in pages(s3, "list_multipart_uploads", "Uploads", Bucket=name):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name, MaxKeys=_BATCH):
        objects = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if objects:
            s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})


def _delete_table(dynamodb: Any, name: str) -> None:
    if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 2})


def delete_report_groups(estate: Estate, tell: Tell) -> None:
    """Delete the test reports' groups, which CodeBuild has made by itself."""
    api = estate.client("codebuild")
    for arn in list(pages(api, "list_report_groups", "reportGroups")):
        if estate.owns(arn.rsplit("/", 1)[-1]):
            tell(f"deletes report group {arn.rsplit('/', 1)[-1]}")
            api.delete_report_group(arn=arn, deleteReports=True)
