"""The time that is left for a request, and clients that wait no longer than that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config as ClientConfig

from vision_runtime.problem import Problem

# For the answer itself and its record, after the last thing that is waited for.
RESERVE_SECONDS = 1.5
RETRY_SECONDS = 2
_LONGEST_PAUSE = 1.0  # of a client, with jitter, before its second try


@dataclass(frozen=True)
class Budget:
    """When a request's time is over, on the monotonic clock."""

    ends: float

    @classmethod
    def of(cls, context: Any) -> Budget:
        """What Lambda leaves to the invocation, without the reserve for its answer."""
        left = context.get_remaining_time_in_millis() / 1000
        return cls(time.monotonic() + left - RESERVE_SECONDS)

    @property
    def seconds(self) -> float:
        """What is left; not below zero."""
        return max(0.0, self.ends - time.monotonic())


@dataclass
class BoundedClients:
    """Clients of one service by how long they may wait; each keeps its connections.

    `make` makes a client with a configuration. While time is plenty all share the one of `config`; when less
    is left than its tries may take, a client with one try and what is left as its limit, in whole seconds.
    """

    make: Callable[[ClientConfig], Any]
    config: ClientConfig
    usual: Any = field(init=False)
    _hurried: dict[int, Any] = field(default_factory=dict[int, Any])

    def __post_init__(self) -> None:
        self.usual = self.make(self.config)

    def within(self, budget: Budget) -> Any:
        """The client for the time that is left. Raises Problem (503) when that is less than a second."""
        settings: Any = self.config  # botocore gives it its attributes at run time
        connect, read = float(settings.connect_timeout), float(settings.read_timeout)
        tries = int(settings.retries["total_max_attempts"])
        left = budget.seconds
        if left >= tries * (connect + read) + (tries - 1) * _LONGEST_PAUSE:
            return self.usual
        wait = min(int(left - connect), int(read))
        if wait < 1:
            raise Problem(
                "out-of-time",
                "The request took too long",
                503,
                "no time was left to ask the model; send fewer or smaller images, or try again",
                retry_after=RETRY_SECONDS,
            )
        if wait not in self._hurried:
            hurried = ClientConfig(read_timeout=wait, retries={"total_max_attempts": 1})
            self._hurried[wait] = self.make(self.config.merge(hurried))
        return self._hurried[wait]
