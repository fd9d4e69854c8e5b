"""A stream, its queue of failures and the table of results, in a twin of their own."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from tests.twin.conftest import DEV, REGION, SERVER_PYTHON, Twin, start_twin

TABLE = "vision-dev-data-results"
_RESULTS = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    },
}


def _stack(resources: dict[str, Any], **outputs: Any) -> str:
    told = {name: {"Value": value} for name, value in outputs.items()}
    return json.dumps({"Resources": resources, "Outputs": told})


STACKS = {
    "data": _stack({"Results": _RESULTS}, ResultsTableName=TABLE),
    "training": _stack({"T": {"Type": "AWS::SNS::Topic"}}, StateMachineArn="x"),
    "inference": _stack({"T": {"Type": "AWS::SNS::Topic"}}, ApiUrl="x"),
    "streaming": _stack(
        {
            "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}},
            "Failures": {"Type": "AWS::SQS::Queue"},
        },
        StreamName={"Ref": "Stream"},
        FailuresQueue={"Ref": "Failures"},
    ),
}


class BurstWorld:
    """The burst path without its consumer: a test says what was given up and what has a result."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        api = twin.client("cloudformation", DEV)
        for name, template in STACKS.items():
            api.create_stack(StackName=f"vision-dev-{name}", TemplateBody=template)
            api.get_waiter("stack_create_complete").wait(
                StackName=f"vision-dev-{name}", WaiterConfig={"Delay": 1}
            )
        outputs = api.describe_stacks(StackName="vision-dev-streaming")["Stacks"][0]["Outputs"]
        found = {each["OutputKey"]: each["OutputValue"] for each in outputs}
        self.stream, self.queue = found["StreamName"], found["FailuresQueue"]
        self.kinesis, self.sqs = twin.client("kinesis", DEV), twin.client("sqs", DEV)
        self.dynamodb = twin.client("dynamodb", DEV)

    def put(self, count: int) -> list[dict[str, str]]:
        """Claim checks in the stream; each with its id, shard and sequence number."""
        made: list[dict[str, str]] = []
        for _ in range(count):
            id = f"p-{uuid.uuid4().hex}"
            data = json.dumps({"id": id, "bucket": "uploads", "key": f"submitted/{id}"}).encode()
            told = self.kinesis.put_record(StreamName=self.stream, PartitionKey=id, Data=data)
            made.append({"id": id, "shard": told["ShardId"], "at": told["SequenceNumber"]})
        return made

    def note(self, id: str, status: str, submitted_at: str = "") -> None:
        item = {"pk": {"S": f"PREDICTION#{id}"}, "status": {"S": status}}
        item["submitted_at"] = {"S": submitted_at or _now()}
        self.dynamodb.put_item(TableName=TABLE, Item=item)

    def give_up(self, first: str, last: str, count: int, shard: str = "shardId-000000000000") -> None:
        info = {
            "shardId": shard,
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "approximateArrivalOfFirstRecord": _now(),
            "approximateArrivalOfLastRecord": _now(),
            "batchSize": count,
            "streamArn": "arn",
        }
        body = {"requestContext": {"condition": "RetryAttemptsExhausted"}, "KinesisBatchInfo": info}
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(body))
        time.sleep(0.01)

    def fail_to_deliver(self, id: str = "") -> str:
        """What EventBridge leaves in the queue of an upload's event; returns the prediction's id."""
        id = id or f"p-{uuid.uuid4().hex}"
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "time": "2026-11-30T07:00:00Z",
            "detail": {"bucket": {"name": "uploads"}, "object": {"key": f"uploads/{id}", "size": 1234}},
        }
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(event))
        time.sleep(0.01)
        return id

    def ids(self) -> list[str]:
        """The ids of all records of the stream, in order."""
        return [json.loads(each).get("id", "") for each in self.records()]

    def records(self) -> list[bytes]:
        """The data of all records of the stream, in order."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName=self.stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        return [each["Data"] for each in self.kinesis.get_records(ShardIterator=iterator)["Records"]]

    def waiting(self) -> int:
        """Messages in the queue, hidden ones too."""
        told = self.sqs.get_queue_attributes(
            QueueUrl=self.queue,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(int(value) for value in told.values())

    def empty(self) -> None:
        self.sqs.purge_queue(QueueUrl=self.queue)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BurstWorld]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    twin = start_twin(tmp_path_factory.mktemp("burst"))
    yield BurstWorld(twin)
    twin.stop()


@pytest.fixture
def command(path: BurstWorld, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `python -m ops ...` as the root of dev."""
    for name, value in path.twin.environment(DEV).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", REGION)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))
