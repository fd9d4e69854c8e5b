"""The adapter's overhead: what its function takes beside the model, and beside the services that it asks.

Three times are compared, each a median of one caller's requests, one at a time:

- *the model server itself*: `POST /invocations` on its own port, on a connection that lives on;
- *the services*: InvokeEndpoint and the PutItem of a prediction's lineage as bare signed requests, without an
  SDK, at the pace of one caller. Here the twin answers them (signature, IAM, its HTTP hops, the model), in an
  account AWS does;
- *the adapter*: the duration that Lambda reports for its function. That begins when the event is handed over.

What the adapter adds to the model server is the third less the first; the goal is about that. It holds what
the services take, which differs with who runs them. The rest is the adapter's own: to read the event, decode
and resize the image, sign, send and read two calls, log and count.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.load_components import processes_with
from tests.faults import platform as platforms

_CALLS = 200
# As long as a caller's next request leaves a service alone: what was idle answers later than what is warm.
_PAUSE_SECONDS = 0.01
_OCTETS, _JSON_1_0 = "application/octet-stream", "application/x-amz-json-1.0"


@dataclass(frozen=True)
class Overhead:
    """Medians in ms: the model server itself, the two services, the adapter's whole run, the caller's wait.

    `endpoint_by_sdk` is what the adapter's own metric says of its call of the endpoint.
    """

    direct: float
    endpoint: float
    table: float
    adapter: float
    endpoint_by_sdk: float
    caller: float
    requests: int

    @property
    def of_the_adapter(self) -> float:
        """What the adapter adds to a direct call of the model server, the services' time included."""
        return self.adapter - self.direct

    @property
    def own(self) -> float:
        """What the adapter takes beside the services that it asks."""
        return self.adapter - self.endpoint - self.table

    def words(self, goal: float) -> str:
        """The comparison, for people."""
        return (
            f"one caller, medians of {self.requests} requests: the model server itself {self.direct:.1f} ms, "
            f"by InvokeEndpoint {self.endpoint:.1f} ms, PutItem {self.table:.1f} ms; adapter "
            f"{self.adapter:.1f} ms, {self.endpoint_by_sdk:.1f} of them its call of the endpoint; caller "
            f"{self.caller:.1f} ms. The adapter adds {self.of_the_adapter:.1f} ms to the model server (goal: "
            f"below {goal:g} ms): {self.endpoint - self.direct + self.table:.1f} ms the services, "
            f"{self.own:.1f} ms its own"
        )


def compare(platform: platforms.Platform, input_bytes: int, since: float, caller_ms: float) -> Overhead:
    """Read what the adapter has logged since a time (s since 1970), and ask the services and the model."""
    logs = platform.client("logs")
    group = platform.home.output("PredictLogGroup")
    time.sleep(1)
    durations, endpoint = list[float](), list[float]()
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    for event in (event for page in pages for event in page["events"]):
        _note(event["message"], durations, endpoint)
    return Overhead(
        direct=statistics.median(_direct(platform, input_bytes)),
        endpoint=statistics.median(_invoke_endpoint(platform, input_bytes)),
        table=statistics.median(_put_item(platform)),
        adapter=statistics.median(durations),
        endpoint_by_sdk=statistics.median(endpoint),
        caller=caller_ms,
        requests=len(durations),
    )


def _note(message: str, durations: list[float], endpoint: list[float]) -> None:
    try:
        line: dict[str, Any] = json.loads(message)
    except ValueError:
        return
    if line.get("type") == "platform.report":
        durations.append(float(line["record"]["metrics"]["durationMs"]))
    elif "EndpointLatency" in line:
        endpoint += [float(each) for each in line["EndpointLatency"]]


def _direct(platform: platforms.Platform, input_bytes: int) -> Iterator[float]:
    ports = processes_with(platform.twin.process.pid, "SAGEMAKER_BIND_TO_PORT")
    headers = {"Content-Type": _OCTETS}
    return _asked(int(ports[0]), "/invocations", bytes(input_bytes), headers)


def _invoke_endpoint(platform: platforms.Platform, input_bytes: int) -> Iterator[float]:
    path = f"/endpoints/{platform.home.prefix}-champion/invocations"
    headers = {"Content-Type": _OCTETS, "Accept": "application/json"}
    return _signed(platform, "sagemaker", path, bytes(input_bytes), headers)


def _put_item(platform: platforms.Platform) -> Iterator[float]:
    """The write of an item as the adapter makes them, again and again under one key of its own."""
    dynamodb = platform.client("dynamodb")
    table = next(name for name in dynamodb.list_tables()["TableNames"] if "LineageTable" in name)
    item = next(
        item
        for page in dynamodb.get_paginator("scan").paginate(TableName=table)
        for item in page["Items"]
        if item["sk"] == {"S": "PREDICTION"}
    )
    item["pk"] = {"S": "PREDICTION#benchmark"}
    body = json.dumps({"TableName": table, "Item": item}).encode()
    headers = {"Content-Type": _JSON_1_0, "X-Amz-Target": "DynamoDB_20120810.PutItem"}
    return _signed(platform, "dynamodb", "/", body, headers)


def _signed(
    platform: platforms.Platform, service: str, path: str, body: bytes, headers: dict[str, str]
) -> Iterator[float]:
    """Ask with one signature, which is good for minutes: what is measured is the service alone."""
    port = platform.twin.port
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", headers=headers, data=body)
    SigV4Auth(Credentials(platforms.DEV, "test"), service, "us-east-1").add_auth(request)
    return _asked(port, path, body, dict(request.headers.items()))


def _asked(port: int, path: str, body: bytes, headers: dict[str, str]) -> Iterator[float]:
    """How long each of many equal requests took, in ms."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(_CALLS):
        time.sleep(_PAUSE_SECONDS)
        began = time.perf_counter()
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path} was answered {answer.status}: {told[:200]!r}")
        yield (time.perf_counter() - began) * 1000
