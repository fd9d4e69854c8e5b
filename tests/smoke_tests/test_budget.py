"""Every wait of a run ends: by the answer, by the limit of the step, by the budget, or by a signal."""

import threading
import time

import pytest

from smoke_tests.budget import Budget, Interrupted, OutOfTime


def test_polls_end_after_the_limit_of_the_step() -> None:
    began = time.monotonic()
    attempts = list(Budget(60, reserve=1).polls("looking", at_most=0.2))
    assert attempts == list(range(1, len(attempts) + 1)) and len(attempts) >= 2
    assert time.monotonic() - began < 2


def test_the_budget_keeps_time_back_for_cleaning_up() -> None:
    budget = Budget(10, reserve=9.9)
    with pytest.raises(OutOfTime, match="time is up while training"):
        for _ in budget.polls("training"):
            pass
    assert budget.for_clean_up().left() > 9


def test_a_cancelled_budget_wakes_whoever_waits() -> None:
    budget = Budget(60, reserve=1)
    threading.Timer(0.1, budget.cancel, ["SIGTERM"]).start()
    began = time.monotonic()
    with pytest.raises(Interrupted, match="stopped by SIGTERM while waiting"):
        for _ in budget.polls("waiting"):
            pass
    assert time.monotonic() - began < 5
