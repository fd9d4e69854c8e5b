"""Tells running states that they must end: set once, it reaches every branch, item and task below it."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from twin import glue
from twin.stepfunctions.errors import Interrupted, StateError


class Signal:
    """Set for an execution, or for one branch of it; children are set with their parent."""

    def __init__(self, parent: "Signal | None" = None) -> None:
        """Set at once when the parent already is."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        if parent is not None:
            parent.call_when_set(self.set)

    def child(self) -> "Signal":
        """Return a signal that is set with this one, and can be set alone."""
        return Signal(self)

    def set(self) -> None:
        """Interrupt everything that watches this signal."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Whether work under this signal must end."""
        return self._event.is_set()

    def call_when_set(self, callback: Callable[[], None]) -> None:
        """Call back once, on the thread that sets the signal; at once when it is set."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def sleep(self, seconds: float) -> None:
        """Wait; raises `Interrupted` when the signal is set meanwhile."""
        if self._event.wait(max(0.0, seconds)):
            raise Interrupted

    def check(self) -> None:
        """Raise `Interrupted` when the signal is set."""
        if self._event.is_set():
            raise Interrupted

    def run(self, work: Callable[["Signal"], Any], seconds: float | None, timeout_error: StateError) -> Any:
        """Run blocking `work` in a thread, for at most `seconds`; it gets a signal that tells it to give up.

        Raises what `work` raises, `timeout_error`, or `Interrupted`; then the work's own end is not awaited.
        """
        self.check()
        outcomes: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        own = self.child()

        def attempt() -> None:
            try:
                outcomes.put(("done", work(own)))
            except BaseException as error:
                outcomes.put(("raised", error))

        def interrupt() -> None:
            outcomes.put(("interrupted", None))

        self.call_when_set(interrupt)
        glue.spawn(attempt, name="twin-state")
        try:
            kind, value = outcomes.get(timeout=seconds)
        except queue.Empty:
            raise timeout_error from None
        finally:
            self.forget(interrupt)
            own.set()
        if kind == "interrupted":
            raise Interrupted
        if kind == "raised":
            raise value
        return value
