"""One batch from the stream: images fetched ahead, asked in micro-batches, results written.

Whatever the endpoint, S3 or a table does not answer ends the batch at that record: the stream hands it over
again from there, and nothing after it is tried meanwhile. A model in trouble is thus asked once, not a
hundred times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from config import Config, Line
from images import Images
from records import Entry, Unanswered, without_repeats
from writing import DeliveryFailed, Writer, done, rejected

from vision_runtime.asking import ask_many
from vision_runtime.problem import Problem
from vision_runtime.results import Result

WRITERS = 8  # writes wait for the network: eight at once take 100 results in well below a second
_TRANSIENT = (ClientError, BotoCoreError, DeliveryFailed)


@dataclass
class Outcome:
    """What came of a batch: results that are new, those that were there before, and where it ended early.

    `repeats` counts records of predictions that had a result, or stood in the batch before.
    """

    results: list[Result] = field(default_factory=list[Result])
    earlier: list[Result] = field(default_factory=list[Result])
    repeats: int = 0
    endpoint_ms: list[float] = field(default_factory=list[float])
    unanswered: Unanswered | None = None


@dataclass
class _Waiting:
    """Images of one line that go to the endpoint together."""

    entries: list[Entry] = field(default_factory=list[Entry])
    pixels: list[bytes] = field(default_factory=list[bytes])


class Batch:
    """Works through the entries of one batch; to be used once."""

    def __init__(
        self,
        config: Config,
        *,
        images: Images,
        writer: Writer,
        runtime: Any,
        log: Logger,
        time_left: Callable[[], float],
    ) -> None:
        """`time_left` says for how many seconds more records may be begun."""
        self._config, self._images, self._writer = config, images, writer
        self._runtime, self._log, self._time_left = runtime, log, time_left
        self._outcome = Outcome()
        self._waiting: dict[str, _Waiting] = {}
        self._writers = ThreadPoolExecutor(WRITERS)

    def work(self, entries: Sequence[Entry]) -> Outcome:
        """Answer as many entries as can be answered, from the first on."""
        fresh, outcome = without_repeats(entries), self._outcome
        try:
            self._answer(fresh)
            finals = [*outcome.earlier, *outcome.results]
            if finals:
                self._stopping_at(fresh[0], lambda: self._writer.deliver(finals))
        finally:
            self._writers.shutdown(cancel_futures=True)
        outcome.repeats = len(entries) - len(fresh) + len(outcome.earlier)
        return outcome

    def _answer(self, entries: Sequence[Entry]) -> None:
        known: dict[str, Result] = {}
        if not self._stopping_at(entries[0], lambda: known.update(self._known(entries))):
            return
        images = self._images.prepared([entry for entry in entries if entry.id not in known])
        for entry in entries:
            found = known.get(entry.id)
            if found is not None:
                going_on = self._stopping_at(entry, lambda result=found: self._again(result))
            elif self._time_left() <= 0:
                going_on = self._stop(entry, "the function's time is nearly over", pause=False)
            else:
                going_on = self._take_next(entry, images)
            if not going_on:
                return
        for line in self._waiting:
            if not self._ask(self._config.lines[line]):
                return

    def _known(self, entries: Sequence[Entry]) -> dict[str, Result]:
        return self._writer.results.final([entry.id for entry in entries if entry.id])

    def _again(self, result: Result) -> None:
        """A result that an earlier attempt wrote: what it did not get to is done now."""
        self._writer.remember(result)
        self._outcome.earlier.append(result)

    def _take_next(self, entry: Entry, images: Any) -> bool:
        try:
            _, found = next(images)
        except _TRANSIENT as error:
            return self._stop(entry, f"the image could not be read: {error}", pause=True)
        if isinstance(found, Problem):
            return self._reject(entry, found)
        line = entry.check.line if entry.check else ""
        together = self._waiting.setdefault(line, _Waiting())
        together.entries.append(entry)
        together.pixels.append(found)
        if len(together.entries) < self._config.micro_batch:
            return True
        return self._ask(self._config.lines[line])

    def _reject(self, entry: Entry, problem: Problem) -> bool:
        place, check = entry.sequence_number, entry.check
        line = self._config.lines[check.line if check else "champion"]
        result = rejected(entry.id, line.name, check.submitted_at if check else "", line.result_days, problem)
        self._log.warning(
            "rejected",
            prediction_id=entry.id,
            sequence_number=place,
            kind=problem.kind,
            detail=problem.detail,
        )
        if not entry.id:
            self._outcome.results.append(result)  # nobody can ask for it; the log and the lake remember it
            return True
        return self._stopping_at(entry, lambda: self._write(result))

    def _ask(self, line: Line) -> bool:
        together = self._waiting[line.name]
        if not together.entries:
            return True
        started = time.perf_counter()
        try:
            predictions = ask_many(self._runtime, line.endpoint, together.pixels, self._config.spec.classes)
        except Problem as problem:
            return self._stop(together.entries[0], str(problem), pause=True)
        self._outcome.endpoint_ms.append((time.perf_counter() - started) * 1000)
        results = [
            done(entry.id, line.name, entry.check.submitted_at, line.result_days, prediction)
            for entry, prediction in zip(together.entries, predictions, strict=True)
            if entry.check is not None
        ]
        writes = [self._writers.submit(self._write, result) for result in results]
        # All are waited for before any is judged: what was written must be known when the batch ends here.
        going_on = [self._stopping_at(together.entries[0], write.result) for write in writes]
        if not all(going_on):
            return False
        self._waiting[line.name] = _Waiting()
        return True

    def _write(self, result: Result) -> None:
        earlier = self._writer.write(result)
        if earlier is None:
            self._outcome.results.append(result)
        else:
            self._outcome.earlier.append(earlier)
        kept = earlier or result
        self._log.info("answered", prediction_id=kept.id, status=kept.status.value, line=kept.line)

    def _stopping_at(self, entry: Entry, act: Callable[[], object]) -> bool:
        """Do it; False, and the batch has ended at `entry` at the latest, when a service does not."""
        try:
            act()
        except _TRANSIENT as error:
            return self._stop(entry, f"{type(error).__name__}: {error}", pause=True)
        return True

    def _stop(self, entry: Entry, reason: str, *, pause: bool) -> bool:
        """End the batch at the first record without a result: `entry`, or one that waits to be asked."""
        waiting = [each for together in self._waiting.values() for each in together.entries]
        first = min([*waiting, entry], key=lambda each: int(each.sequence_number))
        self._outcome.unanswered = Unanswered(first.sequence_number, reason, pause)
        return False
