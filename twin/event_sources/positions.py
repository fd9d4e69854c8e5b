"""How far each mapping has read each shard: kept across restarts, by lane."""

import threading
from typing import Any

from twin.glue import streams

# Before every sequence number, and after: they compare as text.
OLDEST, BEYOND = "", "~"


class Positions:
    """Checkpoints: the sequence number of the last record of a lane that was done with.

    A lane's records are those whose keys hash to it; another parallelization factor makes other lanes, which
    go on where the last of the old ones stood, so that some records come twice and none is left out.
    """

    def __init__(self) -> None:
        """Start with no mapping."""
        self._lock = threading.Lock()
        # mapping id -> shard id -> checkpoint of each lane
        self._lanes: dict[str, dict[str, list[str]]] = {}

    def begin(self, mapping: dict[str, Any]) -> None:
        """Fix where a new mapping starts in the shards that there are; later ones start at their oldest."""
        stream = streams.stream_of(mapping["EventSourceArn"]) or {"shards": {}}
        start, now = mapping.get("StartingPosition"), streams.next_sequence_number()
        with self._lock:
            known = self._lanes.setdefault(mapping["UUID"], {})
            for name, shard in stream["shards"].items():
                if start == "LATEST":
                    known[name] = [BEYOND if streams.is_closed(shard) else now]
                elif start == "AT_TIMESTAMP":
                    known[name] = [_before(shard["records"], float(mapping["StartingPositionTimestamp"]))]

    def end(self, mapping_id: str) -> None:
        """Forget a mapping."""
        with self._lock:
            self._lanes.pop(mapping_id, None)

    def of(self, mapping_id: str, shard_id: str, factor: int) -> list[str]:
        """Return the checkpoints of a shard's lanes, for this number of lanes."""
        with self._lock:
            shards = self._lanes.setdefault(mapping_id, {})
            lanes = shards.setdefault(shard_id, [OLDEST] * factor)
            if len(lanes) != factor:
                lanes = shards[shard_id] = [min(lanes)] * factor
            return list(lanes)

    def move(self, mapping_id: str, shard_id: str, lane: int, sequence_number: str) -> None:
        """Set a lane's checkpoint, unless the mapping was deleted or has other lanes by now."""
        with self._lock:
            lanes = self._lanes.get(mapping_id, {}).get(shard_id, [])
            if lane < len(lanes):
                lanes[lane] = sequence_number

    def get_state(self) -> Any:
        """Return what is kept."""
        with self._lock:
            return {mapping: {shard: list(c) for shard, c in s.items()} for mapping, s in self._lanes.items()}

    def load_persisted_state(self, data: Any, /) -> None:
        """Go on where the twin was stopped."""
        with self._lock:
            self._lanes = data or {}

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._lanes = {}


def _before(records: list[dict[str, Any]], time: float) -> str:
    earlier = [r["SequenceNumber"] for r in records if r["ApproximateArrivalTimestamp"] < time]
    return earlier[-1] if earlier else OLDEST
