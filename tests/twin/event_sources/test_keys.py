"""Whoever puts into an encrypted stream, or reads it, needs its key; reading is judged by the stream."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.stacks import ACCOUNT


def session(twin: Any, *statements: dict[str, Any]) -> dict[str, str]:
    """Credentials of a role with just these statements."""
    iam, name = twin.client("iam", ACCOUNT), f"k-{uuid.uuid4().hex[:8]}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return twin.client("sts", ACCOUNT).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]


@pytest.fixture
def stream(twin: Any) -> tuple[str, str, str]:
    """Name and ARN of a stream with one record, and the ARN of its key."""
    kinesis, name = twin.client("kinesis", ACCOUNT), f"k-{uuid.uuid4().hex[:8]}"
    key = twin.client("kms", ACCOUNT).create_key()["KeyMetadata"]["Arn"]
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId=key)
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"1")
    return name, f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}", key


def test_putting_needs_the_streams_key(twin: Any, stream: tuple[str, str, str]) -> None:
    name, arn, key = stream
    may_put = {"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": arn}
    without = twin.client("kinesis", session(twin, may_put))
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        without.put_record(StreamName=name, PartitionKey="k", Data=b"2")
    may_use = {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key}
    twin.client("kinesis", session(twin, may_put, may_use)).put_record(
        StreamName=name, PartitionKey="k", Data=b"2"
    )


def test_reading_needs_the_key_and_is_judged_by_the_stream(twin: Any, stream: tuple[str, str, str]) -> None:
    name, arn, key = stream
    reading = ["kinesis:GetShardIterator", "kinesis:GetRecords"]
    may_use = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key}

    def read(*statements: dict[str, Any]) -> int:
        kinesis = twin.client("kinesis", session(twin, *statements))
        iterator = kinesis.get_shard_iterator(
            StreamName=name, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        return len(kinesis.get_records(ShardIterator=iterator)["Records"])

    assert read({"Effect": "Allow", "Action": reading, "Resource": arn}, may_use) == 1
    with pytest.raises(ClientError, match="kms:Decrypt"):
        read({"Effect": "Allow", "Action": reading, "Resource": arn})
    other = {"Effect": "Allow", "Action": "kinesis:GetRecords", "Resource": f"{arn}-other"}
    with pytest.raises(ClientError, match="kinesis:GetRecords"):
        read({"Effect": "Allow", "Action": reading[:1], "Resource": arn}, other, may_use)
