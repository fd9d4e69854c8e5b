"""Streams and their mappings in stacks: refused as the API refuses, changed without losing a record."""

import json
import time
import uuid
from typing import Any

from tests.twin.event_sources.conftest import READING, SOURCE
from tests.twin.lambda_runtime.conftest import ACCOUNT, Lambdas
from tests.twin.stacks import create, failures, wait


def template(name: str, shards: int, **mapping: Any) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = [
        {
            "Effect": "Allow",
            "Action": [f"kinesis:{each}" for each in READING],
            "Resource": {"Fn::GetAtt": ["Stream", "Arn"]},
        },
        {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{name}/*"},
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"},
    ]
    document = {"Version": "2012-10-17", "Statement": allowed}
    return {
        "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name, "ShardCount": shards}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "Policies": [{"PolicyName": "p", "PolicyDocument": document}],
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": SOURCE},
                "Environment": {"Variables": {"BUCKET": name}},
            },
        },
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": ["Stream", "Arn"]},
                "FunctionName": {"Ref": "Function"},
                "StartingPosition": "TRIM_HORIZON",
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                **mapping,
            },
        },
    }


def seen(lambdas: Lambdas, name: str, count: int) -> list[int]:
    """Numbers that the function got, when it has got so many."""

    s3, deadline = lambdas.twin.client("s3", ACCOUNT), time.monotonic() + 60
    while True:
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=name).get("Contents", [])]
        bodies = [json.loads(s3.get_object(Bucket=name, Key=key)["Body"].read()) for key in keys]
        found = [data["n"] for body in bodies for _, _, data in body["records"]]
        if len(found) >= count or time.monotonic() > deadline:
            return sorted(found)
        time.sleep(0.1)


def put(lambdas: Lambdas, name: str, first: int, count: int) -> None:
    records = [
        {"PartitionKey": f"k{n}", "Data": json.dumps({"n": n}).encode()} for n in range(first, first + count)
    ]
    lambdas.twin.client("kinesis", ACCOUNT).put_records(StreamName=name, Records=records)


def test_stack_reads_goes_on_with_more_shards_and_ends_with_its_stack(lambdas: Lambdas) -> None:
    name = f"st-{uuid.uuid4().hex[:8]}"
    lambdas.twin.client("s3", ACCOUNT).create_bucket(Bucket=name)
    made = create(lambdas.twin, name, ACCOUNT, **template(name, 1))
    assert made["StackStatus"] == "CREATE_COMPLETE", made["why"]
    put(lambdas, name, 0, 20)
    cloudformation = lambdas.twin.client("cloudformation", ACCOUNT)
    cloudformation.update_stack(
        StackName=name,
        TemplateBody=json.dumps({"Resources": template(name, 3, BatchSize=5)}),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert wait(cloudformation, name)["StackStatus"] == "UPDATE_COMPLETE", failures(cloudformation, name)
    put(lambdas, name, 20, 20)
    assert seen(lambdas, name, 40) == list(range(40))
    kinesis = lambdas.twin.client("kinesis", ACCOUNT)
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3
    (mapping,) = lambdas.client.list_event_source_mappings(
        EventSourceArn=f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}"
    )["EventSourceMappings"]
    assert (mapping["BatchSize"], mapping["ParallelizationFactor"], mapping["MaximumRetryAttempts"]) == (
        5,
        1,
        -1,
    )


def test_stack_with_what_the_twin_does_not_do_fails_by_name(lambdas: Lambdas) -> None:
    name = f"st-{uuid.uuid4().hex[:8]}"
    made = create(lambdas.twin, name, ACCOUNT, **template(name, 1, TumblingWindowInSeconds=60))
    assert "tumbling windows" in made["why"]
