"""The simulation: it can be repeated; the plan holds the goals at ten times the mean, half of it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planning.capacity import plan
from planning.ladder import SEEDS, rung, step
from planning.simulation.outcome import Outcome, quantile
from planning.simulation.parts import Throttle, Times, dice
from planning.simulation.run import simulate
from planning.simulation.scenario import HALVES, Scenario, as_the_workload_says, cell, halved, may_be_halved
from planning.workload import Workload

USUAL = Workload()
PROVISION = plan(USUAL).provision
SHORT = Scenario(quiet=20, rise=0, peak=60)
SHORTER = Scenario(quiet=10, rise=0, peak=420)
# The same with other seeds; one is enough to notice that a number has changed.
LATER = pytest.mark.slow
# What may be halved, and what it breaks.
BREAKS = {
    "api_rate": "throttled by the API",
    "api_burst": "throttled by the API",
    "predict_memory_mb": "too slow to decode",
    "predict_concurrency": "no execution free",
    "instances": "p99",
    "consume_memory_mb": "failed for good",
}


def test_the_same_seed_sees_the_same_and_another_seed_something_else() -> None:
    first, again = (simulate(USUAL, PROVISION, SHORT, seed=7) for _ in range(2))

    assert first == again
    assert simulate(USUAL, PROVISION, SHORT, seed=8) != first


@pytest.mark.parametrize("seed", [*SEEDS, pytest.param(4, marks=LATER), pytest.param(5, marks=LATER)])
def test_the_plan_for_half_a_million_holds_its_goals_at_ten_times_the_mean(seed: int) -> None:
    seen = step(USUAL, PROVISION, seed)

    assert seen.broken(USUAL) == ()
    # Not by a hair either.
    assert seen.p99 < 0.6 * USUAL.latency_p99_ms / 1000
    assert seen.requests > 25_000
    assert seen.records > 6_000
    assert seen.redone > 0


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=LATER), pytest.param(3, marks=LATER)])
@pytest.mark.parametrize(("field", "why"), BREAKS.items())
def test_half_of_any_number_on_the_way_breaks_a_goal(field: str, why: str, seed: int) -> None:
    half = halved(PROVISION, field)
    assert half != PROVISION, (
        "one is the least that there can be: this workload does not show whether it is enough"
    )
    broken = step(USUAL, half, seed).broken(USUAL)

    assert broken, f"{HALVES[field]} is twice what is needed"
    assert why in " ".join(broken)


@pytest.mark.parametrize(
    ("field", "why"), [("predict_memory_mb", "out of memory"), ("consume_memory_mb", "failed for good")]
)
def test_functions_without_room_for_the_largest_image_break_a_goal(field: str, why: str) -> None:
    # With a share of a vCPU for it that is enough: it is the room that lacks.
    small = replace(USUAL, largest_megapixels=8)
    enough = replace(PROVISION, predict_memory_mb=256, consume_memory_mb=320)
    assert step(small, enough, 1, SHORTER).broken(small) == ()
    assert why in " ".join(step(small, replace(enough, **{field: 192}), 1, SHORTER).broken(small))


def test_half_of_the_consumers_falls_behind_where_the_load_decides_their_number() -> None:
    busy = Workload(images_per_day=5_000_000)
    provision = plan(busy).provision
    assert "consumers_per_shard" in may_be_halved(provision)
    # The whole fleet is there already: this is about the stream.
    ready = replace(provision, instances=provision.most_instances)

    assert step(busy, ready, 1, SHORTER).broken(busy) == ()
    assert "records waited" in " ".join(
        step(busy, halved(ready, "consumers_per_shard"), 1, SHORTER).broken(busy)
    )


def test_halving_knows_its_fields_and_stops_at_one() -> None:
    assert halved(PROVISION, "instances").instances == 1
    assert halved(halved(PROVISION, "instances"), "instances").most_instances == 1
    assert set(HALVES) <= set(vars(PROVISION))
    assert set(may_be_halved(PROVISION)) == set(BREAKS)
    with pytest.raises(KeyError):
        halved(PROVISION, "instance_type")


def test_an_instance_that_fails_on_an_ordinary_day_is_not_noticed() -> None:
    ordinary = replace(USUAL, peak_factor=1.0, simultaneous=0)
    seen = simulate(ordinary, PROVISION, replace(SHORT, peak=400, instance_fails_at=60), seed=1)

    assert seen.broken(ordinary) == ()


def test_an_instance_that_fails_at_the_peak_is_too_much_for_what_is_left() -> None:
    seen = simulate(USUAL, PROVISION, replace(SHORT, peak=120, instance_fails_at=40), seed=1)

    assert seen.broken(USUAL)


def test_a_slow_model_breaks_the_goal_for_latency_and_is_given_up_in_time() -> None:
    slow = replace(SHORT, slow_from=30, slow_until=80, slow_factor=4)
    seen = simulate(USUAL, PROVISION, slow, seed=1)

    assert any("p99" in each for each in seen.broken(USUAL))
    # Two attempts of six seconds, and what is around them.
    assert seen.p99 < 13


def test_no_record_is_forgotten() -> None:
    seen = simulate(USUAL, PROVISION, replace(SHORT, peak=120), seed=3)

    # Those that are still on their way at the end are the backlog, or came in the last seconds.
    expected = USUAL.burst_peak_per_second * 120
    assert seen.records == pytest.approx(expected, rel=0.12)
    assert seen.backlog < 40


def test_a_fleet_grows_with_the_load_up_to_its_most() -> None:
    busy = Workload(images_per_day=1_000_000, rise_minutes=14, peak_minutes=2)
    provision = plan(busy).provision
    seen = simulate(busy, provision, as_the_workload_says(busy), seed=1)

    assert provision.scales
    assert provision.instances < seen.most_instances <= provision.most_instances
    assert seen.broken(busy) == ()


def test_a_fleet_that_may_not_grow_breaks_the_goal() -> None:
    busy = Workload(images_per_day=1_000_000, rise_minutes=14, peak_minutes=2)
    provision = plan(busy).provision
    fixed = replace(provision, most_instances=provision.instances)

    assert simulate(busy, fixed, as_the_workload_says(busy), seed=1).broken(busy)


@pytest.mark.parametrize("images", [5_000_000, 50_000_000, 10**9])
def test_a_part_has_its_share_of_load_and_no_more_than_its_share_of_capacity(images: int) -> None:
    whole = rung(Workload(images_per_day=images))
    part = cell(whole.workload, whole.provision)

    assert part.workload.images_per_day == pytest.approx(images * part.share, rel=0.001)
    assert part.provision.api_rate == pytest.approx(whole.provision.api_rate * part.share)
    assert part.provision.consumers <= whole.provision.consumers * part.share
    # Its own allowance for chance is what a platform of its size would have.
    own = plan(part.workload).provision
    assert part.provision.api_burst <= own.api_burst
    assert (part.provision.predict_concurrency or 0) <= (own.predict_concurrency or 0)


def test_what_is_small_is_simulated_whole() -> None:
    assert cell(USUAL, PROVISION).share == 1
    assert cell(USUAL, PROVISION).provision == PROVISION


def test_a_bucket_holds_its_burst_and_fills_at_its_rate() -> None:
    bucket = Throttle(rate=10, burst=5)

    assert [bucket.lets_in(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.lets_in(0.25) for _ in range(3)] == [True, True, False]
    assert sum(bucket.lets_in(100.0) for _ in range(9)) == 5


def test_draws_keep_the_mean_of_their_figure() -> None:
    times = Times(dice("1"), model_ms=40)
    drawn = [times.model(3) for _ in range(4000)]

    assert sum(drawn) / len(drawn) == pytest.approx(0.12, rel=0.01)


def test_quantiles_are_of_what_was_seen() -> None:
    assert quantile([], 0.99) == 0
    assert quantile([1.0], 0.99) == 1
    values = [float(each) for each in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50, 99, 100)


def test_an_outcome_says_in_words_what_was_not_kept() -> None:
    good: Outcome = simulate(USUAL, PROVISION, SHORT, seed=1)
    bad = replace(good, p99=2.0, refused_share=0.05, refused={"no execution free": 9}, lost_share=0.2)

    assert [each.split()[0] for each in bad.broken(USUAL)] == ["p99", "5.00%", "20.00%"]
