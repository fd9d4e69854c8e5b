"""Looks for records to hand over, and hands them over: one worker for each lane that has some, none else."""

import base64
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from twin import glue
from twin.event_sources import batches, destination, mappings
from twin.event_sources.batches import AGE_EXCEEDED, GivenUp, Piece, Record
from twin.event_sources.lanes import Lane, LaneKey
from twin.event_sources.mappings import Settings
from twin.event_sources.positions import Positions
from twin.glue import stream_mappings, streams

_IDLE_SECONDS = 1.0  # how long a change that nobody tells of may go unnoticed, such as a mapping switched on
_PERMISSION_SECONDS = 10.0  # how long a verdict on the role's right to read counts
# Lambda does not say how long it waits before it tries again; here it doubles up to a second.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
log = logging.getLogger("twin.event_sources")


class Poller:
    """Reads all streams for all mappings."""

    def __init__(self) -> None:
        """Nothing is read before `start`."""
        self.positions = Positions()
        self._new = threading.Event()
        self._lanes: dict[LaneKey, Lane] = {}
        self._readable: dict[tuple[str, str], tuple[float, bool]] = {}

    def start(self) -> None:
        """Start reading."""
        threading.Thread(target=self._watch, name="twin-event-sources", daemon=True).start()

    def wake(self) -> None:
        """Look at once."""
        self._new.set()

    def begin(self, mapping: dict[str, Any]) -> None:
        """Take up a mapping that was made."""
        self.positions.begin(mapping)
        self.wake()

    def end(self, mapping_id: str) -> None:
        """Forget a mapping that was deleted; what its function is working on is not interrupted."""
        self.positions.end(mapping_id)

    def _watch(self) -> None:
        wait = _IDLE_SECONDS
        while True:
            self._new.wait(wait)
            self._new.clear()
            try:
                wait = self._look()
            except Exception:
                log.exception("looking for records failed")
                wait = _IDLE_SECONDS

    def _look(self) -> float:
        """Start workers for lanes with a batch; returns in how many seconds the next batch is due."""
        due = _IDLE_SECONDS
        current: set[LaneKey] = set()
        for scope, record in stream_mappings.stream_mappings():
            settings = mappings.read(record)
            stream = streams.stream_of(settings.stream_arn)
            if stream is None:
                continue
            streams.expire_records(stream)
            for shard_id in self._open_to(settings, stream):
                for number in range(settings.factor):
                    lane = self._lane(scope, settings, shard_id, number)
                    current.add(lane.key)
                    if settings.enabled and not lane.busy:
                        due = min(due, self._start(lane, settings, stream["shards"].get(shard_id)))
        for key in [key for key, lane in self._lanes.items() if key not in current and not lane.busy]:
            del self._lanes[key]
        return max(due, 0.01)

    def _open_to(self, settings: Settings, stream: dict[str, Any]) -> list[str]:
        """The shards that a mapping may read: parents first, and children when their parents are done."""
        shards = dict(stream["shards"])
        done = {name for name, shard in shards.items() if self._is_done(settings, name, shard)}
        return [
            name
            for name, shard in shards.items()
            if name not in done and all(p in done or p not in shards for p in streams.parents(shard))
        ]

    def _is_done(self, settings: Settings, shard_id: str, shard: dict[str, Any]) -> bool:
        if not streams.is_closed(shard):
            return False
        lanes = self.positions.of(settings.id, shard_id, settings.factor)
        records = list(shard["records"])
        if not records or min(lanes) >= records[-1]["SequenceNumber"]:
            return True
        last: dict[int, str] = {}
        for record in records:
            last[batches.lane_of(record["PartitionKey"], settings.factor)] = record["SequenceNumber"]
        return all(lanes[number] >= place for number, place in last.items())

    def _lane(self, scope: glue.Scope, settings: Settings, shard_id: str, number: int) -> Lane:
        key = LaneKey(settings.id, shard_id, number, settings.factor)
        lane = self._lanes.get(key)
        if lane is None:
            checkpoint = self.positions.of(settings.id, shard_id, settings.factor)[number]
            lane = self._lanes[key] = Lane(key, scope, checkpoint)
        return lane

    def _start(self, lane: Lane, settings: Settings, shard: dict[str, Any] | None) -> float:
        lane.read(shard)
        wait = lane.due_in(settings)
        if wait > 0:
            return wait
        lane.busy = True
        with glue.scope(lane.scope.account, lane.scope.region):
            glue.spawn(self._work, lane, name="twin-event-source")
        return _IDLE_SECONDS

    def _work(self, lane: Lane) -> None:
        """Hand over what a lane holds, until it holds no batch; runs in the mapping's account and region."""
        try:
            while True:
                settings = self._settings(lane)
                if settings is None or not settings.enabled or not self._may_read(settings):
                    return
                shard = (streams.stream_of(settings.stream_arn) or {"shards": {}})["shards"].get(
                    lane.key.shard
                )
                lane.read(shard)
                if lane.due_in(settings) > 0:
                    return
                self._hand_over(lane, lane.take(settings))
        except Exception:
            log.exception("the records of %s could not be handed over", lane.key)
            lane.rewind(self.positions.of(lane.key.mapping, lane.key.shard, lane.key.factor)[lane.key.number])
            time.sleep(_LONGEST_PAUSE)
        finally:
            lane.busy = False
            self.wake()

    def _settings(self, lane: Lane) -> Settings | None:
        """The mapping as it is now; None when it is gone or has other lanes."""
        for _, record in stream_mappings.stream_mappings():
            if record["UUID"] == lane.key.mapping:
                settings = mappings.read(record)
                return settings if settings.factor == lane.key.factor else None
        return None

    def _may_read(self, settings: Settings) -> bool:
        role = stream_mappings.role_of_function(settings.function_arn)
        if role is None:
            time.sleep(_FIRST_PAUSE)
            return False
        known = self._readable.get((role, settings.stream_arn))
        if known is None or known[0] < time.monotonic():
            verdict = mappings.may_read(role, settings.stream_arn)
            known = (time.monotonic() + _PERMISSION_SECONDS, verdict)
            self._readable[role, settings.stream_arn] = known
        if not known[1]:
            log.warning("%s may not read %s any more", role, settings.stream_arn)
            time.sleep(_LONGEST_PAUSE)
        return known[1]

    def _hand_over(self, lane: Lane, records: Sequence[Record]) -> None:
        pieces = deque([Piece(records)])
        throttled = 0
        while pieces:
            piece = pieces.popleft()
            current = self._settings(lane)
            if current is None:
                return
            expired = batches.too_old(piece.records, current.max_age, time.time())
            if expired:
                old = GivenUp(piece.records[:expired], AGE_EXCEEDED, piece.attempts)
                self._give_up(lane, current, old, {})
                piece = Piece(piece.records[expired:], piece.attempts)
            if not piece.records:
                continue
            result = self._invoke(lane, current, piece)
            if result.get("throttle"):
                throttled += 1
                pieces.appendleft(piece)
                _pause(throttled)
                continue
            failed_from = _failed_from(piece, result, current)
            if failed_from != 0:
                self._done(lane, piece.records[: failed_from or len(piece.records)])
            if failed_from is None:
                continue
            after = batches.following(
                piece,
                failed_from,
                crashed=bool(result.get("error")),
                bisects=current.bisects,
                max_attempts=current.max_attempts,
            )
            if isinstance(after, GivenUp):
                self._give_up(lane, current, after, result)
            else:
                pieces.extendleft(reversed(after))
                _pause(after[0].attempts)

    def _invoke(self, lane: Lane, settings: Settings, piece: Piece) -> dict[str, Any]:
        """Hand one piece to the function; a piece of which the filters leave nothing is done."""
        event = self._event(lane, settings, piece.records)
        if not event["Records"]:
            return {"body": None}
        name = settings.function_arn.split(":")[6]
        age = time.time() - piece.records[-1]["ApproximateArrivalTimestamp"]
        glue.record_metric(
            "AWS/Lambda", "IteratorAge", max(0.0, age * 1000), "Milliseconds", {"FunctionName": name}
        )
        result = stream_mappings.invoke_synchronously(settings.function_arn, event)
        return {"throttle": True} if result is None else result

    def _event(self, lane: Lane, settings: Settings, records: Sequence[Record]) -> dict[str, Any]:
        role = stream_mappings.role_of_function(settings.function_arn)
        made = [_as_event(record, lane, settings, role) for record in records]
        record = next((r for _, r in stream_mappings.stream_mappings() if r["UUID"] == settings.id), {})
        return {"Records": stream_mappings.matching(made, record)}

    def _done(self, lane: Lane, records: Sequence[Record]) -> None:
        if records:
            place = records[-1]["SequenceNumber"]
            self.positions.move(lane.key.mapping, lane.key.shard, lane.key.number, place)

    def _give_up(self, lane: Lane, settings: Settings, given_up: GivenUp, result: dict[str, Any]) -> None:
        log.warning("%d records of %s are given up: %s", len(given_up.records), lane.key, given_up.condition)
        role = stream_mappings.role_of_function(settings.function_arn) or ""
        event = self._event(lane, settings, given_up.records)
        destination.tell(settings, lane.key.shard, given_up, role=role, result=result, event=event)
        self._done(lane, given_up.records)


def _failed_from(piece: Piece, result: dict[str, Any], settings: Settings) -> int | None:
    if result.get("error"):
        return 0
    return batches.first_failure(piece.records, result.get("body")) if settings.reports_failures else None


def _pause(attempts: int) -> None:
    if attempts:
        time.sleep(min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE))


def _as_event(record: Record, lane: Lane, settings: Settings, role: str | None) -> dict[str, Any]:
    data = record["Data"]
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(data).decode() if isinstance(data, bytes) else data,
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{lane.key.shard}:{record['SequenceNumber']}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role,
        "awsRegion": lane.scope.region,
        "eventSourceARN": settings.stream_arn,
    }
