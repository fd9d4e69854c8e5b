"""Asks an environment's API about images, at a steady rate and signed as a caller, and counts the answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.models.home import Home

PATH = "v1/predictions"
_AT_ONCE = 8
# API Gateway itself gives up after 29 s.
_TIMEOUT = (5, 30)
_LATEST = 20


@dataclass(frozen=True)
class Picture:
    """An image to ask about."""

    name: str
    data: bytes
    content_type: str


@dataclass(frozen=True)
class Answer:
    """What came back. `model` and `confidence` are those of a prediction; `fault` says what came instead."""

    model: str = ""
    confidence: float = 0.0
    fault: str = ""


@dataclass
class Counts:
    """What all requests came to."""

    sent: int = 0
    failed: int = 0
    by_model: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    # The newest answers, oldest first.
    latest: deque[Answer] = field(default_factory=lambda: deque[Answer](maxlen=_LATEST))


class Client:
    """A caller of the prediction API, with the operator's own credentials."""

    def __init__(self, home: Home) -> None:
        """Nothing is asked yet. Raises OperatorFault when the API is not deployed."""
        self._url = home.output("ApiUrl").rstrip("/") + "/" + PATH
        self._region = home.place.region
        self._credentials = home.access.session(home.place).get_credentials()
        self._session = requests.Session()
        # A kept connection may be closed by the other side just when it is used again: that would count as a
        # failed request, which nobody has failed.
        self._session.headers["Connection"] = "close"

    def ask(self, picture: Picture) -> Answer:
        """One request, without a retry. What goes wrong is an answer as well."""
        try:
            told = self._session.post(
                self._url, data=picture.data, headers=self._signed(picture), auth=_as_it_is, timeout=_TIMEOUT
            )
        except requests.RequestException as fault:
            return Answer(fault=f"{type(fault).__name__}: {fault}")
        try:
            document = told.json()
        except ValueError:
            document = {}
        if told.status_code != requests.codes.ok or "model_version" not in document:
            words = document.get("detail") or document.get("message") or told.text[:200]
            return Answer(fault=f"{told.status_code}: {words}")
        return Answer(str(document["model_version"]), max(document["probabilities"].values()))

    def _signed(self, picture: Picture) -> dict[str, str]:
        request = AWSRequest(
            method="POST",
            url=self._url,
            data=picture.data,
            headers={"Host": urlsplit(self._url).netloc, "Content-Type": picture.content_type},
        )
        # Read anew each time: credentials of a role are refreshed.
        SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(request)
        return dict(request.headers.items())


class Traffic:
    """A steady flow of requests in the background."""

    def __init__(self, client: Client, pictures: Sequence[Picture], rate: float) -> None:
        """`rate` is in requests per second."""
        self._client, self._pictures, self._rate = client, itertools.cycle(pictures), rate
        self._lock, self._end = threading.Lock(), threading.Event()
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self.counts = Counts()

    @contextmanager
    def flowing(self) -> Generator[None]:
        """Sends until the block ends, and waits for the answers that are due."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while not self._end.is_set():
                # A slow API must not make requests pile up here, nor what is late go twice as fast later.
                self._free.acquire()
                pool.submit(self._one, next(self._pictures))
                due = max(due + 1 / self._rate, time.monotonic())
                self._end.wait(due - time.monotonic())

    def _one(self, picture: Picture) -> None:
        try:
            answer = self._client.ask(picture)
        finally:
            self._free.release()
        with self._lock:
            self.counts.sent += 1
            self.counts.latest.append(answer)
            if answer.fault:
                self.counts.failed += 1
                self.counts.faults[answer.fault] += 1
            else:
                self.counts.by_model[answer.model] += 1


def _as_it_is(request: Any) -> Any:
    """Leaves a request as it is: without this, `requests` would look for credentials in ~/.netrc."""
    return request
