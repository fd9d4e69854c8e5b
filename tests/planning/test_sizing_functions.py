"""Executions in place of instances: how many of them a workload has at work at once, and where that ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planning import sizing_functions as functions
from planning.capacity import plan
from planning.hosting import LIMITS, Hosting
from planning.ladder import ON_EXECUTIONS, WITH_BACKLOG, rung, step
from planning.quotas import SERVERLESS_CONCURRENCY, exceeded, needs
from planning.simulation.scenario import Scenario, cell, halved
from planning.sizing_functions import OVERHEAD_SECONDS, request_seconds
from planning.workload import Workload

USUAL = Workload()
SHORT = Scenario(quiet=10, rise=0, peak=60)
# The same with other seeds, as in test_simulation.py.
LATER = pytest.mark.slow
ON_FUNCTIONS = Hosting(mode="lambda", memory_mb=1769)
SERVERLESS = Hosting(mode="serverless", memory_mb=2048)


def executions(workload: Workload, hosting: Hosting = ON_FUNCTIONS) -> int:
    found = plan(workload, hosting=hosting)
    value = found[LIMITS[hosting.mode]].value
    assert found.provision.executions == value
    return int(str(value))


def test_an_execution_has_what_its_memory_brings_of_a_vcpu() -> None:
    assert request_seconds(0.042, 1769) == pytest.approx(0.042 + OVERHEAD_SECONDS)
    assert request_seconds(0.042, 1769 // 2) == pytest.approx(0.084 + OVERHEAD_SECONDS, rel=0.01)
    assert request_seconds(0.042, 10_240) == request_seconds(0.042, 1769)


def test_executions_grow_with_images_and_with_the_models_work_and_as_memory_shrinks() -> None:
    usual = executions(replace(USUAL, images_per_day=5_000_000))

    assert executions(replace(USUAL, images_per_day=50_000_000)) > usual
    assert executions(replace(USUAL, images_per_day=5_000_000, model_ms=200)) > usual
    assert executions(replace(USUAL, images_per_day=5_000_000), replace(ON_FUNCTIONS, memory_mb=512)) > usual


def test_images_sent_in_the_same_instant_find_an_execution_each_where_nobody_may_wait() -> None:
    hurried = replace(USUAL, latency_p99_ms=500)
    many, few = (executions(replace(hurried, simultaneous=each)) for each in (200, 10))
    assert many == few + 190


def test_with_time_for_a_second_try_they_need_as_many_as_work_in_a_second() -> None:
    many, few = (executions(replace(USUAL, simultaneous=each)) for each in (200, 10))
    assert few < many < few + 30


def test_consumers_of_the_stream_have_executions_of_their_own() -> None:
    two, eight = (functions.executions(USUAL, ON_FUNCTIONS, each).value for each in (2, 8))
    assert int(str(eight)) == int(str(two)) + 6


@pytest.mark.parametrize("hosting", ON_EXECUTIONS, ids=lambda hosting: hosting.mode)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=LATER), pytest.param(3, marks=LATER)])
def test_the_plan_holds_its_goals_at_the_peak_beside_a_backlog_and_half_of_it_does_not(
    hosting: Hosting, seed: int
) -> None:
    provision = plan(USUAL, hosting=hosting).provision
    seen = step(USUAL, provision, seed, WITH_BACKLOG)

    assert seen.broken(USUAL) == ()
    assert 0 < seen.model_starts <= seen.most_models <= provision.executions
    broken = step(USUAL, halved(provision, "executions"), seed, WITH_BACKLOG).broken(USUAL)
    assert "no execution of the model free" in " ".join(broken)


def test_a_model_that_is_too_slow_breaks_the_goal_and_its_executions_go_on() -> None:
    provision = plan(USUAL, hosting=ON_FUNCTIONS).provision
    slow = Scenario(quiet=10, rise=0, peak=60, slow_from=20, slow_until=40, slow_factor=200)
    seen = step(USUAL, provision, 1, slow)

    assert {"model too slow", "no execution of the model free"} <= set(seen.refused)


def test_without_a_limit_none_is_refused_and_as_many_start_as_are_asked_at_once() -> None:
    limited = plan(USUAL, hosting=ON_FUNCTIONS).provision
    seen = step(USUAL, replace(limited, executions=0), 1, SHORT)

    assert "no execution of the model free" not in seen.refused
    assert seen.most_models > limited.executions


def test_what_is_too_large_is_simulated_in_part_with_no_more_than_its_share() -> None:
    whole = rung(replace(USUAL, images_per_day=50_000_000), ON_FUNCTIONS)
    part = cell(whole.workload, whole.provision)

    assert part.share < 1
    assert 0 < part.provision.executions <= plan(part.workload, hosting=ON_FUNCTIONS).provision.executions
    assert part.provision.hosting == ON_FUNCTIONS


def test_the_plan_has_either_instances_or_executions() -> None:
    on_instances, on_functions = plan(USUAL), plan(USUAL, hosting=ON_FUNCTIONS)

    assert not any(key in on_instances for key in LIMITS.values())
    assert "hosting.instance_count" not in on_functions
    assert (on_functions.provision.instances, on_functions.provision.instance_type) == (0, "")
    assert not on_functions.provision.scales


def test_what_a_serverless_endpoint_does_at_once_ends_with_its_quota() -> None:
    def beyond(images: int) -> set[str]:
        workload = replace(USUAL, images_per_day=images)
        return {
            each.quota.key for each in exceeded(needs(workload, plan(workload, hosting=SERVERLESS).provision))
        }

    assert SERVERLESS_CONCURRENCY.key not in beyond(1_000_000)
    assert SERVERLESS_CONCURRENCY.key in beyond(50_000_000)
