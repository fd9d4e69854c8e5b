"""Which label stands: any order, repetition and correction gives what a plain recount gives (R25)."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from tests.lambda_src.conftest import ROOT

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def load() -> Any:
    path = ROOT / "lambda_src" / "feedback" / "labels.py"
    described = importlib.util.spec_from_file_location("feedback_labels", path)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules["feedback_labels"] = module  # dataclasses look their module up
    described.loader.exec_module(module)
    return module


labels = load()
IDS, CLASSES = ("p1", "p2", "p3"), ("cat", "dog", "owl")


class Memory:
    """A table without races: it does what changes say, and nothing else."""

    def __init__(self) -> None:
        self.standing: dict[str, Any] = {}
        self.predictions: dict[str, Any] = {}
        self.counts: Counter[Any] = Counter()
        self.now = NOON

    def apply(self, change: Any) -> None:
        self.now += timedelta(seconds=1)
        if change.is_none:
            return
        revision = change.before.revision if change.before else 0
        assert change.after.revision == revision + 1
        self.standing[change.after.prediction_id] = change.after
        if change.more:
            self.counts[change.more] += 1
        if change.less:
            self.counts[change.less] -= 1
            assert self.counts[change.less] >= 0

    def tell(self, id: str, label: str, at: datetime | None) -> Any:
        told = labels.Told(id, label, at)
        change = labels.tell(self.standing.get(id), told, self.predictions.get(id), self.now)
        self.apply(change)
        return change.outcome

    def predict(self, id: str, label: str) -> None:
        self.predictions.setdefault(id, labels.Prediction(id, "champion", "m", label, "2026-11-30", 0))

    def sweep(self, *, expire: bool = False) -> None:
        for id, standing in list(self.standing.items()):
            if id in self.predictions:
                self.apply(labels.join(standing, self.predictions[id]))
            elif expire:
                self.apply(labels.expire(standing))


def recount(memory: Memory, truths: dict[str, str]) -> Counter[Any]:
    """Written as one would count by hand, with nothing of the module but its names."""
    known = memory.predictions
    return Counter(
        labels.Cell("champion", "2026-11-30", "m", label, known[id].label)
        for id, label in truths.items()
        if id in known
    )


# Few instants, so that two labels often bear the same.
instants = some.integers(0, 3).map(lambda hours: NOON - timedelta(hours=hours))
tells = some.tuples(some.just("tell"), some.sampled_from(IDS), some.sampled_from(CLASSES), instants)
answers = some.tuples(some.just("predict"), some.sampled_from(IDS), some.sampled_from(CLASSES))
sweeps = some.tuples(some.sampled_from(["sweep", "expire"]))
histories = some.lists(some.one_of(tells, tells, answers, sweeps), max_size=25)


def play(history: list[tuple[Any, ...]]) -> Memory:
    memory = Memory()
    for what, *arguments in history:
        if what in ("sweep", "expire"):
            memory.sweep(expire=what == "expire")
        else:
            getattr(memory, what)(*arguments)
    # What was given up waits no more: only a label that is told again makes it count.
    for id, standing in memory.standing.items():
        if standing.expired and id in memory.predictions:
            memory.tell(id, standing.label, standing.labelled_at)
    memory.sweep()
    return memory


@settings(max_examples=600, deadline=None)
@given(histories)
def test_counts_are_those_of_a_recount(history: list[tuple[Any, ...]]) -> None:
    memory = play(history)
    told = [each for each in history if each[0] == "tell"]
    truths = {id: max((at, label) for _, of, label, at in told if of == id)[1] for _, id, _, _ in told}
    assert +memory.counts == recount(memory, truths)
    assert {id: each.label for id, each in memory.standing.items()} == truths


@settings(max_examples=300, deadline=None)
@given(some.data())
def test_order_of_arrival_and_repetitions_change_nothing(data: Any) -> None:
    history = data.draw(histories)
    # A prediction has one answer; which one comes first is not the label's affair.
    first = list({each[1]: each for each in reversed(history) if each[0] == "predict"}.values())
    others = [each for each in history if each[0] != "predict"]
    again = data.draw(some.lists(some.sampled_from(others), max_size=5)) if others else []
    shuffled = data.draw(some.permutations([*first, *others, *again]))
    assert +play([*first, *others]).counts == +play(shuffled).counts


@settings(max_examples=300, deadline=None)
@given(some.lists(some.tuples(some.sampled_from(IDS), some.sampled_from(CLASSES)), max_size=25))
def test_labels_without_a_time_follow_the_order_of_arrival(told: list[tuple[str, str]]) -> None:
    memory = Memory()
    for id in IDS:
        memory.predict(id, "cat")
    for id, label in told:
        memory.tell(id, label, None)
    assert +memory.counts == recount(memory, dict(told))


def test_outcomes_tell_what_happened() -> None:
    memory = Memory()
    memory.predict("p1", "cat")
    earlier, later = NOON - timedelta(hours=2), NOON - timedelta(hours=1)
    assert memory.tell("p1", "cat", earlier) == "counted"
    assert memory.tell("p1", "cat", earlier) == "unchanged"
    assert memory.tell("p1", "dog", later) == "corrected"
    assert memory.tell("p1", "cat", earlier) == "superseded"
    assert memory.tell("p1", "owl", None) == "corrected"
    assert memory.tell("p2", "cat", None) == "pending"


def test_repetition_without_a_time_changes_nothing_at_all() -> None:
    memory = Memory()
    memory.predict("p1", "cat")
    memory.tell("p1", "dog", None)
    before = memory.standing["p1"]
    assert memory.tell("p1", "dog", None) == "unchanged"
    assert memory.standing["p1"] == before


def test_label_without_a_time_corrects_one_from_a_clock_that_is_ahead() -> None:
    memory = Memory()
    memory.predict("p1", "cat")
    memory.tell("p1", "dog", NOON + timedelta(minutes=4))
    assert memory.tell("p1", "cat", None) == "corrected"


def test_label_that_was_given_up_waits_again_when_it_is_told_again() -> None:
    memory = Memory()
    memory.tell("p1", "dog", None)
    memory.sweep(expire=True)
    assert memory.standing["p1"].status == "EXPIRED"
    assert memory.tell("p1", "dog", None) == "pending"
    assert memory.standing["p1"].status == "PENDING"
    memory.predict("p1", "cat")
    memory.sweep()
    assert memory.counts.total() == 1
