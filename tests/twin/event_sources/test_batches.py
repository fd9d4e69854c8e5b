"""What becomes of a batch that failed, as Lambda documents it."""

import time
from typing import Any

import pytest

from twin.event_sources.batches import GivenUp, Piece, first_failure, fitting, following, lane_of, too_old

RECORDS = [
    {"SequenceNumber": f"{n:010d}", "Data": "x" * 100, "ApproximateArrivalTimestamp": float(n)}
    for n in range(8)
]


def failures(*places: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": place} for place in places]}


@pytest.mark.parametrize("answer", [None, "", {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_answers_that_mean_success(answer: Any) -> None:
    assert first_failure(RECORDS, answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        failures(""),
        failures(None),
        failures("no such record"),
        {"batchItemFailures": [{"item": "0000000003"}]},
        {"batchItemFailures": "0000000003"},
        {"failures": []},
        "done",
        7,
    ],
)
def test_answers_that_fail_the_whole_batch(answer: Any) -> None:
    assert first_failure(RECORDS, answer) == 0


def test_checkpoint_is_the_lowest_record_that_failed() -> None:
    assert first_failure(RECORDS, failures("0000000005", "0000000003", "0000000007")) == 3


def test_crashed_batch_is_halved_at_no_cost_until_one_record_is_left() -> None:
    halves = following(Piece(RECORDS), 0, crashed=True, bisects=True, max_attempts=2)
    assert halves == [Piece(RECORDS[:4]), Piece(RECORDS[4:])]
    one = following(Piece(RECORDS[:1]), 0, crashed=True, bisects=True, max_attempts=2)
    assert one == [Piece(RECORDS[:1], 1)]


def test_reported_failure_goes_on_from_there_and_costs_an_attempt() -> None:
    assert following(Piece(RECORDS, 1), 5, crashed=False, bisects=True, max_attempts=2) == [
        Piece(RECORDS[5:], 2)
    ]


def test_records_are_given_up_after_their_attempts_and_never_without_a_limit() -> None:
    given_up = following(Piece(RECORDS, 2), 6, crashed=False, bisects=False, max_attempts=2)
    assert given_up == GivenUp(RECORDS[6:], "RetryAttemptsExhausted", 3)
    assert following(Piece(RECORDS, 9999), 0, crashed=True, bisects=False, max_attempts=None) == [
        Piece(RECORDS, 10000)
    ]


def test_records_that_are_too_old_are_the_first() -> None:
    assert too_old(RECORDS, 4.5, 8.0) == 4
    assert too_old(RECORDS, None, time.time()) == 0


def test_batch_is_no_larger_than_an_invocation_takes() -> None:
    large = [{"Data": "x" * 1_398_000} for _ in range(10)]
    assert fitting(large, 100) == 4
    assert fitting(large, 2) == 2
    assert fitting([{"Data": "x" * 7_000_000}], 10) == 1
    assert fitting([], 10) == 0


def test_keys_spread_over_lanes_and_stay_in_theirs() -> None:
    lanes = [lane_of(f"key-{n}", 4) for n in range(1000)]
    assert lanes == [lane_of(f"key-{n}", 4) for n in range(1000)]
    assert all(200 < lanes.count(lane) < 300 for lane in range(4))
