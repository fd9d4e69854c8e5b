"""A load generator in a process of its own: reads what to send from standard input, prints what came of it.

Open loop: requests leave when they are due, whether or not earlier ones were answered, and a latency counts
from the time when its request was due; a slow server cannot hide behind a client that waits for it. Closed
loop: each of some callers sends its next request when it has its answer.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_TIMEOUT_SECONDS = 30  # API Gateway gives up after 29
_PER_CALLER = 60  # most requests that may be under way for each one that is due per second


@dataclass(frozen=True)
class Order:
    """What to send: `rate` in requests per second for an open loop, or `callers` for a closed one.

    `count` ends it after so many requests, `seconds` after that time; `host` is the API's own name, `address`
    and `port` say where it is served. `bodies` are base64, sent in turn.
    """

    address: str
    port: int
    host: str
    path: str
    region: str
    access_key: str
    secret_key: str
    content_type: str
    bodies: list[str]
    seconds: float = 0.0
    count: int = 0
    rate: float = 0.0
    callers: int = 0
    seed: int = 1
    keep: str = ""  # the member of an answer that is kept, such as an id


@dataclass
class Outcome:
    """What came of it: latencies in ms, answers by status, faults of the connection by name."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter[str])
    problems: Counter[str] = field(default_factory=Counter[str])
    latencies_ms: list[float] = field(default_factory=list[float])
    kept: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Load:
    """One order being sent."""

    def __init__(self, order: Order) -> None:
        self._order, self.outcome = order, Outcome()
        self._signer = SigV4Auth(Credentials(order.access_key, order.secret_key), "execute-api", order.region)
        self._bodies = itertools.cycle([base64.b64decode(body) for body in order.bodies])
        self._lock, self._here = threading.Lock(), threading.local()

    def run(self) -> Outcome:
        """Send everything, and wait for the answers."""
        began, cpu = time.monotonic(), time.process_time()
        if self._order.rate:
            self._open()
        else:
            self._closed()
        self.outcome.seconds = time.monotonic() - began
        self.outcome.cpu_seconds = time.process_time() - cpu
        return self.outcome

    def _open(self) -> None:
        with ThreadPoolExecutor(max(8, int(self._order.rate * _PER_CALLER) // 10)) as pool:
            for due in self._arrivals():
                time.sleep(max(0.0, due - time.monotonic()))
                pool.submit(self._one, due)

    def _arrivals(self) -> Iterator[float]:
        """Times of a Poisson process: independent callers, as the requests of half a million images are."""
        chance = random.Random(self._order.seed)  # noqa: S311  # no secret
        began = due = time.monotonic()
        sent = 0
        while (not self._order.count or sent < self._order.count) and (
            not self._order.seconds or due - began < self._order.seconds
        ):
            yield due
            sent += 1
            due += chance.expovariate(self._order.rate)

    def _closed(self) -> None:
        until = time.monotonic() + (self._order.seconds or float("inf"))
        numbers = itertools.count()

        def caller(_: int) -> None:
            while time.monotonic() < until and not (self._order.count and next(numbers) >= self._order.count):
                self._one(time.monotonic())

        with ThreadPoolExecutor(self._order.callers) as pool:
            list(pool.map(caller, range(self._order.callers)))

    def _one(self, due: float) -> None:
        with self._lock:
            body = next(self._bodies)
        try:
            status, answer = self._ask(body)
        except (OSError, http.client.HTTPException) as fault:
            self._here.connection = None
            status, answer = type(fault).__name__, b""
        took = (time.monotonic() - due) * 1000
        document = _document(answer)
        with self._lock:
            self.outcome.sent += 1
            self.outcome.statuses[str(status)] += 1
            self.outcome.latencies_ms.append(took)
            if status not in (200, 202):
                self.outcome.problems[str(document.get("type") or document.get("title") or status)] += 1
            elif self._order.keep:
                self.outcome.kept.append(str(document.get(self._order.keep)))

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        order = self._order
        url = f"https://{order.host}{order.path}"
        request = AWSRequest(
            method="POST",
            url=url,
            data=body,
            headers={"Host": order.host, "Content-Type": order.content_type},
        )
        self._signer.add_auth(request)
        connection = getattr(self._here, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(order.address, order.port, timeout=_TIMEOUT_SECONDS)
            self._here.connection = connection
        connection.request("POST", order.path, body=body, headers=dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.read()


def _document(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def main() -> None:
    """One order from standard input; its outcome as JSON on standard output."""
    outcome = Load(Order(**json.load(sys.stdin))).run()
    json.dump(vars(outcome), sys.stdout)


if __name__ == "__main__":
    main()
