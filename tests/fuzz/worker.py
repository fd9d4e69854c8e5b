"""One process of the fuzzing: so many inputs from one seed, or the corpus; reports what came as JSON."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from tests.fuzz import watch
from tests.fuzz.corpus import corpus, seeds
from tests.fuzz.mutations import mutated
from vision_runtime.spec import InputSpec

# CPU seconds after which the kernel ends the process: nothing in it could stop a decoder.
HANGS_AFTER = 20.0
# One of so many goes the way with a detector, and one of so many to a larger model.
_REDACTED, _LARGER = 8, 5
# Hypothesis takes 2 ms for an example, and the rules 0.1 ms for a small file: it draws groups of them.
_GROUP = 40


class Record:
    """What has come of the inputs so far."""

    def __init__(self, report: Path) -> None:
        self._report, self._last = report, report.with_suffix(".last")
        self.inputs = self.decoded = 0
        self.outcomes: Counter[str] = Counter()
        self.crashes: list[str] = []
        self.wrong: list[str] = []
        self.over: dict[str, list[str]] = {"over_time": [], "over_memory": []}
        self.slowest: tuple[float, str] = (0.0, "")
        self.largest: tuple[int, str] = (0, "")
        self.seconds = 0.0

    def take(self, data: bytes, spec: InputSpec, *, redact: bool, name: str = "") -> watch.Seen:
        """Put one file through the rules. Raises what they raise."""
        self._last.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, HANGS_AFTER)
        try:
            seen = watch.see(data, spec, redact=redact)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.inputs += 1
        self.outcomes[seen.outcome] += 1
        self.decoded += seen.decoded
        self.seconds += seen.seconds
        known = name or hashlib.sha256(data).hexdigest()[:12]
        self.slowest = max(self.slowest, (round(seen.seconds, 3), known))
        self.largest = max(self.largest, (seen.peak, known))
        for kind, much in (
            ("over_time", seen.seconds > watch.MOST_SECONDS),
            ("over_memory", seen.peak > watch.MOST_BYTES),
        ):
            if much:
                self.over[kind].append(f"{known}: {seen}, kept as {self.keep(data)}")
        return seen

    def keep(self, data: bytes) -> str:
        """Leave a file beside the report."""
        kept = self._report.with_name(f"kept-{hashlib.sha256(data).hexdigest()[:12]}")
        kept.write_bytes(data)
        return str(kept)

    def write(self) -> None:
        """The report."""
        told: dict[str, Any] = {
            "inputs": self.inputs,
            "decoded": self.decoded,
            "memory_watched": watch.watches_memory(),
            "outcomes": self.outcomes,
            "crashes": self.crashes,
            "wrong": self.wrong,
            **self.over,
            "slowest": self.slowest,
            "largest": self.largest,
            "cpu_seconds": self.seconds,
        }
        self._report.write_text(json.dumps(told))


def run_corpus(record: Record) -> None:
    """Every kind, to a small model and by a detector to a large one."""
    for each in corpus(heavy=True):
        for spec, redact in ((watch.COLOUR, False), (watch.GREY, True)):
            try:
                seen = record.take(each.data, spec, redact=redact, name=each.name)
            except Exception as fault:
                record.crashes.append(f"{each.name}: {fault!r}, kept as {record.keep(each.data)}")
                continue
            # A detector's copy takes memory too.
            right = each.expected | ({"too-many-pixels"} if redact and "accepted" in each.expected else set())
            if seen.outcome not in right:
                record.wrong.append(f"{each.name}: {seen.outcome}, not {' or '.join(sorted(each.expected))}")


def run_mutations(record: Record, first: int, inputs: int) -> None:
    """So many mutations; what fails is kept, and the rest goes on."""
    files = seeds()

    @seed(first)
    @settings(
        max_examples=-(-inputs // _GROUP),
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(some.integers(0, 2**64 - 1))
    def never_fails(group: int) -> None:
        for number in range(_GROUP):
            dice = random.Random(f"{group}/{number}")  # noqa: S311 - the same inputs for the same seed
            data = mutated(dice, files)
            spec = watch.COLOUR if number % _LARGER == 0 else watch.GREY
            try:
                record.take(data, spec, redact=number % _REDACTED == 0)
            except Exception as fault:
                record.crashes.append(f"{fault!r}, kept as {record.keep(data)}")

    never_fails()


def main() -> None:
    """Reads the report's path, the seed, and the number of inputs: 0 is the corpus."""
    report, first, inputs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    record = Record(report)
    if inputs:
        run_mutations(record, first, inputs)
    else:
        run_corpus(record)
    record.write()


if __name__ == "__main__":
    main()
