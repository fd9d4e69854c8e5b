"""A rule of EventBridge puts what it makes of an event into a stream, as its role may (R39)."""

import json
import time
import uuid
from typing import Any

from tests.twin.sagemaker.conftest import until
from tests.twin.stacks import ACCOUNT


def make(twin: Any, **target: Any) -> tuple[Any, str, str]:
    """A stream behind a rule on uploads into a bucket; returns the client, the stream's and bucket's name."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    kinesis, s3, iam = (twin.client(each, ACCOUNT) for each in ("kinesis", "s3", "iam"))
    kinesis.create_stream(StreamName=name, ShardCount=1)
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": target.pop("may_put", arn)}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    events = twin.client("events", ACCOUNT)
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [name]}, "object": {"key": [{"prefix": "uploads/"}]}},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "Stream", "Arn": arn, "RoleArn": role, **target}])
    return kinesis, name, name


def records(kinesis: Any, stream: str, seconds: float = 10) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found = kinesis.get_records(ShardIterator=iterator)["Records"]
        if found:
            return found
        time.sleep(0.1)
    return []


def test_event_becomes_a_record_by_template_and_key(twin: Any) -> None:
    kinesis, stream, bucket = make(
        twin,
        KinesisParameters={"PartitionKeyPath": "$.detail.object.key"},
        InputTransformer={
            "InputPathsMap": {"key": "$.detail.object.key", "size": "$.detail.object.size", "at": "$.time"},
            "InputTemplate": '{"key": <key>, "bytes": <size>, "line": "champion", "at": <at>}',
        },
    )
    s3 = twin.client("s3", ACCOUNT)
    s3.put_object(Bucket=bucket, Key="other/x", Body=b"no")
    s3.put_object(Bucket=bucket, Key="uploads/p-1", Body=b"12345")
    (record,) = records(kinesis, stream)
    assert record["PartitionKey"] == "uploads/p-1"
    document = json.loads(record["Data"])
    assert (document["key"], document["bytes"], document["line"]) == ("uploads/p-1", 5, "champion")
    assert document["at"].startswith("20")


def test_without_template_and_key_it_is_the_whole_event_under_its_id(twin: Any) -> None:
    kinesis, stream, bucket = make(twin)
    twin.client("s3", ACCOUNT).put_object(Bucket=bucket, Key="uploads/p-2", Body=b"1")
    (record,) = records(kinesis, stream)
    event = json.loads(record["Data"])
    assert event["detail"]["object"]["key"] == "uploads/p-2"
    assert record["PartitionKey"] == event["id"]


def test_role_that_may_not_put_is_counted_as_failed(twin: Any) -> None:
    kinesis, stream, bucket = make(twin, may_put="arn:aws:kinesis:us-east-1:1:stream/other")
    twin.client("s3", ACCOUNT).put_object(Bucket=bucket, Key="uploads/p-3", Body=b"1")
    counted = until(lambda: twin.statistic(ACCOUNT, "AWS/Events:FailedInvocations", "Sum", RuleName=stream))
    assert counted == [1]
    assert records(kinesis, stream, seconds=1.5) == []
