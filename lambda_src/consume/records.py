"""What a batch from the stream holds: claim checks in their order, or why a record is none."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_runtime.claim_check import ClaimCheck, ClaimCheckError
from vision_runtime.problem import Problem


@dataclass(frozen=True)
class Entry:
    """One record: its place in the stream, when it came (epoch seconds), and its claim check.

    `id` is the prediction's, empty where the record does not even say that. Without a claim check there is
    a problem that says what is wrong with the record.
    """

    sequence_number: str
    arrived: float
    id: str
    check: ClaimCheck | None
    problem: Problem | None = None


@dataclass(frozen=True)
class Unanswered:
    """Why a batch ended early: from which record on nothing was done, and whether a pause may help."""

    sequence_number: str
    reason: str
    pause: bool


def read_entries(records: Sequence[Mapping[str, Any]], bucket: str) -> list[Entry]:
    """The records of a batch, as Lambda hands them over; their images must lie in `bucket`."""
    return [_entry(record, bucket) for record in records]


def without_repeats(entries: Sequence[Entry]) -> list[Entry]:
    """The first entry of each prediction: one batch may hold a record twice."""
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.id or entry.sequence_number, entry)
    return list(first.values())


def _entry(record: Mapping[str, Any], bucket: str) -> Entry:
    kinesis = record["kinesis"]
    place, arrived = kinesis["sequenceNumber"], float(kinesis["approximateArrivalTimestamp"])
    try:
        check = ClaimCheck.from_json(base64.b64decode(kinesis["data"]), bucket)
    except ClaimCheckError as error:
        problem = Problem("bad-claim-check", "The record is no claim check", 400, str(error))
        return Entry(place, arrived, error.id or "", None, problem)
    return Entry(place, arrived, check.id, check)
