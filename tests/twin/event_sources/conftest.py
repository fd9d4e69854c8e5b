"""Streams with a function at their end, which writes down what it got and answers as a test says."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.lambda_runtime.conftest import ACCOUNT, Lambdas

READING = ["GetRecords", "GetShardIterator", "DescribeStream", "ListShards"]
# Writes each batch into a bucket, then behaves as told by the records' data: {"n", "do"}.
SOURCE = """
import base64, boto3, json, os, time, uuid
s3 = boto3.client("s3")

def handler(event, context):
    records = [(r["kinesis"]["sequenceNumber"], r["kinesis"]["partitionKey"],
                json.loads(base64.b64decode(r["kinesis"]["data"]))) for r in event["Records"]]
    key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:6]}"
    s3.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=json.dumps(
        {"shard": event["Records"][0]["eventID"].split(":")[0], "records": records, "at": time.time()}))
    if any(data.get("do") == "crash" for _, _, data in records):
        raise RuntimeError("crash")
    if os.environ.get("SLOW"):
        time.sleep(float(os.environ["SLOW"]))
    failed = [{"itemIdentifier": number} for number, _, data in records if data.get("do") == "fail"]
    return {"batchItemFailures": failed}
"""


class Source:
    """One stream, its function and the mapping between them."""

    def __init__(self, lambdas: Lambdas, shards: int = 1, slow: str = "", **mapping: Any) -> None:
        self.twin = lambdas.twin
        self.kinesis, self.lambda_ = self.client("kinesis"), self.client("lambda")
        self.s3, self.sqs = self.client("s3"), self.client("sqs")
        self.name = f"s-{uuid.uuid4().hex[:8]}"
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{self.name}"
        self.s3.create_bucket(Bucket=self.name)
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.queue_arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"
        role = lambdas.role(
            {"Effect": "Allow", "Action": [f"kinesis:{each}" for each in READING], "Resource": self.arn},
            {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{self.name}/*"},
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": self.queue_arn},
        )
        self.function = lambdas.make(
            SOURCE,
            Role=role,
            Timeout=20,
            Environment={"Variables": {"BUCKET": self.name, **({"SLOW": slow} if slow else {})}},
        )
        self.mapping = self.map(**mapping)

    def client(self, service: str) -> Any:
        return self.twin.client(service, ACCOUNT)

    def map(self, **settings: Any) -> str:
        made = self.lambda_.create_event_source_mapping(
            **{
                "FunctionName": self.function,
                "EventSourceArn": self.arn,
                "StartingPosition": "TRIM_HORIZON",
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                **settings,
            }
        )
        return made["UUID"]

    def put(self, count: int, key: Callable[[int], str] = str, first: int = 0, **do: str) -> None:
        """Put {"n": number}; `do` maps `_<number>` to what the function does about it."""
        records = [
            {
                "PartitionKey": key(n),
                "Data": json.dumps({"n": n, **({"do": do[f"_{n}"]} if f"_{n}" in do else {})}),
            }
            for n in range(first, first + count)
        ]
        for start in range(0, len(records), 500):
            self.kinesis.put_records(StreamName=self.name, Records=records[start : start + 500])

    def batches(self) -> list[dict[str, Any]]:
        """What the function got, in the order of time."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return [
            json.loads(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()) for key in sorted(keys)
        ]

    def numbers(self) -> list[list[int]]:
        return [[data["n"] for _, _, data in batch["records"]] for batch in self.batches()]

    def metric(self, name: str, statistic: str) -> list[float]:
        """A statistic of one of the function's metrics, for each minute that has one."""
        return self.twin.statistic(ACCOUNT, f"AWS/Lambda:{name}", statistic, FunctionName=self.function)

    def wait(self, until: Callable[["Source"], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not until(self):
            assert time.monotonic() < deadline, self.numbers()
            time.sleep(0.05)

    def wait_for(self, *numbers: int) -> None:
        """Until the function has got each of these at least once."""
        self.wait(lambda _: set(numbers) <= {n for batch in self.numbers() for n in batch})

    def given_up(self, seconds: float = 60) -> dict[str, Any]:
        """The next message of the destination."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.sqs.receive_message(QueueUrl=self.queue).get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                return json.loads(message["Body"])
            time.sleep(0.05)
        raise AssertionError(f"nothing was given up: {self.numbers()}")


@pytest.fixture(scope="session")
def lambdas(twin: Any) -> Lambdas:
    return Lambdas(twin)


@pytest.fixture
def source(lambdas: Lambdas) -> Callable[..., Source]:
    """Make a stream with a function at its end."""
    return lambda **settings: Source(lambdas, **settings)
