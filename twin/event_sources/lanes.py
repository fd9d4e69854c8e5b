"""A lane: the records of a shard whose keys hash to it, waiting to become a batch."""

import bisect
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin import glue
from twin.event_sources.batches import Record, fitting, lane_of
from twin.event_sources.mappings import Settings

_FAR = 3600.0  # seconds: a lane without records is looked at when some come


@dataclass(frozen=True)
class LaneKey:
    """Which lane of how many, of which shard, for which mapping."""

    mapping: str
    shard: str
    number: int
    factor: int


class Lane:
    """What one lane has read and not handed over; while it is `busy`, its worker alone touches it."""

    def __init__(self, key: LaneKey, scope: glue.Scope, checkpoint: str) -> None:
        """`checkpoint` is the last record that was done with."""
        self.key, self.scope, self.busy = key, scope, False
        self._read, self._waiting = checkpoint, deque[Record]()
        self._since = 0.0
        self._ended = False

    def read(self, shard: dict[str, Any] | None) -> None:
        """Take in the shard's records that are new, as far as they are this lane's."""
        if shard is None:
            return
        records = shard["records"]
        first = bisect.bisect_right(records, self._read, key=lambda record: record["SequenceNumber"])
        for record in records[first:]:
            self._read = record["SequenceNumber"]
            if lane_of(record["PartitionKey"], self.key.factor) == self.key.number:
                if not self._waiting:
                    self._since = time.monotonic()
                self._waiting.append(record)
        self._ended = "ending_sequence_number" in shard

    def due_in(self, settings: Settings) -> float:
        """Return in how many seconds a batch is to be handed over; 0 when one is."""
        if not self._waiting:
            return _FAR
        full = len(self._waiting) >= settings.batch_size
        if full or self._ended or fitting(self._some(settings), settings.batch_size) < len(self._waiting):
            return 0.0
        return max(0.0, self._since + settings.window - time.monotonic())

    def take(self, settings: Settings) -> list[Record]:
        """Return the records of the next batch; they are no longer waiting."""
        count = fitting(self._some(settings), settings.batch_size)
        self._since = time.monotonic()
        return [self._waiting.popleft() for _ in range(count)]

    def rewind(self, checkpoint: str) -> None:
        """Read again from a checkpoint on."""
        self._read = checkpoint
        self._waiting.clear()

    def _some(self, settings: Settings) -> Sequence[Record]:
        return [self._waiting[i] for i in range(min(len(self._waiting), settings.batch_size))]
