"""What a run can cost at most: prices, limits, and the gaps in the table."""

from __future__ import annotations

import pytest

from planning.prices import UnknownPrice, hourly_usd
from planning.run_cost import most_of_training, most_of_tuning


def test_a_job_costs_its_instances_for_as_long_as_they_may_run() -> None:
    assert most_of_training("ml.c7i.xlarge", instances=1, seconds=3600) == pytest.approx(0.22)
    assert most_of_training("ml.c7i.xlarge", instances=3, seconds=1800) == pytest.approx(0.33)


def test_tuning_costs_its_trials_or_its_places_whichever_end_first() -> None:
    tuning = {"instances": 1, "trial_seconds": 3600, "trials": 10, "side_by_side": 2}
    assert most_of_tuning("ml.c5.xlarge", **tuning, seconds=36_000) == pytest.approx(2.1)
    assert most_of_tuning("ml.c5.xlarge", **tuning, seconds=7200) == pytest.approx(0.84)


def test_larger_instances_of_a_family_cost_more() -> None:
    for family in ("ml.c7i", "ml.m5", "ml.g4dn"):
        prices = [hourly_usd(f"{family}.{size}") for size in ("xlarge", "2xlarge", "4xlarge")]
        assert prices == sorted(prices)


def test_a_gap_in_the_table_says_what_to_do() -> None:
    with pytest.raises(UnknownPrice, match=r"ml\.x99\.xlarge .* add it to planning/prices\.py"):
        hourly_usd("ml.x99.xlarge")
