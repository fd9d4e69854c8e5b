"""Records every check of a run as it happens: what it was, how long it took, how it ended, and why."""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO, TypeVar

from smoke_tests.faults import CheckFailed, in_words, is_expected

T = TypeVar("T")


class Status(StrEnum):
    """How a check ended; ERROR is a fault of the smoke tests themselves, FAILED one of what they test."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass
class Check:
    """One thing to be proved, in words, and what came of it."""

    name: str
    title: str
    group: str
    status: Status = Status.SKIPPED
    seconds: float = 0.0
    started: float = 0.0  # seconds since the run began
    detail: str = ""
    evidence: dict[str, str] = field(default_factory=dict[str, str])
    trace: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was proved."""
        return self.status is Status.PASSED


class Journal:
    """The checks of one run, in the order of their declaration; safe to share by threads."""

    def __init__(self, checks: Iterable[Check], *, stream: TextIO | None = None) -> None:
        """Start the run's clock; progress goes to `stream` (standard output unless given)."""
        self._checks = {check.name: check for check in checks}
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.started_at = datetime.now(UTC)

    @property
    def checks(self) -> list[Check]:
        """All of them, those that never ran included."""
        return list(self._checks.values())

    @property
    def passed(self) -> bool:
        """Whether every check passed; a check that never ran proves nothing."""
        return all(check.passed for check in self._checks.values())

    def __getitem__(self, name: str) -> Check:
        return self._checks[name]

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print one progress line with the time since the start."""
        with self._lock:
            print(f"[{self.elapsed():7.1f} s] {text}", file=self._stream, flush=True)

    def run(self, name: str, action: Callable[[Check], T], *, needs: Iterable[str] = ()) -> T | None:
        """Do `action` as check `name`, unless one of `needs` did not pass; a fault is recorded, never raised.

        The action sets `detail` and `evidence` of the check it gets, and raises `CheckFailed` when the proof
        fails.
        """
        check = self._checks[name]
        missing = [self._checks[other] for other in needs if not self._checks[other].passed]
        if missing:
            check.detail = f"needs {missing[0].name}, which did not pass"
            self.say(f"SKIP  {name}: {check.detail}")
            return None
        check.started = self.elapsed()
        self.say(f"      {name}: {check.title}")
        result: T | None = None
        try:
            result = action(check)
            check.status = Status.PASSED
        except Exception as error:
            check.status = Status.FAILED if is_expected(error) else Status.ERROR
            check.detail = in_words(error) if is_expected(error) else f"{type(error).__name__}: {error}"
            check.trace = "" if is_expected(error) else traceback.format_exc()
        check.seconds = self.elapsed() - check.started
        verdict = {Status.PASSED: "PASS"}.get(check.status, "FAIL")
        self.say(f"{verdict}  {name} ({check.seconds:.1f} s){': ' + check.detail if check.detail else ''}")
        if not check.passed:
            for label, value in check.evidence.items():
                self.say(f"        {label}: {value}")
        return result


def require(condition: bool, message: str) -> None:
    """Fail the check in progress with `message` unless `condition` holds."""
    if not condition:
        raise CheckFailed(message)
