"""The time budget of a run, and the one place where waiting stops when time is up or somebody says stop."""

import threading
import time
from collections.abc import Iterator

from smoke_tests.faults import CheckFailed

# Clean-up deletes an endpoint and waits until it is gone, which takes SageMaker up to a few minutes.
_SHORTEST_RESERVE, _LONGEST_RESERVE, _RESERVED_SHARE = 20.0, 300.0, 0.15
# Pauses grow with the wait, so that a look is late by a tenth of the wait at most.
_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_SHARE = 0.25, 5.0, 0.1


class OutOfTime(CheckFailed):
    """The budget is used up."""


class Interrupted(CheckFailed):
    """Somebody asked the run to stop (Ctrl-C, SIGTERM)."""


class Budget:
    """Seconds that work may take; every wait of the run goes through it, so that it ends when it must."""

    def __init__(
        self, seconds: float, *, reserve: float | None = None, limit: str = "SMOKE_TIMEOUT_SECONDS"
    ) -> None:
        """Start the clock: `seconds` in all, of which `reserve` are kept back for cleaning up.

        `limit` is the setting that they come from.
        """
        share = min(_LONGEST_RESERVE, max(_SHORTEST_RESERVE, seconds * _RESERVED_SHARE))
        self.seconds, self._limit = seconds, limit
        self._reserve = share if reserve is None else reserve
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._reason = ""

    def elapsed(self) -> float:
        """Seconds since the budget began."""
        return time.monotonic() - self._started

    def left(self) -> float:
        """Seconds of work that are left before clean-up must begin; negative when overdrawn."""
        return self.seconds - self._reserve - self.elapsed()

    def shorten(self, seconds: float, limit: str) -> None:
        """Make the whole budget at most `seconds`, which the setting `limit` asks for."""
        if seconds < self.seconds:
            self.seconds, self._limit = seconds, limit

    def cancel(self, reason: str) -> None:
        """Make every wait of the run end with `Interrupted`; safe to call from a signal handler."""
        self._reason = reason
        self._stop.set()

    @property
    def cancelled(self) -> str:
        """Why the run was asked to stop; empty when it was not."""
        return self._reason if self._stop.is_set() else ""

    def check(self, doing: str) -> None:
        """Raise `Interrupted` or `OutOfTime`, naming what was being done, when work must end now."""
        if self._stop.is_set():
            raise Interrupted(f"stopped by {self._reason} while {doing}")
        if self.left() <= 0:
            raise OutOfTime(
                f"time is up while {doing}: the run may take {self.seconds:.0f} s ({self._limit}), "
                f"{self._reserve:.0f} s of them for cleaning up"
            )

    def polls(self, doing: str, *, at_most: float | None = None) -> Iterator[int]:
        """Yield attempt numbers with growing pauses, for `at_most` seconds (None: for all of the budget).

        The iterator simply ends when `at_most` has passed; the caller knows best what to say then.
        """
        attempt, began = 0, time.monotonic()
        while True:
            self.check(doing)
            attempt += 1
            yield attempt
            waited = time.monotonic() - began
            if at_most is not None and waited >= at_most:
                return
            rest = self.left() if at_most is None else min(self.left(), at_most - waited)
            pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, waited * _PAUSE_SHARE))
            self._stop.wait(max(0.0, min(pause, rest)))

    def for_clean_up(self) -> "Budget":
        """A fresh budget for cleaning up: what is left of the whole run, never less than the reserve."""
        return Budget(max(self._reserve, self.seconds - self.elapsed()), reserve=0)
