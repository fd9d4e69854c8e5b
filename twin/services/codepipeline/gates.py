"""Lets executions into stages one at a time, in the order in which they came, as the pipeline's mode says."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_LOOK_AGAIN_SECONDS = 0.5


class Superseded(Exception):
    """A newer execution took the place of this one while it waited."""


@dataclass
class _Gate:
    holder: str | None = None
    waiting: list[str] = field(default_factory=list[str])
    superseded: set[str] = field(default_factory=set[str])
    closed_because: str | None = None


Key = tuple[str, str, str, str]  # account, region, pipeline, stage


class Gates:
    """The entries of all stages of all pipelines."""

    def __init__(self) -> None:
        """Start with every stage open and empty."""
        self._gates: dict[Key, _Gate] = {}
        self._changed = threading.Condition()

    def join(self, key: Key, execution: str, mode: str, *, ahead: bool = False) -> None:
        """Queue up for a stage; in mode SUPERSEDED whoever waits already gives way.

        With `ahead` the execution comes before all that wait, and none of them gives way.
        """
        with self._changed:
            gate = self._gates.setdefault(key, _Gate())
            if mode == "SUPERSEDED" and not ahead:
                gate.superseded.update(gate.waiting)
                gate.waiting.clear()
            gate.waiting.insert(0 if ahead else len(gate.waiting), execution)
            self._changed.notify_all()

    def enter(self, key: Key, execution: str, mode: str, check: Callable[[], None]) -> None:
        """Wait until the stage is free and open, then hold it; `check` may raise to end the wait.

        Raises `Superseded`.
        """
        with self._changed:
            gate = self._gates[key]
            try:
                while not self._may_enter(gate, execution, mode):
                    if execution in gate.superseded:
                        raise Superseded
                    check()
                    self._changed.wait(_LOOK_AGAIN_SECONDS)
                check()
            except BaseException:
                self._forget(gate, execution)
                raise
            gate.waiting.remove(execution)
            if mode != "PARALLEL":
                gate.holder = execution
            self._changed.notify_all()

    @staticmethod
    def _may_enter(gate: _Gate, execution: str, mode: str) -> bool:
        if execution not in gate.waiting or gate.closed_because is not None:
            return False
        return mode == "PARALLEL" or (gate.holder is None and gate.waiting[0] == execution)

    def leave(self, key: Key, execution: str) -> None:
        """Free the stage, or give up the place in its queue."""
        with self._changed:
            self._forget(self._gates.setdefault(key, _Gate()), execution)

    def _forget(self, gate: _Gate, execution: str) -> None:
        if gate.holder == execution:
            gate.holder = None
        if execution in gate.waiting:
            gate.waiting.remove(execution)
        gate.superseded.discard(execution)
        self._changed.notify_all()

    def waiting(self, key: Key) -> list[str]:
        """Return the executions that wait at a stage, first come first."""
        with self._changed:
            gate = self._gates.get(key)
            return list(gate.waiting) if gate else []

    def holder(self, key: Key) -> str | None:
        """Return the execution that is in a stage, or None."""
        with self._changed:
            gate = self._gates.get(key)
            return gate.holder if gate else None

    def set_transition(self, key: Key, closed_because: str | None) -> None:
        """Close the way into a stage, with a reason, or open it (None)."""
        with self._changed:
            self._gates.setdefault(key, _Gate()).closed_because = closed_because
            self._changed.notify_all()

    def closed_because(self, key: Key) -> str | None:
        """Return why the way into a stage is closed, or None."""
        with self._changed:
            gate = self._gates.get(key)
            return gate.closed_because if gate else None

    def wake(self) -> None:
        """Let everyone who waits look again, after a stop request."""
        with self._changed:
            self._changed.notify_all()
