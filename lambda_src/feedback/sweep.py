"""Looks after labels that came before their predictions: some can be counted now, some are given up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from ledger import SHARDS, Ledger
from predictions import Predictions

AT_ONCE = 8


@dataclass(frozen=True)
class Swept:
    """What a sweep has done: labels that are counted now, labels given up, labels that wait on.

    `complete` is False where its time was over before it had looked at all of them; the next one goes on with
    those that wait longest.
    """

    joined: int
    expired: int
    pending: int
    complete: bool


def sweep(
    ledger: Ledger, predictions: Predictions, now: datetime, *, time_is_up: Callable[[], bool]
) -> Swept:
    """Look at every waiting label. Raises what the tables raise; what was done until then stays done."""
    joined = expired = 0
    complete = True
    deadline = now - ledger.wait
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for shard in range(SHARDS):
            for waiting in ledger.waiting(shard):
                if time_is_up():
                    complete = False
                    break
                there = predictions.several(waiting, now)
                joined += sum(pool.map(ledger.join, there))
                missing = set(waiting) - {each.id for each in there}
                expired += sum(pool.map(lambda each: ledger.expire(each, deadline), missing))
    return Swept(joined, expired, ledger.count_waiting(), complete)
