"""Odd and hostile files come out as they should, and damaged ones never as a crash (R24, R35).

A small share of `make fuzz`, which takes minutes and goes through two hundred thousand files.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.fuzz import watch
from tests.fuzz.corpus import corpus, seeds
from tests.fuzz.mutations import mutated

SEEDS = seeds()
LIGHT = list(corpus(heavy=False))


@pytest.mark.parametrize("redact", [False, True], ids=["plain", "redacted"])
@pytest.mark.filterwarnings("error")
def test_every_kind_of_file_comes_out_as_it_should(redact: bool) -> None:
    wrong: list[str] = []
    for each in LIGHT:
        seen = watch.see(each.data, watch.GREY, redact=redact)
        if seen.outcome not in each.expected or seen.too_much:
            wrong.append(f"{each.name}: {seen}, not {' or '.join(sorted(each.expected))}")
    assert wrong == []


@pytest.mark.slow
def test_bombs_stay_within_a_second_and_128_megabytes() -> None:
    wrong: list[str] = []
    number = 0
    for each in corpus(heavy=True):
        seen = watch.see(each.data)
        number += seen.peak > 10_000_000
        if seen.outcome not in each.expected or seen.too_much:
            wrong.append(f"{each.name}: {seen}, not {' or '.join(sorted(each.expected))}")
    assert wrong == []
    assert number > 15 or not watch.watches_memory(), "some are large, or the watch is blind"


@settings(
    max_examples=1500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(some.randoms(use_true_random=False))
def test_damaged_files_are_read_or_refused(dice: random.Random) -> None:
    seen = watch.see(mutated(dice, SEEDS), watch.GREY, redact=dice.random() < 0.1)
    assert not seen.too_much
