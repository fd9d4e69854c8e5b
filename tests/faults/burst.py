"""The burst path of a deployed environment under load: claim checks in, results out, and who was lost."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ops.models.home import Home
from tests.faults.platform import Platform

# Small groups, so that a fault in the middle finds records before and after it.
_PUT_AT_ONCE = 50
LONGEST_SECONDS = 120


@dataclass
class Sent:
    """Records that were put, by the id that each is about."""

    ids: list[str] = field(default_factory=list[str])
    records: int = 0


@dataclass(frozen=True)
class Tally:
    """What came of what was sent: each id is answered, rejected or lost; copies are further answers."""

    records: int
    images: int
    answered: int
    rejected: int
    lost: int
    copies: int
    seconds: float

    def __str__(self) -> str:
        """One line for the table."""
        return (
            f"{self.records} records in, {self.answered + self.rejected} results out "
            f"({self.answered} answered, {self.rejected} rejected) for {self.images} images "
            f"in {self.seconds:.1f} s, duplicates: {self.copies}, lost: {self.lost}"
        )


class Burst:
    """Sends claim checks, and looks at what became of them."""

    def __init__(self, platform: Platform, images: Sequence[Path]) -> None:
        self.platform = platform
        self._images = [path.read_bytes() for path in images]
        self._random = random.Random(17)  # noqa: S311 - the same load each time

    @property
    def home(self) -> Home:
        """The environment."""
        return self.platform.home

    def client(self, service: str) -> Any:
        """A client as the environment's root."""
        return self.platform.client(service)

    @property
    def function(self) -> str:
        """The consumer's name."""
        return self.mapping["FunctionArn"].split(":")[6]

    @property
    def mapping(self) -> dict[str, Any]:
        """How the stream is read."""
        (found,) = self.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        return found

    def store(self, content: bytes | None, *, id: str | None = None) -> dict[str, Any]:
        """A claim check for an image; without content its object is absent."""
        id, bucket = id or f"p-{uuid.uuid4().hex}", self.home.output("UploadsBucket")
        if content is not None:
            self.client("s3").put_object(Bucket=bucket, Key=f"submitted/{id}", Body=content)
        return {
            "id": id,
            "bucket": bucket,
            "key": f"submitted/{id}",
            "line": "champion",
            "content_type": "image/png",
            "bytes": len(content or b""),
            "submitted_at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z",
        }

    def some(self, count: int) -> list[dict[str, Any]]:
        """Claim checks for good images."""
        return [self.store(self._random.choice(self._images)) for _ in range(count)]

    def put(self, checks: Sequence[dict[str, Any]], *, each: int = 1) -> Sent:
        """Put claim checks into the stream, each so many times, in a random order."""
        records = [
            {"PartitionKey": check["id"], "Data": json.dumps(check).encode()} for check in checks
        ] * each
        self._random.shuffle(records)
        api, stream = self.client("kinesis"), self.home.output("StreamName")
        for first in range(0, len(records), _PUT_AT_ONCE):
            told = api.put_records(StreamName=stream, Records=records[first : first + _PUT_AT_ONCE])
            assert told["FailedRecordCount"] == 0
        return Sent([check["id"] for check in checks], len(records))

    def results(self) -> dict[str, dict[str, Any]]:
        """Every result, by id."""
        pages = (
            self.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.home.output("ResultsTableName"), ConsistentRead=True)
        )
        return {item["pk"]["S"].partition("#")[2]: item for page in pages for item in page["Items"]}

    def tally(self, sent: Sent, seconds: float = LONGEST_SECONDS) -> Tally:
        """Wait until all that was sent has a result, at most so long, and count."""
        began, wanted = time.monotonic(), set(sent.ids)
        while True:
            found = {id: item for id, item in self.results().items() if id in wanted}
            final = {id: item for id, item in found.items() if item["status"]["S"] != "QUEUED"}
            if len(final) == len(wanted) or time.monotonic() - began > seconds:
                break
            time.sleep(0.5)
        statuses = Counter(item["status"]["S"] for item in final.values())
        return Tally(
            records=sent.records,
            images=len(wanted),
            answered=statuses["DONE"],
            rejected=statuses["REJECTED"],
            lost=len(wanted) - len(final),
            copies=self._copies(final),
            seconds=time.monotonic() - began,
        )

    def _copies(self, final: dict[str, dict[str, Any]]) -> int:
        """Answers in the lineage that are not the result's: what a client could see twice."""
        api, table, copies = self.client("dynamodb"), self.home.table, 0
        for id, item in final.items():
            if item["status"]["S"] != "DONE":
                continue
            key = {"pk": {"S": f"PREDICTION#{id}"}, "sk": {"S": "PREDICTION"}}
            recorded = api.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
            assert recorded is not None, f"{id} has a result and no lineage"
            answer = json.loads(item["answer"]["S"])
            copies += (recorded["label"]["S"], recorded["answered_at"]["S"]) != (
                answer["label"],
                item["answered_at"]["S"],
            )
        return copies

    # ---- faults

    @contextmanager
    def injected(self, **wanted: Any) -> Generator[dict[str, int]]:
        """Set a fault of the twin's, and take it away again; says afterwards how often it struck."""
        url, struck = f"{self.platform.twin.endpoint}/_twin/faults", {"times": 0}
        answer = requests.post(url, json=wanted, timeout=30)
        assert answer.ok, answer.text
        number = answer.json()["id"]
        try:
            yield struck
        finally:
            listed = requests.get(url, timeout=30).json()["faults"]
            struck["times"] = sum(each["hits"] for each in listed if each["id"] == number)
            requests.delete(url, params={"id": number}, timeout=30)

    @contextmanager
    def reading(self, **changes: Any) -> Generator[None]:
        """Let the stream be read in another way meanwhile."""
        before, api = self.mapping, self.client("lambda")
        api.update_event_source_mapping(UUID=before["UUID"], **changes)
        try:
            yield
        finally:
            kept = {name: before[name] for name in changes}
            api.update_event_source_mapping(UUID=before["UUID"], **kept)

    def kill_model_servers(self) -> int:
        """Kill the processes behind the endpoint, as a host that goes away does; answers how many."""
        killed = 0
        home = str(self.platform.twin.home)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                place = str((entry / "cwd").resolve())
            except OSError:
                continue
            if "serve.py" in command and home in command + place:
                os.kill(int(entry.name), signal.SIGKILL)
                killed += 1
        return killed

    def given_up(self) -> int:
        """Messages in the queue of failures."""
        told = self.client("sqs").get_queue_attributes(
            QueueUrl=self.home.output("FailuresQueue"), AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(told["Attributes"]["ApproximateNumberOfMessages"])
