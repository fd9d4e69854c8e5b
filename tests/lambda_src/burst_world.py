"""The services that the burst path's functions call, in memory, with their errors where asked for."""

import base64
import io
import json
import time
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.lambda_src import odd_images as odd
from tests.lambda_src.conftest import MemoryS3
from vision_runtime.claim_check import ClaimCheck

BUCKET = "uploads"
MODEL = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/3"
DIGIT = odd.saved(odd.gradient(8, 8, "L"), "PNG")


def refused(code: str, operation: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)


@dataclass
class MemoryTables:
    """DynamoDB's conditional writes, as far as the functions use them; keys are pk and, where given, sk."""

    items: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    throttled: int = 0  # so many writes are refused

    def _key(self, table: str, item: dict[str, Any]) -> tuple[str, str, str]:
        return table, item["pk"]["S"], item.get("sk", {}).get("S", "")

    def put_item(self, *, TableName: str, Item: dict[str, Any], ConditionExpression: str, **_: Any) -> None:
        if self.throttled:
            self.throttled -= 1
            raise refused("ProvisionedThroughputExceededException", "PutItem")
        there = self.items.get(self._key(TableName, Item))
        queued = "#status" in ConditionExpression and there and there["status"]["S"] == "QUEUED"
        if there is not None and not queued:
            raise refused("ConditionalCheckFailedException", "PutItem", Item=there)
        self.items[self._key(TableName, Item)] = Item

    def delete_item(self, *, TableName: str, Key: dict[str, Any], **_: Any) -> None:
        there = self.items.get(self._key(TableName, Key))
        if there is None or there["status"]["S"] != "QUEUED":
            raise refused("ConditionalCheckFailedException", "DeleteItem")
        del self.items[self._key(TableName, Key)]

    def get_item(self, *, TableName: str, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        there = self.items.get(self._key(TableName, Key))
        return {"Item": there} if there else {}

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, asked),) = RequestItems.items()
        keys = [self._key(table, key) for key in asked["Keys"]]
        assert len(set(keys)) == len(keys) <= 100
        return {"Responses": {table: [self.items[key] for key in keys if key in self.items]}}

    def status(self, id: str) -> str | None:
        item = self.items.get(("results", f"PREDICTION#{id}", ""))
        return item["status"]["S"] if item else None

    def lineage(self, id: str) -> dict[str, Any] | None:
        return self.items.get(("lineage", f"PREDICTION#{id}", "PREDICTION"))


@dataclass
class MemoryEndpoint:
    """Answers any number of images in one request, unless it is told to be in trouble."""

    image_bytes: int = 256
    label: str = "7"
    confidence: float = 0.91
    down: bool = False
    sizes: list[int] = field(default_factory=list)

    def invoke_endpoint(self, *, Body: bytes, **_: Any) -> dict[str, Any]:
        count = len(Body) // self.image_bytes
        self.sizes.append(count)
        if self.down:
            raise refused("ServiceUnavailable", "InvokeEndpoint")
        probabilities = {
            str(digit): self.confidence if str(digit) == self.label else 0.01 for digit in range(10)
        }
        document = {
            "predictions": [{"label": self.label, "probabilities": probabilities}] * count,
            "model_version": MODEL,
            "model_run": "run-a",
            "model_dataset": "digits#v1",
        }
        return {"Body": io.BytesIO(json.dumps(document).encode())}


@dataclass
class MemoryFirehose:
    lines: list[dict[str, Any]] = field(default_factory=list)
    refuses: int = 0  # so many records of the next call

    def put_record_batch(self, *, Records: list[dict[str, bytes]], **_: Any) -> dict[str, Any]:
        assert 0 < len(Records) <= 500
        answers: list[dict[str, str]] = []
        for record in Records:
            if self.refuses:
                self.refuses -= 1
                answers.append({"ErrorCode": "ServiceUnavailableException"})
            else:
                self.lines.append(json.loads(record["Data"]))
                answers.append({"RecordId": "1"})
        return {"FailedPutCount": sum("ErrorCode" in each for each in answers), "RequestResponses": answers}


class Stream:
    """Records in their order, as Lambda hands them over."""

    def __init__(self, s3: MemoryS3) -> None:
        self.s3, self.count = s3, 0

    def record(self, data: bytes, age: float = 0.0) -> dict[str, Any]:
        self.count += 1
        kinesis = {
            "sequenceNumber": f"{49_000_000 + self.count}",
            "approximateArrivalTimestamp": time.time() - age,
            "partitionKey": "k",
            "data": base64.b64encode(data).decode(),
        }
        return {"kinesis": kinesis, "eventSource": "aws:kinesis"}

    def image(self, id: str, content: bytes | None = DIGIT, line: str = "champion", **more: Any) -> Any:
        """The record of a submitted image; without content its object is absent."""
        folder = "smoke" if line == "smoke" else "submitted"
        if content is not None:
            self.s3.objects[BUCKET, f"{folder}/{id}"] = content
        check = ClaimCheck(id, BUCKET, f"{folder}/{id}", line, "image/png", 0, "2026-11-30T07:00:00.000000Z")
        return self.record(check.to_json(), **more)


class Consumer:
    """The function `consume` with these services, and a clock that stands still while it pauses."""

    def __init__(self, module: ModuleType, s3: MemoryS3, monkeypatch: Any) -> None:
        self.module, self.s3 = module, s3
        self.tables, self.endpoint, self.firehose = MemoryTables(), MemoryEndpoint(), MemoryFirehose()
        self.stream = Stream(s3)
        self.pauses: list[float] = []
        self.seconds = 60.0
        for name, service in (
            ("s3", s3),
            ("dynamodb", self.tables),
            ("runtime", self.endpoint),
            ("firehose", self.firehose),
        ):
            monkeypatch.setattr(module, name, service)
        monkeypatch.setattr(module.time, "sleep", self.pauses.append)

    def work(self, *records: dict[str, Any]) -> str | None:
        """Hand one batch over; the sequence number that the function gives back, if any."""
        context = SimpleNamespace(
            function_name="consume",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:us-east-1:222222222222:function:consume",
            aws_request_id="request",
            get_remaining_time_in_millis=lambda: self.seconds * 1000,
        )
        failures = self.module.handler({"Records": list(records)}, context)["batchItemFailures"]
        return failures[0]["itemIdentifier"] if failures else None
