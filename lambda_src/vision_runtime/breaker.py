"""A circuit breaker: while an endpoint is down, its callers are told at once instead of waiting for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from vision_runtime.problem import Problem

FAILURES = 3
OPEN_SECONDS = 10.0


class CircuitBreaker:
    """Closed, it lets requests through; after `failures` in a row it opens for `open_seconds`.

    After that it is half-open: one request goes through, and its outcome closes the breaker or opens it
    anew. Each execution environment has its own: they share no memory, and a request to a shared state would
    cost what the breaker saves. A function answers one request at a time, so that there are no races.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._open_seconds, self._clock = failures, open_seconds, clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._failures < self._limit:
            return "closed"
        return "open" if self._clock() < self._open_until else "half-open"

    def check(self) -> None:
        """Raise Problem (503) while open; it says when the next request has a chance."""
        if self.state == "open":
            raise Problem(
                "model-unavailable",
                "The model is not available",
                503,
                "the model has not answered several times in a row and is left alone for some seconds",
                retry_after=max(1, math.ceil(self._open_until - self._clock())),
            )

    def succeeded(self) -> None:
        """Note that the endpoint answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that it did not."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = self._clock() + self._open_seconds
