"""Counts under threads, repetitions, lost races and late predictions are those of a plain recount (R25)."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.lambda_src.feedback.world import CLASSES, PACKAGES, World, create_tables

pytestmark = pytest.mark.twin
START = datetime(2026, 11, 1, tzinfo=UTC)
IDS = ("p1", "p2", "p3", "p4")
instants = some.integers(0, 3)
tells = some.tuples(some.just("label"), some.sampled_from(IDS), some.sampled_from(CLASSES[:3]), instants)
answers = some.tuples(some.just("predict"), some.sampled_from(IDS), some.sampled_from(CLASSES[:3]), instants)
histories = some.lists(some.one_of(tells, tells, answers, some.just(("sweep",))), max_size=16)


def moment(hours: int) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def standing(told: list[tuple[str, str, int]]) -> dict[str, str]:
    """The label that stands for each prediction: the latest, of one instant the last in order."""
    return {id: max((hours, label) for of, label, hours in told if of == id)[1] for id, _, _ in told}


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories)
def test_any_history_is_counted_as_by_hand(world: World, history: list[tuple[Any, ...]]) -> None:
    world.feedback, world.lineage = create_tables(world.dynamodb)
    world.predictions.clear()
    world.connect(world.dynamodb)
    for what, *arguments in history:
        if what == "label":
            id, label, hours = arguments
            assert world.label(id, label, labelled_at=moment(hours)).status in (200, 202)
        elif what == "sweep":
            world.sweep()
        elif arguments[0] not in world.predictions:
            id, label, number = arguments
            world.predict(id, label, model=f"{PACKAGES}{number % 2}", days_ago=number)
    world.sweep()
    truths = standing([(each[1], each[2], each[3]) for each in history if each[0] == "label"])
    assert world.counted() == world.recounted(truths)
    assert world.sweep()["joined"] == 0


def test_threads_count_nothing_twice_and_lose_nothing(world: World) -> None:
    """Duplicates, corrections, predictions and sweeps at once, twice over and in a random order."""
    dice = random.Random(25)  # noqa: S311 - the same history every time
    ids = [f"r{number}" for number in range(12)]
    told = [(id, dice.choice(CLASSES), dice.randrange(4)) for id in ids for _ in range(5)]

    # Each Lambda execution environment has one thread: only what they share, the tables, is shared here too.
    function = world.function
    ledger, predictions = function.ledger, function.predictions
    a_label = vars(function)["read_label"].__globals__["Told"]

    def label(id: str, label: str, hours: int) -> None:
        ledger.tell(a_label(id, label, START + timedelta(hours=hours)), datetime.now(UTC))

    def sweep() -> None:
        function.sweep(ledger, predictions, datetime.now(UTC), time_is_up=lambda: False)

    work: list[Any] = [lambda each=each: label(*each) for each in told * 2]
    work += [lambda id=id: world.predict(id, dice.choice(CLASSES)) for id in ids]
    work += [sweep] * 4
    dice.shuffle(work)
    with ThreadPoolExecutor(12) as pool:
        for each in pool.map(lambda each: each(), work):
            assert each is None
    world.sweep()
    assert world.counted() == world.recounted(standing(told))
    assert world.counted().total() == len(ids)


class Unlucky:
    """A client that loses races as DynamoDB lets one lose them: before the write, or after it was done."""

    def __init__(self, client: Any, losses: list[str]) -> None:
        self._client, self.losses = client, losses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> Any:
        if not self.losses:
            return self._client.transact_write_items(**request)
        reason = self.losses.pop(0)
        reasons = [{"Code": "None"}, {"Code": reason}]
        raise ClientError(
            {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons},  # type: ignore[typeddict-unknown-key]
            "TransactWriteItems",
        )


def test_conflicting_transactions_are_tried_again(world: World) -> None:
    world.predict("p1", "3")
    client = Unlucky(world.dynamodb, ["TransactionConflict", "ConditionalCheckFailed", "ThrottlingError"])
    world.connect(client)
    assert world.label("p1", "8").body["status"] == "counted"
    assert client.losses == []
    assert world.counted() == world.recounted({"p1": "8"})


def test_endless_conflict_is_a_503_and_counts_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.predict("p1", "3")
    world.connect(Unlucky(world.dynamodb, ["TransactionConflict"] * 100))
    monkeypatch.setitem(vars(world.function)["Ledger"]._changed.__globals__, "LONGEST_PAUSE_SECONDS", 0.001)
    answer = world.label("p1", "8")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert not world.counted()


def test_other_faults_of_a_transaction_are_not_taken_for_lost_races(world: World) -> None:
    world.predict("p1", "3")
    client = Unlucky(world.dynamodb, ["ValidationError"])
    world.connect(client)
    assert world.label("p1", "8").status == 503
    assert world.label("p1", "8").body["status"] == "counted"
