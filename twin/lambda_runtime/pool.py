"""Execution environments by function version: kept warm, one per concurrent invocation, ended when idle."""

import os
import threading
import time

from twin.lambda_runtime.function import Function
from twin.lambda_runtime.machine import Processors
from twin.lambda_runtime.worker import Outcome, Worker

IDLE_SECONDS = 600
# Credentials in the environment last 12 h; Lambda replaces its environments every few hours as well.
MAX_AGE_SECONDS = 2 * 3600
_CHECK_SECONDS = 30
# A start is a second of CPU: more at once than cores make each slower, and running work waits for them.
STARTS_AT_ONCE = max(2, os.cpu_count() or 2)
# Then it starts all the same: what is being started may itself wait for another function.
_LONGEST_TURN_SECONDS = 10.0
# On AWS an environment brings its own processor. Here one more for a function that has so many, while they
# keep this machine busy, would only take from them: the invocation waits for one of these.
ENOUGH = 4 * STARTS_AT_ONCE
_BUSY_SHARE = 0.9
_LOOK_AGAIN_SECONDS = 0.5


class Pool:
    """Hands out workers; safe against concurrent use."""

    def __init__(self) -> None:
        """Start empty; `watch` begins to end idle workers."""
        self._lock = threading.Condition()
        self._starting = 0
        self._idle: dict[str, list[Worker]] = {}
        self._busy: set[Worker] = set()
        self._processors = Processors()

    def acquire(self, function: Function) -> tuple[Worker, Outcome | None]:
        """Return a worker for one invocation, and how its initialisation went when it is a new one.

        Where as many are being started as this machine can do at once, or where one more would not help, it
        waits: for its turn, or for a worker that becomes free before. A worker whose initialisation failed is
        returned ended: give it to `release` all the same.
        """
        outdated: list[Worker] = []
        until = time.monotonic() + _LONGEST_TURN_SECONDS
        with self._lock:
            while (worker := self._idle_one(function, outdated)) is None and not self._may_start(
                function, until
            ):
                self._lock.wait(_LOOK_AGAIN_SECONDS)
            fresh = worker is None
            self._starting += fresh
            worker = worker or Worker(function)
            self._busy.add(worker)
        for old in outdated:
            old.stop()
        if not fresh:
            return worker, None
        try:
            return worker, worker.start()
        except BaseException:
            self.release(worker, usable=False)
            raise
        finally:
            with self._lock:
                self._starting -= 1
                self._lock.notify_all()

    def _may_start(self, function: Function, until: float) -> bool:
        if self._starting >= STARTS_AT_ONCE and time.monotonic() < until:
            return False
        own = sum(worker.function.identity == function.identity for worker in self._busy)
        return own < ENOUGH or self._processors.busy_share() < _BUSY_SHARE

    def _idle_one(self, function: Function, outdated: list[Worker]) -> Worker | None:
        """Take an idle worker of the function; those of its earlier code are taken out, into `outdated`."""
        waiting = self._idle.get(function.identity, [])
        fitting = next((w for w in waiting if w.function.fingerprint == function.fingerprint), None)
        old = [w for w in waiting if w.function.fingerprint != function.fingerprint]
        self._idle[function.identity] = [w for w in waiting if w is not fitting and w not in old]
        outdated += old
        return fitting

    def release(self, worker: Worker, *, usable: bool) -> None:
        """Take a worker back after its invocation; an unusable one is ended."""
        worker.idle_since = time.monotonic()
        with self._lock:
            known = worker in self._busy
            self._busy.discard(worker)
            keep = known and usable and time.monotonic() - worker.born < MAX_AGE_SECONDS
            if keep:
                self._idle.setdefault(worker.function.identity, []).append(worker)
                self._lock.notify_all()
        if not keep:
            worker.stop()

    def forget(self, account: str, region: str, name: str) -> None:
        """End the idle workers of a function; busy ones end with their invocation."""
        prefix = f"{account}:{region}:{name}:"
        with self._lock:
            gone = [key for key in self._idle if key.startswith(prefix)]
            workers = [worker for key in gone for worker in self._idle.pop(key)]
            self._busy = {w for w in self._busy if not w.function.identity.startswith(prefix)}
        for worker in workers:
            worker.stop()

    def clear(self) -> None:
        """End every worker, busy ones too."""
        with self._lock:
            workers = [w for waiting in self._idle.values() for w in waiting] + list(self._busy)
            self._idle.clear()
            self._busy.clear()
        for worker in workers:
            worker.stop()

    def end_idle(self, now: float) -> None:
        """End what has been idle for `IDLE_SECONDS` at `now` (monotonic seconds)."""
        with self._lock:
            stale = [
                worker
                for waiting in self._idle.values()
                for worker in waiting
                if now - worker.idle_since > IDLE_SECONDS or now - worker.born > MAX_AGE_SECONDS
            ]
            for worker in stale:
                self._idle[worker.function.identity].remove(worker)
        for worker in stale:
            worker.stop()

    def watch(self) -> None:
        """End idle workers from now on, in a thread of its own."""

        def run() -> None:
            while True:
                time.sleep(_CHECK_SECONDS)
                self.end_idle(time.monotonic())

        threading.Thread(target=run, daemon=True, name="twin-lambda-reaper").start()
