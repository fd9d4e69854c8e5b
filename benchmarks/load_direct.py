"""The adapter's overhead: what its function takes beside the model, and direct calls of the model server."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.load_components import processes_with
from tests.faults.platform import Platform

_CALLS = 200
_LOGS_SECONDS = 20


@dataclass(frozen=True)
class Overhead:
    """Medians in ms: a direct call, the adapter's whole run, its call of the endpoint, the caller's wait."""

    direct: float
    adapter: float
    endpoint: float
    caller: float
    requests: int

    @property
    def of_the_adapter(self) -> float:
        """What the adapter adds to a direct call of the model server."""
        return self.adapter - self.direct

    def words(self, goal: float) -> str:
        """The comparison, for people."""
        return (
            f"one caller, medians of {self.requests} requests: the model server itself {self.direct:.1f} ms; "
            f"adapter {self.adapter:.1f} ms, {self.endpoint:.1f} of them its call of the endpoint; caller "
            f"{self.caller:.1f} ms. The adapter adds {self.of_the_adapter:.1f} ms to a direct call, "
            f"{self.adapter - self.endpoint:.1f} ms of them its own work (goal: below {goal:g} ms)"
        )


def compare(platform: Platform, input_bytes: int, since: float, caller_ms: float) -> Overhead:
    """Read what the adapter has logged since a time (s since 1970), and ask the model server itself."""
    logs = platform.client("logs")
    group = platform.home.output("PredictLogGroup")
    time.sleep(1)
    durations, endpoint = list[float](), list[float]()
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    for event in (event for page in pages for event in page["events"]):
        _note(event["message"], durations, endpoint)
    return Overhead(
        direct=statistics.median(_direct(platform, input_bytes)),
        adapter=statistics.median(durations),
        endpoint=statistics.median(endpoint),
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


def _direct(platform: Platform, input_bytes: int) -> Iterator[float]:
    ports = processes_with(platform.twin.process.pid, "SAGEMAKER_BIND_TO_PORT")
    connection = http.client.HTTPConnection("127.0.0.1", int(ports[0]), timeout=10)
    headers = {"Content-Type": "application/octet-stream"}
    for _ in range(_CALLS):
        began = time.perf_counter()
        connection.request("POST", "/invocations", body=bytes(input_bytes), headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the model server answered {answer.status}")
        yield (time.perf_counter() - began) * 1000
