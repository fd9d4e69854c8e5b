"""What becomes of a batch: who failed, what is tried again and in which pieces, and when it is given up."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
PAYLOAD_BYTES = 6 * 1024 * 1024  # what Lambda takes in one invocation
_ENVELOPE_BYTES = 500  # about what a record's other fields add to its data
ATTEMPTS_EXHAUSTED, AGE_EXCEEDED = "RetryAttemptsExhausted", "RecordAgeExceeded"


@dataclass(frozen=True)
class Piece:
    """Records that are handed over together, and how often that has failed already."""

    records: Sequence[Record]
    attempts: int = 0


@dataclass(frozen=True)
class GivenUp:
    """Records that are not tried any more, and why."""

    records: Sequence[Record]
    condition: str
    invocations: int


def lane_of(partition_key: str, factor: int) -> int:
    """Return the lane of a key: records of one key are always in one, so that they stay in order."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()[8:]) % factor


def fitting(records: Sequence[Record], most: int) -> int:
    """Return how many of the first records make one batch: at most `most`, and no more than Lambda takes."""
    size = 0
    for position, record in enumerate(records[:most]):
        size += len(record["Data"]) + _ENVELOPE_BYTES
        if size > PAYLOAD_BYTES:
            return max(1, position)
    return min(most, len(records))


def first_failure(records: Sequence[Record], answer: Any) -> int | None:
    """Return the first record that a function reports as failed, by position; None when all went well.

    Whatever is not a report that Lambda understands counts as a failure of all.
    """
    if answer is None or answer in ("", {}):
        return None
    if not isinstance(answer, dict) or "batchItemFailures" not in answer:
        return 0
    failures = answer["batchItemFailures"]
    if not failures:
        return None
    places = {record["SequenceNumber"]: position for position, record in enumerate(records)}
    found: list[int] = []
    for failure in failures if isinstance(failures, list) else [None]:
        place = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if place not in places:
            return 0
        found.append(places[place])
    return min(found)


def too_old(records: Sequence[Record], max_age: float | None, now: float) -> int:
    """Return how many of the first records are older than the mapping allows."""
    if max_age is None:
        return 0
    return sum(1 for record in records if now - record["ApproximateArrivalTimestamp"] > max_age)


def following(
    piece: Piece, failed_from: int, *, crashed: bool, bisects: bool, max_attempts: int | None
) -> list[Piece] | GivenUp:
    """Return what is tried next of a piece that failed from some record on, or what is given up of it.

    A function that ends with an error says nothing about its records: the batch is halved, which costs no
    attempt. One that names a record has told where to go on.
    """
    rest = piece.records[failed_from:]
    if crashed and bisects and len(rest) > 1:
        middle = len(rest) // 2
        return [Piece(rest[:middle], piece.attempts), Piece(rest[middle:], piece.attempts)]
    if max_attempts is not None and piece.attempts >= max_attempts:
        return GivenUp(rest, ATTEMPTS_EXHAUSTED, piece.attempts + 1)
    return [Piece(rest, piece.attempts + 1)]
